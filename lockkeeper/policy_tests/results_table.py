"""Results for people: a row for each case, then of each that failed what was expected beside what came."""

import difflib
from collections.abc import Iterator, Sequence
from typing import Final

from lockkeeper.policy_tests.results import CaseResult, Mismatch
from lockkeeper.policy_tests.results_report import text_of
from lockkeeper.process.console import aligned, printable
from lockkeeper.process.yaml_output import as_yaml
from policy.core.objects.json_patch import JsonValue

_WIDEST: Final = 56
"""Values that fit beside each other; of longer ones, and of those of several lines, a diff is shown."""


def results_table(results: Sequence[CaseResult], files: int) -> str:
    """Return the rows, the details of each case that failed, and how many passed."""
    rows: list[Sequence[str]] = [("FILE", "CASE", "OBJECTS", "RESULT")]
    for each in results:
        place = printable(f"{each.file}:{each.line}")
        result = "passed" if each.passed else "FAILED"
        rows.append((place, printable(each.case), str(each.objects), result))
    details = "".join(_details(each) for each in results if not each.passed)
    passed = sum(each.passed for each in results)
    counted = f"{passed} of {len(results)} cases passed in {files} {'file' if files == 1 else 'files'}"
    return f"{aligned(rows)}\n{details}\n{counted}\n"


def _details(result: CaseResult) -> str:
    lines = [f"\n{printable(f'{result.file}:{result.line}: {result.case}')}\n"]
    rows: list[Sequence[str]] = [("LINE", "OBJECT", "WHAT", "EXPECTED", "ACTUAL")]
    for each in result.mismatches:
        sides = (text_of(each.expected), text_of(each.actual))
        shown = sides if _fits(*sides) else ("(see below)", "(see below)")
        rows.append(tuple(map(printable, (str(each.line), each.object, each.what, *shown))))
    lines += [f"  {line}\n" for line in aligned(rows).splitlines()]
    for each in result.mismatches:
        if not _fits(text_of(each.expected), text_of(each.actual)):
            lines += [f"  {line}\n" for line in _diff(each)]
    return "".join(lines)


def _fits(expected: str, actual: str) -> bool:
    return len(expected) <= _WIDEST and len(actual) <= _WIDEST


def _diff(mismatch: Mismatch) -> Iterator[str]:
    lines = difflib.unified_diff(
        _lines(mismatch.expected), _lines(mismatch.actual), "expected", "actual", n=3, lineterm=""
    )
    yield printable(f"{mismatch.object}: {mismatch.what}, line {mismatch.line}:")
    yield from (printable(line) for line in lines)


def _lines(value: JsonValue) -> list[str]:
    return (value if isinstance(value, str) else as_yaml(value)).splitlines()
