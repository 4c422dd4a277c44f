"""All templates that references can look up, and what they show of locks together in each namespace.

The index of a namespace has which templates take no lock whatever they call, and in which orders locks are
nested. It is built for reviews to look things up in. When templates change, a new library keeps all that was
found out, and only what refers to a changed object is looked at again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice, pairwise
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_graph.cycles import components, shortest_path
from policy.core.lock_graph.held_above import held_in
from policy.core.lock_graph.hook_waits import HookWaits
from policy.core.lock_graph.lock_order import MAX_NESTED, Nested, cannot_close, limited, nested_in
from policy.core.lock_graph.run_sources import FindOwner, TemplateOwner, template_owner
from policy.core.lock_graph.template_graph import Graph, TemplateNode, build_graph
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.objects.template_keys import TemplateKey, key_of
from policy.core.objects.workflow import TemplateRef, WorkflowSpec
from policy.core.values.budget import UNBOUNDED, Budget, Part
from policy.core.values.memo import Memo

FindByKey: TypeAlias = Callable[[TemplateKey], TemplateOwner | None]
"""Returns a template object by its key."""
_Orders: TypeAlias = Mapping[str, Mapping[str, Mapping[TemplateKey, Nested]]]
"""The nested locks of objects, by outer and inner lock and the object."""

_MAX_PAIRS: Final = 200
"""Nested pairs of one object that cycles are looked for from."""


class Entry(msgspec.Struct, frozen=True, eq=False):
    """One template object: its templates, which of them may take a lock in the end, and its nested locks.

    `looked_up` has the key of every object that it refers to, missing ones too: if one of them changes, the
    entry is stale.
    """

    taking: frozenset[str]
    looked_up: frozenset[TemplateKey]
    nested: tuple[Nested, ...]
    names: Mapping[str, int] = {}


_NO_OBJECT: Final = Entry(frozenset(), frozenset(), ())


class NamespaceIndex(msgspec.Struct, frozen=True, eq=False):
    """All templates that a run in one namespace can refer to.

    `users` has for each object the objects that looked it up.
    """

    namespace: str
    entries: Mapping[TemplateKey, Entry]
    users: Mapping[TemplateKey, AbstractSet[TemplateKey]]
    orders: _Orders

    def takes_no_lock(self, key: TemplateKey, template: str) -> bool:
        """Return whether a template that exists takes no lock, nor does anything that it calls."""
        entry = self.entries.get(key)
        return entry is not None and template in entry.names and template not in entry.taking

    def object_takes_no_lock(self, key: TemplateKey) -> bool:
        """Return whether no template of an object takes a lock, nor does anything that they call."""
        entry = self.entries.get(key)
        return entry is not None and not entry.taking

    def cycles(
        self,
        own: Sequence[Nested],
        limit_of: LimitOf,
        *,
        without: TemplateKey | None = None,
        budget: Budget = UNBOUNDED,
    ) -> Iterator[list[Nested]]:
        """Yield cycles of nested locks that an object closes with templates of others.

        `without` is the object itself as it was stored before.
        """
        if not any(each.outer in self.orders or each.inner in self.orders for each in own):
            return  # No other object nests any of these locks, so none closes a cycle with them.
        orders = _JoinedOrders(self.orders, own, without, limit_of)
        seen: set[frozenset[str]] = set()
        for first in orders.on_cycles(own)[:_MAX_PAIRS]:
            budget.check(Part.DEADLOCKS)
            path = shortest_path(first.inner, first.outer.__eq__, orders.after)
            if path is None or frozenset(path) in seen or not limited(first.outer, limit_of):
                continue
            seen.add(frozenset(path))
            rest = [orders.nested(outer, inner) for outer, inner in pairwise(path)]
            cycle = [first, *(each for each in rest if each is not None)]
            if not all(map(orders.is_own, cycle)) and not cannot_close(cycle, limit_of):
                yield cycle


class _JoinedOrders:
    """The orders of one object together with those of all others; what follows a lock is found out once."""

    def __init__(
        self, orders: _Orders, own: Sequence[Nested], without: TemplateKey | None, limit_of: LimitOf
    ) -> None:
        self._orders, self._without, self._limit_of = orders, without, limit_of
        self._own: dict[str, dict[str, Nested]] = {}
        self._after: dict[str, tuple[str, ...]] = {}
        for each in own:
            self._own.setdefault(each.outer, {})[each.inner] = each

    def after(self, lock: str) -> tuple[str, ...]:
        """Return the locks with a limit that are taken below a lock."""
        found = self._after.get(lock)
        if found is None:
            below = {**self._orders.get(lock, {}), **self._own.get(lock, {})}
            found = self._after[lock] = tuple(
                inner
                for inner in below
                if self.nested(lock, inner) is not None and limited(inner, self._limit_of)
            )
        return found

    def nested(self, outer: str, inner: str) -> Nested | None:
        """Return where two locks are nested: in the object itself, else in another one."""
        own = self._own.get(outer, {}).get(inner)
        if own is not None:
            return own
        found = self._orders.get(outer, {}).get(inner, {})
        return next((nested for key, nested in found.items() if key != self._without), None)

    def is_own(self, nested: Nested) -> bool:
        """Return whether the object itself nests two locks so."""
        return nested in self._own.get(nested.outer, {}).values()

    def on_cycles(self, own: Sequence[Nested]) -> list[Nested]:
        """Return the object's pairs that are on a cycle; one search finds them all."""
        part_of: dict[str, int] = {}
        for number, part in enumerate(components(list(self._own), self.after)):
            part_of.update(dict.fromkeys(part, number))
        return [each for each in own if part_of.get(each.outer) == part_of.get(each.inner, -1)]


