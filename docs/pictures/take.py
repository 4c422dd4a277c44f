"""Takes the picture of the page that README opens with, from `lockkeeper run` on the examples.

    .venv/bin/python docs/pictures/take.py

It needs Chromium. The picture is taken when as many wait as the examples let wait, and is written beside this
file.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final
from urllib.request import urlopen

ROOT: Final = Path(__file__).resolve().parents[2]
PICTURE: Final = Path(__file__).with_name("overview.png")
SIZE: Final = "1180,560"
QUEUED: Final = 4
"""Workflows of the examples that wait while the first of them run."""
SECONDS: Final = 60.0
_COMMAND: Final = (
    *(sys.executable, "-m", "lockkeeper", "run", "--port", "0", "--task-time", "60"),
    *("--policies", "examples/policies", "--workflows", "examples/workflows"),
)


def main() -> int:
    """Start the product, wait for the moment, and take the picture."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("there is no Chromium on the PATH", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        command = [*_COMMAND, "--kubeconfig-out", f"{folder}/kubeconfig"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as product:
            try:
                take(browser, opened(product), Path(folder))
            finally:
                product.terminate()
    print(f"{PICTURE}: {PICTURE.stat().st_size // 1024} KiB")
    return 0


def opened(product: subprocess.Popen[str]) -> str:
    """Return the address of the page, which the product prints first."""
    for line in product.stdout or ():
        found = re.search(r"http://\S+", line)
        if found:
            return found[0]
    raise SystemExit("lockkeeper run ended without a page")


def take(browser: str, url: str, folder: Path) -> None:
    """Take the picture when all wait that will."""
    deadline = time.monotonic() + SECONDS
    while f"<b>{QUEUED}</b> <a" not in urlopen(url).read().decode():  # noqa: S310 - the product's own address
        if time.monotonic() > deadline:
            raise SystemExit(f"there were never {QUEUED} that wait")
        time.sleep(0.5)
    time.sleep(2.5)  # The figures are read anew then, and nothing is starting any more.
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={SIZE}"]
    subprocess.run(
        [browser, *flags, f"--user-data-dir={folder}/browser", f"--screenshot={PICTURE}", url],
        check=True,
        capture_output=True,
        timeout=SECONDS,
    )


if __name__ == "__main__":
    sys.exit(main())
