"""One live Workflow as the leader remembers it: little, because there may be a hundred thousand.

What is read of an object is what its metadata and our marks say; of its labels only those are kept that
selectors of quotas ask for. Texts that many have in common are kept once.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping
from datetime import UTC, datetime
from sys import intern
from typing import Final, TypeAlias, TypeVar

import msgspec

from policy.core.objects import hold, well_known
from policy.core.objects.hold import QuotaMarks
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata, OwnerReference, Read
from policy.core.values.amounts import Amount, Usage
from policy.core.values.prepared import prepare

_Shared = TypeVar("_Shared", bound=Hashable)
_Shape = TypeVar("_Shape", bound=msgspec.Struct)
_Field: TypeAlias = tuple[str, object] | tuple[str, object, None]
"""Name and type of a field, and that it may be absent."""
Pairs: TypeAlias = tuple[tuple[str, str], ...]
_MOST: Final = 10_000
"""Values that are shared at most; should there be more, those of earlier Workflows are not looked for."""
_UUID_LENGTH: Final = 36
_ARRIVAL_BITS: Final = 40
_ARRIVALS: Final = (1 << _ARRIVAL_BITS) - 1


class Annotations(
    Read,
    frozen=True,
    rename={
        "tasks": well_known.TASKS,
        "priority": well_known.PRIORITY,
        "user": well_known.USER,
        "holds": well_known.HOLDS,
        "original": well_known.ORIGINAL_INSTANCE_ID,
        "retried": well_known.RETRIED,
        "cron": well_known.CRON,
        "inherits": well_known.INHERITS,
        "scheduled": well_known.SCHEDULED_TIME,
        "weighed_by": well_known.WEIGHED_BY,
    },
):
    """The annotations of a Workflow that a leader goes by; those after `holds` matter while it waits."""

    tasks: str = ""
    priority: str = ""
    user: str = ""
    holds: str | None = None
    original: str | None = None
    retried: str | None = None
    cron: str | None = None
    inherits: str | None = None
    scheduled: str | None = None
    weighed_by: str | None = None


class _Identified(Read, frozen=True):
    """The metadata of a Workflow that a leader goes by."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    labels: dict[str, str] | None = None
    annotations: Annotations | None = None
    creation_timestamp: datetime | None = None
    owner_references: tuple[OwnerReference, ...] | None = None


class LiveMetadata(Read, frozen=True):
    """A Workflow as a leader reads it."""

    metadata: _Identified


class _Labels(Read, frozen=True):
    """Base of the labels of a Workflow as far as somebody asks for them: a field for each."""

    def given(self) -> dict[str, str]:
        """Return those that it has, by their keys."""
        keys = self.__struct_encode_fields__
        values = msgspec.structs.astuple(self)
        return {key: value for key, value in zip(keys, values, strict=True) if value is not None}


prepare(LiveMetadata)
_OWN: Final = frozenset({well_known.RESERVATION, well_known.CHILD_OF, well_known.INSTANCE_ID})
"""The labels that a leader goes by whatever quotas ask for."""


def _live_metadata(keys: Collection[str]) -> type[LiveMetadata]:
    """Return the shape of a Workflow with these labels and our own; more would cost most of a list."""
    named = {f"label{number}": key for number, key in enumerate(sorted({*keys, *_OWN}))}
    labels = _derived(_Labels, [(name, str | None, None) for name in named], rename=named)
    identified = _derived(_Identified, [("labels", labels | None, None)])
    shape = _derived(LiveMetadata, [("metadata", identified)])
    prepare(shape)
    return shape


def _derived(
    base: type[_Shape], fields: Iterable[_Field], rename: Mapping[str, str] | None = None
) -> type[_Shape]:
    """Return a struct like another, but for some fields."""
    made = msgspec.defstruct(
        f"{base.__name__}As", fields, bases=(base,), rename=rename or "camel", frozen=True, gc=False
    )
    if not issubclass(made, base):
        raise TypeError("a struct is not of the base that it was made of")
    return made


_NO_MARKS: Final = Annotations()


class Hold(Read, frozen=True):
    """What matters of one that is held: its version, its marks, and its owners, which may be a schedule."""

    version: str | None
    said: Annotations = _NO_MARKS
    owners: tuple[OwnerReference, ...] | None = None

    def annotations(self) -> dict[str, str]:
        """Return its marks that matter while it waits, as annotations."""
        said = {
            well_known.ORIGINAL_INSTANCE_ID: self.said.original,
            well_known.RETRIED: self.said.retried,
            well_known.CRON: self.said.cron,
            well_known.INHERITS: self.said.inherits,
            well_known.SCHEDULED_TIME: self.said.scheduled,
            well_known.WEIGHED_BY: self.said.weighed_by,
        }
        return {key: value for key, value in said.items() if value is not None}


class MarkedWeight(msgspec.Struct, frozen=True):
    """What the marks of a Workflow weigh, whoever the user is; many have the same.

    One that is not `admitted` has none: no quota was asked about it.
    """

    tasks: Amount
    priority: int
    admitted: bool


class Kin(msgspec.Struct, frozen=True, gc=False):
    """The uid of the one that a Workflow was admitted as a child of.

    `above` are the kept labels of that while the child runs under its slot.
    """

    parent: str
    above: Pairs | None = None