def updated_index(
    before: NamespaceIndex,
    changed: frozenset[TemplateKey],
    find: FindByKey,
    known: dict[TemplateKey, Entry] | None = None,
    budget: Budget = UNBOUNDED,
) -> NamespaceIndex:
    """Return the index after some objects were changed, created or deleted.

    What is in `known` is not looked at again; what is found out is put there.
    """
    stale = set(changed)
    for key in changed:
        stale |= before.users.get(key, frozenset())
    known = {} if known is None else known
    entries = dict(before.entries)
    tables = _Tables(before)
    for key in stale:
        if key[0] not in ("", before.namespace):
            continue
        owner = find(key)
        new = known.get(key)
        if new is None:
            budget.check(Part.TEMPLATES)
            new = known[key] = _entry(before.namespace, owner, find) if owner is not None else _NO_OBJECT
        tables.replace(key, entries.pop(key, _NO_OBJECT), new)
        if owner is not None:
            entries[key] = new
    return NamespaceIndex(before.namespace, entries, tables.users, tables.orders)


class _Tables:
    """The tables of an index while they change: a part is copied before it is changed, for others read it."""

    def __init__(self, before: NamespaceIndex) -> None:
        self.users: dict[TemplateKey, AbstractSet[TemplateKey]] = dict(before.users)
        self.orders: dict[str, Mapping[str, Mapping[TemplateKey, Nested]]] = dict(before.orders)
        self._own_users: dict[TemplateKey, set[TemplateKey]] = {}
        self._own_inner: dict[str, dict[str, Mapping[TemplateKey, Nested]]] = {}
        self._own_pairs: dict[tuple[str, str], dict[TemplateKey, Nested]] = {}

    def replace(self, key: TemplateKey, old: Entry, new: Entry) -> None:
        """Take the old entry of an object out, and put the new one in."""
        for other in old.looked_up - new.looked_up:
            self._users_of(other).discard(key)
        for other in new.looked_up - old.looked_up:
            self._users_of(other).add(key)
        for nested in old.nested:
            self._pair(nested).pop(key, None)
        for nested in new.nested:
            self._pair(nested)[key] = nested

    def _users_of(self, key: TemplateKey) -> set[TemplateKey]:
        own = self._own_users.get(key)
        if own is None:
            own = self.users[key] = self._own_users[key] = set(self.users.get(key, ()))
        return own

    def _pair(self, nested: Nested) -> dict[TemplateKey, Nested]:
        outer, pair = nested.outer, (nested.outer, nested.inner)
        own = self._own_pairs.get(pair)
        if own is None:
            if outer not in self._own_inner:
                self.orders[outer] = self._own_inner[outer] = dict(self.orders.get(outer, {}))
            inner = self._own_inner[outer]
            own = inner[nested.inner] = self._own_pairs[pair] = dict(inner.get(nested.inner, {}))
        return own


def _entry(namespace: str, owner: TemplateOwner, find_by_key: FindByKey) -> Entry:
    if not owner.locks_runs and not any(
        each.dag is not None or each.steps is not None or each.synchronization is not None
        for each in owner.spec.templates or ()
    ):
        return Entry(frozenset(), frozenset(), (), owner.numbers)
    looked_up: set[TemplateKey] = set()

    def find(ref: TemplateRef) -> TemplateOwner | None:
        key = key_of(ref, namespace)
        looked_up.add(key)
        return find_by_key(key)

    graph = build_graph(owner, find, namespace)
    taking, nested = _taking(graph, owner), _nested(graph)
    if owner.locks_runs:
        taking = frozenset(owner.numbers)
        whole = _nested(build_graph(owner, find, namespace, whole=True))
        nested += [each for each in whole if each not in nested]
    return Entry(taking, frozenset(looked_up), tuple(nested), owner.numbers)


