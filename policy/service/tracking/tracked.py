"""What the leader remembers of one live Workflow: little, because there may be a hundred thousand.

Only the metadata of an object and our marks in it are read; of its labels only those are stored that
selectors of quotas name. Texts that many have in common are stored once.
"""

from collections.abc import Collection, Hashable
from datetime import UTC, datetime
from sys import intern
from typing import Final, TypeAlias, TypeVar

import msgspec

from policy.core.objects import hold, well_known
from policy.core.objects.hold import read_group_keys
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata, OwnerReference, Read
from policy.core.values.amounts import Amount, Usage
from policy.service.tracking.live_metadata import (
    Annotations,
    LiveMetadata,
    end_mark,
    metadata_shape,
    present_labels,
)

_Shared = TypeVar("_Shared", bound=Hashable)
Pairs: TypeAlias = tuple[tuple[str, str], ...]
_MOST: Final = 10_000
"""Values that are shared at most; when there are more, those of earlier Workflows are forgotten."""
_UUID_LENGTH: Final = 36
_ARRIVAL_BITS: Final = 40
_ARRIVALS: Final = (1 << _ARRIVAL_BITS) - 1


_TEMPLATE_LABELS: Final = (
    ("WorkflowTemplate", well_known.WORKFLOW_TEMPLATE),
    ("ClusterWorkflowTemplate", well_known.CLUSTER_WORKFLOW_TEMPLATE),
    ("CronWorkflow", well_known.CRON_WORKFLOW),
)
_NO_MARKS: Final = Annotations()
_WHILE_HELD: Final = Annotations.__struct_encode_fields__[5:]
"""The annotations that matter while a Workflow is held: those after `groups`."""


class Hold(Read, frozen=True, gc=False):
    """What matters of a held Workflow: its version, marks and owners, one of which may be a CronWorkflow.

    `end_mark` is not empty where its end may be requested (`live_metadata.end_mark`).
    """

    version: str | None
    marks: Annotations = _NO_MARKS
    owners: tuple[OwnerReference, ...] | None = None
    end_mark: str = ""

    def annotations(self) -> dict[str, str]:
        """Return its marks that matter while it is held, as annotations."""
        values = msgspec.structs.astuple(self.marks)[-len(_WHILE_HELD) :]
        return {key: value for key, value in zip(_WHILE_HELD, values, strict=True) if value is not None}


class MarkedUsage(msgspec.Struct, frozen=True):
    """The usage that the marks of a Workflow give; many have the same.

    One that is not `admitted` has none: no quota was evaluated for it.
    """

    tasks: Amount
    priority: int
    admitted: bool


class Child(msgspec.Struct, frozen=True, gc=False):
    """The uid of the `parent` that a Workflow was admitted as a child of.

    `root_labels` are the stored labels of the root Workflow while the child runs under its slot.
    """

    parent: str
    root_labels: Pairs | None = None


