"""The live Workflows as the leader's watch shows them: metadata only, folded event by event.

A Workflow is live while it does not carry `completed=true` (argo-workflows B); the watch asks for no others,
so one that completes arrives as deleted.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Final

import msgspec

from policy.cluster.protocol import EventType, Listing, WatchEvent
from policy.core import holding, marks
from policy.core.amounts import Usage
from policy.core.patches import JsonObject
from policy.core.prepared import prepare
from policy.core.selectors import Labels
from policy.core.workflow import Metadata, Read
from policy.service.families import Families

LIVE: Final = f"{marks.COMPLETED}!=true"
"""The selector of the watch; `!=` also matches objects without the label: new ones and retried ones."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


class MetadataOnly(Read, frozen=True):
    """A PartialObjectMetadata."""

    metadata: Metadata


prepare(MetadataOnly)


class Tracked(msgspec.Struct, frozen=True):
    """One live Workflow: who and where it is, what it weighs, and whether we hold it.

    `arrival` counts up in the order in which Workflows were first seen; it parts those of one second.
    `under` are the labels of the live Workflow under whose slot a child runs.
    """

    metadata: Metadata
    uid: str
    namespace: str
    name: str
    created: datetime
    arrival: int
    held: bool
    weighed: holding.Weighed
    under: Labels | None = None

    @property
    def weight(self) -> Usage:
        """What it counts for."""
        return holding.weight_of(self.weighed)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return self.metadata.labels or {}

    @property
    def parent(self) -> str:
        """The uid of the Workflow that it was admitted as a child of, or ""."""
        return self.labels.get(marks.CHILD_OF, "")

    @property
    def reservation(self) -> str:
        """The id of the reservation that its create made, or ""."""
        return self.labels.get(marks.RESERVATION, "")


class Change(msgspec.Struct, frozen=True):
    """A Workflow as it was and as it is; None where it does not live."""

    before: Tracked | None
    after: Tracked | None


class Tracker:
    """Folds a listing and the events after it into the set of live Workflows."""

    def __init__(self) -> None:
        self._live: dict[str, Tracked] = {}
        self._seen = count()
        self._departed: set[str] = set()
        self._before: dict[str, Tracked | None] = {}
        self._held: Counter[str] = Counter()
        self._count: Counter[str] = Counter()
        self._families = Families()

    def reset(self, listing: Listing) -> None:
        """Start anew from a listing; what is not in it is gone."""
        now = {each.uid: each for each in map(self._track, listing.items)}
        gone = [each for uid, each in self._live.items() if uid not in now]
        for each in gone:
            self._remove(each)
        for each in now.values():
            self._put(each)
        self._live = {uid: self._live[uid] for uid in now}  # In the order of the listing.

    def apply(self, event: WatchEvent) -> None:
        """Fold one event in."""
        if event.type is EventType.BOOKMARK:
            return
        tracked = self._track(event.object)
        if event.type is EventType.DELETED:
            self._remove(tracked)
        else:
            self._put(tracked)

    def take_changes(self) -> list[Change]:
        """Return what has changed since they were taken last, each Workflow once."""
        changes = [Change(before, self._live.get(uid)) for uid, before in self._before.items()]
        self._before = {}
        return [each for each in changes if each.before is not None or each.after is not None]

    def namespaces(self) -> Iterable[str]:
        """Return where something lives."""
        return self._count.keys()

    def holds_in(self, namespace: str) -> bool:
        """Tell whether anybody waits in a namespace."""
        return self._held[namespace] > 0

    def of(self, namespaces: Container[str]) -> list[Tracked]:
        """Return the live Workflows of some namespaces."""
        return [each for each in self._live.values() if each.namespace in namespaces]

    def _put(self, tracked: Tracked) -> None:
        self._families.put(tracked.uid, tracked.parent)
        self._store(
            msgspec.structs.replace(tracked, under=self._under(tracked)) if tracked.parent else tracked
        )
        self._tell_children(tracked.uid)

    def _under(self, child: Tracked) -> Labels | None:
        """Return the labels of the Workflow under whose slot a child runs, while that runs itself."""
        parent = self._live.get(child.parent)
        if parent is None or parent.held or parent.namespace != child.namespace:
            return None
        return holding.original_labels(parent.metadata)

    def _tell_children(self, uid: str) -> None:
        """Let children count, or not count any more, when their parent came, went or changed."""
        for each in self._families.children(uid):
            child = self._live.get(each)
            if child is not None and (under := self._under(child)) != child.under:
                self._store(msgspec.structs.replace(child, under=under))

    def _store(self, tracked: Tracked) -> None:
        before = self._live.get(tracked.uid)
        self._before.setdefault(tracked.uid, before)
        if before is not None:
            self._tally(before, -1)
        self._tally(tracked, 1)
        self._live[tracked.uid] = tracked

    def _remove(self, tracked: Tracked) -> None:
        before = self._live.pop(tracked.uid, None)
        self._before.setdefault(tracked.uid, before)
        if before is not None:
            self._tally(before, -1)
        self._departed.add(tracked.reservation)
        self._families.remove(tracked.uid)
        self._tell_children(tracked.uid)

    def _tally(self, tracked: Tracked, sign: int) -> None:
        for counter, counted in ((self._count, True), (self._held, tracked.held)):
            if counted:
                counter[tracked.namespace] += sign
                if not counter[tracked.namespace]:
                    del counter[tracked.namespace]

    @property
    def departed(self) -> frozenset[str]:
        """The reservations of Workflows that were seen and are finished or deleted, until forgotten."""
        return frozenset(self._departed)

    def forget_departed(self) -> None:
        """Forget them: the ledgers have been told."""
        self._departed.clear()

    def _track(self, obj: JsonObject) -> Tracked:
        """Return what is tracked of an object, with the place in the order in which it was first seen."""
        tracked = track(obj)
        before = self._live.get(tracked.uid)
        arrival = before.arrival if before is not None else next(self._seen)
        return msgspec.structs.replace(tracked, arrival=arrival)

    def get(self, uid: str) -> Tracked | None:
        """Return a live Workflow by its uid."""
        return self._live.get(uid)

    def by_namespace(self) -> dict[str, list[Tracked]]:
        """Return the live Workflows, grouped."""
        groups: dict[str, list[Tracked]] = {}
        for tracked in self._live.values():
            groups.setdefault(tracked.namespace, []).append(tracked)
        return groups

    def __iter__(self) -> Iterator[Tracked]:
        return iter(self._live.values())

    def __len__(self) -> int:
        return len(self._live)


def track(obj: JsonObject) -> Tracked:
    """Return what is tracked of an object."""
    metadata = msgspec.convert(obj, MetadataOnly).metadata
    return Tracked(
        metadata=metadata,
        uid=metadata.uid or "",
        namespace=metadata.namespace or "",
        name=metadata.name or "",
        created=metadata.creation_timestamp or _EPOCH,
        arrival=0,
        held=holding.is_held(metadata.labels),
        weighed=holding.weighed_of(metadata),
    )


def held(workflows: Iterable[Tracked]) -> list[Tracked]:
    """Return those that wait."""
    return [each for each in workflows if each.held]


def running(workflows: Iterable[Tracked]) -> list[Tracked]:
    """Return those that run."""
    return [each for each in workflows if not each.held]
