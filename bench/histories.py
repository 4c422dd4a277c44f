"""Generated histories of a quota root: who arrives when, for how long each runs, and what limits there are.

A history goes through the product's own planner, event by event. At some moments it is stopped, the root is
built anew from what is there then, as a reader builds it, and the expected starts are computed; then it goes
on, and tells when each has really started.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Final

import msgspec

from policy.core.cluster_view.expected_starts import ComputedRange, computed_starts, stated_starts
from policy.core.cluster_view.live_root import Arrival, LiveRoot, Slot
from policy.core.cluster_view.past_misses import bucket_of_miss
from policy.core.cluster_view.run_lengths import AllSeries, RunLengths, series_of
from policy.core.policy_kinds.quota_parts import QueueStrategy
from policy.core.queue.fair_share import FairShare
from policy.core.queue.ordering import Requirements, Waiter, Want
from policy.core.queue.planner import Charge, Planner
from policy.core.quota.accounts import Account, Root, Tenant
from policy.core.quota.compiled_quota import QueueRules
from policy.core.quota.demands import Demand
from policy.core.quota.usage_view import UsageView
from policy.core.quota.windows import NEVER
from policy.core.values.amounts import Amount, Limits, Usage
from policy.core.values.quantile_sketch import UNIT

BEGIN: Final = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
_POOL: Final = Account.of_pool("data")
_ROOT: Final = str(Root.of_pool("data"))
_PAST_RUNS: Final = 60
"""Runs of each series that were seen before the history begins."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What is special about a history. `length` draws the seconds of a run of a series by its number."""

    name: str
    length: Callable[[Random, int], float]
    slots: int = 8
    load: float = 1.3
    series: int = 4
    namespaces: int = 1
    most_of_namespace: int | None = None
    tasks: tuple[int, ...] = (1,)
    most_tasks: int | None = None
    priorities: tuple[int, ...] = (0,)
    strict: bool = False
    known_starts: bool = True
    burst: int = 0
    slower: float = 1.0


class Moment(msgspec.Struct, frozen=True):
    """One that waited at a moment: its expected range, what it was by the rule of thumb, and the truth."""

    earliest: float
    latest: float
    thumb: float
    actual: float
    miss: int
    """The bucket of what the computed range missed by, and how many others there are of the moment."""
    others: int


class _Run(msgspec.Struct, frozen=True):
    """One of a history, as it was drawn."""

    waiter: Waiter
    series: AllSeries
    seconds: int


