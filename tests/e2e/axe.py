"""axe-core, which finds what people with a screen reader or without a mouse would stumble over.

No package of Python is axe-core alone. This one carries it for another browser driver, pinned by hash in
`axe.txt` and kept in `.cache/`; `python -m tests.e2e.axe` fetches it beforehand, and says in one line where
that cannot be.
"""

import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.e2e.building import CACHE
from tests.e2e.chromium import Tab
from tests.e2e.made_once import alone

_REQUIREMENT: Final = Path(__file__).with_suffix(".txt")
_HELD: Final = "axe_playwright_python/axe.min.js"
_RUN: Final = """axe.run(document, {resultTypes: ["violations"], preload: false}).then((found) =>
  found.violations.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.html.slice(0, 120)}`)))"""
"""Every rule that axe-core has switched on, those of good practice too."""


class AxeIsMissingError(Exception):
    """axe-core is not to be had here; `why` tells the reason."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"axe-core is not to be had: {self.why}"


def axe_script() -> str:
    """Return the text of axe-core, fetched where that is needed.

    Raises:
        AxeIsMissingError: its package could not be installed.
    """
    home = CACHE / "axe" / sha256(_REQUIREMENT.read_bytes()).hexdigest()[:12]
    script = home / Path(_HELD).name
    with alone(home):
        if not script.is_file():
            with TemporaryDirectory(dir=home.parent, prefix="installing-") as folder:
                _install(Path(folder))
                home.mkdir(exist_ok=True)
                Path(folder, _HELD).rename(script)
    return script.read_text("utf-8")


def violations(tab: Tab, script: str) -> list[str]:
    """Return what axe-core has against what a tab shows."""
    tab.run(f"{script}; null")
    found: list[str] = tab.run(_RUN)
    return found


def _install(folder: Path) -> None:
    """Install the package alone into a folder. Raises AxeIsMissingError."""
    uv = shutil.which("uv")
    installer = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    wanted = ["install", "--quiet", "--no-deps", "--require-hashes"]
    wanted += ["-r", str(_REQUIREMENT), "--target", str(folder)]
    done = subprocess.run([*installer, *wanted], capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"the installer ended with {done.returncode}"]
        raise AxeIsMissingError(f"its package was not installed: {lines[-1]}")


if __name__ == "__main__":
    try:
        axe_script()
    except AxeIsMissingError as error:
        sys.stderr.write(f"{error}; the tests with it are skipped\n")
