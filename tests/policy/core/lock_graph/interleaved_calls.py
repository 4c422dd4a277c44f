"""The order in which Argo looks at calls, their hooks and their items; the part of the oracle that knows it.

Argo goes through a Workflow again and again, in order, and only there starts what is next and gives locks
back; Pods end by themselves. What it does not come to stands still: with `visited` False only Pods end.
(Seen on Argo 4.1.2.) A hook that is not over ends the visit of a DAG task before what the task runs, the exit
hook of an item that of the items after it, and the hook of a step that of the hooks of the steps after it.
When all items of a DAG task are over, the task is, and its items are never visited again.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, TypeAlias

import msgspec

Spec: TypeAlias = Mapping[str, Any]
State: TypeAlias = tuple[Any, ...]
"""("waits", body), ("runs", body, parts), ("over", body) with its locks still held, or one that ended."""

DONE: Final = "Succeeded"
SKIPPED: Final = "Skipped"
OMITTED: Final = "Omitted"
NOT_YET: Final = "NotYet"
LEFT: Final = "Left"
"""A task with items that is over for those who wait for it, while exit hooks of its items run."""
ACTIVE: Final = ("waits", "runs", "over")
NEVER: Final[State] = (SKIPPED,)
UNSTARTED: Final[State] = (NOT_YET,)


class Body(msgspec.Struct, frozen=True, eq=False):
    """What runs under a set of locks: calls, created when they are first needed."""

    locks: frozenset[str]
    source: Spec
    kind: str = "template"


class Hook(msgspec.Struct, frozen=True):
    """A hook that may start: while its call runs, or with `late` when that is over; or an exit hook."""

    body: Body
    late: bool = False
    optional: bool = True


class Call(msgspec.Struct, frozen=True):
    """One call of a body: what runs, whether it may be skipped, what it waits for, its hooks and items.

    `group` is the number of the group of steps, -1 elsewhere; a step with items is a call for each of them.
    """

    name: str
    body: Body
    optional: bool = False
    depends: str = ""
    hooks: tuple[Hook, ...] = ()
    exit: Hook | None = None
    items: int = 0
    group: int = -1


class Visit(msgspec.Struct, frozen=True):
    """How Argo comes by: whether it does, and whether something above may keep it from giving locks back."""

    held: Counter[str]
    depth: int
    visited: bool = True
    watched: bool = False


class Moves(Protocol):
    """What moves a body one step further."""

    def of_body(self, state: State, visit: Visit) -> Iterator[State]:
        """Yield every state one step further."""

    def begun(self, body: Body, held: Counter[str]) -> State:
        """Return the state of a body that starts: it tries to take its locks at once."""


def started(call: Call, visit: Visit, moves: Moves) -> State:
    """Return the first state of a call that Argo starts."""
    hooks = (UNSTARTED,) * len(call.hooks)
    if call.items and call.group < 0:
        items = ((("waits", call.body), UNSTARTED),) * call.items
        return ("items", False, items, hooks, UNSTARTED)
    return ("call", moves.begun(call.body, visit.held), hooks, UNSTARTED)


def has_hook_under_way(state: State) -> bool:
    """Return whether a hook of a call started and is not over."""
    hooks = state[2] if state[0] == "call" else state[3] if state[0] == "items" else ()
    return any(each[0] in ACTIVE for each in hooks)


def moves_of_call(call: Call, now: State, visit: Visit, moves: Moves, *, blocked: bool) -> Iterator[State]:
    """Yield the moves of a call that started; with `blocked`, an earlier step's hook is under way."""
    if now[0] == "items":
        yield from _Items(call, now, visit, moves).moves()
    elif now[0] == LEFT:
        yield from _left_moves(now, visit, moves)
    elif now[0] == "call":
        yield from _moves_of_one(call, now, visit, moves, blocked=blocked)


