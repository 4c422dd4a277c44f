"""Differences for a terminal: policies, limits in force, then each object that is decided differently."""

from collections.abc import Iterator, Sequence

from lockkeeper.policy_diff.differences import DecidedSide, ObjectDifference, PolicyChange, PolicyDiff
from lockkeeper.policy_diff.shown_values import shown, side_words
from lockkeeper.process.console import aligned, printable


def difference_text(diff: PolicyDiff) -> str:
    """Return the lines."""
    lines = [*_policies(diff.policies), *_limits(diff)]
    for each in diff.objects:
        lines += ["", *_object(each)]
    lines += ["", diff.summary] if lines else [f"no difference: {diff.summary}"]
    return "".join(f"{printable(line)}\n" for line in lines).lstrip("\n")


def _policies(changes: Sequence[PolicyChange]) -> Iterator[str]:
    for each in changes:
        yield f"{each.object}: {each.change.value}"
        for field in each.fields:
            yield f"  {field.field}: {shown(field.before)} -> {shown(field.after)}"


def _limits(diff: PolicyDiff) -> Iterator[str]:
    if not diff.limits:
        return
    rows: list[Sequence[str]] = [("NAMESPACE", "QUOTA", "LIMITS BEFORE", "LIMITS AFTER")]
    rows.extend(
        (each.namespace or "(pool)", each.quota, each.before or "-", each.after or "-")
        for each in diff.limits
    )
    yield ""
    yield from aligned(rows).splitlines()


def _object(difference: ObjectDifference) -> Iterator[str]:
    before, after = difference.before, difference.after
    yield f"{difference.file}:{difference.line}: {difference.object}"
    if before.outcome != after.outcome:
        yield f"  decision: {before.outcome} -> {after.outcome}"
    else:
        yield f"  decision: {after.outcome}, as before"
    for what in difference.differs:
        yield from _part(what, before, after)
    yield from (f"  {line}" for line in difference.diff)


def _part(what: str, before: DecidedSide, after: DecidedSide) -> Iterator[str]:
    if what in ("outcome", "patch"):
        return
    old, new = side_words(before, what), side_words(after, what)
    yield from (f"  - {what}: {each}" for each in old if each not in new)
    yield from (f"  + {what}: {each}" for each in new if each not in old)
