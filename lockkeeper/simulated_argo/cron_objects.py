"""CronWorkflows and their runs as the simulated Argo reads them, and the Workflow that one creates."""

from datetime import datetime
from typing import Any, Final

import msgspec

from lockkeeper.simulated_argo.cron_moments import schedules_of
from lockkeeper.simulated_argo.written_parts import owner_reference, stamp
from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_parts import map_at, part
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import CronWorkflow, CronWorkflowSpec, Metadata, Read
from policy.core.values.prepared import prepare

LAST_SCHEDULE: Final = "cronworkflows.argoproj.io/last-used-schedule"
"""The annotation with the schedules by which it ran last: those that are new have missed nothing."""
SUCCEEDED: Final = "Succeeded"
OVER: Final = frozenset({SUCCEEDED, "Failed", "Error"})
_COPIED_LABELS: Final = (
    well_known.CREATOR,
    well_known.CREATOR_EMAIL,
    well_known.CREATOR_NAME,
    well_known.INSTANCE_ID,
)


class RunStatus(Read, frozen=True):
    """What counts of the status of a run."""

    phase: str | None = None
    finished_at: str | None = None


class CronRun(Read, frozen=True):
    """A Workflow that a CronWorkflow created."""

    metadata: Metadata
    status: RunStatus | None = None

    @property
    def phase(self) -> str:
        """Its phase; "" where it has none."""
        return (self.status or RunStatus()).phase or ""

    @property
    def finished_at(self) -> str:
        """When it ended; "" where it did not."""
        return (self.status or RunStatus()).finished_at or ""


class RunReference(Read, frozen=True):
    """A run in the status of its CronWorkflow."""

    name: str = ""
    uid: str = ""


class CronStatus(Read, frozen=True):
    """What a CronWorkflow remembers."""

    active: tuple[RunReference, ...] | None = None
    last_scheduled_time: datetime | None = None
    conditions: tuple[dict[str, Any], ...] | None = None
    succeeded: int = 0
    failed: int = 0


class _Limits(Read, frozen=True):
    """The rest of its spec."""

    suspend: bool = False
    successful_jobs_history_limit: int | None = None
    failed_jobs_history_limit: int | None = None
    when: str | None = None
    stop_strategy: dict[str, Any] | None = None


class _Stored(Read, frozen=True):
    """What is read of a CronWorkflow besides its schedules."""

    spec: _Limits | None = None
    status: CronStatus | None = None


prepare(CronRun)
prepare(_Stored)


class StoredCron:
    """A CronWorkflow as it is stored."""

    def __init__(self, obj: JsonObject) -> None:
        read = msgspec.convert(obj, CronWorkflow)
        self.read = read
        self.metadata = read.metadata or Metadata()
        self.spec = read.spec or CronWorkflowSpec()
        stored = msgspec.convert(obj, _Stored)
        self.limits = stored.spec or _Limits()
        self.status = stored.status or CronStatus()
        self.namespace, self.name = self.metadata.namespace or "", self.metadata.name or ""
        self.uid = self.metadata.uid or ""
        self.schedules = schedules_of(self.spec)
        self._spec = map_at(obj, "spec")

    @property
    def active(self) -> tuple[RunReference, ...]:
        """Its runs that are not over, as far as it knows."""
        return self.status.active or ()

    @property
    def has_new_schedule(self) -> bool:
        """Whether it never ran by the schedules that it has now."""
        return (self.metadata.annotations or {}).get(LAST_SCHEDULE) != ",".join(self.schedules)

    def workflow(self, scheduled: datetime) -> JsonObject:
        """Return the run to create for a time."""
        own = self.spec.workflow_metadata or Metadata()
        labels = self.metadata.labels or {}
        copied: JsonObject = {key: labels[key] for key in _COPIED_LABELS if key in labels}
        metadata: JsonObject = {
            "name": f"{self.name}-{int(scheduled.timestamp())}",
            "namespace": self.namespace,
            "labels": {**copied, well_known.CRON_WORKFLOW: self.name, **(own.labels or {})},
            "annotations": {well_known.SCHEDULED_TIME: stamp(scheduled), **(own.annotations or {})},
            "ownerReferences": [owner_reference(CRON_WORKFLOWS, self.name, self.uid)],
        }
        finalizers = part(self._spec, "workflowMetadata", "finalizers")
        if finalizers:
            metadata["finalizers"] = finalizers
        return {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "metadata": metadata,
            "spec": self._spec.get("workflowSpec") or {},
        }


def without(cron: StoredCron, *types: str) -> list[JsonValue]:
    """Return its conditions but those of some types."""
    return [{**each} for each in cron.status.conditions or () if each.get("type") not in types]


def references(cron: StoredCron) -> list[JsonValue]:
    """Return its active runs as its status has them."""
    return [reference(cron, each.name, each.uid) for each in cron.active]


def reference(cron: StoredCron, name: str, uid: str) -> JsonObject:
    """Return a run as the status has it (core/v1 ObjectReference)."""
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "name": name,
        "namespace": cron.namespace,
        "uid": uid,
    }
