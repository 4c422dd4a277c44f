"""Computes when those that wait are expected to start, in a thread of the leader, at a bounded rate.

It takes a copy of what is live from the passes and lists the ledgers, so it asks the cluster for no Workflow.
It rests after short parts of the work, so that a pass never waits for it, and then for much longer than it
took.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from policy.cluster.errors import ClusterError, Trouble
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import Cluster
from policy.cluster.stored_lengths import read_lengths
from policy.core.cluster_view.run_lengths import RunLengths
from policy.core.cluster_view.view import StartRange
from policy.core.policies.snapshot import Snapshot
from policy.service.leading.term_works import Passes
from policy.service.reading.cluster_reading import Reading
from policy.service.reading.live_roots import LiveRoots
from policy.service.status.start_board import StartBoard
from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import Tracker

_SETTLE: Final = 0.1
SHORTEST_PAUSE: Final = 15.0
_IDLE: Final = 50
"""It rests for so many times as long as it computed: a second of CPU, each 50 seconds."""
RETRY_SECONDS: Final = 600.0
"""After an error: an installation may lack the kind, or the right."""
_LENGTHS_FOR: Final = timedelta(minutes=1)
_SLICE: Final = 0.004
_REST: Final = 0.002
"""Seconds of CPU after which it rests, and for how long."""


class _TermEnds(Exception):  # noqa: N818 - it is no error
    """Ends a computation whose result nobody wants any more."""


class StartForecasts(Passes):
    """The work of one term. `cost` returns the CPU seconds of the thread that calls it."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        snapshot: Callable[[], Snapshot],
        board: StartBoard,
        clock: Callable[[], datetime],
        cost: Callable[[], float],
        trouble: Trouble,
    ) -> None:
        self._cluster = cluster
        self._ledgers = Ledgers(cluster=cluster, clock=clock)
        self._snapshot = snapshot
        self._board = board
        self._clock = clock
        self._cost = cost
        self._trouble = trouble
        self._lengths: tuple[datetime, RunLengths] | None = None
        self._rested_at = 0.0
        super().__init__(settle=_SETTLE)

    def run_pass(self) -> float | None:
        """Compute from a copy that has come, or ask for one; return the seconds until the next pass."""
        live = self._board.take()
        if live is None:
            self._board.ask(self.wake)
            return None
        begun = self._rested_at = self._cost()
        try:
            self._compute(live, self._clock())
        except _TermEnds:
            return None
        except ClusterError as error:
            self._trouble("expecting when those that wait start", error)
            return RETRY_SECONDS
        return max(SHORTEST_PAUSE, _IDLE * (self._cost() - begun))

    def _compute(self, live: Tracker, now: datetime) -> None:
        waiting = [each for each in live if each.held]
        if not waiting:
            self._board.put({}, {})
            return
        reading = Reading(
            at=now,
            snapshot=self._snapshot(),
            tracker=live,
            namespaces=None,
            ledgers=self._ledgers.all(),
            figures={},
            lengths=self._known_lengths(now),
        )
        roots = LiveRoots(reading, rest=self._rest)
        starts: dict[str, StartRange] = {}
        for root in sorted(roots.roots()):
            self._board.misses.expect(str(root), roots.computed(root), now)
            starts.update(roots.expected(root))
        self._board.put(starts, _until(waiting, starts))

    def _known_lengths(self, now: datetime) -> RunLengths:
        """Return how long runs take, as it was stored not long ago."""
        if self._lengths is None or now - self._lengths[0] >= _LENGTHS_FOR:
            self._lengths = (now, read_lengths(self._cluster))
        return self._lengths[1]

    def _rest(self) -> None:
        """Rest for a moment, where it has computed for long enough since the last rest."""
        if self._cost() - self._rested_at >= _SLICE:
            if self._stopped.wait(_REST):
                raise _TermEnds
            self._rested_at = self._cost()


def _until(waiting: Iterable[Tracked], starts: Mapping[str, StartRange]) -> dict[str, datetime]:
    """Return when the last of each namespace probably starts, where that is known of all that wait there."""
    found: dict[str, datetime] = {}
    unknown = set()
    for each in waiting:
        start = starts.get(each.uid)
        if start is None:
            unknown.add(each.namespace)
        else:
            middle = start.earliest + (start.latest - start.earliest) / 2
            found[each.namespace] = max(middle, found.get(each.namespace, middle))
    return {namespace: at for namespace, at in found.items() if namespace not in unknown}
