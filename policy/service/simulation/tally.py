"""Counts what a player tells, and returns the result: the PlayObserver behind every report.

A wait counts when it is over. Who starves: a Workflow that never started, or that waited for longer than an
hour and ten times as long as half of those of its root.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from policy.core.decision.decision import Reason
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Account, Root
from policy.service.simulation.arrivals import at as time_at
from policy.service.simulation.fates import DENIED, GAVE_UP, NEVER_STARTED, Fates
from policy.service.simulation.group_counts import GroupCounts, Groups, jain
from policy.service.simulation.lock_counts import LockCounts
from policy.service.simulation.observer import ReplayedRun
from policy.service.simulation.past_run import PastRun
from policy.service.simulation.player import Player
from policy.service.simulation.result import DeniedResult, FairnessResult, PolicyResult, StarvedResult
from policy.service.simulation.use_curves import UseCurves
from policy.service.simulation.wait_counts import WaitCounts

_LONG: Final = 3600.0
_TIMES: Final = 10
_MOST_STARVED: Final = 50
_MOST_CANDIDATES: Final = 10_000


class Tally:
    """The counts of one play; it is the player's PlayObserver."""

    def __init__(self, *, snapshot: Snapshot, begin: float) -> None:
        self._snapshot = snapshot
        self._begin = begin
        self._curves = UseCurves(snapshot=snapshot, begin=begin)
        self._locks = LockCounts()
        self._all = GroupCounts()
        self._namespaces, self._pools, self._users = Groups(), Groups(), Groups()
        self._priorities, self._templates = Groups(), Groups()
        self._denied: dict[tuple[str, str], tuple[str, str]] = {}
        self._denials = Counter[tuple[str, str]]()
        self._by_root: dict[str, WaitCounts] = {}
        self._long: list[StarvedResult] = []
        self.fates = Fates()

    # The PlayObserver.

    def denied(self, run: PastRun, number: int, reasons: tuple[Reason, ...]) -> None:
        """Count a denial."""
        self.fates.put(number, run.namespace, DENIED)
        for group in self._groups(run, run.user, None):
            group.workflows += 1
            group.denied += 1
        key = (run.namespace, reasons[0].code.value)
        self._denied.setdefault(key, (run.name, reasons[0].message))
        self._denials[key] += 1

    def waits(self, played: ReplayedRun, at: float) -> None:
        """Count one that waits."""
        self._curves.waiting(played.run.namespace, 1, at)

    def released(self, played: ReplayedRun, at: float) -> None:
        """Count one that starts."""
        run, waited = played.run, at - played.run.created
        self.fates.put(played.number, run.namespace, waited)
        if run.runs_already:
            return
        told = run.waited
        borrows = self._curves.borrows(run.namespace)
        held = played.tracked is not None and played.tracked.holds is not None
        for group in self._groups(run, played.user, played):
            group.workflows += 1
            group.started += 1
            group.waits.add(waited)
            group.waited += waited > 0
            group.borrowed += borrows
            if told is not None:
                group.in_history.add(told)
        if held:
            self._curves.waiting(run.namespace, -1, at)
            self._by_root.setdefault(str(played.root), WaitCounts()).add(waited)
        if waited > _LONG:
            self._note_long(_starved(played, waited, started=True))

    def gave_up(self, played: ReplayedRun, at: float) -> None:
        """Count one that waited for too long."""
        self.superseded(played, at)
        self._note_long(_starved(played, at - played.run.created, started=False))

    def superseded(self, played: ReplayedRun, at: float) -> None:
        """Count one that never runs as lost; it does not starve, for a newer one of its key runs instead."""
        self.fates.put(played.number, played.run.namespace, GAVE_UP)
        self._curves.waiting(played.run.namespace, -1, at)
        for group in self._groups(played.run, played.user, played):
            group.workflows += 1
            group.gave_up += 1
            group.wasted += at - played.run.created

    def ended(self, played: ReplayedRun, at: float) -> None:
        """Count the length of one that is over; a newer one of its key may have made it shorter."""
        if played.run.runs_already:
            return
        ran = min(played.run.seconds, at - played.released - played.lock_wait)
        for group in self._groups(played.run, played.user, played):
            group.run_seconds += ran
            group.lock_waits.add(played.lock_wait)

    def got_lock(self, locks: Iterable[str], namespace: str, seconds: float) -> None:  # noqa: ARG002 - a protocol
        """Count a wait for locks."""
        self._locks.add(locks, seconds)

    def used(self, root: Root, accounts: Iterable[Account], namespace: str, at: float) -> None:
        """Count what is used now."""
        self._curves.used(root, accounts, namespace, at)

    # The result.

    def watch(self, player: Player) -> None:
        """Take usage and limits from the roots of a player."""
        self._curves.roots = player.roots

    def result(
        self,
        player: Player,
        *,
        policies: str,
        end: float,
        limit_of: Callable[[str], int | None],
        notes: Iterable[str],
    ) -> PolicyResult:
        """Return what came of a play that is finished; `end` is at least that of the history."""
        until = max(player.now, end) - self._begin
        for played in player.played.values():
            if played.waits:
                self._never_started(played, self._begin + until)
        starved = self._starved()
        use, pool_use, width = self._curves.results(until)
        return PolicyResult(
            policies=policies,
            version=self._snapshot.version[:12],
            begin=time_at(self._begin),
            end=time_at(self._begin + until),
            part_seconds=width,
            all=self._all.result("all"),
            namespaces=self._namespaces.results(),
            pools=self._pools.results(),
            users=self._users.results(),
            priorities=self._priorities.results(),
            templates=self._templates.results(),
            use=use,
            pool_use=pool_use,
            quotas=self._curves.quotas(until),
            locks=self._locks.results(limit_of),
            denied=self._denied_results(),
            starved=tuple(starved[:_MOST_STARVED]),
            starved_count=len(starved),
            fairness=self._fairness(),
            notes=tuple(notes),
        )

    def _groups(self, run: PastRun, user: str, played: ReplayedRun | None) -> tuple[GroupCounts, ...]:
        pool = self._snapshot.policies(run.namespace).pool
        found = [
            self._all,
            self._namespaces.of(run.namespace),
            self._users.of(user or "(not known)"),
            self._templates.of(f"{run.namespace}/{run.template}"),
        ]
        if pool:
            found.append(self._pools.of(pool))
        if played is not None:
            found.append(self._priorities.of(str(played.priority)))
        return tuple(found)

    def _never_started(self, played: ReplayedRun, end: float) -> None:
        self.fates.put(played.number, played.run.namespace, NEVER_STARTED)
        for group in self._groups(played.run, played.user, played):
            group.workflows += 1
            group.wasted += end - played.run.created
        self._note_long(_starved(played, end - played.run.created, started=False))

    def _note_long(self, found: StarvedResult) -> None:
        """Remember one that may be told to starve: where they are many, those that waited longest."""
        self._long.append(found)
        if len(self._long) >= 2 * _MOST_CANDIDATES:
            self._long.sort(key=lambda each: (each.started, -each.waited))
            del self._long[_MOST_CANDIDATES:]

    def _starved(self) -> list[StarvedResult]:
        """Return who starves, those that never started first."""
        usual = {root: counts.figures().median for root, counts in self._by_root.items()}
        found = [
            each
            for each in self._long
            if not each.started or each.waited > _TIMES * usual.get(each.root, 0.0)
        ]
        return sorted(found, key=lambda each: (each.started, -each.waited, each.namespace, each.name))

    def _denied_results(self) -> tuple[DeniedResult, ...]:
        return tuple(
            DeniedResult(namespace, code, number, *self._denied[namespace, code])
            for (namespace, code), number in self._denials.most_common()
        )

    def _fairness(self) -> tuple[FairnessResult, ...]:
        """Return Jain's index of each pool and of all, over the part of their time that namespaces run."""
        kept: Mapping[str, float] = {name: 1 - counts.lost for name, counts in self._namespaces.items()}
        by_pool: dict[str, list[float]] = {"all": list(kept.values())}
        for name, value in kept.items():
            pool = self._snapshot.policies(name).pool
            if pool:
                by_pool.setdefault(pool, []).append(value)
        return tuple(FairnessResult(name, len(each), round(jain(each), 4)) for name, each in by_pool.items())


def _starved(played: ReplayedRun, waited: float, *, started: bool) -> StarvedResult:
    run = played.run
    return StarvedResult(
        namespace=run.namespace,
        name=run.name,
        user=played.user,
        priority=played.priority,
        created=time_at(run.created),
        waited=round(waited, 1),
        started=started,
        root=str(played.root),
    )
