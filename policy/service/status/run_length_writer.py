"""Keeps in the cluster how long runs take: what the leaders before knew, and what this one sees.

It works in a thread of its own and writes once in a while, so nothing that is released waits for it. What was
seen since the last write is lost when a leader dies; lengths of some minutes are no loss.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from policy.cluster.errors import ClusterError, Trouble
from policy.cluster.protocol import Cluster
from policy.cluster.stored_lengths import read_lengths, write_lengths
from policy.core.cluster_view.run_lengths import MOST_BUCKETS, RunLengths, series_of
from policy.service.leading.term_works import Passes
from policy.service.tracking.run_ends import RunEnd
from policy.service.tracking.start_misses import StartMiss

_SETTLE: Final = 0.1
SHORTEST_PAUSE: Final = 60.0
LONGEST_PAUSE: Final = 300.0
"""Seconds between two writes: longer the more there is to write."""
RETRY_SECONDS: Final = 600.0
"""After an error: an installation may lack the kind, or the right."""


class RunLengthWriter(Passes):
    """The work of one term: `run` writes until `stop`.

    `take` returns what has ended since the last call, and `take_misses` by how much expected starts missed.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        take: Callable[[], list[RunEnd]],
        take_misses: Callable[[], list[StartMiss]],
        clock: Callable[[], datetime],
        trouble: Trouble,
    ) -> None:
        self._cluster = cluster
        self._take = take
        self._take_misses = take_misses
        self._clock = clock
        self._trouble = trouble
        self._known: RunLengths | None = None
        self._unwritten = True  # A term begins with a write, so that a right that is missing is told then.
        super().__init__(settle=_SETTLE)

    def run_pass(self) -> float | None:
        """Write what has come to be known; return the seconds until the next pass."""
        try:
            if self._known is None:
                self._known = read_lengths(self._cluster)
            known, now = self._known, self._clock()
            for each in self._take():
                known.add(series_of(each.namespace, each.name, each.refers_to), each.length, now)
                self._unwritten = True
            for miss in self._take_misses():
                known.missed(miss.root, miss.counts, now)
                self._unwritten = True
            if self._unwritten:
                write_lengths(self._cluster, known.stored(now))
                self._unwritten = False
        except ClusterError as error:
            self._trouble("keeping how long runs take", error)
            return RETRY_SECONDS
        return SHORTEST_PAUSE + (LONGEST_PAUSE - SHORTEST_PAUSE) * min(1.0, known.buckets / MOST_BUCKETS)
