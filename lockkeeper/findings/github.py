"""Findings as workflow commands of GitHub Actions, which show them beside the lines of a pull request."""

from typing import Final

from lockkeeper.findings.finding import FileFinding, FilesReport

_TEXT: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_FIELD: Final = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A", ":": "%3A", ",": "%2C"})


def github(report: FilesReport) -> str:
    """Return a line for each finding, and none where there is none."""
    return "".join(f"{_annotation(each)}\n" for each in report.findings)


def _annotation(finding: FileFinding) -> str:
    place = f"file={finding.file.translate(_FIELD)},line={max(finding.line, 1)}"
    title = f"{finding.code} in {finding.object}" if finding.object else finding.code
    policy = f"[{finding.policy}] " if finding.policy else ""
    text = f"{policy}{finding.sentence}".translate(_TEXT)
    return f"::{finding.level} {place},title={title.translate(_FIELD)}::{text}"
