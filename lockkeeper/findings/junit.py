"""Findings as a JUnit report, which most CI systems show as tests: one for each object that was checked."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lockkeeper.findings.finding import FileCode, FileFinding, FilesReport, Level

_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that no XML may hold, not even escaped."""


def junit(report: FilesReport, *, strict: bool = False) -> str:
    """Return a suite for each file and a case for each object; with `strict` warnings are failures too."""
    cases: dict[str, dict[str, list[FileFinding]]] = defaultdict(dict)
    for each in report.checked:
        cases[each.file].setdefault(each.object, [])
    for finding in report.findings:
        cases[finding.file].setdefault(finding.object or finding.file, []).append(finding)
    suites = [_suite(file, found, strict=strict) for file, found in sorted(cases.items())]
    lines = [f"<testsuites name={_quoted('lockkeeper')}>", *suites, "</testsuites>"]
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(lines) + "\n"


def _suite(file: str, cases: dict[str, list[FileFinding]], *, strict: bool) -> str:
    found = list(cases.values())
    unread = sum(any(map(_is_unread, each)) for each in found)
    failed = sum(any(_fails(one, strict=strict) for one in each) for each in found)
    numbers = f'tests="{len(cases)}" failures="{failed}" errors="{unread}"'
    lines = [_case(file, name, each, strict=strict) for name, each in cases.items()]
    return "\n".join([f"  <testsuite name={_quoted(file)} {numbers}>", *lines, "  </testsuite>"])


def _case(file: str, name: str, findings: Sequence[FileFinding], *, strict: bool) -> str:
    start = f"    <testcase name={_quoted(name)} classname={_quoted(file)} file={_quoted(file)}"
    if not findings:
        return f"{start}/>"
    unread = [each for each in findings if _is_unread(each)]
    failures = [each for each in findings if _fails(each, strict=strict)]
    others = [each for each in findings if each not in unread and each not in failures]
    inside = [*_parts("error", unread), *_parts("failure", failures)]
    if others:
        inside.append(f"      <system-out>{_text(others)}</system-out>")
    return "\n".join([f"{start}>", *inside, "    </testcase>"])


def _parts(tag: str, findings: Sequence[FileFinding]) -> Iterable[str]:
    """Return all findings as one element: readers of the format expect one of a kind in a case."""
    if findings:
        codes = ", ".join(dict.fromkeys(each.code for each in findings))
        message = findings[0].sentence if len(findings) == 1 else f"{len(findings)} findings"
        attributes = f"type={_quoted(codes)} message={_quoted(message)}"
        yield f"      <{tag} {attributes}>{_text(findings)}</{tag}>"


def _text(findings: Sequence[FileFinding]) -> str:
    lines = [f"{_place(each)}: {each.level}: {each.code}: {each.sentence}" for each in findings]
    return escape(_NO_XML.sub("\ufffd", "\n".join(lines)))


def _place(finding: FileFinding) -> str:
    return f"{finding.file}:{finding.line}" if finding.line else finding.file


def _is_unread(finding: FileFinding) -> bool:
    return finding.code == FileCode.UNREADABLE and finding.level is Level.ERROR


def _fails(finding: FileFinding, *, strict: bool) -> bool:
    return not _is_unread(finding) and (strict or finding.level is Level.ERROR)


def _quoted(text: str) -> str:
    return quoteattr(_NO_XML.sub("\ufffd", text))
