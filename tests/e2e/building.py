"""Building the control plane of the tests: the Go module `controlplane/`, into one binary in `.cache/`.

`python -m tests.e2e.building` builds it before the tests begin, and ends with SKIPPED where there is no Go to
build it with. The binary is named by a hash of what it is made of, so it is built once and again only after a
change. Where modules come from and how their sums are checked is the environment's business, as for any other
Go build.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec

from tests.e2e.made_once import alone

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = ROOT / ".cache"
MODULE: Final = Path(__file__).with_name("controlplane")
DEFAULT_VERSION: Final = "1.36"
VERSIONS: Final[Mapping[str, str]] = {
    "1.34": "1.34.4",
    "1.35": "1.35.4",
    "1.36": "1.36.3",
    "1.37": "1.37.2",
}
"""The patch release that is built for each minor. The sums of the default's modules are in go.sum; those of
the others are worked out at each build, and checked by Go as for any module that is fetched."""

SKIPPED: Final = 77
"""The exit code for what cannot be done here, and need not be, as automake has it."""

_KUBERNETES: Final = "k8s.io/kubernetes"
_VERSION_PACKAGE: Final = "k8s.io/component-base/version"


class GoIsMissingError(Exception):
    """There is no Go to build with."""

    def __str__(self) -> str:
        return "the control plane of these tests is built with Go, and there is no `go` on the PATH"


class UnknownKubernetesError(Exception):
    """LOCKKEEPER_KUBERNETES names a version that these tests do not build."""

    def __init__(self, asked: str) -> None:
        super().__init__(asked)
        self.asked = asked

    def __str__(self) -> str:
        return f"LOCKKEEPER_KUBERNETES={self.asked} is none of {', '.join(VERSIONS)}"


class BuildFailedError(Exception):
    """A command of the build failed; `output` is what it said."""

    def __init__(self, command: list[str], output: str) -> None:
        super().__init__(command, output)
        self.command = command
        self.output = output

    def __str__(self) -> str:
        return f"{' '.join(self.command)} failed:\n{self.output}"


class Versioned(msgspec.Struct, frozen=True, rename={"path": "Path"}):
    """One side of a `replace` in a go.mod, as `go mod edit -json` prints it."""

    path: str


class Replacement(msgspec.Struct, frozen=True, rename={"old": "Old"}):
    """One `replace` of a go.mod."""

    old: Versioned


class ModFile(msgspec.Struct, frozen=True, rename={"replace": "Replace"}):
    """The part of a go.mod that names the staging modules."""

    replace: tuple[Replacement, ...] = ()


class Downloaded(msgspec.Struct, frozen=True, rename={"go_mod": "GoMod"}):
    """The part of `go mod download -json` that says where the go.mod lies."""

    go_mod: str


def wanted_version(environment: Mapping[str, str] = os.environ) -> str:
    """Return the patch release of Kubernetes that this run is about. Raises UnknownKubernetesError."""
    asked = environment.get("LOCKKEEPER_KUBERNETES") or DEFAULT_VERSION
    if asked not in VERSIONS:
        raise UnknownKubernetesError(asked)
    return VERSIONS[asked]


def control_plane_binary(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the binary for the Kubernetes that LOCKKEEPER_KUBERNETES names, built if need be.

    Raises:
        GoIsMissingError: it has to be built and there is no Go.
        BuildFailedError: it could not be built.
        UnknownKubernetesError: the version is none of VERSIONS.
    """
    version = wanted_version(environment)
    binary = _place(version)
    if not binary.is_file():
        if shutil.which("go") is None:
            raise GoIsMissingError
        with alone(binary):
            if not binary.is_file():
                _build(version, binary)
    return binary


def main() -> int:
    """Build it where that is needed, and say so; return the exit code."""
    try:
        version = wanted_version()
        if not _place(version).is_file() and shutil.which("go") is not None:
            sys.stdout.write(f"building Kubernetes {version} with Go, which takes some minutes once ...\n")
            sys.stdout.flush()
        control_plane_binary()
    except GoIsMissingError as missing:
        sys.stdout.write(f"skipped: {missing}\n")
        return SKIPPED
    except (BuildFailedError, UnknownKubernetesError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _place(version: str) -> Path:
    """Return where the binary lies: its name tells what it is made of."""
    made_of = sha256(version.encode())
    for name in ("main.go", "go.mod", "go.sum"):
        made_of.update((MODULE / name).read_bytes())
    return CACHE / "controlplane" / f"{version}-{made_of.hexdigest()[:12]}"


def _build(version: str, binary: Path) -> None:
    """Build the binary beside its place and move it there, so that nobody ever sees half of one."""
    with TemporaryDirectory(dir=binary.parent, prefix="building-") as folder:
        module = Path(folder) / "module"
        shutil.copytree(MODULE, module)
        if version != VERSIONS[DEFAULT_VERSION]:
            _turn_to(version, module)
        made = Path(folder) / "controlplane"
        _run(
            ["go", "build", "-buildvcs=false", "-ldflags", _linker_flags(version), "-o", str(made), "."],
            module,
        )
        made.replace(binary)


def _turn_to(version: str, module: Path) -> None:
    """Rewrite the copied module for another release of Kubernetes and its staging modules."""
    printed = _run(["go", "mod", "download", "-json", f"{_KUBERNETES}@v{version}"], module)
    downloaded = msgspec.json.decode(printed, type=Downloaded)
    release = msgspec.json.decode(
        _run(["go", "mod", "edit", "-json", downloaded.go_mod], module), type=ModFile
    )
    (module / "go.sum").unlink()
    (module / "go.mod").write_text("module controlplane\n", encoding="utf-8")
    staging = version.replace("1.", "0.", 1)
    edits = [f"-require={_KUBERNETES}@v{version}"]
    edits += [f"-replace={one.old.path}={one.old.path}@v{staging}" for one in release.replace]
    _run(["go", "mod", "edit", *edits], module)
    _run(["go", "mod", "tidy"], module)


def _linker_flags(version: str) -> str:
    """Return the flags that leave debug data out and tell the version, which kubectl has to parse."""
    major, minor, _ = version.split(".")
    said = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {_VERSION_PACKAGE}.{name}={value}" for name, value in said.items())])


def _run(command: list[str], folder: Path) -> bytes:
    """Run one command of the build and return what it printed. Raises BuildFailedError."""
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)  # noqa: S603 - fixed commands
    if done.returncode:
        raise BuildFailedError(command, done.stderr.decode(errors="replace"))
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
