"""Several leaders, one for each set of ledgers: a namespace that goes from one set to another.

This is not built (ADR 43 says when it would be). Each set has one ledger here, and leaders of its own;
by each version of the policies the namespace stands in one of the two. A `home`, an object of its own, names
the ledger in which the namespace counts: a leader closes its ledger before it gives the home away, and the
other takes the home, fences its ledger, reads the home again, lists, and carries over what is reserved. What
rules.py and roots.py show of the ledgers of one leader is taken for granted. Planting a bug switches one rule
off.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from tests.protocol.moving import LIMIT, OVER, Ledger, MovingNamespace, Reading, replaced, with_ledger

Move: TypeAlias = tuple[str, "State"]
SETS: Final = (0, 1)


class Bug(StrEnum):
    """Rules that can be switched off."""

    NO_HOME = "no-home"
    GIVES_OPEN = "gives-the-home-before-it-closes"
    HOME_UNFENCED = "takes-the-home-at-its-old-epoch"
    HOME_UNREAD = "does-not-read-the-home-after-the-fence"
    OLD_VIEW = "goes-by-a-list-from-before-the-home"
    LEFT_BEHIND = "carries-nothing-over"


class Home(NamedTuple):
    """The ledger in which the namespace counts, how often it was given or taken, and by which version.

    Who goes by an older version waits, or a slow leader would give the namespace back.
    """

    root: int = 0
    epoch: int = 0
    version: int = 0


class Leader(NamedTuple):
    """A leader: of which set, what it goes by, and the epochs that it has of its ledger and of the home."""

    of: int
    stage: str = "idle"
    version: int = 0
    epoch: int = 0
    home: int = 0
    checked: bool = False
    view: tuple[str, ...] | None = None
    carried: frozenset[str] | None = None
    closed: bool = False


class State(NamedTuple):
    """Everything; `patches` are releases on their way, `create` is what a webhook has read, or a word."""

    objects: tuple[str, ...]
    latest: int
    home: Home
    ledgers: tuple[Ledger | None, ...]
    create: Reading | str
    leaders: tuple[Leader, ...]
    patches: frozenset[str]


class Sets(MovingNamespace, frozen=True):
    """How many Workflows are held, of which set each leader is, and where the namespace stands by version."""

    leaders: tuple[int, ...] = (0, 0, 1)
    bug: Bug | None = None

    def first(self) -> State:
        """Return the state in which nothing has happened."""
        leaders = tuple(Leader(of) for of in self.leaders)
        return State(self.first_objects, 0, Home(), (None, None), self.first_create, leaders, frozenset())

    def good(self, state: State) -> bool:
        """Tell whether nothing is left to do and no slot is taken; a closed ledger counts nowhere."""
        ledger = state.ledgers[state.home.root]
        free = ledger is None or ledger.closed or not (ledger.used or ledger.reserved)
        return free and all(each in OVER for each in state.objects)

    def may_be_stuck(self, state: State) -> bool:
        """Tell whether a set has nobody any more who can lead it, since no process begins twice here."""
        able = {each.of for each in state.leaders if each.stage == "idle" or _is_its_own(state, each)}
        return len(able) < len(SETS)

    def moves(self, state: State) -> Iterator[Move]:
        """Return every move."""
        yield from self.moves_of_others(state)
        for number in range(len(self.leaders)):
            yield from self._lead(state, number)

    def _lead(self, state: State, number: int) -> Iterator[Move]:
        leader, name = state.leaders[number], f"leader {number} of set {self.leaders[number]}"
        if leader.stage == "idle":
            begun = leader._replace(stage="leading", version=state.latest)
            yield f"{name} begins", _leader(state, number, begun)
        if leader.stage != "leading":
            return
        yield f"{name} stops", _stopped(state, number)
        if leader.version < state.latest:
            heard = leader._replace(version=leader.version + 1)
            yield f"{name} hears of version {heard.version}", _leader(state, number, heard)
        if leader.view is not None:
            for place, now in enumerate(state.objects):
                if leader.view[place] != now:
                    view = (*leader.view[:place], now, *leader.view[place + 1 :])
                    seen = _leader(state, number, leader._replace(view=view))
                    yield f"{name} sees {self.works[place]} {now}", seen
        elif self.bug is Bug.OLD_VIEW:
            yield f"{name} lists", _leader(state, number, leader._replace(view=state.objects))
        for label, after in self._work(state, number):
            yield f"{name} {label}", after

    def _work(self, state: State, number: int) -> Iterator[Move]:
        """Return the moves of one that leads, in the order in which it has to make them."""
        leader = state.leaders[number]
        stands = self.roots[leader.version] == leader.of
        if not leader.home:
            named = state.home.root == leader.of and state.home.version <= leader.version
            if named or (self.bug is Bug.NO_HOME and stands):
                yield from self._take(state, number)
        elif not leader.epoch:
            ledger = state.ledgers[leader.of] or Ledger()
            raised = ledger._replace(epoch=ledger.epoch + 1, closed=False)
            fenced = leader._replace(epoch=raised.epoch, checked=self.bug in (Bug.HOME_UNREAD, Bug.NO_HOME))
            yield "fences its ledger", _leader(with_ledger(state, leader.of, raised), number, fenced)
        elif not leader.checked:
            if _has_home(state, leader):
                yield "reads the home", _leader(state, number, leader._replace(checked=True))
            else:
                yield "finds another home", _stopped(state, number)
        elif leader.view is None:
            yield "lists", _leader(state, number, leader._replace(view=state.objects))
        elif leader.carried is None:
            other = state.ledgers[1 - leader.of]
            behind = other is None or self.bug is Bug.LEFT_BEHIND
            carried = frozenset() if other is None or behind else other.reserved
            yield "reads the other ledger", _leader(state, number, leader._replace(carried=carried))
        elif leader.closed or not stands:
            yield from self._give(state, number)
        else:
            yield from self._write(state, number, leader.view, leader.carried)

    def _take(self, state: State, number: int) -> Iterator[Move]:
        """Return how a leader takes the home that names its ledger: what was read of it before is void."""
        leader = state.leaders[number]
        unfenced = self.bug is Bug.HOME_UNFENCED and state.home.epoch
        epoch = state.home.epoch + (not unfenced)
        taken = Home(leader.of, epoch, max(leader.version, state.home.version))
        view = leader.view if self.bug is Bug.OLD_VIEW else None
        after = leader._replace(home=taken.epoch, view=view, carried=None)
        yield "takes the home", _leader(state._replace(home=taken), number, after)

    def _give(self, state: State, number: int) -> Iterator[Move]:
        """Return how a leader gives the namespace away: it closes its ledger, and then writes the home."""
        leader, ledger = state.leaders[number], state.ledgers[state.leaders[number].of]
        if not leader.closed and self.bug is not Bug.GIVES_OPEN:
            if ledger is None or ledger.epoch != leader.epoch:
                yield "is fenced off", _stopped(state, number)
                return
            kept = ledger.reserved | (leader.carried or frozenset())
            closed = with_ledger(state, leader.of, Ledger(ledger.epoch + 1, reserved=kept, closed=True))
            yield "closes its ledger", _leader(closed, number, leader._replace(closed=True))
            return
        if not _has_home(state, leader):
            yield "is fenced off", _stopped(state, number)
            return
        given = state._replace(home=Home(1 - leader.of, leader.home + 1, leader.version))
        yield "gives the home", _leader(given, number, Leader(leader.of, "leading", leader.version))

    def _write(
        self, state: State, number: int, view: tuple[str, ...], carried: frozenset[str]
    ) -> Iterator[Move]:
        """Return the writes of the ledger in which the namespace counts, and the releases that follow."""
        leader, ledger = state.leaders[number], state.ledgers[state.leaders[number].of]
        if ledger is None or ledger.epoch != leader.epoch or ledger.closed:
            yield "is fenced off", _stopped(state, number)
            return
        settled = {self.works[place] for place, seen in enumerate(view) if seen == "live" or seen in OVER}
        reserved = (ledger.reserved | carried) - settled
        counted = Ledger(ledger.epoch, counted=True, used=view.count("live"), reserved=reserved)
        again = leader._replace(carried=frozenset())
        if counted != ledger:
            yield "balances", _leader(with_ledger(state, leader.of, counted), number, again)
        for place in range(self.queued):
            key = self.works[place]
            if view[place] != "held":
                continue
            if key in ledger.reserved:
                if key not in state.patches:
                    yield f"releases {key}", state._replace(patches=state.patches | {key})
            elif counted.used + len(reserved) < LIMIT:
                written = counted._replace(reserved=reserved | {key})
                yield f"reserves for {key}", _leader(with_ledger(state, leader.of, written), number, again)


def _leader(state: State, number: int, leader: Leader) -> State:
    return state._replace(leaders=replaced(state.leaders, number, leader))


def _stopped(state: State, number: int) -> State:
    """A leader stops for good: it crashed, or was deposed."""
    return _leader(state, number, Leader(state.leaders[number].of, "stopped"))


def _is_its_own(state: State, leader: Leader) -> bool:
    """Tell whether nobody has fenced off one that leads."""
    ledger = state.ledgers[leader.of]
    ours = not leader.epoch or leader.closed or (ledger is not None and ledger.epoch == leader.epoch)
    return leader.stage == "leading" and ours and (not leader.home or _has_home(state, leader))


def _has_home(state: State, leader: Leader) -> bool:
    return (state.home.root, state.home.epoch) == (leader.of, leader.home)
