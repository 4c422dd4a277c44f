"""One what-if: a history, or one that is drawn anew from it, played under policies with some other numbers.

Only waits are counted, so that it takes less time than a whole simulation; a test holds that they are those
that `lockkeeper simulate` tells.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from lockkeeper.suggesting.strategies.settings import Setting, with_settings
from lockkeeper.suggesting.strategies.wanted_waits import AllWaits, NamespaceWaits
from policy.core.decision.decision import Reason
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import WindowSpec
from policy.core.quota.accounts import Account, Root
from policy.service.simulation.observer import ReplayedRun
from policy.service.simulation.past_run import PastRun
from policy.service.simulation.player import Player
from policy.service.simulation.wait_counts import WaitCounts


class PolicyWhatIf(msgspec.Struct, frozen=True):
    """What is to be played: changes of policies, with the window that is new in them, and which history.

    A `drawing` above 0 is the history as it is drawn anew then.
    """

    changes: tuple[tuple[Setting, int], ...] = ()
    window: WindowSpec | None = None
    drawing: int = 0


class Runs(Protocol):
    """A history that can be played as often as asked, also drawn anew."""

    @property
    def namespaces(self) -> frozenset[str]:
        """The namespaces in it."""
        ...

    def drawn(self, drawing: int) -> Iterable[PastRun]:
        """Return its runs in the order of their creation; with a number above 0 as they are drawn then."""
        ...


class WhatIfPlayer:
    """Plays what-ifs over one history and set of policies: in this process or in a worker."""

    def __init__(self, *, runs: Runs, snapshot: Snapshot) -> None:
        self._runs = runs
        self._snapshot = snapshot

    def play(self, what_if: PolicyWhatIf) -> AllWaits | None:
        """Return the waits; None where the policies would be wrong."""
        snapshot = with_settings(self._snapshot, dict(what_if.changes), what_if.window)
        return None if snapshot is None else played_waits(self._runs, snapshot, drawing=what_if.drawing)


def played_waits(
    runs: Runs,
    snapshot: Snapshot,
    *,
    drawing: int = 0,
    waited: Callable[[str, float, float], object] = lambda *_: None,
) -> AllWaits:
    """Return the waits under some policies; `waited` is told from and until when one of a namespace waits."""
    player: Player | None = None
    counter = _WaitCounter(waited)
    for run in runs.drawn(drawing):
        if player is None:
            player = Player(
                snapshot=snapshot, namespaces=runs.namespaces, begin=run.created, observer=counter
            )
        player.play(run)
    if player is None:
        return {}
    player.finish()
    for played in player.played.values():
        if played.waits:
            counter.lose(played.run, player.now)
    return counter.result()


class _WaitCounter:
    """Counts waits by namespace: a PlayObserver."""

    def __init__(self, waited: Callable[[str, float, float], object]) -> None:
        self._waited = waited
        self._waits: dict[str, WaitCounts] = defaultdict(WaitCounts)
        self._lost = Counter[str]()

    def result(self) -> AllWaits:
        """Return what was counted."""
        names = sorted(self._waits.keys() | self._lost.keys())
        return {
            name: NamespaceWaits(
                len(self._waits[name]) + self._lost[name],
                self._lost[name],
                self._waits[name].figures(endless=self._lost[name]),
            )
            for name in names
        }

    def lose(self, run: PastRun, at: float) -> None:
        """Count one that never starts."""
        self._lost[run.namespace] += 1
        self._waited(run.namespace, run.created, at)

    def denied(self, run: PastRun, number: int, reasons: tuple[Reason, ...]) -> None:  # noqa: ARG002 - a protocol
        """Count a denial."""
        self.lose(run, run.created)

    def waits(self, played: ReplayedRun, at: float) -> None:
        """Count nothing: a wait counts when it is over."""

    def released(self, played: ReplayedRun, at: float) -> None:
        """Count one that starts."""
        run = played.run
        if not run.runs_already:
            self._waits[run.namespace].add(at - run.created)
            if at > run.created:
                self._waited(run.namespace, run.created, at)

    def gave_up(self, played: ReplayedRun, at: float) -> None:
        """Count one that waited for too long."""
        self.lose(played.run, at)

    def superseded(self, played: ReplayedRun, at: float) -> None:
        """Count nothing: a newer one of its key is there, and waits in its place."""

    def ended(self, played: ReplayedRun, at: float) -> None:
        """Count nothing."""

    def got_lock(self, locks: Iterable[str], namespace: str, seconds: float) -> None:
        """Count nothing: locks are no quotas."""

    def used(self, root: Root, accounts: Iterable[Account], namespace: str, at: float) -> None:
        """Count nothing."""
