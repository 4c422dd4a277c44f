"""The live Workflows as the leader's watch shows them: metadata only, folded event by event.

A Workflow is live while it does not carry `completed=true` (argo-workflows B); the watch asks for no others,
so one that completes arrives as deleted.
"""

from collections.abc import Callable, Collection, Container, Iterable, Iterator
from itertools import count
from typing import Final, TypeAlias

import msgspec

from policy.cluster.protocol import EventType, Listing, Unread, WatchEvent
from policy.core.admission.child_exemption import fit_under_root
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.service.tracking.tracked import Kin, LiveMetadata, Pairs, Reader, Tracked

LIVE: Final = f"{well_known.COMPLETED}!=true"
"""The selector of the watch; `!=` also matches objects without the label: new ones and retried ones."""
_Found: TypeAlias = LiveMetadata | JsonObject | Unread | None


_Runs: TypeAlias = Callable[[str], bool]
"""Tells of a uid whether that Workflow has a slot for others: it lives, and does not wait."""


class WorkflowChange(msgspec.Struct, frozen=True, gc=False):
    """A Workflow as it was and as it is; None where it does not live."""

    before: Tracked | None
    after: Tracked | None


class Families:
    """Which live Workflow was admitted as the child of which, and so who stands in the line of whom; by uid.

    A line may have several levels: who lost his root has children of his own, and finds himself below that
    root again when it is retried.
    """

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._children: dict[str, set[str]] = {}

    def put(self, uid: str, parent: str) -> None:
        """Take note of whose child a Workflow is; "" is nobody's."""
        if self._parents.get(uid, "") == parent:
            return
        self.remove(uid)
        if parent:
            self._parents[uid] = parent
            self._children.setdefault(parent, set()).add(uid)

    def remove(self, uid: str) -> None:
        """Forget a Workflow as a child."""
        parent = self._parents.pop(uid, "")
        if parent:
            self._children[parent].discard(uid)
            if not self._children[parent]:
                del self._children[parent]

    def parent(self, uid: str) -> str:
        """Return whose child a Workflow is, or ""."""
        return self._parents.get(uid, "")

    def children(self, uid: str) -> tuple[str, ...]:
        """Return the children of a Workflow."""
        return tuple(self._children.get(uid, ()))

    def members(self) -> Iterable[str]:
        """Return all who are children."""
        return tuple(self._parents)

    def root(self, uid: str, runs: _Runs) -> str | None:
        """Return the root of the line that a Workflow stands in; None where they go in a circle.

        Only somebody who writes our marks by bypassing admission could make a circle.
        """
        seen = {uid}
        while runs(above := self.parent(uid)):
            if above in seen:
                return None
            seen.add(above)
            uid = above
        return uid

    def line(self, root: str, runs: _Runs) -> Iterator[str]:
        """Yield all below a Workflow, each once: children of those that run, and their children."""
        seen, rest = {root}, [root]
        while rest:
            uid = rest.pop()
            if not runs(uid):
                continue
            for each in self.children(uid):
                if each not in seen:
                    seen.add(each)
                    rest.append(each)
                    yield each