def _moves_of_one(call: Call, now: State, visit: Visit, moves: Moves, *, blocked: bool) -> Iterator[State]:
    _, node, hooks, last = now
    is_task = call.group < 0
    pending = has_hook_under_way(now)
    hooks_visited = visit.visited and not blocked
    beside = _visit(visit, hooks_visited, watched=not is_task)
    for index, each in enumerate(hooks):
        for after in _moves_of_hook(call.hooks[index], each, _before(node, last), beside, moves):
            yield ("call", node, (*hooks[:index], after, *hooks[index + 1 :]), last)
    watched = is_task and bool(call.hooks)
    inside = _visit(visit, visit.visited and not (pending and is_task), watched=watched)
    if node[0] in ACTIVE:
        for after in moves.of_body(node, inside):
            yield ("call", after, hooks, last)
    if node[0] == DONE and not pending:
        yield from (
            _ended(node, hooks, after) if after[0] in (DONE, SKIPPED) else ("call", node, hooks, after)
            for after in _moves_of_last(call.exit, last, beside, moves)
        )


def _visit(visit: Visit, visited: bool, *, watched: bool) -> Visit:  # noqa: FBT001 - with `visit` it reads as one
    return Visit(visit.held, visit.depth, visited, visit.watched or watched)


def _moves_of_hook(hook: Hook, state: State, node: State, visit: Visit, moves: Moves) -> Iterator[State]:
    """Yield the moves of a hook; `node` is the state of what its call runs."""
    if state == UNSTARTED:
        when = ("over", DONE) if hook.late else ("runs", "over", DONE)
        if visit.visited and node[0] in when:
            yield moves.begun(hook.body, visit.held)
    elif state[0] in ACTIVE:
        yield from moves.of_body(state, visit)


def _before(node: State, last: State) -> State:
    """Return what a hook is judged by: nothing starts any more once the exit hook has."""
    return node if last == UNSTARTED else NEVER


def _moves_of_last(hook: Hook | None, state: State, visit: Visit, moves: Moves) -> Iterator[State]:
    """Yield the moves of an exit hook, which is skipped where there is none."""
    if state[0] in ACTIVE:
        yield from moves.of_body(state, visit)
    elif state == UNSTARTED and visit.visited:
        if hook is None or hook.optional:
            yield NEVER
        if hook is not None:
            yield moves.begun(hook.body, visit.held)


def _ended(node: State, hooks: tuple[State, ...], last: State) -> State:
    kept = Counter[str]()
    for each in (node, *hooks, last):
        count(each, kept)
    return done(kept)


def done(kept: Counter[str]) -> State:
    """Return the state of what has ended, with the locks that are never given back."""
    return (DONE, tuple(sorted(kept.elements())))


