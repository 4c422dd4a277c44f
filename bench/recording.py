"""Where results go: as text into bench/results, and into the block of their name in docs/performance.md."""

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.processes import ROOT

RESULTS: Final = ROOT / "bench" / "results"
PAGE: Final = ROOT / "docs" / "performance.md"
_BLOCK: Final = "<!-- {name}: written by the benchmark -->\n{text}<!-- end of {name} -->"


def commit(root: Path = ROOT) -> str:
    """Return the commit of a build, with a sign where files differ from it."""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no commit"


def record(name: str, text: str, *, page: Path = PAGE, results: Path = RESULTS) -> Path:
    """Write a result to both places, with date and commit, and return the new file."""
    now, at = datetime.now(UTC), commit()
    measured = f"Measured on {now:%-d %B %Y} at {at}.\n\n{text.rstrip()}\n"
    results.mkdir(exist_ok=True)
    file = results / f"{now:%Y-%m-%d-%H%M}-{at}-{name}.txt"
    file.write_text(measured)
    head, _, rest = measured.partition("\n\n")
    page.write_text(_with_block(page.read_text(), name, f"{head}\n\n```text\n{rest}```\n"))
    return file


def _with_block(page: str, name: str, text: str) -> str:
    """Return a page with another text in the block of a name. Raises LookupError."""
    block = re.compile(
        re.escape(_BLOCK).replace(r"\{name\}", re.escape(name)).replace(r"\{text\}", "(?s:.*?)")
    )
    if not block.search(page):
        raise LookupError(f"the page has no block {name}")
    return block.sub(lambda _: _BLOCK.format(name=name, text=text), page)
