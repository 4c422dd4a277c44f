"""One Workflow of a history as a run: what its creator wrote, when it was created, and how long it took.

What Argo and Lockkeeper wrote into it since is left out: it is admitted again. What is wrong with its times
is put right as far as that is sure, and told.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from lockkeeper.histories.length_record import KIND, NO_HISTORY
from lockkeeper.histories.node_stretches import stretches_of
from lockkeeper.histories.remarks import Remarks
from policy.core.cluster_view.run_lengths import without_random_end
from policy.core.lock_queues.live_workflow import WorkflowNode
from policy.core.objects import well_known
from policy.core.objects.workflow import Read
from policy.core.values.prepared import prepare
from policy.service.simulation.past_run import LAST_TIME, UNKNOWN, PastRun, Stretch

_NO_TEMPLATES: Final = (
    "its spec was left out, as `argo archive list` does: its tasks, priority and locks are not known; "
    "the archive's table has them"
)
_LOCKS_WRITTEN: Final = b'"synchronization"'
NONE: Final = msgspec.Raw(b"null")
_PHASES: Final = frozenset({"", "Pending", "Running", "Succeeded", "Failed", "Error"})
_API_VERSION: Final = "argoproj.io/v1alpha1"
_KINDS: Final = frozenset({"", "Workflow"})
_CREATORS: Final = (well_known.CREATOR_EMAIL, well_known.CREATOR_NAME, well_known.CREATOR)
_TEMPLATE_LABELS: Final = (
    ("WorkflowTemplate", well_known.WORKFLOW_TEMPLATE),
    ("ClusterWorkflowTemplate", well_known.CLUSTER_WORKFLOW_TEMPLATE),
    ("CronWorkflow", well_known.CRON_WORKFLOW),
)


class _Owner(Read, frozen=True):
    """An owner of a Workflow."""

    kind: str = ""
    uid: str = ""
    controller: bool | None = None


class _RecordedMetadata(Read, frozen=True):
    """The metadata of a recorded Workflow; times are texts, so that a wrong one can be told."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    creation_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: msgspec.Raw = NONE


class _Reference(Read, frozen=True):
    """A reference to a template."""

    name: str | None = None
    cluster_scope: bool | None = None


class _RecordedSpec(Read, frozen=True):
    """The fields of a spec that say what it is a run of, and how many tasks it has."""

    workflow_template_ref: _Reference | None = None
    templates: msgspec.Raw = NONE
    parallelism: int | None = None


class _RecordedStatus(Read, frozen=True):
    """The status of a recorded Workflow."""

    phase: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    nodes: msgspec.Raw = NONE
    stored_workflow_template_spec: _RecordedSpec | None = None


class RecordedWorkflow(Read, frozen=True):
    """A Workflow with its status; or a row of an archive, which has that as its `workflow`."""

    kind: str = ""
    metadata: _RecordedMetadata = _RecordedMetadata()
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: _RecordedStatus | None = None
    workflow: msgspec.Raw = NONE


prepare(RecordedWorkflow, _RecordedSpec, _Owner, WorkflowNode)
_SPEC: Final = msgspec.json.Decoder(_RecordedSpec)
_OWNERS: Final = msgspec.json.Decoder(tuple[_Owner, ...] | None)
_NODES: Final = msgspec.json.Decoder(dict[str, WorkflowNode] | None)


