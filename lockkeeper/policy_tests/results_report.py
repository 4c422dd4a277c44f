"""Results as findings, for annotations, JUnit and SARIF: each case is an object that was checked."""

import json
from collections.abc import Iterable, Sequence
from typing import Final

from lockkeeper.findings.finding import CheckedObject, FileCode, FileFinding, FilesReport, Level, sort_key
from lockkeeper.policy_tests.results import CaseResult, Mismatch
from policy.core.objects.json_patch import JsonValue
from policy.sources.directory import SourceError

_SHOWN: Final = 400


def results_as_report(
    results: Sequence[CaseResult], errors: Iterable[SourceError], files: int
) -> FilesReport:
    """Return a report with a finding for everything that is not as expected, or that cannot be read."""
    checked = tuple(CheckedObject(each.file, each.line, each.case) for each in results)
    found = [
        FileFinding(
            each.file,
            mismatch.line,
            Level.ERROR,
            FileCode.TEST_FAILED,
            each.case,
            mismatch.what,
            sentence_of(mismatch),
        )
        for each in results
        for mismatch in each.mismatches
    ]
    found += [
        FileFinding(each.file, each.line, Level.ERROR, FileCode.UNREADABLE, "", each.path, each.message)
        for each in errors
    ]
    return FilesReport(tuple(sorted(found, key=sort_key)), checked, files)


def sentence_of(mismatch: Mismatch) -> str:
    """Return a mismatch as a sentence."""
    expected, actual = text_of(mismatch.expected), text_of(mismatch.actual)
    return f"{mismatch.object}: expected {_shortened(expected)}, got {_shortened(actual)}"


def text_of(value: JsonValue) -> str:
    """Return a value in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
