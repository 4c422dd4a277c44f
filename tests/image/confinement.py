"""A folder as the root of a command, by a mount namespace; parts of this machine stand for the base image.

What the machine lends is there for reading and at its own paths; the rest is the folder. This works as root,
and without a container engine. The namespace ends with the command, and its mounts with it.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

PYTHON: Final = Path(sys.executable).resolve()
"""The interpreter under the virtual environment of these tests."""
LIBRARIES: Final = tuple(
    map(Path, ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc"))
)
"""What a program needs to start: its libraries, the loader's settings, certificates of the machine."""
TOOLS: Final = (*LIBRARIES, *map(Path, ("/bin", "/sbin", "/usr", "/run")))
"""What a build step may use besides: a shell, its commands, and the way to the package index."""
INTERPRETER: Final = (PYTHON, Path(sys.base_prefix) / "lib")
"""Python itself, which in an image belongs to the base."""
_DEVICES: Final = ("null", "zero", "random", "urandom")
TEMPORARY: Final = "/tmp"  # noqa: S108 - that of the root
_ENTER: Final = ".enter"
"""Where `env`, which sets environment and folder for the command, is in the new root."""


class Confined(msgspec.Struct, frozen=True):
    """A root: its folder, what of this machine is in it, and whether only /tmp of it can be written.

    `shown` are further files or folders of this machine, by their path in the root. `user` is the number of
    user and group, 0 for root.
    """

    folder: Path
    lent: tuple[Path, ...]
    shown: Mapping[str, Path] = {}
    user: int = 0
    frozen: bool = False

    def command(self, *arguments: str, environment: Mapping[str, str], workdir: str) -> list[str]:
        """Return the command line that runs arguments in this root with that environment and no other."""
        variables = (f"{name}={value}" for name, value in environment.items())
        user = (f"--userspec={self.user}:{self.user}", "--groups=") if self.user else ()
        change = (_tool("chroot"), *user, str(self.folder))
        enter = (f"/{_ENTER}", "--ignore-environment", f"--chdir={workdir}", *variables)
        script = "\n".join([*self._mounts(), f"exec {shlex.join([*change, *enter, *arguments])}"])
        return [_tool("unshare"), "--mount", "--propagation", "private", _tool("sh"), "-euc", script]

    def path(self, inside: str) -> Path:
        """Return where a path of the root is on this machine."""
        return self.folder / inside.lstrip("/")

    def _mounts(self) -> list[str]:
        """Return the lines of a shell that make the root, the folder's own mount first."""
        lines = [_bind(self.folder, self.folder)]
        temporary = self.path(TEMPORARY)
        temporary.mkdir(exist_ok=True)
        temporary.chmod(0o1777)
        if self.frozen:
            lines += [_bind(temporary, temporary)]
        for here, there in self._parts():
            spot = self.path(there)
            if here.is_dir():
                spot.mkdir(parents=True, exist_ok=True)
            else:
                spot.parent.mkdir(parents=True, exist_ok=True)
                spot.touch()
            lines += [_bind(here, spot), *([] if here.is_char_device() else [_protect(spot)])]
        return [*lines, *([_protect(self.folder)] if self.frozen else [])]

    def _parts(self) -> Iterator[tuple[Path, str]]:
        """Yield what of this machine is mounted where; a link of the machine is made a link of the root."""
        done: list[Path] = []
        for part in sorted(set(self.lent)):
            if any(part.is_relative_to(each) for each in done) or not part.exists():
                continue
            if part.is_symlink():
                link = self.path(str(part))
                link.unlink(missing_ok=True)
                link.symlink_to(part.readlink())
                continue
            done.append(part)
            yield part, str(part)
        yield from ((Path("/dev") / name, f"/dev/{name}") for name in _DEVICES)
        yield Path(_tool("env")).resolve(), f"/{_ENTER}"
        yield from ((here, there) for there, here in self.shown.items())


def why_not() -> str:
    """Return why no root can be made here, or nothing."""
    if os.geteuid() != 0:
        return "only root may mount, and take on the user of the image"
    missing = [name for name in ("unshare", "mount", "chroot", "env", "sh") if shutil.which(name) is None]
    if missing:
        return f"this machine has no {missing[0]}"
    trial = subprocess.run([_tool("unshare"), "--mount", _tool("true")], capture_output=True, check=False)  # noqa: S603 - fixed
    return f"root may not mount here: {trial.stderr.decode().strip()}" if trial.returncode else ""


def _bind(here: Path, spot: Path) -> str:
    return shlex.join([_tool("mount"), "--rbind", str(here), str(spot)])


def _protect(spot: Path) -> str:
    """Return the line that lets nobody write there; a build step must not change this machine."""
    return shlex.join([_tool("mount"), "-o", "remount,bind,ro", str(spot)])


def _tool(name: str) -> str:
    """Return the path of a command of this machine."""
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(name)
    return found
