"""The kinds that the API serves, with the names and the columns that kubectl shows."""

from typing import Final

import msgspec

from lockkeeper.kube_api.core_events import CORE_EVENTS
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_TEMPLATES,
    CONFIG_MAPS,
    CRON_WORKFLOWS,
    EVENTS,
    NAMESPACES,
    NODES,
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

    A path that ends in `[Ready]` is the status of that condition, one in `[#]` the number of entries.
    """

    name: str
    type: str
    path: tuple[str, ...]
    priority: int = 0


class ServedKind(msgspec.Struct, frozen=True):
    """A kind: its resource, its short names, its columns after the name, and whether its status is apart.

    `fields` are those at its top; of an object of a CRD others are dropped. A view of another kind is
    `read_only`.
    """

    resource: Resource
    short: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    status_apart: bool = False
    fields: tuple[str, ...] = ("spec", "status")
    read_only: bool = False

    @property
    def built_in(self) -> bool:
        """Whether Kubernetes has it without a CRD."""
        return self.resource in (NAMESPACES, NODES, CONFIG_MAPS, EVENTS, CORE_EVENTS)

    @property
    def qualified(self) -> str:
        """Its name in errors, such as `workflows.argoproj.io`."""
        resource = self.resource
        return f"{resource.plural}.{resource.group}" if resource.group else resource.plural

    @property
    def singular(self) -> str:
        """The name of one."""
        return self.resource.kind.lower()


_DATA: Final = ("data", "binaryData", "immutable")
_OF_EVENTS: Final = (
    *("action", "eventTime", "note", "reason", "regarding", "related", "reportingController"),
    *("reportingInstance", "series", "type"),
    *("deprecatedCount", "deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedSource"),
)
_OF_CORE_EVENTS: Final = (
    *("action", "eventTime", "message", "reason", "involvedObject", "related", "reportingComponent"),
    *("reportingInstance", "series", "type", "count", "firstTimestamp", "lastTimestamp", "source"),
)
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
_OLD_AGE: Final = Column("Age", "string", ("metadata", "creationTimestamp"))
"""The built-in kinds give it as text."""
SERVED: Final = (
    ServedKind(NAMESPACES, ("ns",), (_PHASE, _OLD_AGE)),
    ServedKind(CONFIG_MAPS, ("cm",), (Column("Data", "string", ("data", "[#]")), _OLD_AGE), fields=_DATA),
    ServedKind(NODES, ("no",), (Column("Status", "string", ("status", "conditions", "[Ready]")), _OLD_AGE)),
    ServedKind(
        EVENTS,
        ("ev",),
        (
            Column("Type", "string", ("type",)),
            Column("Reason", "string", ("reason",)),
            Column("Object", "string", ("regarding", "name")),
            Column("Note", "string", ("note",)),
        ),
        fields=_OF_EVENTS,
    ),
    ServedKind(
        CORE_EVENTS,
        ("ev",),
        (
            Column("Last Seen", "string", ("eventTime",)),
            Column("Type", "string", ("type",)),
            Column("Reason", "string", ("reason",)),
            Column("Object", "string", ("involvedObject", "name")),
            Column("Message", "string", ("message",)),
        ),
        fields=_OF_CORE_EVENTS,
        read_only=True,
    ),
    ServedKind(WORKFLOWS, ("wf",), (_PHASE, _AGE, _MESSAGE)),
    ServedKind(WORKFLOW_TEMPLATES, ("wftmpl",), (_AGE,)),
    ServedKind(CLUSTER_WORKFLOW_TEMPLATES, ("clusterwftmpl", "cwft"), (_AGE,)),
    ServedKind(CRON_WORKFLOWS, ("cwf", "cronwf"), (_AGE,)),
    ServedKind(WORKFLOW_QUOTAS, ("wfq",), _QUOTA, status_apart=True),
    ServedKind(CLUSTER_WORKFLOW_QUOTAS, ("cwfq",), _QUOTA, status_apart=True),
    ServedKind(SYNCHRONIZATION_POLICIES, ("sp",), (_READY, _AGE), status_apart=True),
    ServedKind(CLUSTER_SYNCHRONIZATION_POLICIES, ("csp",), (_READY, _AGE), status_apart=True),
    ServedKind(QUOTA_LEDGERS, ("wfql",), (Column("Epoch", "integer", ("status", "epoch")), _AGE)),
    ServedKind(RUN_LENGTHS, ("wfrl",), (_AGE,), fields=("lengths",)),
)
"""All kinds; there are no others."""


def kind_of(resource: Resource) -> ServedKind:
    """Return the kind of a resource that is served."""
    return next(each for each in SERVED if each.resource == resource)
