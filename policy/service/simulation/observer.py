"""What a player tells of a history as it plays it: the Protocol of whoever counts or records that."""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from policy.core.decision.decision import Reason
from policy.core.lock_model.taken_locks import TakenLocks
from policy.core.quota.accounts import Account, Root
from policy.core.values.amounts import Usage
from policy.service.simulation.past_run import PastRun
from policy.service.tracking.tracked import Tracked


class ReplayedRun(msgspec.Struct, gc=False):
    """A run in play: how it is tracked, what it counts, and which of its stretches it is in.

    `number` is its place among all that are created, from 0. `root` is None where no quota governs it.
    `lock_wait` are the seconds for which it waited for locks.
    """

    run: PastRun
    number: int
    priority: int
    tracked: Tracked | None
    root: Root | None
    locks: TakenLocks
    user: str = ""
    usage: Usage = Usage(1)
    accounts: tuple[Account, ...] = ()
    stretch: int = -1
    released: float = -1.0
    lock_wait: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether it waits for its release."""
        return self.released < 0


class PlayObserver(Protocol):
    """Sees what happens, at seconds since 1970."""

    def denied(self, run: PastRun, number: int, reasons: tuple[Reason, ...]) -> None:
        """A run was refused at its creation."""
        ...

    def waits(self, played: ReplayedRun, at: float) -> None:
        """A run was created and is held."""
        ...

    def released(self, played: ReplayedRun, at: float) -> None:
        """A run has its slot, or needs none."""
        ...

    def gave_up(self, played: ReplayedRun, at: float) -> None:
        """A run has waited for longer than `maxWait`, and never runs."""
        ...

    def superseded(self, played: ReplayedRun, at: float) -> None:
        """A run that waited never runs, because a newer one of its key is there."""
        ...

    def ended(self, played: ReplayedRun, at: float) -> None:
        """A run is over."""
        ...

    def got_lock(self, locks: Iterable[str], namespace: str, seconds: float) -> None:
        """A step of a run has its locks, after so long."""
        ...

    def used(self, root: Root, accounts: Iterable[Account], namespace: str, at: float) -> None:
        """The usage of some accounts of a root is another one, or its limits are."""
        ...
