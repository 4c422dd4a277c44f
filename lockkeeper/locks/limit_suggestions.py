"""What other limits of semaphores would have done to the Workflows that a cluster still has."""

from collections.abc import Sequence
from datetime import timedelta

from lockkeeper.locks.live_locks import SemaphoreLimits
from lockkeeper.process.console import aligned
from policy.cluster.protocol import WORKFLOWS, ReadingAs, Selection
from policy.core.lock_queues.live_workflow import LiveWorkflow
from policy.core.lock_queues.past_uses import LockUses, Use, lock_uses
from policy.core.lock_queues.replay import Range, Record, Replay, ReplayedLimit, replay
from policy.core.values.durations import written

_HEADER = ("", "LIMIT", "MEAN WAIT", "95 OF 100 WAIT UP TO", "LONGEST QUEUE", "BUSY")
_NOTE = (
    "Waits are those of a replay: the arrivals and lengths that were seen, with another limit; in brackets\n"
    "the range over 20 replays with the lengths moved along. Arrivals are taken as they were. Whether what\n"
    "a lock protects can take more, only you know."
)


def used(cluster: ReadingAs, namespace: str) -> LockUses:
    """Return the uses of locks by all Workflows of a namespace, or of all with "", that are still there."""
    listing = cluster.list_as(Selection(WORKFLOWS, namespace), LiveWorkflow)
    return lock_uses(item for item in listing.items if isinstance(item, LiveWorkflow))


def replays(
    seen: LockUses, limits: SemaphoreLimits, *, lock: str, most_wait: timedelta
) -> tuple[Replay, ...]:
    """Return a replay for every semaphore whose limit is known, by name; `lock` picks one.

    A mutex has no limit that could be another.
    """
    by_lock: dict[str, list[Use]] = {}
    for use in seen.uses:
        if "/ConfigMap/" in use.lock and lock in ("", use.lock):
            by_lock.setdefault(use.lock, []).append(use)
    found = []
    for name, uses in sorted(by_lock.items()):
        limit = limits(name)
        if limit is not None and limit > 0:
            found.append(replay(name, limit, uses, most_wait=most_wait.total_seconds()))
    return tuple(found)


def report(found: Sequence[Replay], seen: LockUses, most_wait: timedelta) -> str:
    """Return what people read."""
    if not (found or seen.uses or seen.unknown or seen.of_daemons):
        return "the Workflows that are still there have used no lock"
    parts = [_one(each, most_wait) for each in found]
    if not found:
        parts.append("no semaphore with a known limit was used by the Workflows that are still there")
    if any(each.outcomes for each in found):
        parts.append(_NOTE)
    if seen.unknown:
        parts.append(f"Left out, as the key of their lock is worked out at run time: {seen.unknown} uses.")
    if seen.of_daemons:
        parts.append(
            "Left out, as Argo frees the lock of a daemon when it is ready, and does not record when: "
            f"{seen.of_daemons} uses."
        )
    return "\n\n".join(parts)


def _one(each: Replay, most_wait: timedelta) -> str:
    record = each.record
    if not record.finished:
        return f"{record.lock}: limit {record.limit}, and no use is over yet ({record.unfinished} not over)"
    lines = [_heading(record)]
    if each.no_result:
        return "\n".join([*lines, f"  {each.no_result}"])
    rows = [_HEADER, *(_row(outcome, record.limit) for outcome in each.outcomes)]
    lines += [aligned(rows), f"  {_suggestion(each, most_wait)}"]
    return "\n".join(lines)


def _heading(record: Record) -> str:
    span = _time((record.until - record.since).total_seconds())
    return (
        f"{record.lock}: limit {record.limit}, {record.finished} uses in {span}, half of them shorter than "
        f"{_time(record.median_length)} ({record.unfinished} not over)"
    )


def _row(outcome: ReplayedLimit, limit: int) -> tuple[str, ...]:
    return (
        "now" if outcome.limit == limit else "",
        str(outcome.limit),
        _range(outcome.mean_wait),
        _range(outcome.tail_wait),
        str(outcome.longest_queue),
        f"{outcome.busy:.0%}",
    )


def _suggestion(each: Replay, most_wait: timedelta) -> str:
    target = f"95 of 100 wait {written(most_wait)} at most"
    limit, suggested = each.record.limit, each.suggested
    if suggested is None:
        return f"no limit up to {each.outcomes[-1].limit} lets {target}"
    if suggested == limit:
        return f"keep {limit}: it lets {target}, and a lower one would not"
    if suggested > limit:
        return f"{suggested} would let {target}; {limit} does not"
    return f"{suggested} would do: with it, too, {target}"


def _range(each: Range) -> str:
    if _time(each.least) == _time(each.most) == _time(each.value):
        return _time(each.value)
    return f"{_time(each.value)} ({_time(each.least)}-{_time(each.most)})"


def _time(seconds: float) -> str:
    """Return a time in its two largest units: more would seem more exact than it is."""
    minute, hour, day = 60, 3600, 86400
    step = 1 if seconds < hour else minute if seconds < day else hour
    return written(timedelta(seconds=round(seconds / step) * step))