class _Items:
    """The moves of a DAG task with items."""

    def __init__(self, call: Call, now: State, visit: Visit, moves: Moves) -> None:
        self._call, self._visit, self._moves = call, visit, moves
        _, self._over, self._items, self._hooks, self._last = now
        self._pending = has_hook_under_way(now)

    def moves(self) -> Iterator[State]:
        """Yield the moves of the hooks, of the items, and at the end of the exit hook of all together."""
        node = (DONE,) if self._over else ("runs",)
        for index, each in enumerate(self._hooks):
            before = _before(node, self._last)
            for after in _moves_of_hook(self._call.hooks[index], each, before, self._visit, self._moves):
                hooks = (*self._hooks[:index], after, *self._hooks[index + 1 :])
                yield ("items", self._over, self._items, hooks, self._last)
        complete = all(node[0] in ("over", DONE, SKIPPED) for node, _ in self._items)
        inner = self._visit.visited and not self._pending
        if self._over:
            yield from self._moves_of_items(visited=False)
            if not self._pending:
                yield from self._moves_of_all()
        elif complete:
            yield from self._moves_of_items(visited=False)
            if inner:
                yield from self._last_visit(0, self._items, self._visit.held)
        else:
            yield from self._moves_of_items(visited=inner)

    def _moves_of_all(self) -> Iterator[State]:
        for after in _moves_of_last(self._call.exit, self._last, self._visit, self._moves):
            if after[0] not in (DONE, SKIPPED):
                yield ("items", True, self._items, self._hooks, after)
                continue
            kept = Counter[str]()
            for each in (*self._hooks, after):
                count(each, kept)
            yield settled((LEFT, self._items, tuple(sorted(kept.elements()))))

    def _moves_of_items(self, *, visited: bool) -> Iterator[State]:
        reached = visited
        for index, (node, last) in enumerate(self._items):
            visit = _visit(self._visit, reached, watched=True)
            if node[0] in ACTIVE:
                for after in self._moves.of_body(node, visit):
                    yield self._with(index, (after, last))
            if last[0] in ACTIVE or node[0] == DONE:
                for after in _moves_of_last(self._call.exit, last, visit, self._moves):
                    yield self._with(index, (node, after))
            blocking = node[0] in ("over", DONE) and last[0] not in (DONE, SKIPPED)
            reached = reached and not (blocking and self._call.exit is not None)

    def _with(self, index: int, item: State) -> State:
        items = (*self._items[:index], item, *self._items[index + 1 :])
        return ("items", self._over, items, self._hooks, self._last)

    def _last_visit(self, index: int, items: tuple[State, ...], held: Counter[str]) -> Iterator[State]:
        """Yield the outcomes of the visit that finds all items over: it ends at the first exit hook."""
        hook = self._call.exit
        if index == len(items) or hook is None:
            yield ("items", True, tuple((_given_back(node), last) for node, last in items) if hook is None
                   else items, self._hooks, self._last)  # fmt: skip
            return
        node, last = items[index]
        held = held - _locks(node)
        node = _given_back(node)

        def after(state: State) -> tuple[State, ...]:
            return (*items[:index], (node, state), *items[index + 1 :])

        if node[0] == SKIPPED or last[0] in (DONE, SKIPPED):
            yield from self._last_visit(index + 1, after(last), held)
        elif last[0] == "over":
            yield from self._last_visit(index + 1, after((DONE, ())), held - _locks(last))
        elif last[0] == "runs":
            yield ("items", True, after(last), self._hooks, self._last)
        else:
            if last == UNSTARTED and hook.optional:
                yield from self._last_visit(index + 1, after(NEVER), held)
            yield ("items", True, after(self._moves.begun(hook.body, held)), self._hooks, self._last)


def _locks(state: State) -> Counter[str]:
    return Counter(state[1].locks) if state[0] == "over" else Counter()


def _given_back(node: State) -> State:
    return (DONE, ()) if node[0] == "over" else node


def _left_moves(now: State, visit: Visit, moves: Moves) -> Iterator[State]:
    """Yield how the exit hooks of items end that Argo does not visit any more."""
    _, items, kept = now
    for index, (node, last) in enumerate(items):
        if last[0] in ACTIVE:
            for after in moves.of_body(last, _visit(visit, visited=False, watched=True)):
                yield settled((LEFT, (*items[:index], (node, after), *items[index + 1 :]), kept))


def settled(left: State) -> State:
    """Return a task that is over as one that ended, if the exit hooks of all items are over as well."""
    _, items, kept = left
    if any(last[0] in ("waits", "runs") for _, last in items):
        return left
    every: Counter[str] = Counter(kept)
    for node, last in items:
        count(node, every)
        count(last, every)
    return done(every)


def count(state: State, held: Counter[str]) -> None:
    """Count the holders of each lock."""
    if state[0] in ("runs", "over"):
        held.update(state[1].locks)
        for each in state[2] if state[0] == "runs" else ():
            count(each, held)
    elif state[0] == DONE:
        held.update(state[1] if len(state) > 1 else ())
    elif state[0] == "call":
        for each in (state[1], *state[2], state[3]):
            count(each, held)
    elif state[0] in ("items", LEFT):
        items = state[2] if state[0] == "items" else state[1]
        for node, last in items:
            count(node, held)
            count(last, held)
        if state[0] == LEFT:
            held.update(state[2])
        for each in (*state[3], state[4]) if state[0] == "items" else ():
            count(each, held)
