"""Which limits are in force at a time: those of a window, from each time of its schedule for its duration.

A duration is elapsed time: ten hours stay ten hours in the night that the clocks change; for when a window
opens then see `values.cron_schedule`. Where several are open, each bound is that of the window that started
last; of two that started together, the one listed last. So a short window inside a long one wins, and one
that names only Workflows does not change the limit on tasks.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from policy.core.policy_kinds.kinds import SemaphoreDefinition, SemaphoreWindow
from policy.core.policy_kinds.quota_parts import QuotaLimits, WindowSpec
from policy.core.values.amounts import UNLIMITED, Amount, AmountField, Limits, Usage
from policy.core.values.cron_schedule import Cron, zone_named
from policy.core.values.durations import duration
from policy.core.values.memo import MOST_KEPT, Memo

NEVER: Final = datetime.max.replace(tzinfo=UTC)
ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_MOMENT: Final = timedelta(microseconds=1)
_MOST_CHANGES: Final = 50
"""Openings and ends of windows in which one that admits a request is looked for."""


class Window(msgspec.Struct, frozen=True):
    """A window that was found valid."""

    name: str
    cron: Cron
    length: timedelta
    limits: QuotaLimits


class LimitsPeriod(msgspec.Struct, frozen=True):
    """The limits from `since` until just before `until`, and the open windows, last started first."""

    limits: Limits
    since: datetime
    until: datetime
    opened: tuple[str, ...] = ()


class Opening(msgspec.Struct, frozen=True):
    """When limits become others: a window opens, or ends. The time is in the zone of the window."""

    at: datetime
    window: str
    ends: bool = False

    def __str__(self) -> str:
        what = "ends" if self.ends else "opens next"
        return f"window {self.window} {what} at {self.at.isoformat(timespec='minutes')}"


class _FoundOpening(msgspec.Struct, frozen=True):
    """When limits admit a request next, and the time in which that is the answer."""

    since: datetime
    until: datetime
    opening: Opening | None


class ElasticLimits:
    """The limits of a quota with its windows, prepared once.

    The limits in force are cached until they change, so that a look-up is one comparison. The result of `at`
    depends on `now` alone.
    """

    def __init__(self, base: QuotaLimits, windows: Iterable[Window]) -> None:
        self._base = base
        self._windows = tuple(windows)
        self._latest = in_force(base, (), ALWAYS) if not self._windows else None
        self.base = limits_of(base)
        self._openings: Memo[Usage, _FoundOpening] = Memo(most=MOST_KEPT)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ElasticLimits):
            return NotImplemented
        return (self._base, self._windows) == (other._base, other._windows)

    __hash__ = None  # type: ignore[assignment]  # It is no key of a dictionary.

    def at(self, now: datetime) -> LimitsPeriod:
        """Return the limits in force at `now` (aware)."""
        latest = self._latest  # Read once: another thread may replace it.
        if latest is None or not latest.since <= now < latest.until:
            latest = self._latest = in_force(self._base, self._windows, now)
        return latest

    def opening(self, now: datetime, requested: Usage) -> Opening | None:
        """Return when the limits admit a request that they do not admit at `now`; None where none is near."""
        found = self._openings.get(requested)
        if found is None or not found.since <= now < found.until:
            found = self._openings.keep(requested, self._find_opening(now, requested))
        return found.opening

    def _find_opening(self, now: datetime, requested: Usage) -> _FoundOpening:
        period = self.at(now)
        end = period.until
        for _ in range(_MOST_CHANGES):
            at = period.until
            if at == NEVER:
                break
            period = in_force(self._base, self._windows, at)
            if period.limits.admits(requested):
                return _FoundOpening(now, at, self.change_at(at))
        return _FoundOpening(now, end, None)

    def change_at(self, at: datetime) -> Opening | None:
        """Return which window opens or ends at a time, None where none does."""
        before = in_force(self._base, self._windows, at - _MOMENT).opened
        after = in_force(self._base, self._windows, at).opened
        begun = [each for each in self._windows if each.cron.last(at) == at and each.name in after]
        ended = [each for each in self._windows if each.name in before and each.name not in after]
        for windows, ends in ((begun, False), (ended, True)):
            for each in windows:
                return Opening(at.astimezone(each.cron.zone), each.name, ends)
        return None

    @property
    def window_names(self) -> tuple[str, ...]:
        """The names of its windows, in the order of the policy."""
        return tuple(each.name for each in self._windows)

    @property
    def fixed(self) -> bool:
        """Whether the limits are the same at all times."""
        return not self._windows

    @property
    def highest(self) -> Limits:
        """The highest limits at any time: a Workflow that does not fit them can never fit."""
        return Limits(
            _highest([self._base.workflows, *(each.limits.workflows for each in self._windows)]),
            _highest([self._base.tasks, *(each.limits.tasks for each in self._windows)]),
        )


def in_force(base: QuotaLimits, windows: Sequence[Window], now: datetime) -> LimitsPeriod:
    """Return the limits at `now` (aware), and the period in which they are in force."""
    now = now.astimezone(UTC)
    since, until = ALWAYS, NEVER
    started: list[tuple[datetime, int, Window]] = []
    for index, window in enumerate(windows):
        start, following = window.cron.last(now), window.cron.next(now)
        if following is not None:
            until = min(until, following)
        if start is None:
            continue
        end = start + window.length
        if end > now:
            started.append((start, index, window))
            since, until = max(since, start), min(until, end)
        else:
            since = max(since, end)
    started.sort(key=lambda each: each[:2], reverse=True)
    latest_first = [window for _, _, window in started]
    return LimitsPeriod(
        limits=Limits(
            _first([*(each.limits.workflows for each in latest_first), base.workflows]),
            _first([*(each.limits.tasks for each in latest_first), base.tasks]),
        ),
        since=since,
        until=until,
        opened=tuple(window.name for window in latest_first),
    )


def limits_of(limits: QuotaLimits) -> Limits:
    """Return the limits of a policy as amounts."""
    return Limits(Amount.parse(limits.workflows), Amount.parse(limits.tasks))


def compile_windows(specs: Iterable[WindowSpec]) -> tuple[Window, ...]:
    """Return windows in which `window_problems` found no problem.

    Raises:
        ValueError: one has a problem all the same.
    """
    return tuple(
        Window(
            name=spec.name,
            cron=Cron(spec.schedule, zone_named(spec.time_zone)),
            length=duration(spec.duration),
            limits=spec.limits,
        )
        for spec in specs
    )


def semaphore_limits(definition: SemaphoreDefinition) -> ElasticLimits:
    """Return the limit of a valid semaphore over time; its number is in `limits.workflows`."""
    compiled = compile_windows(as_quota_window(each) for each in definition.windows)
    return ElasticLimits(QuotaLimits(workflows=definition.limit), compiled)


def as_quota_window(spec: SemaphoreWindow) -> WindowSpec:
    """Return a window of a semaphore as one of a quota; its limit becomes the limit on Workflows."""
    return WindowSpec(
        name=spec.name,
        schedule=spec.schedule,
        duration=spec.duration,
        limits=QuotaLimits(workflows=spec.limit),
        time_zone=spec.time_zone,
    )


def _first(fields: Sequence[AmountField | None]) -> Amount:
    return next((Amount.parse(field) for field in fields if field is not None), UNLIMITED)


def _highest(fields: Sequence[AmountField | None]) -> Amount:
    """Return the highest of a base (first; absent is unlimited) and of windows (absent sets nothing)."""
    amounts = [Amount.parse(fields[0]), *(Amount.parse(field) for field in fields[1:] if field is not None)]
    bounds = [amount.value for amount in amounts if amount.value is not None]
    return Amount(max(bounds)) if len(bounds) == len(amounts) else UNLIMITED
