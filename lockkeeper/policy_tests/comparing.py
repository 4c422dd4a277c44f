"""What of a decision is not as expected, with the line of the test file that expects it."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import UNSET

from lockkeeper.policy_tests.case_format import Expectation, ExpectedReason
from lockkeeper.policy_tests.field_paths import value_at
from lockkeeper.policy_tests.reading import Subject, Suite
from lockkeeper.policy_tests.results import Mismatch
from lockkeeper.reviewing.object_review import ReviewedManifest, ReviewedReason
from policy.core.decision.decision import Code
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.sources.yaml_positions import child

_Wanted = TypeVar("_Wanted")
_Found = TypeVar("_Found")
_ABSENT: Final = "(absent)"


class _Differs(Protocol):
    """Makes the mismatch of one thing that is expected."""

    def __call__(self, what: str, expected: JsonValue, actual: JsonValue, at: str = "") -> Mismatch:
        """Return it, with the line of `at`, else of `what`."""
        ...


def mismatches(subject: Subject, reviewed: ReviewedManifest, suite: Suite) -> Iterator[Mismatch]:
    """Yield everything about one object that is not as expected."""
    expect, path = subject.expect, subject.expect_path
    if expect is None:
        return

    def differs(what: str, expected: JsonValue, actual: JsonValue, at: str = "") -> Mismatch:
        return Mismatch(str(reviewed), what, expected, actual, suite.line(f"{path}.{at or what}"))

    yield from _decision(expect, reviewed, differs)
    yield from _lists(expect, reviewed, differs)
    yield from _fields(
        expect, subject.manifest.value if reviewed.changed is None else reviewed.changed, differs
    )


def _decision(expect: Expectation, reviewed: ReviewedManifest, differs: _Differs) -> Iterator[Mismatch]:
    """Yield a decision that is another one, and the reasons of a denial that nobody expects."""
    if expect.decision is not None and expect.decision.value != reviewed.outcome:
        yield differs("decision", expect.decision.value, reviewed.outcome)
        if reviewed.reasons and expect.reasons is None:
            yield differs("reasons", [], [f"{each.code}: {each}" for each in reviewed.reasons], "decision")
    if expect.reasons is not None and not _pairs(expect.reasons, reviewed.reasons, _is_reason):
        wanted = [_shown_reason(each) for each in expect.reasons]
        yield differs("reasons", wanted, [_actual_reason(each, expect.reasons) for each in reviewed.reasons])


def _lists(expect: Expectation, reviewed: ReviewedManifest, differs: _Differs) -> Iterator[Mismatch]:
    """Yield warnings, locks, policies and the patch, where these are others."""
    if expect.warnings is not None and not _pairs(expect.warnings, reviewed.warnings, _is_part):
        yield differs("warnings", [*expect.warnings], [*reviewed.warnings])
    for what, expected, actual in (
        ("locks", expect.locks, reviewed.locks),
        ("policies", expect.policies, reviewed.policies),
    ):
        if expected is not None and sorted(expected) != sorted(actual):
            yield differs(what, [*sorted(expected)], [*sorted(actual)])
    if expect.patch is not None and list(expect.patch) != list(reviewed.patch):
        yield differs("patch", [*expect.patch], [*reviewed.patch])


def _fields(expect: Expectation, after: JsonObject, differs: _Differs) -> Iterator[Mismatch]:
    """Yield fields that have another value once the patch is applied."""
    for field, wanted in (expect.fields or {}).items():
        value = value_at(after, field)
        if value is UNSET or value != wanted or isinstance(value, bool) is not isinstance(wanted, bool):
            yield differs(field, wanted, _ABSENT if value is UNSET else value, child("fields", field))
    for index, field in enumerate(expect.absent):
        value = value_at(after, field)
        if value is not UNSET:
            yield differs(field, _ABSENT, value, f"absent[{index}]")


def _pairs(
    expected: Sequence[_Wanted], actual: Sequence[_Found], fits: Callable[[_Wanted, _Found], bool]
) -> bool:
    """Return whether each expected one fits another actual one, and none is left."""
    if len(expected) != len(actual):
        return False
    taken: dict[int, int] = {}

    def place(wanted: int, tried: set[int]) -> bool:
        for index, found in enumerate(actual):
            if index in tried or not fits(expected[wanted], found):
                continue
            tried.add(index)
            if index not in taken or place(taken[index], tried):
                taken[index] = wanted
                return True
        return False

    return all(place(each, set()) for each in range(len(expected)))


def _is_reason(expected: Code | ExpectedReason, actual: ReviewedReason) -> bool:
    if isinstance(expected, Code):
        return expected.value == actual.code
    return (
        expected.code in (None, actual.code)
        and expected.field in (None, actual.field)
        and expected.policy in (None, actual.policy)
        and (expected.message or "") in actual.message
    )


def _is_part(expected: str, actual: str) -> bool:
    return expected in actual


def _shown_reason(expected: Code | ExpectedReason) -> JsonValue:
    if isinstance(expected, Code):
        return expected.value
    shown: JsonObject = msgspec.to_builtins(expected)
    return {key: value for key, value in shown.items() if value is not None}


def _actual_reason(actual: ReviewedReason, expected: Sequence[Code | ExpectedReason]) -> JsonValue:
    """Return a reason in the form in which reasons are expected."""
    if expected and all(isinstance(each, Code) for each in expected):
        return actual.code
    named = {"code": actual.code, "field": actual.field, "policy": actual.policy, "message": actual.message}
    wanted = {
        key
        for each in expected
        if isinstance(each, ExpectedReason)
        for key in named
        if getattr(each, key) is not None
    }
    return {key: value for key, value in named.items() if key in wanted or not expected}