class Traits(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """What many live Workflows have in common, so that it is stored once for all of them.

    `label_pairs` are the labels that selectors may name, as they are without our hold. `refers_to` is kind
    and name of the template or of the CronWorkflow that a Workflow is a run of, as far as its metadata tell.
    """

    label_pairs: Pairs
    usage_marks: MarkedUsage
    holds: str | None
    child: Child | None = None
    refers_to: str = ""


class Tracked(msgspec.Struct, frozen=True, gc=False):
    """One live Workflow: its name, what it counts for, and whether it is held.

    `order` is the second of its creation and its place in the order of arrival, in one number. `known_as` is
    its name, of one that runs in bytes: a field costs 8 bytes of each, and a text 16 more than bytes.
    """

    uid: str
    namespace: str
    known_as: str | bytes
    order: int
    traits: Traits
    user: str
    hold: Hold | None
    reserved: str | int

    @property
    def name(self) -> str:
        """Its name."""
        known_as = self.known_as
        return known_as if isinstance(known_as, str) else known_as.decode()

    @property
    def label_pairs(self) -> Pairs:
        """The labels that selectors may name, as they are without our hold."""
        return self.traits.label_pairs

    @property
    def usage_marks(self) -> MarkedUsage:
        """The usage that its marks give."""
        return self.traits.usage_marks

    @property
    def holds(self) -> str | None:
        """How often it was held, by its mark."""
        return self.traits.holds

    @property
    def child(self) -> Child | None:
        """Whose child it was admitted as, if any."""
        return self.traits.child

    @property
    def refers_to(self) -> str:
        """Kind and name of what it is a run of, or ""."""
        return self.traits.refers_to

    @property
    def parent(self) -> str:
        """The uid of the Workflow that it was admitted as a child of, or ""."""
        return "" if self.child is None else self.child.parent

    @property
    def held(self) -> bool:
        """Whether it waits for its release."""
        return self.hold is not None

    @property
    def ending(self) -> bool:
        """Whether it is held and its end may have been requested."""
        return self.hold is not None and bool(self.hold.end_mark)

    @property
    def admitted(self) -> bool:
        """Whether a quota was evaluated for it: it has the mark of its tasks."""
        return self.usage_marks.admitted

    @property
    def created(self) -> datetime:
        """When it was created."""
        return datetime.fromtimestamp(self.order >> _ARRIVAL_BITS, UTC)

    @property
    def arrival(self) -> int:
        """Its place in the order of arrival, which distinguishes those of one second."""
        return self.order & _ARRIVALS

    @property
    def weighed_by(self) -> str:
        """The template that alone gives the number of its tasks, while it is held; or ""."""
        return "" if self.hold is None else self.hold.marks.weighed_by or ""

    @property
    def on_hold(self) -> bool:
        """Whether it waits because its user has paused it."""
        return self.hold is not None and self.hold.marks.on_hold == "true"

    @property
    def weight(self) -> Usage:
        """What it counts for."""
        return Usage.of(self.usage_marks.tasks)

    @property
    def labels(self) -> dict[str, str]:
        """The labels that selectors may name, without our hold."""
        return dict(self.label_pairs)

    @property
    def root_labels(self) -> dict[str, str] | None:
        """The labels of the root Workflow under whose slot it runs, None where it has its own."""
        pairs = None if self.child is None else self.child.root_labels
        return None if pairs is None else dict(pairs)

    @property
    def release(self) -> str:
        """The id of its release (protocol rule 8)."""
        return f"{self.uid}.{self.holds or '1'}"

    @property
    def reservation(self) -> str:
        """The id of the reservation that its create made, or ""."""
        return _unpacked(self.reserved)

    @property
    def metadata(self) -> Metadata:
        """Its metadata, as far as they are remembered."""
        labels, annotations = self.labels, {}
        if self.holds is not None:
            annotations[well_known.HOLDS] = self.holds
        if self.hold is not None:
            labels[well_known.INSTANCE_ID] = well_known.HOLD_VALUE
            annotations |= self.hold.annotations()
        return Metadata(
            name=self.name,
            namespace=self.namespace,
            uid=self.uid,
            resource_version=None if self.hold is None else self.hold.version,
            labels=labels,
            annotations=annotations,
            creation_timestamp=self.created,
            owner_references=None if self.hold is None else self.hold.owners,
        )


class Reader:
    """Returns what is remembered of what is read. `keys` are the labels to store; None stores all.

    `shape` is what it needs to decode, and no more.
    """

    def __init__(self, keys: Collection[str] | None = None) -> None:
        self.shape = LiveMetadata if keys is None else metadata_shape(keys)
        self._keys = None if keys is None else tuple(sorted(keys))
        self._usage_marks: dict[tuple[str, str], MarkedUsage] = {}
        self._traits: dict[Traits, Traits] = {}
        self._held_marks: dict[Annotations, Annotations] = {}

    def read(self, found: LiveMetadata, arrival: int, before: Tracked | None = None) -> Tracked:
        """Return a Workflow; `arrival` is its place in the order of arrival, `before` what it was."""
        metadata = found.metadata
        labels, marks = present_labels(metadata.labels), metadata.annotations or _NO_MARKS
        reservation, parent = labels.get(well_known.RESERVATION, ""), labels.get(well_known.CHILD_OF, "")
        created = metadata.creation_timestamp
        child = Child(intern(parent)) if parent else None
        hold = None
        if labels.get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE:
            original = None if marks.original == well_known.HOLD_VALUE else marks.original
            held = self._marks_while_held(marks)
            hold = Hold(metadata.resource_version, held, metadata.owner_references, end_mark(metadata))
            labels = {key: value for key, value in labels.items() if key != well_known.INSTANCE_ID}
            if original is not None:
                labels[well_known.INSTANCE_ID] = original
        if marks.refers_to is not None or marks.started_by is not None:
            labels = {**labels, **_references(marks)}
        if marks.groups is not None:
            labels = {**labels, **read_group_keys(marks.groups)}
        traits = Traits(
            label_pairs=self._stored_labels(labels),
            usage_marks=self._marked_usage(marks),
            holds=None if marks.holds is None else intern(marks.holds),
            child=before.child if before is not None and before.parent == parent else child,
            refers_to=_refers_to(marks, labels),
        )
        name = (metadata.name or "") if before is None else before.name
        return Tracked(
            uid=(metadata.uid or "") if before is None else before.uid,
            namespace=intern(metadata.namespace or ""),
            known_as=name.encode() if hold is None else name,
            order=order_of(created, arrival),
            traits=_once(self._traits, traits),
            user=intern(marks.user),
            hold=hold,
            reserved=_packed(reservation),
        )

    def _stored_labels(self, labels: dict[str, str]) -> Pairs:
        keys = self._keys
        pairs = labels.items() if keys is None else [each for each in labels.items() if each[0] in keys]
        return tuple(sorted(pairs))

    def _marks_while_held(self, marks: Annotations) -> Annotations:
        """Return the marks without those that are stored beside them; few Workflows have any others."""
        others = msgspec.structs.replace(marks, tasks="", priority="", user="", holds=None, groups=None)
        return _NO_MARKS if others == _NO_MARKS else _once(self._held_marks, others)

    def _marked_usage(self, marks: Annotations) -> MarkedUsage:
        key = (marks.tasks, marks.priority)
        known = self._usage_marks.get(key)
        if known is None:
            if len(self._usage_marks) >= _MOST:
                self._usage_marks.clear()
            read = hold.parse_quota_marks(*key, "")
            known = self._usage_marks[key] = MarkedUsage(read.tasks, read.priority, marks.tasks != "")
        return known


def _refers_to(marks: Annotations, labels: dict[str, str]) -> str:
    """Return the template that a Workflow is a run of, else the CronWorkflow, by our marks or its labels."""
    if marks.refers_to:
        return intern(marks.refers_to)
    for kind, label in _TEMPLATE_LABELS:
        if name := labels.get(label):
            return intern(f"{kind}/{name}")
    return ""


def _references(marks: Annotations) -> dict[str, str]:
    """Return what a Workflow refers to as the labels that selectors match (`hold.original_labels`)."""
    found = {well_known.REFERS_TO: marks.refers_to, well_known.STARTED_BY: marks.started_by}
    return {key: value for key, value in found.items() if value is not None}


def order_of(created: datetime | None, arrival: int) -> int:
    """Return the time of a creation and the place in the order of arrival as one number."""
    return (0 if created is None else int(created.timestamp())) << _ARRIVAL_BITS | arrival


def track(obj: JsonObject) -> Tracked:
    """Return what is tracked of an object, with all of its labels."""
    return Reader().read(msgspec.convert(obj, LiveMetadata), 0)


def _once(known: dict[_Shared, _Shared], value: _Shared) -> _Shared:
    """Return the equal value that was there first."""
    if len(known) >= _MOST:
        known.clear()
    return known.setdefault(value, value)


def _packed(text: str) -> str | int:
    """Return a uid as a number, which takes half of the memory; any other text as it is."""
    if len(text) == _UUID_LENGTH:
        try:
            number = int(text.replace("-", ""), 16)
        except ValueError:
            return text
        if _unpacked(number) == text:
            return number
    return text


def _unpacked(packed: str | int) -> str:
    if isinstance(packed, str):
        return packed
    digits = f"{packed:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