def _nested(graph: Graph) -> list[Nested]:
    if not any(node.locks for node in graph.nodes):
        return []
    held = held_in(graph)
    hooks = HookWaits(graph, held, _unknown_limit)
    return [*nested_in(graph, held)[0], *islice(hooks.nested(), MAX_NESTED)]


def _unknown_limit(_: str) -> None:
    """Return no limit: limits change without their templates."""


def _taking(graph: Graph, owner: TemplateOwner) -> frozenset[str]:
    """Return the names of the templates that lead to a lock, or to what is not known."""
    callers: dict[TemplateNode, list[TemplateNode]] = {}
    work: list[TemplateNode] = []
    for node in graph.nodes:
        for edge in node.calls:
            if edge.target is not None:
                callers.setdefault(edge.target, []).append(node)
        if node.locks or any(edge.target is None for edge in node.calls):
            work.append(node)
    found = set(work)
    while work:
        for caller in callers.get(work.pop(), ()):
            if caller not in found:
                found.add(caller)
                work.append(caller)
    return frozenset(node.template.name or "" for node in found if node.owner is owner)


class Library:
    """All templates, which do not change, and what was found out about them so far.

    `owners` has the objects that were looked up, `indexes` the namespaces that were asked for, and
    `unfinished` the entries of a namespace that reviews found out before their time was over. The library
    owns all three; they are bounded by the templates and by the namespaces with lock policies. `locking` has
    the objects with locks of their own for whole runs.
    """

    def __init__(self, templates: Mapping[TemplateKey, WorkflowSpec]) -> None:
        self.templates = templates
        self.locking = frozenset(
            key
            for key, spec in templates.items()
            if spec.synchronization is not None or spec.default_locks is not None
        )
        self.owners: Memo[TemplateKey, TemplateOwner] = Memo()
        self.indexes: Memo[str, NamespaceIndex] = Memo()
        self.unfinished: Memo[str, dict[TemplateKey, Entry]] = Memo()

    def owner(self, key: TemplateKey) -> TemplateOwner | None:
        """Return a template object, or None where there is none of this name."""
        found = self.owners.get(key)
        if found is None and (spec := self.templates.get(key)) is not None:
            found = self.owners.keep(key, template_owner(key.kind, key.name, spec))
        return found

    def find(self, namespace: str) -> FindOwner:
        """Return how references are looked up in a namespace."""
        return lambda ref: self.owner(key_of(ref, namespace))

    def find_beside(self, owner: TemplateOwner, namespace: str) -> FindOwner:
        """Return the same for what an object refers to: it may be itself, as it is about to be stored."""
        if not owner.is_template:
            return self.find(namespace)
        own = owner.key(namespace)

        def find(ref: TemplateRef) -> TemplateOwner | None:
            key = key_of(ref, namespace)
            return owner if key == own else self.owner(key)

        return find

    def index(self, namespace: str, budget: Budget = UNBOUNDED) -> NamespaceIndex:
        """Return what is known of a namespace's templates together, found out at the first time.

        Raises:
            TimeSpentError: the time of the review is over; the next continues where this one stopped.
        """
        found = self.indexes.get(namespace)
        if found is None:
            known = self.unfinished.get_or(namespace, dict)
            empty = NamespaceIndex(namespace, {}, {}, {})
            keys = frozenset(key for key in self.templates if key[0] in ("", namespace))
            found = updated_index(empty, keys, self.owner, known, budget)
            self.indexes.keep(namespace, found)
            self.unfinished.forget(namespace)
        return found


NO_LIBRARY: Final = Library({})


def library_of(templates: Mapping[TemplateKey, WorkflowSpec], before: Library | None = None) -> Library:
    """Return the library of these templates; with the one before, only what changed is looked at again."""
    library = Library(templates)
    if before is None:
        return library
    known = before.templates
    changed = {
        key
        for key, spec in templates.items()
        if (old := known.get(key)) is not spec and old != spec  # Mostly it is the same object.
    }
    changed.update(key for key in known if key not in templates)
    for key, owner in before.owners.items():
        if key not in changed:
            library.owners.keep(key, owner)
    stale = frozenset(changed)
    for namespace, index in before.indexes.items():
        library.indexes.keep(namespace, updated_index(index, stale, library.owner) if stale else index)
    return library
