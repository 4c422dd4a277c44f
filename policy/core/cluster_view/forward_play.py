"""A root played forward once: in which order those that wait start, and which ends each of them needs.

The planner is run with lengths that are known. What comes out is an order and no times: a Workflow starts
with the fifth end at an account, say. Under other lengths other Workflows are that fifth one, while the order
stays nearly the same; so `expected_starts` plays many futures with little work for each.
A run of which too little is known does not end here, and what needs its slot does not start.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from policy.core.cluster_view.drawn_numbers import MASK, mixed
from policy.core.cluster_view.live_root import Arrival, LiveRoot
from policy.core.cluster_view.run_lengths import AllSeries, RunLengths
from policy.core.queue.ordering import Requirements, Waiter
from policy.core.queue.planner import Charge
from policy.core.quota.accounts import Account
from policy.core.values.quantile_sketch import Lengths

_MOST_ENDS: Final = 30_000
_MOST_CHANGES: Final = 50
"""Ends, and changes of limits, that are played at most."""
_MOST_CAME: Final = 2_000
_HORIZON: Final = timedelta(days=14)
_PLAY: Final = 32
"""Bits by which the numbers of plays and of runs are kept apart."""
ANY: Final = Account("", "")
"""Ends at any account of the root are counted on this one."""


class PlayedRun(msgspec.Struct, frozen=True):
    """One that has its slot, or gets it: the accounts where its end counts, and what is known of its length.

    `elapsed` are the seconds for which it has had its slot; where that is not `exact`, they are the most.
    """

    accounts: tuple[Account, ...]
    lengths: Lengths
    elapsed: int = 0
    exact: bool = True


class PlayedStart(msgspec.Struct, frozen=True):
    """One that starts: with the end that is the `count`th at an account, or `at` so many seconds from now.

    The `uid` of one that has yet to come is "".
    """

    uid: str
    run: PlayedRun
    account: Account = ANY
    count: int = 0
    at: int | None = None


class Played(msgspec.Struct, frozen=True):
    """What runs now, and what starts after it, in that order."""

    running: tuple[PlayedRun, ...]
    starts: tuple[PlayedStart, ...]


def remaining(run: PlayedRun, share: int, of: int, part: int) -> int | None:
    """Return in how many seconds a run ends in this share of the cases; None where nothing is known.

    One that has run for longer than any other is expected to run for as long again at most. Where it is not
    known since when one runs, a `part` of what may have passed has passed.
    """
    if not run.exact:
        whole = run.lengths.quantile(share, of)
        return None if whole is None else max(1, whole - min(run.elapsed, whole) * part // of)
    found = run.lengths.quantile(share, of, longer_than=run.elapsed)
    if found is not None:
        return max(1, found - run.elapsed)
    return max(1, run.elapsed * share // of) if run.lengths.total else None


def go_on() -> None:
    """Do not rest."""


class _Play:
    """One play; it changes the planner of its root. `coming` join the queue at their times."""

    def __init__(
        self,
        live: LiveRoot,
        lengths: RunLengths,
        now: datetime,
        *,
        number: int,
        coming: Iterable[Arrival],
        rest: Callable[[], None],
    ) -> None:
        self._live = live
        self._lengths = lengths
        self._now = now
        self._number = number
        self._rest = rest
        self._coming = iter(coming)
        self._next = next(self._coming, None)
        self._came: dict[str, AllSeries] = {}
        self._waiting = {each.uid for each in live.planner.pending.waiters()}
        self._charges: list[Charge] = []
        self._ends: list[tuple[int, int]] = []
        self._counts: dict[Account, int] = {}
        self._starts: list[PlayedStart] = []
        self._blocked: dict[Requirements, Account] = {}

    def played(self) -> Played:
        """Play until nothing waits that may start, or nothing ends any more."""
        slots = list(self._live.slots())
        running = tuple(
            PlayedRun(
                each.charge.accounts,
                self._lengths.lengths(each.series),
                _seconds(each.since, self._now),
                each.exact,
            )
            for each in slots
        )
        for slot, run in zip(slots, running, strict=True):
            self._run(slot.charge, run, 0)
        heapify(self._ends)
        for group in self._live.planner.pending.groups():
            self._note_blocked(group.needs)
        self._play()
        return Played(running, tuple(self._starts))

    def _play(self) -> None:
        changes = 0
        for _ in range(_MOST_ENDS):
            if not self._waiting or not any(self._live.planner.pending.groups()):
                return
            self._rest()
            self._let_come()
            ends = self._at(self._ends[0][0]) if self._ends else self._now + _HORIZON
            until = self._live.limits.limits_until.astimezone(UTC)
            while until <= ends and changes < _MOST_CHANGES:
                changes += 1
                self._live.limits.put_limits(until, self._live.capacity)
                self._start(self._live.planner.plan(until), until)
                until = self._live.limits.limits_until.astimezone(UTC)
            if self._ends:
                self._end_next()
            elif changes >= _MOST_CHANGES or until > ends:
                return

    def _let_come(self) -> None:
        """Let those join the queue who come before the next end."""
        while self._next is not None and self._ends and len(self._came) < _MOST_CAME:
            waiter = self._next.waiter
            if waiter.created > self._at(self._ends[0][0]):
                return
            self._came[waiter.uid] = self._next.series
            self._next = next(self._coming, None)
            self._live.planner.add(waiter)
            self._start(self._live.planner.plan(waiter.created), waiter.created)

    def _end_next(self) -> None:
        seconds, number = heappop(self._ends)
        charge, at = self._charges[number], self._at(seconds)
        for account in (*charge.accounts, ANY):
            self._counts[account] = self._counts.get(account, 0) + 1
        self._live.planner.ended(charge, at)
        self._start(self._live.planner.plan(at), at, charge)

    def _start(self, waiters: list[Waiter], at: datetime, ended: Charge | None = None) -> None:
        """Let some start: by an end, or without one by the time."""
        seconds = _seconds(self._now, at)
        for each in waiters:
            charge = self._live.planner.charge_of(each)
            came = self._came.get(each.uid)
            lengths = self._lengths.lengths(self._live.series_of(each.uid) if came is None else came)
            run = PlayedRun(charge.accounts, lengths)
            account = self._blocked.get(each.needs, ANY)
            if ended is None or account not in ended.accounts:
                account = ANY
            uid = each.uid if came is None else ""
            self._waiting.discard(each.uid)
            self._starts.append(
                PlayedStart(uid, run, at=seconds)
                if ended is None
                else PlayedStart(uid, run, account, self._counts[account])
            )
            self._run(charge, run, seconds, push=True)
        for each in waiters:
            self._note_blocked(each.needs)

    def _run(self, charge: Charge, run: PlayedRun, began: int, *, push: bool = False) -> None:
        left = self._length(run)
        self._charges.append(charge)
        if left is None:
            return
        item = (began + left, len(self._charges) - 1)
        if push:
            heappush(self._ends, item)
        else:
            self._ends.append(item)

    def _length(self, run: PlayedRun) -> int | None:
        """Return how long a run takes: in the first play the median, in others what is drawn."""
        if not self._number:
            return remaining(run, 1, 2, 1)
        drawn = mixed(self._number << _PLAY | len(self._charges))
        return remaining(run, 1 + (drawn & MASK), MASK + 1, drawn >> 32 & MASK)

    def _note_blocked(self, needs: Requirements) -> None:
        group = self._live.planner.pending.of(needs.namespace).groups.get(needs)
        if group is not None and group.inadmissible_at is not None:
            self._blocked[needs] = group.inadmissible_at.account

    def _at(self, seconds: int) -> datetime:
        return self._now + timedelta(seconds=seconds)


def play_forward(
    live: LiveRoot,
    lengths: RunLengths,
    now: datetime,
    *,
    number: int = 0,
    coming: Iterable[Arrival] = (),
    rest: Callable[[], None] = go_on,
) -> Played:
    """Return what starts after what; the planner of the root is used up by it.

    In the first play, `number` 0, runs take the median of what is known. `rest` is called after short parts.
    """
    return _Play(live, lengths, now, number=number, coming=coming, rest=rest).played()


def _seconds(begun: datetime, now: datetime) -> int:
    return max(0, int((now - begun).total_seconds()))
