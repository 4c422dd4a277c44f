"""The Workflows of a cluster at one time, to be played on: who runs, who waits, and how long runs take.

Who runs has its slot, whatever the policies say that are tried, and ends when runs of its template usually
do. Who waits is admitted again under these, as old as it is. What has completed tells how long runs take.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from statistics import median

import msgspec

from lockkeeper.histories.history import HistoryFacts, RunHistory
from lockkeeper.histories.length_record import series_of_template
from lockkeeper.histories.opening import decoded
from lockkeeper.histories.recorded import RunReader
from lockkeeper.histories.remarks import Remarks
from lockkeeper.process.console import UsageError
from policy.cluster.errors import ClusterError, Forbidden
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.cluster.stored_lengths import read_lengths
from policy.core.cluster_view.run_lengths import RunLengths
from policy.core.objects import well_known
from policy.core.objects.json_parts import map_at, metadata_of
from policy.core.objects.json_patch import JsonObject
from policy.service.reading.needed_roles import with_role
from policy.service.simulation.past_run import UNKNOWN, PastRun, Stretch

_ENDED = frozenset({"Succeeded", "Failed", "Error"})


class LiveQueue(RunHistory):
    """Who runs and waits in a cluster."""

    def __init__(self, source: str, *, remarks: Remarks, now: datetime, record: RunLengths) -> None:
        super().__init__(source, remarks=remarks)
        self._record = record
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
        elapsed = max(0.0, self._now - run.started) if run.runs_already else 0.0
        known, whole = self._expected(run, elapsed)
        if not known:
            self._tell("no run has ended here, so it is taken to run for 0s", run)
        elif whole is None:
            self._tell("it runs for longer than any run before: taken to run for as long again", run)
        whole = 2 * elapsed if whole is None else whole
        return msgspec.structs.replace(run, stretches=(Stretch(max(0.0, whole - elapsed)),))

    def _expected(self, run: PastRun, elapsed: float) -> tuple[bool, float | None]:
        """Return whether lengths are known, and the middle of those that are longer than a run is by now.

        Recorded ones go first, since they are of many weeks; then those that are still in the cluster.
        """
        series = series_of_template(run.namespace, run.name, run.template)
        if self._record.knows(series):
            return True, self._record.lengths(series).quantile(50, longer_than=int(elapsed))
        lengths = sorted(self.lengths_of(run))
        longer = lengths[bisect_right(lengths, elapsed) :]
        if lengths:
            return True, median(longer) if longer else None
        recorded = self._record.lengths(series)  # Those of its namespace.
        return recorded.total > 0, recorded.quantile(50, longer_than=int(elapsed))


def live_queue(cluster: Cluster, now: datetime, *, source: str, namespace: str = "") -> LiveQueue:
    """Return the Workflows of a cluster, or of one namespace there.

    Raises:
        UsageError: it does not answer, refuses, or nobody waits there.
    """
    remarks = Remarks()
    if namespace:
        remarks.note(
            f"only {namespace} was read: what others of its pool use and wait for is not counted, so it may "
            "start later than said here"
        )
    found = LiveQueue(source, remarks=remarks, now=now, record=_record(cluster, remarks))
    reader = RunReader(remarks=remarks, with_nodes=False, default_namespace="default")
    for run, item in _runs(cluster, namespace, reader, remarks):
        found.add(_with_slot(run, item, now))
    if found.count == found.running:
        raise UsageError(f"no Workflow waits in {source}: {found.running} run")
    return found


def _record(cluster: Cluster, remarks: Remarks) -> RunLengths:
    """Return what the controller has recorded of the lengths of runs, nothing where it may not be read."""
    try:
        found = read_lengths(cluster)
    except Forbidden as error:
        remarks.note(
            "how long runs took is told by those alone that are over and still there; the record of the "
            f"controller cannot be read: {with_role(error)}"
        )
        return RunLengths()
    except ClusterError as error:
        raise UsageError(f"the record of run times cannot be read: {error.message}") from error
    if runs := found.runs():
        remarks.note(
            f"how long runs take is told by the record of the controller, which counts for {runs} new ones, "
            "and by those that are over and still there where it does not know their template"
        )
    return found


def cluster_history(cluster: Cluster, *, source: str, with_nodes: bool, namespace: str = "") -> RunHistory:
    """Return the Workflows of a cluster, or of one namespace there, as a history, with those that are over.

    Raises:
        UsageError: it does not answer, refuses, or there is none.
    """
    remarks = Remarks()
    if namespace:
        remarks.note(f"only {namespace} was read: what others of its pool use and wait for is not counted")
    found = RunHistory(source, remarks=remarks)
    reader = RunReader(remarks=remarks, with_nodes=with_nodes, default_namespace="default")
    for run, _ in _runs(cluster, namespace, reader, remarks):
        found.add(run)
    if not found.count:
        raise UsageError(f"there is no Workflow in {source} that can be played", *remarks.lines())
    return found


def _runs(
    cluster: Cluster, namespace: str, reader: RunReader, remarks: Remarks
) -> Iterator[tuple[PastRun, JsonObject]]:
    """Yield the Workflows of a cluster that can be read, each with its object."""
    try:
        items = cluster.list(WORKFLOWS, namespace=namespace).items
    except Forbidden as error:
        advice = "" if namespace else "; with -n NAMESPACE the rights in that namespace are enough"
        raise UsageError(
            f"the Workflows of the cluster cannot be read: {with_role(error)}{advice}"
        ) from error
    except ClusterError as error:
        raise UsageError(f"the Workflows of the cluster cannot be read: {error.message}") from error
    for item in items:
        for workflow, place in decoded(msgspec.json.encode(item), _place(item), remarks):
            run = reader.read(workflow, place)
            if run is not None:
                yield run, item


def _with_slot(run: PastRun, item: JsonObject, now: datetime) -> PastRun:
    """Return a run as started where it was released and Argo has not begun with it: it has its slot."""
    admitted = well_known.TASKS in map_at(item, "metadata", "annotations")
    held = map_at(item, "metadata", "labels").get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE
    if run.started != UNKNOWN or run.phase in _ENDED or held or not admitted:
        return run
    return msgspec.structs.replace(run, started=now.timestamp())


def _place(item: JsonObject) -> str:
    known = metadata_of(item)
    return f"{known.get('namespace')}/{known.get('name')}"
