"""Which Workflows are live, and which run under the slot of another: folded from the watch, event by event.

A Workflow is live until it has the label `completed=true` (argo-workflows B); the watch selects no others, so
one that completes arrives as deleted.
"""

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from itertools import count
from typing import Final, TypeAlias

import msgspec

from policy.cluster.protocol import EventType, Listing, Unread, WatchEvent
from policy.core.admission.child_exemption import fit_under_root
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.service.tracking.live_metadata import LiveMetadata
from policy.service.tracking.tracked import Child, Pairs, Reader, Tracked

LIVE: Final = f"{well_known.COMPLETED}!=true"
"""The selector of the watch; `!=` also matches objects without the label: new ones and retried ones."""
_Found: TypeAlias = LiveMetadata | JsonObject | Unread | None
_Runs: TypeAlias = Callable[[str], bool]
"""Returns whether the Workflow of a uid has a slot for others: it is live and not held."""


class WorkflowChange(msgspec.Struct, frozen=True, gc=False):
    """A Workflow as it was and as it is; None where it is not live."""

    before: Tracked | None
    after: Tracked | None


class ChildTree:
    """Which live Workflow was admitted as the child of which, by uid.

    There may be several levels: a child that lost its root has children of its own, and is below that root
    again when it is retried. Children are in the order of their arrival, whatever their uids hash to.
    """

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._children: dict[str, dict[str, None]] = {}

    def put(self, uid: str, parent: str) -> None:
        """Record the parent of a Workflow; "" is none."""
        if self._parents.get(uid, "") == parent:
            return
        self.remove(uid)
        if parent:
            self._parents[uid] = parent
            self._children.setdefault(parent, {})[uid] = None

    def remove(self, uid: str) -> None:
        """Forget a Workflow as a child."""
        parent = self._parents.pop(uid, "")
        if parent:
            del self._children[parent][uid]
            if not self._children[parent]:
                del self._children[parent]

    def parent(self, uid: str) -> str:
        """Return the parent of a Workflow, or ""."""
        return self._parents.get(uid, "")

    def children(self, uid: str) -> tuple[str, ...]:
        """Return the children of a Workflow."""
        return tuple(self._children.get(uid, ()))

    def members(self) -> Iterable[str]:
        """Return all that are children."""
        return tuple(self._parents)

    def root(self, uid: str, runs: _Runs) -> str | None:
        """Return the root that a Workflow is below; None where its ancestors form a circle.

        Only a user that writes our marks by bypassing admission could make a circle.
        """
        seen = {uid}
        while runs(above := self.parent(uid)):
            if above in seen:
                return None
            seen.add(above)
            uid = above
        return uid

    def descendants(self, root: str, runs: _Runs) -> Iterator[str]:
        """Yield all below a Workflow that runs, each once; of one that does not run, nothing below it."""
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

    Only the labels of `keep_labels` are stored. When these become more, the tracker is `outdated` until it
    is reset from a new listing.
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
        self._ending: dict[str, None] = {}
        self._count: dict[str, int] = {}
        self._tree = ChildTree()

    @property
    def shape(self) -> type[LiveMetadata]:
        """What is to be read of a Workflow for the labels that are stored."""
        return self._reader.shape

    def keep_labels(self, keys: Collection[str]) -> None:
        """Store these labels of every Workflow, and no others."""
        wanted = frozenset(keys)
        if wanted != self._keys:
            self.outdated = self.outdated or not wanted <= self._keys
            self._keys = wanted
            self._reader = Reader(wanted)

    def has_labels(self, keys: Collection[str]) -> bool:
        """Return whether these labels are known of every Workflow."""
        return not self.outdated and self._keys.issuperset(keys)

    def reset(self, listing: Listing[JsonObject | LiveMetadata | Unread]) -> None:
        """Start again from a listing; what is not in it is not live any more."""
        found = (self._track(each) for each in listing.items)
        now = {each.uid: each for each in found if each is not None}
        self.outdated = False
        gone = [each for uid, each in self._live.items() if uid not in now]
        for each in gone:
            self._remove(each)
        for each in now.values():
            self._tree.put(each.uid, each.parent)
            self._store(each)
        self._reassign_slots(self._tree.members())
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
        """Return what has changed since the last call, each Workflow once."""
        changes = [WorkflowChange(before, self._live.get(uid)) for uid, before in self._before.items()]
        self._before = {}
        return [each for each in changes if each.before is not None or each.after is not None]

    def namespaces(self) -> Iterable[str]:
        """Return the namespaces of live Workflows."""
        return self._count.keys()

    def holds_in(self, namespace: str) -> bool:
        """Return whether any Workflow of a namespace is held."""
        return namespace in self._held

    def ending(self) -> tuple[Tracked, ...]:
        """Return the held Workflows whose end may have been requested."""
        return tuple(self._live[uid] for uid in self._ending)

    def ended(self, tracked: Tracked) -> None:
        """Forget one that we have ended; the watch may show it once more as it was."""
        self._remove(tracked)

    def in_namespaces(self, namespaces: Container[str]) -> list[Tracked]:
        """Return the live Workflows of some namespaces."""
        return [each for each in self._live.values() if each.namespace in namespaces]

    def _put(self, tracked: Tracked) -> None:
        before, below = self._tree.parent(tracked.uid), self._tree.children(tracked.uid)
        self._store(tracked)
        if before or below or tracked.parent:
            self._tree.put(tracked.uid, tracked.parent)
            self._reassign_slots((tracked.uid, before, *below))

    def _reassign_slots(self, uids: Iterable[str]) -> None:
        """Assign the slots of the roots above these Workflows again: one of their descendants has changed."""
        done = set()
        for uid in uids:
            root = self._tree.root(uid, self._runs) if uid in self._live else uid
            top = self._live.get(root or uid)
            if top is not None and top.uid not in done:
                done.add(top.uid)
                self._assign_slots(top, shared=root is not None and top.admitted)

    def _assign_slots(self, top: Tracked, *, shared: bool) -> None:
        """Put the descendants that fit under the slot of a root; none, where it is not `shared`.

        Those that are under the root already are first, or they would count without a slot of their own. Then
        those that run, so that none loses its place to one that is held.
        """
        self._move(top, None)
        below = self._tree.descendants(top.uid, self._runs)
        descendants = [self._live[each] for each in below if each in self._live]
        ours = [each for each in descendants if shared and each.admitted and each.namespace == top.namespace]
        ours.sort(key=lambda each: (each.root_labels is None, each.held, each.order, each.uid))
        fits = fit_under_root(top.usage_marks.tasks, (each.usage_marks.tasks for each in ours))
        under = {each.uid for each, fit in zip(ours, fits, strict=True) if fit}
        for each in descendants:
            self._move(each, top.label_pairs if each.uid in under else None)

    def _move(self, tracked: Tracked, root_labels: Pairs | None) -> None:
        """Put a Workflow under the slot of a root with these labels; with None, on its own."""
        before = None if tracked.child is None else tracked.child.root_labels
        if before != root_labels:
            child = Child(tracked.parent, root_labels)
            traits = msgspec.structs.replace(tracked.traits, child=child)
            self._store(msgspec.structs.replace(tracked, traits=traits))

    def _runs(self, uid: str) -> bool:
        found = self._live.get(uid)
        return found is not None and not found.held

    def _store(self, tracked: Tracked) -> None:
        before = self._live.get(tracked.uid)
        self._before.setdefault(tracked.uid, before)
        if before is None:
            self._count_by_namespace(tracked, 1)
        elif (before.namespace, before.held) != (tracked.namespace, tracked.held):
            self._count_by_namespace(before, -1)
            self._count_by_namespace(tracked, 1)
        self._live[tracked.uid] = tracked
        if tracked.ending:
            self._ending[tracked.uid] = None
        elif self._ending:
            self._ending.pop(tracked.uid, None)

    def _remove(self, tracked: Tracked) -> None:
        before = self._live.pop(tracked.uid, None)
        self._ending.pop(tracked.uid, None)
        self._before.setdefault(tracked.uid, before)
        if before is not None:
            self._count_by_namespace(before, -1)
        if tracked.reservation:
            self._departed[tracked.reservation] = tracked.namespace
        above, below = self._tree.parent(tracked.uid), self._tree.children(tracked.uid)
        if above or below:
            self._tree.remove(tracked.uid)
            self._reassign_slots((above, *below))

    def _count_by_namespace(self, tracked: Tracked, sign: int) -> None:
        _add(self._count, tracked.namespace, sign)
        if tracked.hold is not None:
            _add(self._held, tracked.namespace, sign)

    @property
    def departed(self) -> Mapping[str, str]:
        """The reservations of Workflows that are completed or deleted, with their namespaces.

        They stay until `forget_departed`; no change shows one that came and went between two passes.
        """
        return self._departed

    def forget_departed(self) -> None:
        """Forget them: the ledgers are written."""
        self._departed.clear()

    def _track(self, found: _Found) -> Tracked | None:
        """Return what is tracked of an object, with its place in the order of arrival.

        None for what cannot be read: the API server stores no such metadata.
        """
        if found is None or isinstance(found, Unread):
            return None
        read = found if isinstance(found, LiveMetadata) else msgspec.convert(found, LiveMetadata)
        before = self._live.get(read.metadata.uid or "")
        arrival = before.arrival if before is not None else next(self._seen)
        return self._reader.read(read, arrival, before)

    def copy(self) -> "Tracker":
        """Return what is live now, for another thread to read; it takes no events."""
        made = Tracker()
        made._keys, made._reader = self._keys, self._reader
        made._live, made._held, made._count = dict(self._live), dict(self._held), dict(self._count)
        return made

    def get(self, uid: str) -> Tracked | None:
        """Return a live Workflow by its uid."""
        return self._live.get(uid)

    def __iter__(self) -> Iterator[Tracked]:
        return iter(self._live.values())


def _add(counts: dict[str, int], namespace: str, sign: int) -> None:
    left = counts.get(namespace, 0) + sign
    if left:
        counts[namespace] = left
    else:
        del counts[namespace]
