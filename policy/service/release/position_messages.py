"""Which held Workflows get a new message in their status, with position and reason, at a bounded rate.

The first of a queue show each change, but those who start soon anyway, by how fast the queue moves: what is
written there would be out of date at once. Those further back got a position at their create; it changes too
often there to be written each time. One that can never start shows that at once, whatever its position.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import WORKFLOWS, Cluster, JsonPatch
from policy.core.cluster_view.start_sentences import clock_range
from policy.core.cluster_view.view import StartRange
from policy.core.decision import quota_messages
from policy.core.objects import hold, well_known
from policy.core.policies.governing_quotas import with_opening
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.queue import wait_messages
from policy.core.queue.positions import Position, WaitReason, positions
from policy.core.quota.accounts import Account, Root
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.demands import Shortfall
from policy.core.quota.pools import CompiledPool
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import withheld
from policy.service.release.release_sender import Reporter
from policy.service.release.root_state import RootState
from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import Tracker

REFRESHED_POSITIONS: Final = 10
"""Positions of a namespace's queue that are shown exactly; further back they change too often."""
MOST_WRITES: Final = 50
"""Writes of one pass at most: the next release must not wait for the messages of a long queue."""
_MOST_WRITES_IN_A_HURRY: Final = 5
"""Writes a second while other changes wait: a few, or in a busy cluster no message would ever be written."""
_ROUND: Final = timedelta(seconds=1)
WRITE_EVERY: Final = timedelta(seconds=1)
"""How often the messages of a namespace are written at most."""
SOON: Final = timedelta(seconds=5)
"""Who starts within this time, by the rate of the last seconds, is not told its position any more."""
_SLOW: Final = 2.0
"""Starts a second of a namespace below which each is told."""
_OBVIOUS: Final = frozenset({WaitReason.WAITING_FOR_QUOTA, WaitReason.RELEASING})
"""Reasons that the position and the figures beside it show already."""
_PASSING: Final = _OBVIOUS | {WaitReason.WAITING_FOR_HIGHER_PRIORITY}
"""Reasons that end as the queue moves on."""
_FOR_EVER: Final = frozenset({WaitReason.EXCEEDS_MAX_QUOTA, WaitReason.MISCONFIGURED})
"""Reasons that waiting does not end."""
_SPARE: Final = 100
_PARTS: Final = 4
_LEAST_CHANGE: Final = timedelta(minutes=1)
"""An expected start is written anew when it moves by a quarter of its range, and by a minute."""


def _nothing(_: str) -> StartRange | None:
    """Expect nothing."""
    return None


class _Pace:
    """How fast the queue of a namespace moves: starts a second, of which the last round counts half."""

    def __init__(self, now: datetime) -> None:
        self._since = now
        self._rate = 0.0
        self.starts = 0
        self.measured = False

    def soon(self, now: datetime) -> int:
        """Return how many of the queue start soon, as it moved until now: none in the first second."""
        if now - self._since >= _ROUND:
            self._rate = (self._rate + self.starts / ((now - self._since) / timedelta(seconds=1))) / 2
            self._since, self.starts, self.measured = now, 0, True
        return int(self._rate * SOON.total_seconds()) if self._rate >= _SLOW else 0


