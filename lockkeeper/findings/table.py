"""Findings for people: a line each, as compilers write them, and a last line with their numbers."""

from lockkeeper.findings.finding import FileFinding, FilesReport
from lockkeeper.process.console import printable


def table(report: FilesReport) -> str:
    """Return the lines."""
    errors = report.errors
    of_policies = f" and {_some(report.policies, 'policy')}" if report.policies else ""
    read = f"{_some(len(report.checked), 'object')}{of_policies} in {_some(report.files, 'file')}"
    if report.passed_over:
        read += f" ({_some(report.passed_over, 'other document')} passed over)"
    found = f"{_some(errors, 'error')}, {_some(len(report.findings) - errors, 'warning')}"
    return "".join(f"{line_of(each)}\n" for each in report.findings) + f"{read}: {found}\n"


def line_of(finding: FileFinding) -> str:
    """Return one finding as a line."""
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    policy = f" [{finding.policy}]" if finding.policy else ""
    about = f"{finding.object}{policy}: " if finding.object or policy else ""
    return printable(f"{place}: {finding.level}: {finding.code}: {about}{finding.sentence}")


def _some(count: int, what: str) -> str:
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count} {what if count == 1 else plural}"
