"""A real Prometheus, with promtool: the one on the PATH, else Debian's package unpacked into `.cache/`.

Nothing is installed and no service started: apt fetches the package and checks its signature, and its two
programs are taken out. `python -m tests.e2e.prometheus` does that beforehand, and says in one line where
it cannot be done.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.e2e.building import CACHE
from tests.e2e.made_once import alone
from tests.patience import PATIENCE

_PACKAGE: Final = "prometheus"
_PROGRAMS: Final = ("prometheus", "promtool")


class PrometheusIsMissingError(Exception):
    """There is no Prometheus to be had here; `why` tells the reason."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"Prometheus is not to be had: {self.why}"


def prometheus_program(name: str) -> Path:
    """Return `prometheus` or `promtool`.

    Raises:
        PrometheusIsMissingError: it is not on the PATH, and there is no apt that has it.
    """
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    folder = CACHE / "prometheus"
    if not (folder / name).is_file():
        with alone(folder):
            if not (folder / name).is_file():
                _unpack(folder)
    return folder / name


def _unpack(folder: Path) -> None:
    """Fetch the package and take its programs out of it."""
    missing = [each for each in ("apt-get", "dpkg-deb") if shutil.which(each) is None]
    if missing:
        raise PrometheusIsMissingError(f"it is not on the PATH, and neither is {missing[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as temporary:
        if _run(temporary, "apt-get", "download", _PACKAGE):
            _run(temporary, "apt-get", "update")
            said = _run(temporary, "apt-get", "download", _PACKAGE)
            if said:
                raise PrometheusIsMissingError(said)
        (package,) = Path(temporary).glob("*.deb")
        said = _run(temporary, "dpkg-deb", "--extract", package.name, "root")
        if said:
            raise PrometheusIsMissingError(said)
        for name in _PROGRAMS:
            Path(temporary, "root", "usr", "bin", name).rename(folder / name)


def _run(folder: str, *command: str) -> str:
    """Run a command; return the last line of what it said against it, "" where it went well."""
    done = subprocess.run(  # noqa: S603 - the commands are ours
        command, cwd=folder, capture_output=True, text=True, timeout=4 * PATIENCE, check=False
    )
    if done.returncode == 0:
        return ""
    lines = [*done.stderr.strip().splitlines(), *done.stdout.strip().splitlines()]
    return lines[-1] if lines else f"{command[0]} ended with {done.returncode}"


if __name__ == "__main__":
    try:
        prometheus_program(_PROGRAMS[0])
    except PrometheusIsMissingError as error:
        sys.stderr.write(f"{error}; the tests with it are skipped\n")
