"""Rules 1, 9 and 10 of docs/protocol.md as moves between states: a namespace that goes from ledger to ledger.

Policies have versions; by each the namespace stands in one of two ledgers, and every process hears of a new
version when it does. One limit of one slot, in whichever ledger. Workflows q1, q2 are held, d1 is created
under a quota that denies. What rules.py shows of one ledger is taken for granted here: a write is one step,
since a compare-and-swap that fails is tried again. Planting a bug switches one rule off.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from tests.protocol.moving import LIMIT, OVER, Ledger, MovingNamespace, Reading, replaced, with_ledger

NAMES: Final = ("A", "B")
TERMS: Final = 2
Move: TypeAlias = tuple[str, "State"]


class Bug(StrEnum):
    """Rules that can be switched off."""

    FENCES_OWN = "fences-own"
    TERM_UNREAD = "term-unread"
    LEFT_BEHIND = "left-behind"
    DROPPED_FIRST = "dropped-first"
    NOT_CLOSED = "not-closed"
    UNCOUNTED = "uncounted-account"


class Leader(NamedTuple):
    """What a leader remembers: its term, the epochs it has raised, what it has seen, what it carries over."""

    stage: str = "idle"
    term: int = 0
    version: int = 0
    epochs: tuple[int, ...] = (0, 0)
    todo: frozenset[int] = frozenset()
    checked: bool = True
    view: tuple[str, ...] | None = None
    closed: bool = False
    carried: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()


class State(NamedTuple):
    """Everything; `patches` are releases on their way, `create` is what a webhook has read, or a word."""

    objects: tuple[str, ...]
    latest: int
    term: int
    ledgers: tuple[Ledger | None, ...]
    create: Reading | str
    leaders: tuple[Leader, ...]
    patches: frozenset[str]


class Roots(MovingNamespace, frozen=True):
    """How many Workflows are held, and in which ledger the namespace stands, by version."""

    bug: Bug | None = None

    def first(self) -> State:
        """Return the state in which nothing has happened."""
        leaders = (Leader(),) * len(NAMES)
        return State(self.first_objects, 0, 0, (None, None), self.first_create, leaders, frozenset())

    def good(self, state: State) -> bool:
        """Tell whether nothing is left to do and no slot is taken."""
        free = all(each is None or not (each.used or each.reserved) for each in state.ledgers)
        return free and all(each in OVER for each in state.objects)

    def may_be_stuck(self, state: State) -> bool:
        """Tell whether nobody can lead any more, since terms are bounded here.

        One that was deposed may fence a ledger before it learns that; then the new one has to begin again.
        """
        return state.term >= TERMS and not any(
            each.stage != "idle" and each.term == state.term and _is_its_own(state, each)
            for each in state.leaders
        )

    def moves(self, state: State) -> Iterator[Move]:
        """Return every move."""
        yield from self.moves_of_others(state)
        for number in range(len(NAMES)):
            yield from self._lead(state, number)

    def has_room(self, ledger: Ledger | None) -> bool:
        """Return whether a webhook admits by a ledger; by the bug, also without the account."""
        if ledger is None or not ledger.counted:
            return self.bug is Bug.UNCOUNTED
        return super().has_room(ledger)

    def _lead(self, state: State, number: int) -> Iterator[Move]:
        leader, name = state.leaders[number], NAMES[number]
        if leader.stage == "idle":
            if state.term < TERMS and leader.term == 0:
                begun = Leader("begun", state.term + 1, state.latest)
                yield f"{name} raises the term", _leader(state._replace(term=state.term + 1), number, begun)
            return
        yield f"{name} stops", _stopped(state, number)
        if leader.stage == "begun":
            found = {root for root, each in enumerate(state.ledgers) if each is not None and not each.closed}
            if self.bug is Bug.FENCES_OWN:
                found &= {self.roots[leader.version]}
            fencing = leader._replace(stage="fencing", todo=frozenset(found))
            yield f"{name} lists the ledgers", _leader(state, number, fencing)
        elif leader.stage == "fencing":
            for root in sorted(leader.todo):
                done = leader._replace(todo=leader.todo - {root})
                yield f"{name} fences ledger {root}", _fenced(state, number, done, root)
            if not leader.todo:
                yield f"{name} leads", _leader(state, number, leader._replace(stage="leading"))
        else:
            yield from self._work(state, number)

    def _work(self, state: State, number: int) -> Iterator[Move]:
        """Return the moves of one that leads, in the order in which it has to make them."""
        leader, name = state.leaders[number], NAMES[number]
        if leader.version < state.latest:
            heard = leader._replace(
                version=leader.version + 1, closed=False, carried=frozenset(), left=frozenset()
            )
            yield f"{name} hears of version {heard.version}", _leader(state, number, heard)
        own = self.roots[leader.version]
        if not leader.epochs[own]:
            fenced = leader._replace(checked=self.bug in (Bug.TERM_UNREAD, Bug.FENCES_OWN), view=None)
            yield f"{name} fences ledger {own}", _fenced(state, number, fenced, own)
        elif not leader.checked:
            if state.term != leader.term:
                yield f"{name} finds another term", _stopped(state, number)
            else:
                yield f"{name} reads the term", _leader(state, number, leader._replace(checked=True))
        elif leader.view is None:
            yield f"{name} lists", _leader(state, number, leader._replace(view=state.objects))
        else:
            for place, now in enumerate(state.objects):
                if leader.view[place] != now:
                    view = (*leader.view[:place], now, *leader.view[place + 1 :])
                    seen = leader._replace(view=view)
                    yield f"{name} sees {self.works[place]} {now}", _leader(state, number, seen)
            if not leader.closed:
                yield from self._close(state, number, 1 - own)
            else:
                yield from self._write(state, number, own, leader.view)

    def _close(self, state: State, number: int, other: int) -> Iterator[Move]:
        """Return how a leader closes the ledger in which the namespace does not stand."""
        leader, name, ledger = state.leaders[number], NAMES[number], state.ledgers[other]
        if ledger is None or ledger.closed:
            yield f"{name} has nothing to close", _leader(state, number, leader._replace(closed=True))
            return
        known = leader.epochs[other]
        if (known and ledger.epoch != known) or (not known and self._deposed(state, leader)):
            yield f"{name} is fenced off", _stopped(state, number)
            return
        behind = self.bug is Bug.LEFT_BEHIND
        carried = frozenset() if behind else ledger.reserved
        closed = leader._replace(closed=True, carried=carried)
        if self.bug is Bug.NOT_CLOSED:
            yield f"{name} reads ledger {other}", _leader(state, number, closed)
            return
        kept = frozenset() if self.bug is Bug.DROPPED_FIRST else ledger.reserved
        epochs = replaced(leader.epochs, other, ledger.epoch + 1 if known and kept else 0)
        after = with_ledger(state, other, Ledger(ledger.epoch + 1, reserved=kept, closed=not kept))
        yield f"{name} closes ledger {other}", _leader(after, number, closed._replace(epochs=epochs))

    def _deposed(self, state: State, leader: Leader) -> bool:
        unread = self.bug in (Bug.TERM_UNREAD, Bug.FENCES_OWN)
        return state.term != leader.term and not unread

    def _write(self, state: State, number: int, own: int, view: tuple[str, ...]) -> Iterator[Move]:
        """Return the writes of the ledger in which the namespace stands, and the releases that follow."""
        leader, name, ledger = state.leaders[number], NAMES[number], state.ledgers[own] or Ledger()
        if ledger.epoch != leader.epochs[own]:
            yield f"{name} is fenced off", _stopped(state, number)
            return
        if leader.left:
            other = state.ledgers[1 - own] or Ledger()
            dropped = with_ledger(state, 1 - own, other._replace(reserved=other.reserved - leader.left))
            done = leader._replace(left=frozenset())
            yield f"{name} drops what it carried over", _leader(dropped, number, done)
        settled = {self.works[place] for place, seen in enumerate(view) if seen == "live" or seen in OVER}
        reserved = (ledger.reserved | leader.carried) - settled
        counted = Ledger(ledger.epoch, counted=True, used=view.count("live"), reserved=reserved)
        again = leader._replace(carried=frozenset(), left=leader.left | leader.carried)
        if counted != ledger or leader.carried:
            yield f"{name} balances", _leader(with_ledger(state, own, counted), number, again)
        for place in range(self.queued):
            key = self.works[place]
            if view[place] != "held":
                continue
            if key in ledger.reserved:
                if key not in state.patches:
                    yield f"{name} releases {key}", state._replace(patches=state.patches | {key})
            elif counted.used + len(reserved) < LIMIT:
                written = with_ledger(state, own, counted._replace(reserved=reserved | {key}))
                yield f"{name} reserves for {key}", _leader(written, number, again)


def _leader(state: State, number: int, leader: Leader) -> State:
    return state._replace(leaders=replaced(state.leaders, number, leader))


def _stopped(state: State, number: int) -> State:
    """A leader stops for good: it crashed, or was deposed. Only a new process begins again."""
    return _leader(state, number, Leader(term=state.leaders[number].term))


def _is_its_own(state: State, leader: Leader) -> bool:
    pairs = zip(leader.epochs, state.ledgers, strict=True)
    return all(not epoch or (ledger is not None and ledger.epoch == epoch) for epoch, ledger in pairs)


def _fenced(state: State, number: int, leader: Leader, root: int) -> State:
    ledger = state.ledgers[root] or Ledger()
    raised = ledger._replace(epoch=ledger.epoch + 1, closed=False)
    epochs = replaced(leader.epochs, root, raised.epoch)
    return _leader(with_ledger(state, root, raised), number, leader._replace(epochs=epochs))
