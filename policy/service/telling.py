"""Telling those who wait where they stand, in their own status, at a bounded rate.

Those in front are told when it changes. Whoever is further back was told at the create; the position moves
too often there to be written each time. Who can never start, or may not, is told at once, wherever it stands.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import WORKFLOWS, Cluster, JsonPatch
from policy.core import explain, explain_wait, holding, marks
from policy.core.kinds import OnExceed
from policy.core.ledger import Root
from policy.core.ordering import WaitReason
from policy.core.standing import Standing, standings
from policy.core.usage import UsageView
from policy.service.books import Books
from policy.service.letting_go import Reporter
from policy.service.tracker import Tracked, Tracker

REFRESHED_POSITIONS: Final = 10
"""How far into a namespace's queue the shown position is kept exact; further back it moves too often."""
TOLD_AT_ONCE: Final = 50
"""Writes of one pass at most: the next release must not wait for a long queue to be told."""
TOLD_IN_A_HURRY: Final = 2
"""Writes while something else waits to be done: a few, or in a busy cluster nobody would ever be told."""
TELL_EVERY: Final = timedelta(seconds=1)
"""How often a namespace is told again at most."""
_OBVIOUS: Final = frozenset({WaitReason.WAITING_FOR_QUOTA, WaitReason.RELEASING})
"""Reasons that the position and the figures beside it say already."""
_FOR_EVER: Final = frozenset({WaitReason.EXCEEDS_MAX_QUOTA, WaitReason.MISCONFIGURED})
"""Reasons that do not pass by waiting."""


class Teller:
    """Keeps what held Workflows show of their wait. `untold` says that some were left for the next pass."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Callable[[], datetime],
        reporter: Reporter,
        every: timedelta = TELL_EVERY,
    ) -> None:
        self._cluster = cluster
        self._every = every
        self._clock = clock
        self._reporter = reporter
        self._shown: dict[str, tuple[str, str]] = {}  # By uid: of which hold it is, and the message.
        self._reasons: dict[str, WaitReason] = {}
        self._forgot_at = clock()
        self._told_at: dict[str, datetime] = {}
        self._waiting: dict[str, Root] = {}  # The root of each namespace where something is to be told.
        self.untold = False

    def next_round(self) -> datetime | None:
        """Return when a namespace that was told a moment ago may be told again."""
        times = [self._told_at[each] + self._every for each in self._waiting if each in self._told_at]
        return min(times, default=None)

    def changed(self, root: Root, namespaces: Iterable[str]) -> None:
        """Take note of namespaces of a root where positions may have changed."""
        self._waiting.update(dict.fromkeys(namespaces, root))

    def tell(
        self,
        books: Mapping[Root, Books],
        tracker: Tracker,
        view: UsageView,
        stopping: Callable[[], bool],
        pressed: Callable[[], bool],
    ) -> None:
        """Write what has changed, as much as one pass may; little once something else is `pressed` for."""
        now = self._clock()
        told = 0
        self._forget_gone(tracker, now)
        for namespace, root in list(self._waiting.items()):
            told_at = self._told_at.get(namespace)
            if told_at is not None and now - told_at < self._every:
                continue
            own = books.get(root)
            if own is None or namespace not in own.known:
                del self._waiting[namespace]
                continue
            for tracked, message, standing in self._due(own, namespace, tracker, view, now):
                enough = told >= TOLD_AT_ONCE or (told >= TOLD_IN_A_HURRY and pressed())
                if stopping() or enough:
                    self.untold = enough
                    return
                told += 1
                self._show(tracked, message)
                self._report(tracked, standing, own)
            self._told_at[namespace] = now
            del self._waiting[namespace]
        self.untold = False

    def _forget_gone(self, tracker: Tracker, now: datetime) -> None:
        if now - self._forgot_at >= TELL_EVERY:
            self._forgot_at = now
            self._shown = {uid: shown for uid, shown in self._shown.items() if tracker.get(uid) is not None}
            self._reasons = {uid: each for uid, each in self._reasons.items() if uid in self._shown}

    def _due(
        self, books: Books, namespace: str, tracker: Tracker, view: UsageView, now: datetime
    ) -> Iterator[tuple[Tracked, str, Standing]]:
        """Yield who is to be told what: those in front, then those who can never start."""
        for standing in self._worth_telling(books, namespace):
            tracked = tracker.get(standing.waiter.uid)
            if tracked is None:
                continue
            message = self._message(standing, tracked, books, view, now)
            if self._shown.get(tracked.uid) != (tracked.release, message):
                yield tracked, message, standing

    def _worth_telling(self, books: Books, namespace: str) -> Iterator[Standing]:
        yield from standings(books.planner, namespace, REFRESHED_POSITIONS)
        line = books.planner.line
        never = [waiter for group in line.groups(namespace) if group.never for waiter in group]
        if any(each.uid not in self._shown for each in (*never, *line.queue(namespace).faulty.values())):
            for standing in standings(books.planner, namespace)[REFRESHED_POSITIONS:]:
                if standing.reason in _FOR_EVER and standing.waiter.uid not in self._shown:
                    yield standing

    def _message(
        self, standing: Standing, tracked: Tracked, books: Books, view: UsageView, now: datetime
    ) -> str:
        quotas = [each for each in books.quotas_of(tracked) if each.on_exceed is not OnExceed.WARN]
        depth = view.queues[tracked.namespace].depth
        place = explain.queue_message(
            tracked.namespace, quotas, view, now, position=standing.position, depth=depth
        )
        rules = books.planner.line.rules(tracked.namespace)
        obvious = standing.reason in _OBVIOUS and not any(each.must_rise for each in standing.short)
        why = "" if obvious else f"; {explain_wait.reason(standing, rules)}"
        return f"{marks.HELD_MESSAGE_PREFIX}: {place}{why}"

    def _report(self, tracked: Tracked, standing: Standing, books: Books) -> None:
        """Tell of the reason of a wait, if it is another one than was told."""
        if (
            self._reasons.get(tracked.uid) is not standing.reason
            and standing.reason is not WaitReason.RELEASING
        ):
            self._reasons[tracked.uid] = standing.reason
            rules = books.planner.line.rules(tracked.namespace)
            self._reporter.reason(tracked, standing.reason, explain_wait.reason(standing, rules))

    def _show(self, tracked: Tracked, message: str) -> None:
        """Write the message into a held Workflow, unless it is gone or released meanwhile."""
        try:
            patch = JsonPatch(holding.refresh_patch(tracked.metadata, message))
            self._cluster.patch(WORKFLOWS, tracked.name, patch, namespace=tracked.namespace)
        except ClusterError:
            return  # It is told with the next change.
        self._shown[tracked.uid] = (tracked.release, message)
        self._reporter.waits(tracked, message)
