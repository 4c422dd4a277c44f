"""What is read of a live Workflow: its metadata, with the labels that quotas select by, and no spec."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Final, TypeAlias, TypeVar

import msgspec

from policy.core.objects import well_known
from policy.core.objects.workflow import OwnerReference, Present, Read
from policy.core.values.prepared import prepare

_Shape = TypeVar("_Shape", bound=msgspec.Struct)
_UNKNOWN: Final = "unknown"
_Field: TypeAlias = tuple[str, object] | tuple[str, object, None]
"""Name and type of a field, and that it may be absent."""


class Annotations(
    Read,
    frozen=True,
    rename={
        "tasks": well_known.TASKS,
        "priority": well_known.PRIORITY,
        "user": well_known.USER,
        "holds": well_known.HOLDS,
        "groups": well_known.GROUPS,
        "original": well_known.ORIGINAL_INSTANCE_ID,
        "retried": well_known.RETRIED,
        "cron": well_known.CRON,
        "inherits": well_known.INHERITS,
        "scheduled": well_known.SCHEDULED_TIME,
        "weighed_by": well_known.WEIGHED_BY,
        "refers_to": well_known.REFERS_TO,
        "started_by": well_known.STARTED_BY,
        "on_hold": well_known.ON_HOLD,
    },
):
    """The annotations of a Workflow that a leader reads; those after `groups` matter while it is held."""

    tasks: str = ""
    priority: str = ""
    user: str = ""
    holds: str | None = None
    groups: str | None = None
    original: str | None = None
    retried: str | None = None
    cron: str | None = None
    inherits: str | None = None
    scheduled: str | None = None
    weighed_by: str | None = None
    refers_to: str | None = None
    started_by: str | None = None
    on_hold: str | None = None


class _SetSpecFields(Read, frozen=True, rename={"shutdown": "f:shutdown"}):
    """Whether somebody has set `spec.shutdown`."""

    shutdown: Present | None = None


class _SetFields(Read, frozen=True, rename={"spec": "f:spec", "status": "f:status"}):
    """The fields that one manager owns, as FieldsV1 has them."""

    spec: _SetSpecFields | None = None
    status: Present | None = None


class _FieldManager(Read, frozen=True, rename={"fields": "fieldsV1"}):
    """An entry of `metadata.managedFields`: what one client has set, and when it changed any of that last.

    It is the only part of the metadata that shows a change of the spec: a leader reads no specs. Argo's
    minimal CRDs make the whole spec one field; then only the time shows that something in it has changed.
    """

    fields: _SetFields | None = None
    manager: str = ""
    time: str = ""

    @property
    def has_spec(self) -> bool:
        """Whether it set anything of the spec."""
        return self.fields is not None and self.fields.spec is not None

    @property
    def is_our_message(self) -> bool:
        """Whether it is what we wrote of the wait, which is all of a held Workflow that we write."""
        return (
            self.manager == well_known.FIELD_MANAGER
            and self.fields is not None
            and self.fields.spec is None
            and self.fields.status is not None
        )

    @property
    def has_shutdown(self) -> bool:
        """Whether it is known to have set `spec.shutdown`."""
        return (
            self.fields is not None and self.fields.spec is not None and self.fields.spec.shutdown is not None
        )


class IdentifiedMetadata(Read, frozen=True):
    """The metadata of a Workflow that a leader reads."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    labels: dict[str, str] | None = None
    annotations: Annotations | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: str | None = None
    owner_references: tuple[OwnerReference, ...] | None = None
    managed_fields: tuple[_FieldManager, ...] | None = None


class LiveMetadata(Read, frozen=True):
    """A Workflow as a leader reads it."""

    metadata: IdentifiedMetadata


class ReadLabels(Read, frozen=True):
    """Base of the labels of a Workflow that are read: a field for each."""


prepare(LiveMetadata)
_OWN: Final = frozenset(
    {
        well_known.RESERVATION,
        well_known.CHILD_OF,
        well_known.INSTANCE_ID,
        well_known.WORKFLOW_TEMPLATE,
        well_known.CLUSTER_WORKFLOW_TEMPLATE,
        well_known.CRON_WORKFLOW,
    }
)
"""The labels that a leader reads whatever quotas select by."""


def metadata_shape(keys: Collection[str]) -> type[LiveMetadata]:
    """Return the shape of a Workflow with these labels and our own; more would cost most of a list."""
    named = {f"label{number}": key for number, key in enumerate(sorted({*keys, *_OWN}))}
    labels = _derived(ReadLabels, [(name, str | None, None) for name in named], rename=named)
    identified = _derived(IdentifiedMetadata, [("labels", labels | None, None)])
    shape = _derived(LiveMetadata, [("metadata", identified)])
    prepare(shape)
    return shape


def _derived(
    base: type[_Shape], fields: Iterable[_Field], rename: Mapping[str, str] | None = None
) -> type[_Shape]:
    """Return a struct like another, but for some fields."""
    created = msgspec.defstruct(
        f"{base.__name__}As", fields, bases=(base,), rename=rename or "camel", frozen=True, gc=False
    )
    if not issubclass(created, base):
        raise TypeError("a struct is not of the base that it was derived from")
    return created


def end_mark(metadata: IdentifiedMetadata) -> str:
    """Return a text that is not empty where the end of a held Workflow may be requested.

    That is where it is being deleted, or its spec was changed, perhaps by a `shutdown`. Another change gives
    another text.
    """
    if metadata.deletion_timestamp is not None:
        return metadata.deletion_timestamp
    managers = [each for each in metadata.managed_fields or () if not each.is_our_message]
    of_spec = [each for each in managers if each.has_spec]
    stopped = any(each.has_shutdown for each in of_spec)
    created = metadata.creation_timestamp
    # In its first second the spec has changed if whoever created it has not set it last.
    begun = created is not None and any(_is_at(each.time, created) and not each.has_spec for each in managers)
    later = any(each.time and not _is_at(each.time, created) for each in of_spec)
    if stopped or begun or later:
        # A time is a second: who has set it tells two changes of one second apart.
        mark = ", ".join(sorted(f"{each.manager} {each.time}" for each in of_spec if each.time))
        return mark or metadata.resource_version or _UNKNOWN
    return ""


def _is_at(time: str, created: datetime | None) -> bool:
    try:
        return datetime.fromisoformat(time) == created
    except (ValueError, TypeError):
        return False


def present_labels(labels: dict[str, str] | ReadLabels | None) -> dict[str, str]:
    """Return the labels that are present, by their keys."""
    if not isinstance(labels, ReadLabels):
        return labels or {}
    pairs = zip(labels.__struct_encode_fields__, msgspec.structs.astuple(labels), strict=True)
    return {key: value for key, value in pairs if value is not None}
