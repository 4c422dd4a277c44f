"""The formats of a report by the word for `-o`."""

from typing import Final

from lockkeeper import __version__
from lockkeeper.findings.finding import FilesReport
from lockkeeper.findings.github import github
from lockkeeper.findings.junit import junit
from lockkeeper.findings.sarif import sarif
from lockkeeper.process.console import as_json

FOR_PROGRAMS: Final = ("github", "sarif", "junit")
"""Formats of findings that programs read; `lint` and `review` both have them."""


def written(report: FilesReport, output: str, *, strict: bool) -> str:
    """Return the report in one of the formats for programs, with its last line break."""
    if output == "github":
        return github(report)
    if output == "sarif":
        return as_json(sarif(report, __version__)) + "\n"
    return junit(report, strict=strict)
