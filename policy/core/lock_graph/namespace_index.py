"""What all templates of a namespace show of locks together, kept up to date as they change.

It is made when templates change, for reviews to look things up in: which templates take no lock whatever they
call, and in which orders locks are nested. A change redoes what refers to the changed object, nothing else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_graph.components import components, shortest_path
from policy.core.lock_graph.held_above import held_in
from policy.core.lock_graph.lock_order import Nested, in_turn, nested_in
from policy.core.lock_graph.run_sources import TemplateOwner
from policy.core.lock_graph.template_graph import Graph, TemplateNode, resolve
from policy.core.lock_model.semaphore_definitions import LimitOf
from policy.core.objects.template_keys import TemplateKey, key_of
from policy.core.objects.workflow import TemplateRef
from policy.core.values.budget import UNBOUNDED, Budget, Part

Look: TypeAlias = Callable[[TemplateKey], TemplateOwner | None]
"""Returns a template object by its key."""

_MAX_PAIRS: Final = 200
"""Nested pairs of one object that circles are looked for from."""


class Entry(msgspec.Struct, frozen=True, eq=False):
    """One template object: which of its templates may take a lock in the end, and its nested locks.

    `touches` names every object that was looked up, missing ones too: a change of any of them makes it stale.
    """

    restless: frozenset[str]
    touches: frozenset[TemplateKey]
    nested: tuple[Nested, ...]


_QUIET: Final = Entry(frozenset(), frozenset(), ())


class NamespaceIndex(msgspec.Struct, frozen=True, eq=False):
    """All templates that a run in one namespace can refer to.

    `users` tells which objects looked another one up, and `orders` by outer and inner lock who nests them so.
    """

    namespace: str
    entries: Mapping[TemplateKey, Entry]
    users: Mapping[TemplateKey, AbstractSet[TemplateKey]]
    orders: Mapping[str, Mapping[str, Mapping[TemplateKey, Nested]]]

    def is_quiet(self, key: TemplateKey, template: str) -> bool:
        """Tell whether a template that exists takes no lock, nor does anything that it calls."""
        entry = self.entries.get(key)
        return entry is not None and template not in entry.restless

    def is_all_quiet(self, key: TemplateKey) -> bool:
        """Tell whether no template of an object takes a lock, nor does anything that they call."""
        entry = self.entries.get(key)
        return entry is not None and not entry.restless

    def circles(
        self,
        own: Sequence[Nested],
        limit_of: LimitOf,
        *,
        endless: int,
        without: TemplateKey | None = None,
        budget: Budget = UNBOUNDED,
    ) -> Iterator[list[Nested]]:
        """Yield circles of nested locks that an object closes with templates of others.

        `without` is the object itself as it was stored before.
        """
        if not any(each.outer in self.orders or each.inner in self.orders for each in own):
            return  # Nobody else nests any of these locks, so others close no circle with them.
        meeting = _Meeting(self.orders, own, without, lambda name: (limit_of(name) or 0) < endless)
        seen: set[frozenset[str]] = set()
        for first in meeting.on_circles(own)[:_MAX_PAIRS]:
            budget.check(Part.DEADLOCKS)
            way = shortest_path(first.inner, first.outer.__eq__, meeting.after)
            if way is None or frozenset(way) in seen or (limit_of(first.outer) or 0) >= endless:
                continue
            seen.add(frozenset(way))
            rest = [meeting.nested(outer, inner) for outer, inner in pairwise(way)]
            circle = [first, *(each for each in rest if each is not None)]
            if any(not meeting.is_own(each) for each in circle) and not in_turn(
                circle, lambda name: limit_of(name) == 1
            ):
                yield circle


class _Meeting:
    """The orders of one object together with those of all others; what follows a lock is found out once."""

    def __init__(
        self,
        orders: Mapping[str, Mapping[str, Mapping[TemplateKey, Nested]]],
        own: Sequence[Nested],
        without: TemplateKey | None,
        scarce: Callable[[str], bool],
    ) -> None:
        self._orders, self._without, self._scarce = orders, without, scarce
        self._inside: dict[str, dict[str, Nested]] = {}
        self._after: dict[str, tuple[str, ...]] = {}
        for each in own:
            self._inside.setdefault(each.outer, {})[each.inner] = each

    def after(self, lock: str) -> tuple[str, ...]:
        """Return the scarce locks that somebody takes below a lock."""
        found = self._after.get(lock)
        if found is None:
            inner = {**self._orders.get(lock, {}), **self._inside.get(lock, {})}
            found = tuple(
                each for each in inner if self.nested(lock, each) is not None and self._scarce(each)
            )
            self._after[lock] = found
        return found

    def nested(self, outer: str, inner: str) -> Nested | None:
        """Return who nests two locks: the object itself, else another one."""
        own = self._inside.get(outer, {}).get(inner)
        if own is not None:
            return own
        found = self._orders.get(outer, {}).get(inner, {})
        return next((nested for key, nested in found.items() if key != self._without), None)

    def is_own(self, nested: Nested) -> bool:
        """Tell whether it is the object itself that nests two locks so."""
        return nested in self._inside.get(nested.outer, {}).values()

    def on_circles(self, own: Sequence[Nested]) -> list[Nested]:
        """Return those of the object's pairs that lie on a circle, which one search over all tells."""
        part_of: dict[str, int] = {}
        for number, part in enumerate(components(list(self._inside), self.after)):
            part_of.update(dict.fromkeys(part, number))
        return [each for each in own if part_of.get(each.outer) == part_of.get(each.inner, -1)]