class History:
    """One history of a kind, drawn from a seed; `misses` are those of histories before it."""

    def __init__(
        self, kind: Kind, seed: int, *, runs: int = 240, misses: Mapping[int, int] | None = None
    ) -> None:
        self._kind = kind
        self._random = Random(f"{kind.name} {seed}")  # noqa: S311 - the same history each time
        self._lengths = RunLengths()
        if misses:
            self._lengths.missed(_ROOT, misses, BEGIN)
        self._limits = self._accounts()
        past = [(number, self._seconds(number)) for number in range(kind.series) for _ in range(_PAST_RUNS)]
        self._known_mean = sum(seconds for _, seconds in past) / len(past)
        for number, seconds in past:
            self._lengths.add(self._series(number), timedelta(seconds=seconds), BEGIN)
        self._runs = {each.waiter.uid: each for each in self._drawn(runs)}
        self._running: dict[str, datetime] = {}
        self._started: dict[str, datetime] = {}

    def moments(self, every: int = 40) -> Iterator[Moment]:
        """Yield what was expected at some moments, one at each so many arrivals, of all that waited then."""
        planner, asked = self._planner(BEGIN), []
        arrivals = sorted(self._runs.values(), key=lambda each: each.waiter.arrival)
        ends: list[tuple[datetime, str]] = []
        coming = list(reversed(arrivals))
        while coming or ends:
            if coming and (not ends or coming[-1].waiter.created <= ends[0][0]):
                run = coming.pop()
                now = run.waiter.created
                planner.add(run.waiter)
                self._start(planner, now, ends)
                if run.waiter.arrival % every == every - 1:
                    asked.append((now, *self._expected(planner, now)))
            else:
                now, uid = heappop(ends)
                del self._running[uid]
                planner.ended(planner.charge_of(self._runs[uid].waiter), now)
                self._start(planner, now, ends)
        for now, computed, thumbs in asked:
            found = stated_starts(computed, self._lengths, _ROOT, now)
            for uid, each in found.items():
                range_ = computed[uid]
                actual = (self._started[uid] - now).total_seconds()
                yield Moment(
                    (each.earliest - now).total_seconds(),
                    (each.latest - now).total_seconds(),
                    thumbs[uid],
                    actual,
                    bucket_of_miss(actual, range_.low, range_.high),
                    len(found) - 1,
                )

    def _start(self, planner: Planner, now: datetime, ends: list[tuple[datetime, str]]) -> None:
        for each in planner.plan(now):
            run = self._runs[each.uid]
            self._running[each.uid] = self._started[each.uid] = now
            heappush(ends, (now + timedelta(seconds=run.seconds), each.uid))

    def _expected(self, planner: Planner, now: datetime) -> tuple[dict[str, ComputedRange], dict[str, float]]:
        """Return the ranges of all that wait, and position times mean run time by the slots."""
        waiting, history = list(planner.pending.waiters()), planner.fair.history(now)

        def build() -> LiveRoot:
            """Return the root as a reader builds it."""
            read = self._planner(now, history)
            for uid in self._running:
                read.started(read.charge_of(self._runs[uid].waiter), now, entry=False)
            for each in waiting:
                read.add(each)
            read.plan(now)
            return LiveRoot(
                root=Root.of_pool("data"),
                planner=read,
                running=tuple,
                usage=UsageView(),
                loads=tuple,
                slots=lambda: [self._slot(read, uid, since) for uid, since in self._running.items()],
                series_of=lambda uid: self._runs[uid].series,
                limits=_Always(),
                capacity=None,
                arrivals=lambda: [
                    Arrival(self._runs[uid].waiter, self._runs[uid].series)
                    for uid in (*self._running, *(each.uid for each in waiting))
                ],
            )

        live = build()
        order, mean = live.order, self._known_mean
        positions = {each.uid: order.ahead(each.uid) or 0 for each in waiting}
        thumbs = {uid: (at + 1) * mean / self._kind.slots for uid, at in positions.items()}
        return computed_starts(build, self._lengths, now), thumbs

    def _slot(self, planner: Planner, uid: str, since: datetime) -> Slot:
        run = self._runs[uid]
        charge: Charge = planner.charge_of(run.waiter)
        if self._kind.known_starts:
            return Slot(charge, run.series, since)
        return Slot(charge, run.series, run.waiter.created, exact=False)

    # What is drawn.

    def _drawn(self, count: int) -> Iterator[_Run]:
        kind, random = self._kind, self._random
        mean = sum(self._seconds(each % kind.series) for each in range(200)) / 200
        weight = sum(kind.tasks) / len(kind.tasks)
        together = kind.slots if kind.most_tasks is None else min(kind.slots, kind.most_tasks / weight)
        at = BEGIN
        for number in range(count):
            if number >= kind.burst:
                at += timedelta(seconds=int(random.expovariate(kind.load * together / mean)))
            series = random.randrange(kind.series)
            namespace = self._namespace(series)
            waiter = Waiter(
                uid=f"{number:05d}",
                namespace=namespace,
                name=f"wf-{number}",
                user="",
                priority=random.choice(kind.priorities),
                created=at,
                arrival=number,
                needs=self._needs(namespace, random.choice(kind.tasks)),
            )
            yield _Run(waiter, self._series(series), int(self._seconds(series) * kind.slower))

    def _seconds(self, series: int) -> int:
        return max(1, round(self._kind.length(self._random, series)))

    def _series(self, number: int) -> AllSeries:
        return series_of(self._namespace(number), f"s{number}-bcdfg")

    def _namespace(self, series: int) -> str:
        return f"n{series % self._kind.namespaces}"

    # Limits.

    def _accounts(self) -> dict[Account, Limits]:
        kind = self._kind
        most = Amount(kind.most_tasks)
        found = {_POOL: Limits(Amount(kind.slots), most)}
        if kind.most_of_namespace is not None:
            for number in range(kind.namespaces):
                found[Account(f"n{number}", "own")] = Limits(Amount(kind.most_of_namespace), Amount(None))
        return found

    def _needs(self, namespace: str, tasks: int) -> Requirements:
        own = Account(namespace, "own")
        accounts = [each for each in (own, _POOL) if each in self._limits]
        wants = tuple(Want(Demand(each, self._limits[each], "")) for each in accounts)
        return Requirements(namespace, Usage.of(Amount(tasks)), wants)

    def _planner(self, now: datetime, history: Mapping[Tenant, int] | None = None) -> Planner:
        fair = FairShare(now=now, limits=self._limits[_POOL], history=history)
        planner = Planner(now=now, fair=fair)
        for account, limits in self._limits.items():
            planner.set_limits(account, limits)
        if self._kind.strict:
            for number in range(self._kind.namespaces):
                planner.set_rules(f"n{number}", QueueRules(strategy=QueueStrategy.STRICT_FIFO))
        return planner


def past_misses(kind: Kind, seed: int, histories: int) -> dict[int, int]:
    """Return by how much starts of some histories missed what was expected, as a leader keeps it."""
    found: dict[int, int] = {}
    for number in range(histories):
        for each in History(kind, -(seed * histories + number)).moments():
            found[each.miss] = found.get(each.miss, 0) + max(1, UNIT // (each.others + 1))
    return found


class _Always:
    """Limits that stay."""

    limits_until = NEVER

    def put_limits(self, now: datetime, capacity: Limits | None) -> bool:  # noqa: ARG002 - a protocol
        return False
