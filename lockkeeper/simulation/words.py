"""The outcome in sentences, for people who decide and do not read tables."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from lockkeeper.histories.history import HistoryFacts
from lockkeeper.simulation.comparison import Comparison, GroupChange, Moved
from policy.core.values.durations import written
from policy.service.simulation.result import GroupResult, PolicyResult

_MOST_NAMED: Final = 8
_UNFAIR: Final = 0.9
_FULL: Final = 0.9
_DAY: Final = 86_400
_HOUR: Final = 3600


def length(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    step = 1 if seconds < _HOUR else 60 if seconds < _DAY else _HOUR
    return written(timedelta(seconds=round(seconds / step) * step))


def percent(share: float | None) -> str:
    """Return a share of 1 as a percentage, a dash where there is none."""
    return "-" if share is None else f"{share:.0%}"


def outcome_sentences(
    facts: HistoryFacts, result: PolicyResult, before: PolicyResult | None, comparison: Comparison | None
) -> tuple[str, ...]:
    """Return what there is to say, what matters most first."""
    found = [_played(facts)]
    if before is not None and comparison is not None:
        found += _compared(before, result, comparison)
    else:
        found.append(f"Under {result.policies}: {_waits(result.all)}.")
        found += _groups(result)
    found += _state(result)
    return tuple(found)


def _played(facts: HistoryFacts) -> str:
    if facts.live:
        return (
            f"In {facts.source} {facts.workflows - facts.running} Workflows wait and {facts.running} run, "
            f"as of {facts.begin:%Y-%m-%d %H:%M}Z."
        )
    span = ""
    if facts.begin is not None and facts.end is not None:
        whole = length((facts.end - facts.begin).total_seconds())
        span = f" from {facts.begin:%Y-%m-%d %H:%M}Z to {facts.end:%Y-%m-%d %H:%M}Z ({whole})"
    spaces = "1 namespace" if facts.namespaces == 1 else f"{facts.namespaces} namespaces"
    runs = "1 Workflow" if facts.workflows == 1 else f"{facts.workflows} Workflows"
    return f"The history {facts.source} has {runs} of {spaces}{span}."


def _waits(group: GroupResult) -> str:
    waits = group.waits
    text = (
        f"half of the Workflows wait {_up_to(waits.median)}, 95 of 100 {_up_to(waits.p95)}, "
        f"the longest wait is {length(waits.longest)}"
    )
    lost = _counted(
        (group.denied, "are denied"),
        (group.gave_up, "give up (maxWait) or are superseded"),
        (group.never_started, "never start"),
    )
    return ", ".join([text, *lost])


def _counted(*counts: tuple[int, str]) -> list[str]:
    """Return what there is any of, each with its number."""
    return [f"{count} {what}" for count, what in counts if count]


def _up_to(seconds: float) -> str:
    return f"up to {length(seconds)}" if seconds else "not at all"


def _groups(result: PolicyResult) -> Iterator[str]:
    """Yield who waits most."""
    for group in [each for each in result.namespaces if each.waits.longest or each.denied][:_MOST_NAMED]:
        yield f"{group.name}: {_waits(group)}."


def _compared(before: PolicyResult, after: PolicyResult, comparison: Comparison) -> Iterator[str]:
    yield f"With {after.policies} instead of {before.policies}: {_moved(comparison.moved[0])}."
    yield f"Before: {_waits(before.all)}."
    yield f"After: {_waits(after.all)}."
    for what in ("namespace", "user"):
        changed = [each for each in comparison.changes if each.what == what]
        for change in changed[:_MOST_NAMED]:
            yield _change(change)
        if len(changed) > _MOST_NAMED:
            yield f"{len(changed) - _MOST_NAMED} more {what}s are concerned; the table has them."
    if not comparison.changes:
        yield "For no namespace, pool, user, priority or template does it make a difference that matters."


def _moved(moved: Moved) -> str:
    parts = _counted(
        (moved.earlier, "start earlier by a minute or more"),
        (moved.later, "start later by a minute or more"),
        (moved.newly_denied, "are denied that were not"),
        (moved.no_longer_denied, "are no longer denied"),
        (moved.newly_lost, "never start or give up that started"),
        (moved.no_longer_lost, "start that never did"),
    )
    return ", ".join(parts) if parts else "all Workflows start within a minute of when they did"


def _change(change: GroupChange) -> str:
    before, after = change.before, change.after
    name = change.name if change.what == "namespace" else f"{change.what} {change.name}"
    parts = []
    if abs(change.by) >= 1:
        better = "shorter" if change.by < 0 else "longer"
        parts.append(
            f"95 of 100 wait {_up_to(after.waits.p95)} instead of {length(before.waits.p95)}, {better} by "
            f"{length(abs(change.by))}"
        )
    for old, new, what in (
        (before.denied, after.denied, "are denied"),
        (before.gave_up, after.gave_up, "give up"),
        (before.never_started, after.never_started, "never start"),
    ):
        if old != new:
            parts.append(f"{new} {what} instead of {old}")
    return f"{name}: {'; '.join(parts)}."


def _state(result: PolicyResult) -> Iterator[str]:
    """Yield what stands out under the policies of a result."""
    for quota in result.quotas:
        used = max(quota.workflows or 0.0, quota.tasks or 0.0)
        if used > 1:  # A share, by borrowing: no limit is exceeded.
            yield f"{quota.quota} is exceeded by borrowing: {percent(used)} of it is used all the time."
        elif used >= _FULL:
            yield f"{quota.quota} is the bottleneck: {percent(used)} of its limit is used all the time."
    for fairness in result.fairness:
        if fairness.name != "all" and fairness.index < _UNFAIR:
            yield (
                f"The pool {fairness.name} is not even: Jain's index of the part of their time that its "
                f"{fairness.namespaces} namespaces run is {fairness.index:.2f}, and 1 is even."
            )
    if result.starved_count:
        first = result.starved[0]
        how = "waited" if first.started else "never started and had waited"
        yield (
            f"{result.starved_count} Workflows starve; of them {first.namespace}/{first.name} {how} "
            f"{length(first.waited)} (priority {first.priority}), the longest."
        )
    for lock in result.locks:
        if lock.waits.p95 >= 60:  # noqa: PLR2004 - a minute
            waits = length(lock.waits.p95)
            yield f"For the lock {lock.lock} (limit {lock.limit}) 95 of 100 wait up to {waits}."
