"""The kinds that the API serves, with the names and the columns that kubectl shows."""

from typing import Final

import msgspec

from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_TEMPLATES,
    CONFIG_MAPS,
    CRON_WORKFLOWS,
    EVENTS,
    NAMESPACES,
    QUOTA_LEDGERS,
    RUN_LENGTHS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    Resource,
)


class Column(msgspec.Struct, frozen=True):
    """A column of `kubectl get`: its path in the object; one with a `priority` is shown with `-o wide` only.

    A path that ends in `[Ready]` is the status of that condition.
    """

    name: str
    type: str
    path: tuple[str, ...]
    priority: int = 0


class ServedKind(msgspec.Struct, frozen=True):
    """A kind: its resource, its short name, its columns after the name, and whether its status is apart."""

    resource: Resource
    short: str = ""
    columns: tuple[Column, ...] = ()
    status_apart: bool = False

    @property
    def singular(self) -> str:
        """The name of one."""
        return self.resource.kind.lower()


_AGE: Final = Column("Age", "date", ("metadata", "creationTimestamp"))
_READY: Final = Column("Ready", "string", ("status", "conditions", "[Ready]"))
_QUOTA: Final = (
    Column("Running", "integer", ("status", "running")),
    Column("Limit", "string", ("status", "effectiveLimits", "workflows")),
    Column("Queued", "integer", ("status", "queued")),
    Column("Tasks", "integer", ("status", "tasks"), 1),
    Column("Borrowed", "integer", ("status", "borrowed", "workflows"), 1),
    _READY,
    _AGE,
)
_PHASE: Final = Column("Status", "string", ("status", "phase"))
_MESSAGE: Final = Column("Message", "string", ("status", "message"))
SERVED: Final = (
    ServedKind(NAMESPACES, "ns", (_AGE,)),
    ServedKind(CONFIG_MAPS, "cm", (_AGE,)),
    ServedKind(
        EVENTS,
        "ev",
        (
            Column("Reason", "string", ("reason",)),
            Column("Object", "string", ("regarding", "name")),
            Column("Note", "string", ("note",)),
        ),
    ),
    ServedKind(WORKFLOWS, "wf", (_PHASE, _AGE, _MESSAGE)),
    ServedKind(WORKFLOW_TEMPLATES, "wftmpl", (_AGE,)),
    ServedKind(CLUSTER_WORKFLOW_TEMPLATES, "cwft", (_AGE,)),
    ServedKind(CRON_WORKFLOWS, "cwf", (_AGE,)),
    ServedKind(WORKFLOW_QUOTAS, "wfq", _QUOTA, status_apart=True),
    ServedKind(CLUSTER_WORKFLOW_QUOTAS, "cwfq", _QUOTA, status_apart=True),
    ServedKind(SYNCHRONIZATION_POLICIES, "sp", (_READY, _AGE), status_apart=True),
    ServedKind(CLUSTER_SYNCHRONIZATION_POLICIES, "csp", (_READY, _AGE), status_apart=True),
    ServedKind(QUOTA_LEDGERS, "wfql", (Column("Epoch", "integer", ("status", "epoch")), _AGE)),
    ServedKind(RUN_LENGTHS, "wfrl", (_AGE,)),
)
"""All kinds; there are no others."""