class Tracker:
    """Folds a listing and the events after it into the set of live Workflows.

    Labels are kept as far as somebody asks for them (`keep`). Where that is more than was kept, the tracker
    is `outdated` until it is reset from a new listing.
    """

    def __init__(self) -> None:
        self._keys: frozenset[str] = frozenset()
        self._reader = Reader(())
        self.outdated = False
        self._live: dict[str, Tracked] = {}
        self._seen = count()
        self._departed: dict[str, str] = {}
        self._before: dict[str, Tracked | None] = {}
        self._held: dict[str, int] = {}
        self._count: dict[str, int] = {}
        self._families = Families()

    @property
    def shape(self) -> type[LiveMetadata]:
        """What is to be read of a Workflow for the labels that are kept."""
        return self._reader.shape

    def keep(self, keys: Collection[str]) -> None:
        """Keep these labels of every Workflow, and no others."""
        wanted = frozenset(keys)
        if wanted != self._keys:
            self.outdated = self.outdated or not wanted <= self._keys
            self._keys = wanted
            self._reader = Reader(wanted)

    def keeps(self, keys: Collection[str]) -> bool:
        """Tell whether these labels are known of every Workflow."""
        return not self.outdated and self._keys.issuperset(keys)

    def reset(self, listing: Listing[JsonObject | LiveMetadata | Unread]) -> None:
        """Start anew from a listing; what is not in it is gone."""
        found = (self._track(each) for each in listing.items)
        now = {each.uid: each for each in found if each is not None}
        self.outdated = False
        gone = [each for uid, each in self._live.items() if uid not in now]
        for each in gone:
            self._remove(each)
        for each in now.values():
            self._families.put(each.uid, each.parent)
            self._store(each)
        self._settle(self._families.members())
        self._live = {uid: self._live[uid] for uid in now}  # In the order of the listing.

    def apply(self, event: WatchEvent[JsonObject | LiveMetadata | Unread]) -> None:
        """Fold one event in."""
        tracked = None if event.type is EventType.BOOKMARK else self._track(event.object)
        if tracked is None:
            return
        if event.type is EventType.DELETED:
            self._remove(tracked)
        else:
            self._put(tracked)

    def take_changes(self) -> list[WorkflowChange]:
        """Return what has changed since they were taken last, each Workflow once."""
        changes = [WorkflowChange(before, self._live.get(uid)) for uid, before in self._before.items()]
        self._before = {}
        return [each for each in changes if each.before is not None or each.after is not None]

    def namespaces(self) -> Iterable[str]:
        """Return where something lives."""
        return self._count.keys()

    def holds_in(self, namespace: str) -> bool:
        """Tell whether anybody waits in a namespace."""
        return namespace in self._held

    def of(self, namespaces: Container[str]) -> list[Tracked]:
        """Return the live Workflows of some namespaces."""
        return [each for each in self._live.values() if each.namespace in namespaces]

    def _put(self, tracked: Tracked) -> None:
        before, below = self._families.parent(tracked.uid), self._families.children(tracked.uid)
        self._store(tracked)
        if before or below or tracked.parent:
            self._families.put(tracked.uid, tracked.parent)
            self._settle((tracked.uid, before, *below))

    def _settle(self, uids: Iterable[str]) -> None:
        """Let children count, or not count any more, where somebody of their line came, went or changed."""
        done = set()
        for uid in uids:
            root = self._families.root(uid, self._runs) if uid in self._live else uid
            top = self._live.get(root or uid)
            if top is not None and top.uid not in done:
                done.add(top.uid)
                self._share_out(top, shared=root is not None and top.admitted)

    def _share_out(self, top: Tracked, *, shared: bool) -> None:
        """Put those under the slot of a root who fit; nobody, where it is not `shared`.

        Who is there already comes first, or he would have to count without a slot of his own. Then who runs
        comes before who waits, so that nobody loses his place to one who was held.
        """
        self._move(top, None)
        line = [self._live[each] for each in self._families.line(top.uid, self._runs) if each in self._live]
        ours = [each for each in line if shared and each.admitted and each.namespace == top.namespace]
        ours.sort(key=lambda each: (each.above is None, each.held, each.came, each.uid))
        fits = fit_under_root(top.mark.tasks, (each.mark.tasks for each in ours))
        under = {each.uid for each, fit in zip(ours, fits, strict=True) if fit}
        for each in line:
            self._move(each, top.kept if each.uid in under else None)

    def _move(self, tracked: Tracked, above: Pairs | None) -> None:
        """Put a Workflow under one with these labels, or on its own."""
        if tracked.above != above:
            self._store(msgspec.structs.replace(tracked, kin=Kin(tracked.parent, above)))

    def _runs(self, uid: str) -> bool:
        found = self._live.get(uid)
        return found is not None and not found.held

    def _store(self, tracked: Tracked) -> None:
        before = self._live.get(tracked.uid)
        self._before.setdefault(tracked.uid, before)
        if before is None:
            self._tally(tracked, 1)
        elif (before.namespace, before.held) != (tracked.namespace, tracked.held):
            self._tally(before, -1)
            self._tally(tracked, 1)
        self._live[tracked.uid] = tracked

    def _remove(self, tracked: Tracked) -> None:
        before = self._live.pop(tracked.uid, None)
        self._before.setdefault(tracked.uid, before)
        if before is not None:
            self._tally(before, -1)
        self._departed[tracked.reservation] = tracked.namespace
        above, below = self._families.parent(tracked.uid), self._families.children(tracked.uid)
        if above or below:
            self._families.remove(tracked.uid)
            self._settle((above, *below))

    def _tally(self, tracked: Tracked, sign: int) -> None:
        _add(self._count, tracked.namespace, sign)
        if tracked.hold is not None:
            _add(self._held, tracked.namespace, sign)

    @property
    def departed(self) -> frozenset[str]:
        """The reservations of Workflows that were seen and are finished or deleted, until forgotten."""
        return frozenset(self._departed)

    def departures(self) -> frozenset[str]:
        """Return where those were; nobody else tells of one that came and went between two passes."""
        return frozenset(namespace for each, namespace in self._departed.items() if each)

    def forget_departed(self) -> None:
        """Forget them: the ledgers know by now."""
        self._departed.clear()

    def _track(self, found: _Found) -> Tracked | None:
        """Return what is tracked of an object, with the place in the order in which it was first seen.

        None for what cannot be read: the API server keeps no such metadata.
        """
        if found is None or isinstance(found, Unread):
            return None
        read = found if isinstance(found, LiveMetadata) else msgspec.convert(found, LiveMetadata)
        before = self._live.get(read.metadata.uid or "")
        arrival = before.arrival if before is not None else next(self._seen)
        return self._reader.read(read, arrival, before)

    def get(self, uid: str) -> Tracked | None:
        """Return a live Workflow by its uid."""
        return self._live.get(uid)

    def __iter__(self) -> Iterator[Tracked]:
        return iter(self._live.values())

    def __len__(self) -> int:
        return len(self._live)


def _add(counted: dict[str, int], namespace: str, sign: int) -> None:
    left = counted.get(namespace, 0) + sign
    if left:
        counted[namespace] = left
    else:
        del counted[namespace]