class PositionMessages:
    """Writes what held Workflows show of their wait. `unwritten`: some are left for the next pass.

    `starts` returns when one is expected to start, by its uid.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Callable[[], datetime],
        reporter: Reporter,
        every: timedelta = WRITE_EVERY,
        starts: Callable[[str], StartRange | None] = _nothing,
    ) -> None:
        self._cluster = cluster
        self._every = every
        self._clock = clock
        self._reporter = reporter
        self._starts = starts
        self._expected: dict[str, StartRange] = {}  # By uid, as it was written.
        self._shown: dict[str, tuple[str, str]] = {}  # By uid: of which hold it is, and the message.
        self._reasons: dict[str, WaitReason] = {}
        self._most_shown = _SPARE
        self._written_at: dict[str, datetime] = {}
        self._changed: dict[str, Root] = {}  # The root of each namespace where messages may be out of date.
        self._paces: dict[str, _Pace] = {}
        self._lately: tuple[datetime | None, int] = (None, 0)
        self.unwritten = False

    def next_round(self) -> datetime | None:
        """Return when the messages of a namespace may be written again."""
        times = [self._written_at[each] + self._every for each in self._changed if each in self._written_at]
        return min(times, default=None)

    def starting(self, namespaces: Iterable[str]) -> None:
        """Record releases, each by its namespace."""
        for each in namespaces:
            pace = self._paces.get(each)
            if pace is None:
                pace = self._paces[each] = _Pace(self._clock())
            pace.starts += 1

    def changed(self, root: Root, namespaces: Iterable[str]) -> None:
        """Record namespaces of a root where positions may have changed."""
        self._changed.update(dict.fromkeys(namespaces, root))

    def write(
        self,
        states: Mapping[Root, RootState],
        tracker: Tracker,
        view: UsageView,
        stopping: Callable[[], bool],
        pressed: Callable[[], bool],
    ) -> None:
        """Write what has changed, as much as one pass may; little once `pressed` returns True."""
        now = self._clock()
        writes = 0
        self._forget_departed(tracker)
        for namespace, root in list(self._changed.items()):
            written_at = self._written_at.get(namespace)
            if written_at is not None and now - written_at < self._every:
                continue
            state = states.get(root)
            if state is None or namespace not in state.known:
                del self._changed[namespace]
                continue
            if self._enough(writes, now, pressed):
                self.unwritten = True
                return
            pace = self._paces.get(namespace)
            soon = 0 if pace is None else pace.soon(now)
            for tracked, message, found in self._due(state, namespace, tracker, view, now, soon=soon):
                enough = self._enough(writes, now, pressed)
                if stopping() or enough:
                    self.unwritten = enough
                    return
                writes += 1
                self._lately = (self._lately[0], self._lately[1] + 1)
                self._show(tracked, message)
                self._report(tracked, found, state)
            self._written_at[namespace] = now
            if soon:
                continue  # Who was left out is looked at again: from now on the queue may stand still.
            if pace is not None and pace.measured:
                del self._paces[namespace]
            del self._changed[namespace]
        self.unwritten = False

    def _enough(self, writes: int, now: datetime, pressed: Callable[[], bool]) -> bool:
        """Return whether no more may be written now, after so many in this pass."""
        since, lately = self._lately
        if since is None or not timedelta() <= now - since < _ROUND:
            self._lately = (now, lately := 0)
        return writes >= MOST_WRITES or (lately >= _MOST_WRITES_IN_A_HURRY and pressed())

    def _forget_departed(self, tracker: Tracker) -> None:
        """Forget those that are not live any more, each time the stored messages have doubled."""
        if len(self._shown) > self._most_shown:
            self._shown = {uid: shown for uid, shown in self._shown.items() if tracker.get(uid) is not None}
            self._reasons = {uid: each for uid, each in self._reasons.items() if uid in self._shown}
            self._expected = {uid: each for uid, each in self._expected.items() if uid in self._shown}
            self._most_shown = 2 * len(self._shown) + _SPARE

    def _due(
        self,
        state: RootState,
        namespace: str,
        tracker: Tracker,
        view: UsageView,
        now: datetime,
        *,
        soon: int,
    ) -> Iterator[tuple[Tracked, str, Position]]:
        """Yield Workflows and their new messages: the first of the queue, then those that never start.

        The first `soon` are about to start; they have a message from their create.
        """
        depth = view.queues[namespace].depth if namespace in view.queues else 0
        for found in self._worth_writing(state, namespace):
            tracked = tracker.get(found.waiter.uid)
            if tracked is None or (found.position <= soon and found.reason in _PASSING):
                continue
            timed = _with_openings(found, state.quotas_of(tracked), state.lender, now)
            message = self._message(timed, tracked, state, view, now, depth=depth)
            if self._shown.get(tracked.uid) != (tracked.release, message):
                yield tracked, message, timed

    def _worth_writing(self, state: RootState, namespace: str) -> Iterator[Position]:
        yield from positions(state.planner, namespace, REFRESHED_POSITIONS)
        pending = state.planner.pending
        never = [waiter for group in pending.groups(namespace) if group.never_fits for waiter in group]
        if any(each.uid not in self._shown for each in (*never, *pending.of(namespace).aside.values())):
            for found in positions(state.planner, namespace)[REFRESHED_POSITIONS:]:
                if found.reason in _FOR_EVER and found.waiter.uid not in self._shown:
                    yield found

    def _message(
        self,
        found: Position,
        tracked: Tracked,
        state: RootState,
        view: UsageView,
        now: datetime,
        *,
        depth: int,
    ) -> str:
        quotas = [each for each in state.quotas_of(tracked) if each.on_exceed is not OnExceed.WARN]
        place = quota_messages.queue_message(
            tracked.namespace, quotas, view, now, position=found.position, depth=depth
        )
        expected = self._expected_start(tracked.uid, now)
        if expected is not None and found.reason not in _FOR_EVER:
            place = f"{place}, expected {clock_range(expected, now)} UTC"
        if found.reason in _OBVIOUS and not any(each.must_rise for each in found.short):
            return f"{well_known.HELD_MESSAGE_PREFIX}: {place}"
        why = wait_messages.reason(found, state.planner.pending.rules(tracked.namespace))
        return f"{well_known.HELD_MESSAGE_PREFIX}: {place}; {why}"

    def _expected_start(self, uid: str, now: datetime) -> StartRange | None:
        """Return when one is expected to start: as it was written, where that is nearly right still."""
        found, written = self._starts(uid), self._expected.get(uid)
        if found is None or found.latest < now:
            self._expected.pop(uid, None)
            return None
        if written is None or written.latest < now or _moved(written, found):
            written = self._expected[uid] = found
        return written

    def _report(self, tracked: Tracked, found: Position, state: RootState) -> None:
        """Report the reason of a wait, if it is another one than was reported."""
        if self._reasons.get(tracked.uid) is not found.reason and found.reason is not WaitReason.RELEASING:
            self._reasons[tracked.uid] = found.reason
            rules = state.planner.pending.rules(tracked.namespace)
            self._reporter.reason(tracked, found.reason, wait_messages.reason(found, rules))

    def _show(self, tracked: Tracked, message: str) -> None:
        """Write the message into a held Workflow, unless it was deleted or released meanwhile."""
        try:
            patch = JsonPatch(hold.refresh_patch(tracked.metadata, message))
            self._cluster.patch(WORKFLOWS, tracked.name, patch, namespace=tracked.namespace)
        except ClusterError:
            return  # It is written with the next change.
        self._shown[tracked.uid] = (tracked.release, message)
        self._reporter.waits(tracked, message)


def _moved(written: StartRange, found: StartRange) -> bool:
    """Return whether an expected start moved by so much that it is to be written."""
    by = max(abs(written.earliest - found.earliest), abs(written.latest - found.latest))
    return by > max(_LEAST_CHANGE, (written.latest - written.earliest) / _PARTS)


def _with_openings(
    found: Position, quotas: Sequence[CompiledQuota], lender: CompiledPool | None, now: datetime
) -> Position:
    """Return a position with the times at which windows allow what no capacity allows now."""
    if not any(each.must_rise for each in found.short):
        return found
    waiter, short = found.waiter, list[Shortfall]()
    for each in found.short:
        demand, asked = each.demand, each.requested
        if lender is not None and demand.account == Account.share(lender.name, waiter.namespace):
            reserved = withheld(lender.quota.reserves, waiter.priority)
            opening = lender.opening(waiter.namespace, now, asked, reserved)
            if opening is not None:
                demand = msgspec.structs.replace(demand, opens=str(opening))
        demand = with_opening(demand, quotas, asked, now=now, priority=waiter.priority)
        short.append(msgspec.structs.replace(each, demand=demand))
    return msgspec.structs.replace(found, short=tuple(short))