class RunReader:
    """Makes runs of the Workflows of a history; `with_nodes` where policies may put locks into them."""

    def __init__(self, *, remarks: Remarks, with_nodes: bool, default_namespace: str) -> None:
        self._remarks = remarks
        self._with_nodes = with_nodes
        self._default_namespace = default_namespace

    def read(self, found: RecordedWorkflow, place: str) -> PastRun | None:
        """Return a run, None where it is left out."""
        if found.kind == KIND:
            self._remarks.add(NO_HISTORY, place)
            return None
        if found.kind not in _KINDS:
            self._remarks.add(f"left out: an object of kind {found.kind}, which is no Workflow", place)
            return None
        metadata, status = found.metadata, found.status or _RecordedStatus()
        created = self._time(metadata.creation_timestamp, "creationTimestamp", place)
        started = self._time(status.started_at, "startedAt", place)
        ended = self._time(status.finished_at, "finishedAt", place)
        if created == UNKNOWN and started == UNKNOWN:
            self._remarks.add("left out: it has neither a creationTimestamp nor a startedAt", place)
            return None
        if created == UNKNOWN:
            self._remarks.add("it has no creationTimestamp: taken as created when it started", place)
            created = started
        if UNKNOWN < started < created:
            self._remarks.add("it started before it was created: taken as created when it started", place)
            created = started
        if UNKNOWN < ended < started:
            self._remarks.add("it finished before it started: taken as a run of 0s", place)
            ended = started
        phase = status.phase or ""
        if phase not in _PHASES:
            self._remarks.add(f"its phase {phase[:40]} is not one of Argo's: taken by its times alone", place)
        try:
            spec = _SPEC.decode(found.spec)
        except msgspec.MsgspecError as error:
            self._remarks.add(f"left out: its spec cannot be read: {error}", place)
            return None
        if spec.workflow_template_ref is None and spec.templates == NONE:
            self._remarks.add(_NO_TEMPLATES, place)
        name = metadata.name or ""
        return PastRun(
            created=created,
            namespace=metadata.namespace or self._default_namespace,
            name=name,
            uid=metadata.uid or f"{metadata.namespace}/{name}@{created}",
            user=(metadata.annotations or {}).get(well_known.USER, ""),
            template=_template_of(metadata, spec),
            stretches=self._stretches(found, status, started, ended, place),
            manifest=_manifest(found, spec, status),
            started=started,
            ended=ended,
            phase=phase,
            owner=_owner_of(metadata),
        )

    def _time(self, text: str | None, field: str, place: str) -> float:
        if not text:
            return UNKNOWN
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            self._remarks.add(f"its {field} is no time: taken as if it had none", place)
            return UNKNOWN
        seconds = (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
        if seconds <= 0:  # Go writes the time that is none as that of the year 1.
            return UNKNOWN
        if seconds > LAST_TIME:
            self._remarks.add(f"its {field} is after the year 2200: taken as if it had none", place)
            return UNKNOWN
        return seconds

    def _stretches(
        self, found: RecordedWorkflow, status: _RecordedStatus, started: float, ended: float, place: str
    ) -> tuple[Stretch, ...]:
        """Return the parts of a run; () where it is not known how long it took."""
        if UNKNOWN in (started, ended):
            return ()
        whole = (Stretch(ended - started),)
        if not (self._with_nodes or _LOCKS_WRITTEN in bytes(found.spec)):
            return whole
        try:
            nodes = _NODES.decode(status.nodes)
        except msgspec.MsgspecError:
            self._remarks.add("its nodes cannot be read: locks of its templates are not counted", place)
            return whole
        found_parts = stretches_of(nodes or {}, started, ended)
        if not found_parts:  # They may be offloaded, compressed or deleted, or it ended before any ran.
            self._remarks.add("its nodes are not told: locks of its templates are not counted", place)
        return found_parts or whole


def _manifest(found: RecordedWorkflow, spec: _RecordedSpec, status: _RecordedStatus) -> bytes:
    """Return the Workflow as its creator wrote it, as far as that can be told."""
    metadata = found.metadata
    labels = {
        key: value
        for key, value in (metadata.labels or {}).items()
        if key not in well_known.CHANGING
        and key not in well_known.OUR_LABELS
        and (key, value) != (well_known.INSTANCE_ID, well_known.HOLD_VALUE)
    }
    annotations = {
        key: value
        for key, value in (metadata.annotations or {}).items()
        if not key.startswith((well_known.PREFIX, "kubectl.kubernetes.io/"))
    }
    written: dict[str, object] = {"name": metadata.name or "", "namespace": metadata.namespace or ""}
    if labels:
        written["labels"] = labels
    if annotations:
        written["annotations"] = annotations
    if metadata.owner_references != NONE:
        written["ownerReferences"] = metadata.owner_references
    stored = status.stored_workflow_template_spec
    body: object = found.spec
    if spec.parallelism is None and stored is not None and stored.parallelism is not None:
        # What its template gave it then; the template may be another now, or unknown here.
        body = {
            **msgspec.json.decode(found.spec, type=dict[str, msgspec.Raw]),
            "parallelism": stored.parallelism,
        }
    return msgspec.json.encode(
        {"apiVersion": _API_VERSION, "kind": "Workflow", "metadata": written, "spec": body}
    )


def _template_of(metadata: _RecordedMetadata, spec: _RecordedSpec) -> str:
    """Return what it is a run of."""
    ref, labels = spec.workflow_template_ref, metadata.labels or {}
    for kind, label in _TEMPLATE_LABELS:
        if kind == "CronWorkflow" and ref is not None and ref.name:
            break
        if name := labels.get(label):
            return f"{kind}/{name}"
    if ref is not None and ref.name:
        return f"{'ClusterWorkflowTemplate' if ref.cluster_scope else 'WorkflowTemplate'}/{ref.name}"
    return without_random_end(metadata.name or "")


def _owner_of(metadata: _RecordedMetadata) -> str:
    try:
        owners = _OWNERS.decode(metadata.owner_references)
    except msgspec.MsgspecError:
        return ""
    return next((each.uid for each in owners or () if each.kind == "Workflow" and each.controller), "")
