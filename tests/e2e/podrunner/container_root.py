"""The file system of a container: the machine's, with a layer of its own over each folder.

So whatever a container writes is gone with it, and a mount point that the machine does not have costs
nothing. A folder of `/` below which something else is mounted cannot have such a layer and is shared as it
is. `/run` is empty, `/proc` is that of the container's own processes.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.e2e.podrunner import kernel
from tests.e2e.podrunner.confinement import FORMER_ROOT, Confinement
from tests.e2e.podrunner.kernel import MountFlag

_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - the container's own
_LENT: Final = ("dev", "sys")
_EMPTY: Final = ("run",)
_BIND: Final = MountFlag.BIND | MountFlag.RECURSIVE
_MOUNTS: Final = Path("/proc/self/mountinfo")
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_KEPT_FLAGS: Final = {
    "nosuid": MountFlag.NO_SUID,
    "nodev": MountFlag.NO_DEVICES,
    "noexec": MountFlag.NO_EXEC,
}
"""What a mount is besides read-only; a namespace without rights over the machine may not take it away."""
_ENTER: Final = 0o011


def enter(wanted: Confinement) -> None:
    """Make the root and go into it; afterwards the machine's own is out of reach. Raises OSError."""
    root = Path(wanted.scratch, "root")
    layered = _make_root(Path(wanted.scratch), root, wanted.layer)
    _make_reachable(wanted.reachable, root, layered)
    (root / FORMER_ROOT).mkdir()
    os.chdir(root)
    kernel.pivot_root(".", FORMER_ROOT)
    os.chdir("/")
    kernel.mount("proc", "/proc", kind="proc", flags=MountFlag.NO_SUID | MountFlag.NO_DEVICES)
    kernel.mount("shm", _SHARED_MEMORY, kind="tmpfs", options="mode=1777,size=64m")
    volumes = _mount_volumes(wanted)
    kernel.unmount(f"/{FORMER_ROOT}")
    Path(f"/{FORMER_ROOT}").rmdir()
    if wanted.read_only_root:
        _freeze(exempt=(*volumes, "/proc", _SHARED_MEMORY))


def _make_root(scratch: Path, root: Path, layer: str) -> frozenset[str]:
    """Make the folders of the root; return the names of those that have a layer of the container's own."""
    kernel.mount("container", str(scratch), kind="tmpfs", options="mode=755")
    layers = scratch / "layers"
    layers.mkdir()
    root.mkdir()
    kernel.mount("root", str(root), kind="tmpfs", options="mode=755")
    crowded = {point.split("/")[1] for point, _ in _mounted() if point != "/"}
    upper = {path.name for path in Path(layer).iterdir() if path.is_dir()} if layer else set[str]()
    layered = set()
    for name in sorted({*(path.name for path in Path("/").iterdir()), *upper}):
        here, spot = Path("/", name), root / name
        if here.is_symlink() and name not in upper:
            spot.symlink_to(here.readlink())
            continue
        if not here.is_dir() and name not in upper:
            continue
        spot.mkdir(mode=0o755)
        if name in _LENT or (name in crowded and name not in ("proc", *_EMPTY)):
            kernel.mount(str(here), str(spot), flags=_BIND)
        elif name not in ("proc", *_EMPTY):
            sources = [Path(layer, name)] if name in upper else []
            sources += [here] if here.is_dir() else []
            _overlay(sources, layers / name, spot)
            layered.add(name)
    return frozenset(layered)


def _overlay(sources: list[Path], own: Path, spot: Path) -> None:
    """Mount folders one over the other, and over them one that takes the writes."""
    upper, work = own / "upper", own / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    # The merged folder has the mode of its own layer.
    upper.chmod(sources[0].stat().st_mode & 0o7777)
    lower = ":".join(str(source).replace("\\", "\\\\").replace(":", "\\:") for source in sources)
    options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr"
    kernel.mount("overlay", str(spot), kind="overlay", options=options)


def _make_reachable(paths: tuple[str, ...], root: Path, layered: frozenset[str]) -> None:
    """Let everybody pass through the folders above the paths, in the container's own layer alone."""
    for path in paths:
        for above in reversed(Path(path).parents):
            here = root / above.relative_to("/")
            mode = here.stat().st_mode if here.exists() else _ENTER
            if mode & _ENTER == _ENTER:
                continue
            if above.parts[1] not in layered:
                raise OSError(f"nobody but its owner can reach {path}: {above} is closed to others")
            here.chmod(mode & 0o7777 | _ENTER)


def _mount_volumes(wanted: Confinement) -> list[str]:
    """Mount the volumes, outer ones first, and return where they are once links are followed."""
    done = []
    for each in sorted(wanted.mounts, key=lambda one: len(Path(one.target).parts)):
        source = Path(f"/{FORMER_ROOT}{each.source}")
        target = Path(each.target)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        kernel.mount(str(source), str(target), flags=_BIND)
        if each.read_only:
            _remount_read_only(str(target), MountFlag(0))
        done.append(str(target.resolve()))
    return done


def _freeze(*, exempt: tuple[str, ...]) -> None:
    """Make every mount read-only but some, with all that is below those."""
    for point, flags in _mounted():
        if not any(point == each or point.startswith(f"{each}/") for each in exempt):
            _remount_read_only(point, flags)


def _remount_read_only(point: str, flags: MountFlag) -> None:
    kernel.mount(
        "none", point, flags=flags | MountFlag.REMOUNT | MountFlag.BIND | MountFlag.READ_ONLY, options=""
    )


def _mounted() -> Iterator[tuple[str, MountFlag]]:
    """Yield where something is mounted, and how (proc_pid_mountinfo(5))."""
    for line in _MOUNTS.read_text().splitlines():
        _, _, _, _, escaped, options, *_ = line.split(" ")
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), escaped)
        flags = MountFlag(0)
        for option in options.split(","):
            flags |= _KEPT_FLAGS.get(option, MountFlag(0))
        yield point, flags
