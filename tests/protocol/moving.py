"""What the models of a namespace that moves between two ledgers have in common: Workflows and webhooks.

By each version of the policies the namespace stands in one of the ledgers. Workflows q1, q2 are held, d1 is
created under a quota that denies; there is one slot. What leaders do differs, and so do their states.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import msgspec

LIMIT: Final = 1
OVER: Final = ("done", "lost")


class Ledger(NamedTuple):
    """A ledger; `counted`: the account of the namespace stands in it; `closed`: it is nobody's."""

    epoch: int = 0
    counted: bool = False
    used: int = 0
    reserved: frozenset[str] = frozenset()
    closed: bool = False


class Reading(NamedTuple):
    """The ledger in which the namespace stands by a version, as a webhook has read it."""

    version: int
    ledger: Ledger | None


class MovingState(Protocol):
    """Every state; `patches` are releases on their way, `create` is what a webhook has read, or a word."""

    @property
    def objects(self) -> tuple[str, ...]: ...
    @property
    def latest(self) -> int: ...
    @property
    def ledgers(self) -> tuple[Ledger | None, ...]: ...
    @property
    def create(self) -> Reading | str: ...
    @property
    def patches(self) -> frozenset[str]: ...
    def _replace(self, *args: Any, **fields: Any) -> Any: ...


S = TypeVar("S", bound=MovingState)


class MovingNamespace(msgspec.Struct, frozen=True):
    """How many Workflows are held, and in which ledger the namespace stands, by version."""

    queued: int
    denied: bool = False
    roots: tuple[int, ...] = (0, 1)

    @property
    def works(self) -> tuple[str, ...]:
        """The Workflows, the queued ones first."""
        return (*("q1", "q2")[: self.queued], *(["d1"] if self.denied else []))

    @property
    def first_objects(self) -> tuple[str, ...]:
        """The Workflows before anything has happened."""
        return ("held",) * self.queued + ("absent",) * self.denied

    @property
    def first_create(self) -> str:
        """What the webhooks do before anything has happened."""
        return "idle" if self.denied else "over"

    def bad(self, state: S) -> str:
        """Return what is wrong with a state."""
        return "limit exceeded" if state.objects.count("live") > LIMIT else ""

    def has_room(self, ledger: Ledger | None) -> bool:
        """Return whether a webhook admits by a ledger: the account has to stand in it."""
        return ledger is not None and ledger.counted and ledger.used + len(ledger.reserved) < LIMIT

    def moves_of_others(self, state: S) -> Iterator[tuple[str, S]]:
        """Return the moves of everybody but the leaders."""
        if state.latest + 1 < len(self.roots):
            yield "the namespace moves", state._replace(latest=state.latest + 1)
        for place, name in enumerate(self.works):
            if state.objects[place] == "live":
                yield f"{name} ends", with_object(state, place, "done")
        for name in sorted(state.patches):
            place = self.works.index(name)
            landed: S = state._replace(patches=state.patches - {name})
            yield f"a release of {name} is lost", landed
            if state.objects[place] == "held":
                yield f"a release of {name} arrives", with_object(landed, place, "live")
        yield from self._create(state)

    def _create(self, state: S) -> Iterator[tuple[str, S]]:
        """Return the moves of the webhooks, each of which may go by any version that there was."""
        stage = state.create
        if stage == "idle":
            for version in range(state.latest + 1):
                reading = Reading(version, state.ledgers[self.roots[version]])
                yield f"a webhook reads the ledger of version {version}", state._replace(create=reading)
        elif stage == "reserved":
            landed = with_object(state, self.queued, "live")._replace(create="over")
            yield "the create of d1 lands", landed
            yield "the create of d1 is lost", with_object(state, self.queued, "lost")._replace(create="over")
        elif isinstance(stage, Reading):
            version, read = stage
            root = self.roots[version]
            if read != state.ledgers[root]:
                yield "a webhook reads again", state._replace(create=Reading(version, state.ledgers[root]))
            elif self.has_room(read):
                known = read or Ledger()
                written = with_ledger(state, root, known._replace(reserved=known.reserved | {"d1"}))
                yield "a webhook reserves for d1", written._replace(create="reserved")
            else:
                yield "a webhook refuses d1", with_object(state, self.queued, "lost")._replace(create="over")


def replaced(values: tuple[Any, ...], place: int, value: object) -> tuple[Any, ...]:
    """Return values with another one at a place."""
    return (*values[:place], value, *values[place + 1 :])


def with_object(state: S, place: int, now: str) -> S:
    """Return a state where a Workflow is another way."""
    found: S = state._replace(objects=replaced(state.objects, place, now))
    return found


def with_ledger(state: S, root: int, ledger: Ledger) -> S:
    """Return a state with a ledger that was written."""
    found: S = state._replace(ledgers=replaced(state.ledgers, root, ledger))
    return found
