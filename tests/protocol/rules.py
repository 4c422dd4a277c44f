"""The rules of docs/protocol.md as moves between states: two leaders, webhooks, crashes, lost requests.

One limit of one slot. Workflows q1, q2 are queued, d1, d2 are created under a quota that denies; where they
are the `same`, both have one name, so that one alone can be there (rule 12). Every move is one request that
reached the API, or one step inside a process; a process may stop between any two. Planting a bug switches one
rule off.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

import msgspec

LEADERS: Final = ("A", "B")
EPOCHS: Final = 2
LIMIT: Final = 1
HELD: Final = ("held", "held again")
LIVE: Final = ("live", "live again")
OVER: Final = ("done", "done again", "gone")
Move: TypeAlias = tuple[str, "State"]


class Bug(StrEnum):
    """Rules that can be switched off."""

    NO_EPOCH = "no-epoch"
    LIST_BEFORE_FENCE = "list-before-fence"
    PATCH_BEFORE_RESERVE = "patch-before-reserve"
    CANCEL_RELEASE = "cancel-release"
    UNTESTED_PATCH = "untested-patch"
    EXPIRE_WITHOUT_LIST = "expire-without-list"
    EXPIRE_TOO_SOON = "expire-too-soon"
    SAME_ID = "same-reservation-id"
    BLIND_WRITE = "blind-write"
    CANCEL_LATE = "cancel-after-answer"
    TAKES_OVER = "takes-over-the-slot-of-its-name"
    DROPS_TOGETHER = "drops-all-of-a-name"
    SHARES_ANY = "shares-with-any-name"


class Books(NamedTuple):
    """The ledger."""

    epoch: int
    used: int
    reserved: frozenset[str]


class Leader(NamedTuple):
    """What a leader remembers, and its release patches on their way (workflow, state it was seen in)."""

    epoch: int
    view: tuple[str, ...] | None
    read: Books | None
    patches: frozenset[tuple[str, str]]


class State(NamedTuple):
    """Everything: objects, ledger, creates under way (a ledger as read, or a word), leaders."""

    objects: tuple[str, ...]
    books: Books
    creates: tuple[Books | str, ...]
    leaders: tuple[Leader, ...]


class Model(msgspec.Struct, frozen=True):
    """How large the world is, and what is wrong with it."""

    queued: int
    denied: int
    retry: bool = False
    delete: bool = False
    same: bool = False
    bug: Bug | None = None

    @property
    def works(self) -> tuple[str, ...]:
        """The Workflows, the queued ones first."""
        return ("q1", "q2", "q3")[: self.queued] + ("d1", "d2")[: self.denied]

    def first(self) -> State:
        """Return the state in which nothing has happened."""
        nobody = Leader(0, None, None, frozenset())
        books = Books(0, 0, frozenset())
        return State(("absent",) * len(self.works), books, ("idle",) * self.denied, (nobody,) * len(LEADERS))

    def bad(self, state: State) -> str:
        """Return what is wrong with a state."""
        return "limit exceeded" if sum(each in LIVE for each in state.objects) > LIMIT else ""

    def good(self, state: State) -> bool:
        """Tell whether nothing is left to do and no slot is taken."""
        idle = all(each == "absent" or each in OVER for each in state.objects)
        return idle and state.books.used == 0 and not state.books.reserved

    def may_be_stuck(self, state: State) -> bool:
        """Tell whether no leader can act any more, since epochs are bounded here."""
        epoch = state.books.epoch
        return epoch >= EPOCHS and all(each.epoch != epoch for each in state.leaders)

    def moves(self, state: State) -> Iterator[Move]:
        """Return every move."""
        yield from self._people(state)
        for number in range(self.denied):
            yield from self._create(state, number)
        for number in range(len(LEADERS)):
            yield from self._lead(state, number)
            yield from self._patches(state, number)

    def _people(self, state: State) -> Iterator[Move]:
        for number, name in enumerate(self.works):
            now = state.objects[number]
            if number < self.queued and now == "absent":
                yield f"{name} is created and held", _object(state, number, "held")
            if number < self.queued and now == "done" and self.retry:
                yield f"{name} is retried and held again", _object(state, number, "held again")
            if now in LIVE:
                ended = "done" if now == "live" else "done again"
                yield f"{name} ends", _object(state, number, ended)
            if self.delete and (now in HELD or now in LIVE):
                yield f"{name} is deleted", _object(state, number, "gone")

    def _create(self, state: State, number: int) -> Iterator[Move]:
        """Return the moves of the webhooks and the API server for one create under a quota that denies."""
        place = self.queued + number
        name, stage, books = self.works[place], state.creates[number], state.books
        key = "d" if self.bug is Bug.SAME_ID else name
        if stage == "idle":
            yield f"a webhook reads the ledger for {name}", _create(state, number, books)
        elif isinstance(stage, Books):
            blind = self.bug is Bug.BLIND_WRITE
            if stage != books and not blind:
                yield f"a webhook reads the ledger for {name} again", _create(state, number, books)
            elif key in stage.reserved or self._taken(stage, beside=key) < LIMIT:
                others = stage.reserved - {"d1", "d2"} if self.bug is Bug.TAKES_OVER else stage.reserved
                written = stage._replace(reserved=others | {key})
                yield f"a webhook reserves for {name}", _create(state, number, "reserved", written)
            else:
                yield f"a webhook refuses {name}", _create(state, number, "over")
        elif stage == "reserved":
            landed = _create(_object(state, place, "live"), number, "over")
            if not self._is_taken(state, number):
                yield f"the create of {name} lands", landed
            yield f"the create of {name} is lost", _create(state, number, "over")
            without = books._replace(reserved=books.reserved - self._dropped(key))
            refused = "allowed late" if self.bug is Bug.CANCEL_LATE else "over"
            yield f"the validating side refuses {name}", _create(state, number, refused, without)
        elif stage == "allowed late":
            yield f"{name} lands all the same", _create(_object(state, place, "live"), number, "over")

    def _taken(self, books: Books, *, beside: str = "") -> int:
        """Return what is used and reserved; creates of one name share a slot, and one `beside` is no part."""
        sharing = {"d1", "d2"} if self.same or self.bug is Bug.SHARES_ANY else set()
        alone = books.reserved - sharing
        if beside in sharing:
            return books.used + len(alone)
        return books.used + len(alone) + bool(books.reserved & sharing)

    def _is_taken(self, state: State, number: int) -> bool:
        """Tell whether the other create of the same name is there, finished or not."""
        other = state.objects[self.queued + 1 - number] if self.same else "absent"
        return other not in ("absent", "gone")

    def _dropped(self, key: str) -> frozenset[str]:
        """Return what goes with a reservation: nothing but itself."""
        together = self.bug is Bug.DROPS_TOGETHER and key.startswith("d")
        return frozenset({"d1", "d2"} if together else {key})

    def _lead(self, state: State, number: int) -> Iterator[Move]:
        """Return the moves of one leader that write no object."""
        leader, name, books = state.leaders[number], LEADERS[number], state.books
        if books.epoch < EPOCHS and leader.epoch == 0:
            yield from self._take_over(state, number)
        if leader.epoch == 0:
            return
        yield f"{name} crashes", _leader(state, number, Leader(0, None, None, leader.patches))
        if leader.view is None:
            yield f"{name} lists", _leader(state, number, leader._replace(view=state.objects))
            return
        for place, now in enumerate(state.objects):
            if leader.view[place] != now:
                view = _with(leader.view, place, now)
                yield (
                    f"{name} sees that {self.works[place]} is {now}",
                    _leader(state, number, leader._replace(view=view)),
                )
        if leader.read is None:
            yield f"{name} reads the ledger", _leader(state, number, leader._replace(read=books))
        elif leader.read != books:
            yield f"{name} was too slow", _leader(state, number, leader._replace(read=None))
        elif books.epoch != leader.epoch and self.bug is not Bug.NO_EPOCH:
            yield f"{name} is fenced off", _leader(state, number, Leader(0, None, None, leader.patches))
        else:
            yield from self._work(state, number, leader.view)

    def _take_over(self, state: State, number: int) -> Iterator[Move]:
        leader, name, books = state.leaders[number], LEADERS[number], state.books
        raised = books._replace(epoch=books.epoch + 1)
        if self.bug is Bug.NO_EPOCH:
            taken = Leader(books.epoch or 1, state.objects, None, leader.patches)
            yield f"{name} takes over", _leader(state, number, taken)
        elif self.bug is Bug.LIST_BEFORE_FENCE and leader.view is None:
            yield f"{name} lists", _leader(state, number, leader._replace(view=state.objects))
        else:
            view = leader.view if self.bug is Bug.LIST_BEFORE_FENCE else None
            taken = Leader(raised.epoch, view, None, leader.patches)
            yield f"{name} raises the epoch", _leader(state, number, taken, raised)

    def _work(self, state: State, number: int, view: tuple[str, ...]) -> Iterator[Move]:
        """Return the moves of a leader that has the ledger as it stands."""
        leader, name, books = state.leaders[number], LEADERS[number], state.books
        settled = {self.works[place] for place, seen in enumerate(view) if seen in LIVE or seen in OVER}
        if self.bug is Bug.SAME_ID and any(each.startswith("d") for each in settled):
            settled.add("d")
        if self.bug is Bug.DROPS_TOGETHER and settled & {"d1", "d2"}:
            settled |= {"d1", "d2"}
        counted = books._replace(
            used=sum(seen in LIVE for seen in view), reserved=frozenset(books.reserved - settled)
        )
        if counted != books:
            yield f"{name} balances", _leader(state, number, leader._replace(read=None), counted)
        yield from self._expire(state, number, counted)
        for place in range(self.queued):
            if view[place] in HELD:
                yield from self._release(state, number, place, counted)

    def _expire(self, state: State, number: int, counted: Books) -> Iterator[Move]:
        """Return the expiries: of creates that are over, and of which a consistent list knows no object."""
        again = state.leaders[number]._replace(read=None)
        for create, stage in enumerate(state.creates):
            place = self.queued + create
            key = self.works[place]
            unseen = state.objects[place] == "absent" or self.bug is Bug.EXPIRE_WITHOUT_LIST
            over = stage == "over" or (self.bug is Bug.EXPIRE_TOO_SOON and stage == "reserved")
            if key in counted.reserved and over and unseen:
                written = counted._replace(reserved=counted.reserved - {key})
                label = f"{LEADERS[number]} lets the reservation of {key} expire"
                yield label, _leader(state, number, again, written)

    def _release(self, state: State, number: int, place: int, counted: Books) -> Iterator[Move]:
        """Return what a leader does for a Workflow that it sees held: reserve first, send the patch then."""
        leader, name = state.leaders[number], LEADERS[number]
        again, key = leader._replace(read=None), self.works[place]
        patch = (key, leader.view[place] if leader.view is not None else "")
        sent = leader._replace(patches=leader.patches | {patch})
        if key in counted.reserved:
            if patch not in leader.patches:
                yield f"{name} sends the release of {key}", _leader(state, number, sent)
            if self.bug is Bug.CANCEL_RELEASE:
                written = counted._replace(reserved=counted.reserved - {key})
                yield f"{name} cancels the release of {key}", _leader(state, number, again, written)
        elif self._taken(counted) < LIMIT:
            written = counted._replace(reserved=counted.reserved | {key})
            yield f"{name} reserves for {key}", _leader(state, number, again, written)
            if self.bug is Bug.PATCH_BEFORE_RESERVE and patch not in leader.patches:
                yield f"{name} sends the release of {key} too early", _leader(state, number, sent)

    def _patches(self, state: State, number: int) -> Iterator[Move]:
        """Return what becomes of the release patches that a leader has sent: they arrive late, or never."""
        leader = state.leaders[number]
        for patch in sorted(leader.patches):
            key, seen = patch
            place = self.works.index(key)
            now = state.objects[place]
            landed = _leader(state, number, leader._replace(patches=leader.patches - {patch}))
            yield f"a release of {key} by {LEADERS[number]} is lost", landed
            if now == seen or (self.bug is Bug.UNTESTED_PATCH and now in HELD):
                live = "live" if now == "held" else "live again"
                yield f"a release of {key} by {LEADERS[number]} arrives", _object(landed, place, live)


def _with(values: tuple[str, ...], place: int, value: str) -> tuple[str, ...]:
    return (*values[:place], value, *values[place + 1 :])


def _object(state: State, place: int, now: str) -> State:
    return state._replace(objects=_with(state.objects, place, now))


def _create(state: State, number: int, stage: Books | str, books: Books | None = None) -> State:
    creates = (*state.creates[:number], stage, *state.creates[number + 1 :])
    return state._replace(creates=creates, books=state.books if books is None else books)


def _leader(state: State, number: int, leader: Leader, books: Books | None = None) -> State:
    leaders = (*state.leaders[:number], leader, *state.leaders[number + 1 :])
    return state._replace(leaders=leaders, books=state.books if books is None else books)
