"""Records what live Workflows refer to, where a quota comes to select by it after they were created.

Admission records it from then on. The Workflows of such a namespace are read once, and once more when every
webhook has received the quota; what is recorded stays with the object, for the next leader too.
"""

from collections.abc import Callable
from typing import Final, Protocol

from policy.cluster.errors import ClusterError, Conflict, Invalid, NotFound, Trouble
from policy.cluster.protocol import WORKFLOWS, Cluster, MergePatch, ReadingAs, Selection
from policy.core.admission.reference_marks import references_of_stored
from policy.core.objects.json_patch import JsonValue
from policy.core.objects.workflow import Metadata, Read, TemplateRef, WorkflowSpec
from policy.core.policies.governing_quotas import WEBHOOK_DELAY
from policy.core.policies.snapshot import Snapshot
from policy.core.values.prepared import prepare
from policy.service.leading.term_works import Passes
from policy.service.tracking.tracker import LIVE

ROUNDS: Final = 2
_SETTLE: Final = 0.1
RETRY_SECONDS: Final = 10.0
"""From an error to the next try."""
_PAUSE: Final = 0.02
"""Seconds after each write, so that there are at most fifty a second."""


class _ReferringSpec(Read, frozen=True):
    """A spec, of which only the reference is read."""

    workflow_template_ref: TemplateRef | None = None


class _Referring(Read, frozen=True):
    """A Workflow, as far as it shows what it refers to."""

    metadata: Metadata = Metadata()
    spec: _ReferringSpec = _ReferringSpec()


prepare(_Referring)


class ReadableCluster(Cluster, ReadingAs, Protocol):
    """A cluster whose objects can be read in a shape."""


class ReferenceRecorder(Passes):
    """The work of one term: `run` records until `stop`; `wake` makes a pass soon."""

    def __init__(
        self,
        *,
        cluster: ReadableCluster,
        snapshot: Callable[[], Snapshot],
        stopwatch: Callable[[], float],
        trouble: Trouble,
        pause: float = _PAUSE,
    ) -> None:
        self._cluster = cluster
        self._snapshot = snapshot
        self._stopwatch = stopwatch
        self._trouble = trouble
        self._pause = pause
        self._rounds: dict[str, int] = {}
        self._due: dict[str, float] = {}
        super().__init__(settle=_SETTLE)

    def run_pass(self) -> float | None:
        """Record what is due; return the seconds until the next pass, None where only a change causes one."""
        snapshot, now = self._snapshot(), self._stopwatch()
        wanted = {
            each
            for each in (*snapshot.quotas, *snapshot.namespace_labels)
            if snapshot.policies(each).by_reference
        }
        self._rounds = {each: self._rounds.get(each, 0) for each in sorted(wanted)}
        self._due = {each: self._due.get(each, now) for each, done in self._rounds.items() if done < ROUNDS}
        for namespace in [each for each, due in self._due.items() if due <= now]:
            if self._stopped.is_set():
                return None
            try:
                self._record(namespace, snapshot)
            except ClusterError as error:
                self._trouble(f"recording what Workflows of {namespace} refer to", error)
                self._due[namespace] = now + RETRY_SECONDS
                continue
            self._rounds[namespace] += 1
            self._due[namespace] = now + WEBHOOK_DELAY.total_seconds()
        left = [due for each, due in self._due.items() if self._rounds[each] < ROUNDS]
        return max(0.0, min(left) - self._stopwatch()) if left else None

    def _record(self, namespace: str, snapshot: Snapshot) -> None:
        listing = self._cluster.list_as(Selection(WORKFLOWS, namespace, LIVE), _Referring)
        for each in listing.items:
            if self._stopped.is_set() or not isinstance(each, _Referring):
                continue
            spec = WorkflowSpec(workflow_template_ref=each.spec.workflow_template_ref)
            found = references_of_stored(each.metadata, spec, snapshot)
            if found:
                self._write(each.metadata, found)

    def _write(self, metadata: Metadata, found: dict[str, str]) -> None:
        """Write what one refers to, unless it is gone by now."""
        annotations: dict[str, JsonValue] = {**found}
        patch = MergePatch({"metadata": {"uid": metadata.uid, "annotations": annotations}})
        try:
            self._cluster.patch(WORKFLOWS, metadata.name or "", patch, namespace=metadata.namespace or "")
        except (NotFound, Conflict, Invalid):
            return
        self._stopped.wait(self._pause)
