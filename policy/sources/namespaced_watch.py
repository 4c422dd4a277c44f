"""One resource of which only some namespaces are read: a watch of all, and a list of each that is wanted.

What the watch brings for a scope that is being listed waits until the list has arrived. The watch began
before the list, so applying these changes again ends in the same state, and nothing between the two is lost.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from threading import Condition, Event, Lock
from time import monotonic
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError, NotFound, Trouble
from policy.cluster.list_and_watch import RETRY_SECONDS, shaped_objects, watch_from
from policy.cluster.protocol import Cluster, EventType, Resource, Selection, Unread, WatchEvent
from policy.core.objects.read_extent import LeftOut
from policy.sources.documents import Document
from policy.sources.namespace_bounds import Portion, PortionBound, ReducedObject, Scope
from policy.sources.related_objects import ObjectFacts, PartialObject, Reducer

WATCH_SECONDS: Final = 300.0
_ABSENT_SECONDS: Final = 30.0
_SHARE_OF_TIME: Final = 20
"""A list that took one second is not repeated, for what is left out, for so many."""
_MOST_WAITING: Final = 1_000
"""Changes that wait for a list; with more of them the list is repeated."""
_ANCHOR: Final = "lockkeeper-reads-none"
"""A name that no object has: its list is empty, and has the version to watch from."""


class _ScopeListing(msgspec.Struct):
    """A list under way, and what the watch brought meanwhile; None where that became too much."""

    scope: Scope
    epoch: int
    waiting: list[WatchEvent[PartialObject | Unread]] | None = msgspec.field(default_factory=list)


class ScopedResource:
    """Follows one resource until stopped; `watch` and `read` are the work of a thread each.

    `lock` guards everything here and whatever its owner guards with it. `changed` is called under it when
    documents changed, or more is read. `pages` lets one page be in memory at a time. `reducer` reduces an
    object to what is stored of it, up to `bound`; what is left out is listed `again` after so many seconds at
    the soonest. An `optional` resource may be absent from the cluster; with `last_good`, an object that
    cannot be read any more stays as it was.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        reducer: Reducer,
        bound: PortionBound,
        again: float,
        optional: bool,
        last_good: bool,
        cluster: Cluster,
        lock: Lock,
        pages: Lock,
        stopped: Event,
        changed: Callable[[], None],
        trouble: Trouble,
    ) -> None:
        self.resource = resource
        self._reducer = reducer
        self._bound = bound
        self._again = again
        self._optional = optional
        self._last_good = last_good
        self._cluster = cluster
        self._news = Condition(lock)
        self._pages = pages
        self._stopped = stopped
        self._changed = changed
        self._trouble = trouble
        self._wanted: dict[tuple[str, str], Scope] = {}
        self._portions: dict[Scope, Portion] = {}
        self._epochs: dict[Scope, int] = {}
        self._due: dict[Scope, float] = {}
        self._reading: _ScopeListing | None = None
        self._epoch = 0
        self._absent = False

    # Called under the lock.

    def want(self, scopes: Iterable[Scope]) -> bool:
        """Read these scopes from now on and no others; return whether all were read already."""
        self._wanted = {(scope.namespace, scope.name): scope for scope in scopes}
        wanted = set(self._wanted.values())
        for scope in self._portions.keys() - wanted:
            del self._portions[scope]
            self._epochs.pop(scope, None)
            self._due.pop(scope, None)
        if self._absent or wanted <= self._portions.keys():
            return True
        self._news.notify_all()
        return False

    def documents(self) -> Iterator[Document]:
        """Yield all that is stored."""
        for portion in self._portions.values():
            yield from portion.documents()

    def left_out(self) -> Iterator[LeftOut]:
        """Yield of which namespaces something is left out."""
        for scope, portion in self._portions.items():
            if portion.left_out:
                yield LeftOut(
                    kind=self.resource.kind,
                    namespace=scope.namespace,
                    count=portion.left_out,
                    kept=len(portion.stored),
                    bound=str(portion.bound),
                )

    def wake(self) -> None:
        """Let `read` see that it is stopped."""
        self._news.notify_all()

    # The watch.

    def watch(self) -> None:
        """Watch until stopped; after an error wait a little, and read everything again."""
        while not self._stopped.is_set():
            try:
                self._watch_once()
            except ClusterError as error:
                self._trouble(f"watching {self.resource.plural}", error)
                self._stopped.wait(RETRY_SECONDS)

    def _watch_once(self) -> None:
        version = self._anchor()
        with self._news:
            self._absent = version is None
            self._epoch += 1
            self._reading = None
            if version is None:
                self._portions.clear()
                self._epochs.clear()
                self._changed()
            self._news.notify_all()
        if version is None:
            self._stopped.wait(_ABSENT_SECONDS)
            return
        source = shaped_objects(self._cluster, Selection(self.resource), PartialObject, timeout=WATCH_SECONDS)
        watch_from(version, source.watch, changed=self._take, stopped=self._stopped.is_set)

    def _anchor(self) -> str | None:
        """Return a version before every list that follows, None where there is no such resource (yet)."""
        namespace = _ANCHOR if self.resource.namespaced else ""
        try:
            return self._cluster.list(
                self.resource, namespace=namespace, name=_ANCHOR, metadata_only=True
            ).resource_version
        except NotFound:
            if not self._optional:
                raise
            return None

    def _take(self, event: WatchEvent[PartialObject | Unread]) -> None:
        if not isinstance(event.object, PartialObject):
            return
        with self._news, suppress(msgspec.ValidationError):
            facts = event.object.facts()
            scope = self._wanted.get((facts.namespace, "")) or self._wanted.get((facts.namespace, facts.name))
            if scope is None:
                return
            reading = self._reading
            if reading is not None and reading.scope == scope and reading.waiting is not None:
                reading.waiting.append(event)
                if len(reading.waiting) > _MOST_WAITING:
                    reading.waiting = None
            portion = self._portions.get(scope)
            if portion is not None and self._fold(portion, event, scope):
                self._changed()

    def _fold(self, portion: Portion, event: WatchEvent[PartialObject | Unread], scope: Scope) -> bool:
        """Apply one change; return whether documents changed, or something is left out for the first time.

        The next list counts how much that is: many changes must not compile everything again each time.
        """
        if not isinstance(event.object, PartialObject):
            return False
        facts, before = event.object.facts(), portion.left_out
        if event.type is EventType.DELETED:
            changed = portion.drop(facts.uid)
        else:
            new = event.type is EventType.ADDED
            changed = self._put(portion, event.object, facts, scope, new=new)
        if portion.stale:
            self._news.notify_all()
        return changed or (portion.left_out > 0 and not before)

    def _put(
        self, portion: Portion, shape: PartialObject, facts: ObjectFacts, scope: Scope, *, new: bool = True
    ) -> bool:
        if not portion.takes(facts.uid, (facts.creation_timestamp or "", facts.name), new=new):
            return False
        reduced = self._reduced(shape, facts, scope)
        if reduced is not None:
            return portion.put(reduced)
        if self._last_good or facts.uid not in portion.stored:
            return False
        return portion.drop(facts.uid)

    def _reduced(self, shape: PartialObject, facts: ObjectFacts, scope: Scope) -> ReducedObject | None:
        """Return what is stored of an object; for one that cannot be read that is nothing."""
        try:
            return self._reducer(shape, facts, scope)
        except (msgspec.MsgspecError, RecursionError):
            return None

    # The lists.

    def read(self) -> None:
        """List what is wanted and not read yet, and what is left out in part, until stopped."""
        while not self._stopped.is_set():
            with self._news:
                reading, wait = self._next()
                if reading is None:
                    if not self._stopped.is_set():
                        self._news.wait(wait)
                    continue
                self._reading = reading
                before = self._portions.get(reading.scope)
            began = monotonic()
            try:
                portion = self._listed(reading.scope, before)
            except ClusterError as error:
                with self._news:
                    self._reading = None
                    self._put_off(reading.scope)
                self._trouble(f"listing {self.resource.plural} of {reading.scope.namespace}", error)
                self._stopped.wait(RETRY_SECONDS)
                continue
            with self._news:
                self._finish(reading, portion, monotonic() - began)

    def _put_off(self, scope: Scope) -> None:
        """List the others first: a scope that cannot be listed does not hold them up."""
        key = (scope.namespace, scope.name)
        if self._wanted.get(key) == scope:
            self._wanted[key] = self._wanted.pop(key)

    def _next(self) -> tuple[_ScopeListing | None, float | None]:
        """Return what to list next, or for how long nothing is due."""
        if not self._epoch or self._absent:
            return None, None
        now, soonest = monotonic(), None
        for scope in self._wanted.values():
            if self._epochs.get(scope) != self._epoch:
                return _ScopeListing(scope, self._epoch), None
        for scope, portion in self._portions.items():
            if portion.stale:
                left = self._due.get(scope, 0.0) - now
                if left <= 0:
                    return _ScopeListing(scope, self._epoch), None
                soonest = left if soonest is None else min(soonest, left)
        return None, soonest

    def _listed(self, scope: Scope, before: Portion | None) -> Portion:
        """Return the portion of a list; what is the same as before stays the same object."""
        portion = Portion(bound=self._bound)
        old = {} if before is None else dict(before.stored)
        selection = Selection(self.resource, namespace=scope.namespace, name=scope.name)
        pages = self._cluster.pages_as(selection, PartialObject)
        while True:
            with self._pages:
                page = next(pages, None)
                if page is None or self._stopped.is_set():
                    return portion
                for item in page.items:
                    if isinstance(item, PartialObject):
                        self._add(portion, item, scope, old)

    def _add(
        self, portion: Portion, item: PartialObject, scope: Scope, old: dict[str, ReducedObject]
    ) -> None:
        with suppress(msgspec.ValidationError):
            facts = item.facts()
            if not portion.takes(facts.uid, (facts.creation_timestamp or "", facts.name)):
                return
            new, known = self._reduced(item, facts, scope), old.get(facts.uid)
            if known is not None and (self._last_good if new is None else new.document == known.document):
                new = known
            if new is not None:
                portion.put(new)

    def _finish(self, reading: _ScopeListing, portion: Portion, seconds: float) -> None:
        """Put a list in force, and what the watch brought meanwhile on top of it."""
        current, self._reading = self._reading, None
        scope = reading.scope
        wanted = self._wanted.get((scope.namespace, scope.name)) == scope
        if current is not reading or reading.waiting is None or not wanted:
            return  # Begun before the present watch, or no longer wanted: it is listed again, or not.
        portion.stale = False
        self._portions[scope] = portion
        self._epochs[scope] = reading.epoch
        self._due[scope] = monotonic() + max(self._again, seconds * _SHARE_OF_TIME)
        for event in reading.waiting:
            self._fold(portion, event, scope)
        self._changed()