def index_of(
    namespace: str,
    keys: Iterable[TemplateKey],
    look: Look,
    known: dict[TemplateKey, Entry] | None = None,
    budget: Budget = UNBOUNDED,
) -> NamespaceIndex:
    """Return the index of a namespace, made anew; what is `known` already is not looked at again.

    Raises:
        TimeSpentError: the time of the review that asks is over; `known` has what was found out by then.
    """
    empty = NamespaceIndex(namespace, {}, {}, {})
    concerned = frozenset(key for key in keys if key[0] in ("", namespace))
    return following(empty, concerned, look, known, budget)


def following(
    before: NamespaceIndex,
    changed: frozenset[TemplateKey],
    look: Look,
    known: dict[TemplateKey, Entry] | None = None,
    budget: Budget = UNBOUNDED,
) -> NamespaceIndex:
    """Return the index after some objects changed, came or went."""
    stale = set(changed)
    for key in changed:
        stale |= before.users.get(key, frozenset())
    entries = dict(before.entries)
    tables = _Tables(before)
    for key in stale:
        if key[0] not in ("", before.namespace):
            continue
        owner = look(key)
        new = known.get(key) if known is not None else None
        if new is None:
            budget.check(Part.TEMPLATES)
            new = _entry(before.namespace, owner, look) if owner is not None else _QUIET
            if known is not None:
                known[key] = new
        tables.move(key, entries.pop(key, _QUIET), new)
        if owner is not None:
            entries[key] = new
    return NamespaceIndex(before.namespace, entries, tables.users, tables.orders)


class _Tables:
    """The tables of an index while they change: what is written to is copied first, for others read it."""

    def __init__(self, before: NamespaceIndex) -> None:
        self.users: dict[TemplateKey, AbstractSet[TemplateKey]] = dict(before.users)
        self.orders: dict[str, Mapping[str, Mapping[TemplateKey, Nested]]] = dict(before.orders)
        self._own_users: dict[TemplateKey, set[TemplateKey]] = {}
        self._own_inner: dict[str, dict[str, Mapping[TemplateKey, Nested]]] = {}
        self._own_pairs: dict[tuple[str, str], dict[TemplateKey, Nested]] = {}

    def move(self, key: TemplateKey, old: Entry, new: Entry) -> None:
        """Take what an object said before out, and put in what it says now."""
        for other in old.touches - new.touches:
            self._users_of(other).discard(key)
        for other in new.touches - old.touches:
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


def _entry(namespace: str, owner: TemplateOwner, look: Look) -> Entry:
    if not owner.locks_runs and not any(
        each.dag is not None or each.steps is not None or each.synchronization is not None
        for each in owner.spec.templates or ()
    ):
        return _QUIET
    touched: set[TemplateKey] = set()

    def find(ref: TemplateRef) -> TemplateOwner | None:
        key = key_of(ref, namespace)
        touched.add(key)
        return look(key)

    graph = resolve(owner, find, namespace)
    restless = _restless(graph, owner)
    nested = _nested(graph)
    if owner.locks_runs:
        restless = frozenset(owner.numbers)
        nested += [
            each for each in _nested(resolve(owner, find, namespace, whole=True)) if each not in nested
        ]
    return Entry(restless, frozenset(touched), tuple(nested))


def _nested(graph: Graph) -> list[Nested]:
    if not any(node.locks for node in graph.nodes):
        return []
    return nested_in(graph, held_in(graph))[0]


def _restless(graph: Graph, owner: TemplateOwner) -> frozenset[str]:
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
