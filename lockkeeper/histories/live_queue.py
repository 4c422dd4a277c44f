"""The Workflows of a cluster at one time, to be played on: who runs, who waits, and how long runs take.

Who runs has its slot, whatever the policies say that are tried, and ends when runs of its template usually
do. Who waits is admitted again under these, as old as it is. What has completed tells how long runs take.
"""

from bisect import bisect_right
from datetime import datetime
from statistics import median

import msgspec

from lockkeeper.histories.history import HistoryFacts, RunHistory
from lockkeeper.histories.opening import decoded
from lockkeeper.histories.recorded import RunReader
from lockkeeper.histories.remarks import Remarks
from lockkeeper.process.console import UsageError
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.objects.json_parts import metadata_of
from policy.core.objects.json_patch import JsonObject
from policy.service.simulation.past_run import UNKNOWN, PastRun, Stretch

_ENDED = frozenset({"Succeeded", "Failed", "Error"})


class LiveQueue(RunHistory):
    """Who runs and waits in a cluster."""

    def __init__(self, source: str, *, remarks: Remarks, now: datetime) -> None:
        super().__init__(source, remarks=remarks)
        self._now = now.timestamp()
        self.running = 0

    def add(self, run: PastRun) -> None:
        """Take one Workflow: one that runs is taken as created now, and keeps its slot."""
        if run.ended != UNKNOWN or run.phase in _ENDED:
            if run.stretches:
                self.note_length(run)
            return
        if run.started != UNKNOWN:
            self.running += 1
            run = msgspec.structs.replace(run, created=self._now, runs_already=True)
        super().add(run)
        self.begin = self.end = self._now

    def facts(self) -> HistoryFacts:
        """Return what reports say of it."""
        return msgspec.structs.replace(super().facts(), running=self.running, live=True)

    def _with_length(self, run: PastRun) -> PastRun:
        lengths = sorted(self.lengths_of(run))
        if not lengths:
            self._tell("no run has ended here, so it is taken to run for 0s")
        elapsed = max(0.0, self._now - run.started) if run.runs_already else 0.0
        longer = lengths[bisect_right(lengths, elapsed) :]
        if lengths and not longer:
            self._tell("it runs for longer than any run before: taken to run for as long again")
        whole = median(longer) if longer else 2 * elapsed
        return msgspec.structs.replace(run, stretches=(Stretch(max(0.0, whole - elapsed)),))


def live_queue(cluster: Cluster, now: datetime, *, source: str) -> LiveQueue:
    """Return the Workflows of a cluster.

    Raises:
        UsageError: it does not answer, refuses, or nobody waits there.
    """
    remarks = Remarks()
    found = LiveQueue(source, remarks=remarks, now=now)
    reader = RunReader(remarks=remarks, with_nodes=False, default_namespace="default")
    try:
        items = cluster.list(WORKFLOWS).items
    except ClusterError as error:
        raise UsageError(f"the Workflows of the cluster cannot be read: {error.message}") from error
    for item in items:
        for workflow, place in decoded(msgspec.json.encode(item), _place(item), remarks):
            run = reader.read(workflow, place)
            if run is not None:
                found.add(run)
    if found.count == found.running:
        raise UsageError(f"no Workflow waits in {source}: {found.running} run")
    return found


def _place(item: JsonObject) -> str:
    known = metadata_of(item)
    return f"{known.get('namespace')}/{known.get('name')}"