class Tracked(msgspec.Struct, frozen=True, gc=False):
    """One live Workflow: who and where it is, what it weighs, and whether we hold it.

    `came` is the second of its creation and its place among all that were seen, in one number. `kept` are the
    labels that selectors may ask for, as they are apart from our hold. Few are children, so what only those
    have stands apart: a field costs 8 bytes of each.
    """

    uid: str
    namespace: str
    name: str
    came: int
    kept: Pairs
    mark: MarkedWeight
    user: str
    holds: str | None
    hold: Hold | None
    reserved: str | int
    kin: Kin | None = None

    @property
    def parent(self) -> str:
        """The uid of the one that it was admitted as a child of, or ""."""
        return "" if self.kin is None else self.kin.parent

    @property
    def above(self) -> Pairs | None:
        """The kept labels of its parent while it runs under its slot."""
        return None if self.kin is None else self.kin.above

    @property
    def held(self) -> bool:
        """Whether it waits for us."""
        return self.hold is not None

    @property
    def admitted(self) -> bool:
        """Whether a quota was asked about it: it has the mark of its weight."""
        return self.mark.admitted

    @property
    def created(self) -> datetime:
        """When it was created."""
        return datetime.fromtimestamp(self.came >> _ARRIVAL_BITS, UTC)

    @property
    def arrival(self) -> int:
        """Its place in the order in which Workflows were first seen, which parts those of one second."""
        return self.came & _ARRIVALS

    @property
    def weighed_by(self) -> str:
        """The template that says how many tasks it runs, while it waits and none says so but that; or ""."""
        return "" if self.hold is None else self.hold.said.weighed_by or ""

    @property
    def weighed(self) -> QuotaMarks:
        """What admission found: the marks that weigh it."""
        return QuotaMarks(self.mark.tasks, self.mark.priority, self.user)

    @property
    def weight(self) -> Usage:
        """What it counts for."""
        return Usage.of(self.mark.tasks)

    @property
    def labels(self) -> dict[str, str]:
        """The labels that selectors may ask for, apart from our hold."""
        return dict(self.kept)

    @property
    def under(self) -> dict[str, str] | None:
        """The labels of the live Workflow under whose slot a child runs."""
        return None if self.above is None else dict(self.above)

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
        """Its metadata, as far as it is remembered."""
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
    """Makes what is remembered of what is read. `keys` are the labels to keep; None keeps all.

    `shape` is what it needs to read, and no more.
    """

    def __init__(self, keys: Collection[str] | None = None) -> None:
        self.shape = LiveMetadata if keys is None else _live_metadata(keys)
        self._keys = None if keys is None else tuple(sorted(keys))
        self._marked: dict[tuple[str, str], MarkedWeight] = {}
        self._kept: dict[Pairs, Pairs] = {}

    def read(self, found: LiveMetadata, arrival: int, before: Tracked | None = None) -> Tracked:
        """Return a Workflow; `arrival` is its place in the order in which they came, `before` what it was."""
        metadata = found.metadata
        labels, said = _given(metadata.labels), metadata.annotations or _NO_MARKS
        reservation, parent = labels.get(well_known.RESERVATION, ""), labels.get(well_known.CHILD_OF, "")
        created = metadata.creation_timestamp
        kin = Kin(intern(parent)) if parent else None
        hold = None
        if labels.get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE:
            original = None if said.original == well_known.HOLD_VALUE else said.original
            hold = Hold(metadata.resource_version, said, metadata.owner_references)
            labels = {key: value for key, value in labels.items() if key != well_known.INSTANCE_ID}
            if original is not None:
                labels[well_known.INSTANCE_ID] = original
        return Tracked(
            uid=(metadata.uid or "") if before is None else before.uid,
            namespace=intern(metadata.namespace or ""),
            name=(metadata.name or "") if before is None else before.name,
            came=moment(created, arrival),
            kept=self._labels(labels),
            mark=self._mark(said),
            user=intern(said.user),
            holds=None if said.holds is None else intern(said.holds),
            hold=hold,
            reserved=_packed(reservation),
            kin=before.kin if before is not None and before.parent == parent else kin,
        )

    def _labels(self, labels: dict[str, str]) -> Pairs:
        pairs = (
            labels.items()
            if self._keys is None
            else [each for each in labels.items() if each[0] in self._keys]
        )
        return _once(self._kept, tuple(sorted(pairs))) if pairs else ()

    def _mark(self, said: Annotations) -> MarkedWeight:
        key = (said.tasks, said.priority)
        known = self._marked.get(key)
        if known is None:
            if len(self._marked) >= _MOST:
                self._marked.clear()
            weighed = hold.parse_quota_marks(*key, "")
            known = self._marked[key] = MarkedWeight(weighed.tasks, weighed.priority, said.tasks != "")
        return known


def _given(labels: dict[str, str] | _Labels | None) -> dict[str, str]:
    return labels.given() if isinstance(labels, _Labels) else labels or {}


def moment(created: datetime | None, arrival: int) -> int:
    """Return what is remembered of when a Workflow came."""
    return (0 if created is None else int(created.timestamp())) << _ARRIVAL_BITS | arrival


def track(obj: JsonObject) -> Tracked:
    """Return what is tracked of an object, with all of its labels."""
    return Reader().read(msgspec.convert(obj, LiveMetadata), 0)


def _once(known: dict[_Shared, _Shared], value: _Shared) -> _Shared:
    """Return the value that is equal and was there first."""
    if len(known) >= _MOST:
        known.clear()
    return known.setdefault(value, value)


def _packed(text: str) -> str | int:
    """Return a uid as a number, which takes half of the room; any other text as it is."""
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
