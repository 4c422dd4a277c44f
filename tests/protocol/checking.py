"""The worlds that are checked, and what each planted bug needs to do its harm."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec

from tests.protocol import roots, sets
from tests.protocol.exploring import Explored, Explorer
from tests.protocol.roots import Roots
from tests.protocol.rules import Bug, Model
from tests.protocol.sets import Sets

S = TypeVar("S")

World: TypeAlias = Model | Roots | Sets
AnyBug: TypeAlias = Bug | roots.Bug | sets.Bug
SOUND: Final[tuple[World, ...]] = (
    Model(queued=2, denied=1),
    Model(queued=1, denied=2),
    Model(queued=1, denied=1, retry=True, delete=True),
    Model(queued=1, denied=2, delete=True, same=True),
    Roots(queued=2),
    Roots(queued=1, denied=True),
    Roots(queued=1, roots=(0, 1, 0)),
    Sets(queued=2),
    Sets(queued=1, denied=True),
    Sets(queued=2, leaders=(0, 1), roots=(0, 1, 0)),
    Sets(queued=1, leaders=(0, 1, 1), roots=(0, 1, 0)),
)
_WORLDS: Final = {
    Bug.NO_EPOCH: Model(queued=2, denied=0),
    Bug.LIST_BEFORE_FENCE: Model(queued=2, denied=0),
    Bug.PATCH_BEFORE_RESERVE: Model(queued=1, denied=1),
    Bug.CANCEL_RELEASE: Model(queued=2, denied=0),
    Bug.UNTESTED_PATCH: Model(queued=2, denied=0, retry=True),
    Bug.EXPIRE_WITHOUT_LIST: Model(queued=1, denied=1),
    Bug.EXPIRE_TOO_SOON: Model(queued=1, denied=1),
    Bug.SAME_ID: Model(queued=0, denied=2),
    Bug.BLIND_WRITE: Model(queued=0, denied=2),
    Bug.CANCEL_LATE: Model(queued=1, denied=1),
    Bug.TAKES_OVER: Model(queued=1, denied=2, same=True),
    Bug.DROPS_TOGETHER: Model(queued=1, denied=2, same=True),
    Bug.SHARES_ANY: Model(queued=0, denied=2),
}
_MOVES: Final = {
    roots.Bug.FENCES_OWN: Roots(queued=2),
    roots.Bug.TERM_UNREAD: Roots(queued=2),
    roots.Bug.LEFT_BEHIND: Roots(queued=2),
    roots.Bug.DROPPED_FIRST: Roots(queued=2),
    roots.Bug.NOT_CLOSED: Roots(queued=1, denied=True),
    roots.Bug.UNCOUNTED: Roots(queued=1, denied=True),
}
_SETS: Final = {
    sets.Bug.NO_HOME: Sets(queued=2, leaders=(0, 1)),
    sets.Bug.GIVES_OPEN: Sets(queued=1, denied=True, leaders=(0, 1)),
    sets.Bug.HOME_UNFENCED: Sets(queued=2),
    sets.Bug.HOME_UNREAD: Sets(queued=2),
    sets.Bug.OLD_VIEW: Sets(queued=2, leaders=(0, 1)),
    sets.Bug.LEFT_BEHIND: Sets(queued=2, leaders=(0, 1)),
}
PLANTED: Final[dict[AnyBug, World]] = {
    **{bug: msgspec.structs.replace(model, bug=bug) for bug, model in _WORLDS.items()},
    **{bug: msgspec.structs.replace(model, bug=bug) for bug, model in _MOVES.items()},
    **{bug: msgspec.structs.replace(model, bug=bug) for bug, model in _SETS.items()},
}


def check(model: World) -> Explored:
    """Explore a world whole, or as far as its first bad state."""
    with _nothing_collected():
        if isinstance(model, Roots):  # The same each time, but each world has states of a type of its own.
            return _explore(model)
        if isinstance(model, Sets):
            return _explore(model)
        return _explore(model)


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Leave out the search for cycles: states are tuples without any, and it takes a fifth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


class _World(Protocol[S]):
    def first(self) -> S: ...
    def moves(self, state: S, /) -> Iterable[tuple[str, S]]: ...
    def bad(self, state: S, /) -> str: ...
    def good(self, state: S, /) -> bool: ...
    def may_be_stuck(self, state: S, /) -> bool: ...


def _explore(world: _World[S]) -> Explored:
    explorer = Explorer(world.first(), world.moves)
    return explorer.run(bad=world.bad, good=world.good, may_be_stuck=world.may_be_stuck)
