"""Plays a history on a virtual clock: who is created, waits, is released, waits for locks, and ends.

The steps at one time, in their order: what ends then ends, limits that change then are in force, what is
created then is admitted, and each root that any of it concerns releases what fits. So the result depends on
the history and the policies alone. Roots are the leader's own (`RootState`). As in a cluster, a webhook sees
what was created or ended at the same time only when the leader has; what creates reserve it sees at once.
"""

import math
from collections.abc import Collection
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from typing import Final

import msgspec

from policy.core.policies.lock_limits import LockLimits
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import Ledger
from policy.core.quota.usage_view import NamespaceQueue, UsageView
from policy.core.quota.windows import NEVER
from policy.service.simulation.arrivals import PastAdmissions, at
from policy.service.simulation.lock_waits import LockWaits, StepWaiter
from policy.service.simulation.lone_root import LoneRoot
from policy.service.simulation.observer import PlayObserver, ReplayedRun
from policy.service.simulation.past_run import PastRun
from policy.service.simulation.webhook_sight import WebhookSight, sight_matters
from policy.service.tracking.tracked import MarkedUsage, Tracked

_SOON: Final = 1.0
"""Seconds until a root is looked at again that says that it is due at once."""
_HORIZON: Final = 14 * 86_400.0
"""Seconds for which limits may change after the last end, before what waits is taken to wait for ever."""


class Player:
    """One play; `play` takes runs in the order of their creation, and `finish` lets time pass to the end."""

    def __init__(
        self, *, snapshot: Snapshot, namespaces: Collection[str], begin: float, observer: PlayObserver
    ) -> None:
        self._snapshot = snapshot
        self._observer = observer
        self._arrivals = PastAdmissions(snapshot=snapshot)
        self._lock_limits = LockLimits(snapshot)
        self._locks = LockWaits(limit_of=lambda lock: self._lock_limits.limit(lock, at(self.now)))
        self.now = self._last_end = begin
        self.played: dict[str, ReplayedRun] = {}
        self.roots = self._roots(namespaces, at(begin))
        self._seen = {root: WebhookSight(state) for root, state in self.roots.items() if sight_matters(state)}
        self._dirty: dict[Root, None] = {}
        self._ends: list[tuple[float, int, str]] = []
        self._wakes: list[tuple[float, Root | None]] = []
        self._due: dict[Root | None, float] = {}
        self._numbers = count()
        self._created = 0
        for root in self.roots:
            self._look_again(root)

    @property
    def unlimited_locks(self) -> Collection[str]:
        """The locks whose limit is not known: they held nobody up."""
        return self._locks.unlimited

    def play(self, run: PastRun) -> None:
        """Let time pass up to the creation of a run, and admit it."""
        self._pass_time(run.created)
        self._arrive(run)

    def finish(self) -> None:
        """Let time pass until nothing ends any more, and nothing changes that could release anything."""
        self._pass_time(None)

    def _roots(self, namespaces: Collection[str], now: datetime) -> dict[Root, LoneRoot]:
        by_root: dict[Root, set[str]] = {}
        for namespace in {*namespaces, *self._snapshot.quotas, *self._snapshot.namespace_labels}:
            policies = self._snapshot.policies(namespace)
            if policies.quotas:
                by_root.setdefault(policies.root, set()).add(namespace)
        return {
            root: LoneRoot(
                root=root,
                snapshot=self._snapshot,
                namespaces=members,
                find=self._find,
                now=now,
                ledger=Ledger(root),
                capacity=None,
            )
            for root, members in sorted(by_root.items())
        }

    def _find(self, uid: str) -> Tracked | None:
        played = self.played.get(uid)
        return None if played is None else played.tracked

    # Time.

    def _pass_time(self, until: float | None) -> None:
        """Let everything happen up to a time, or (None) until nothing waits that could still start."""
        while True:
            upcoming = self._next()
            if upcoming is not None and until is not None and upcoming > until:
                upcoming = None
            target = upcoming if upcoming is not None else math.inf if until is None else until
            if self._dirty and target > self.now:  # All that is at one time comes before what is released.
                self._settle()
            elif upcoming is None:
                break
            else:
                self.now = max(self.now, upcoming)
                self._happen()
        if until is not None and until > self.now:
            self.now = until

    def _next(self) -> float | None:
        """Return when something happens next; what only time may change counts while something waits."""
        while self._ends and self._ends[0][2] not in self.played:
            heappop(self._ends)
        ends = self._ends[0][0] if self._ends else None
        while self._wakes and self._due.get(self._wakes[0][1]) != self._wakes[0][0]:
            heappop(self._wakes)
        wakes = self._wakes[0][0] if self._wakes else None
        if wakes is None or (ends is None and not self._waits_for(wakes)):
            return ends
        return wakes if ends is None else min(ends, wakes)

    def _waits_for(self, wakes: float) -> bool:
        """Return whether anything waits that time alone may let start, while nothing ends any more."""
        if wakes > self._last_end + _HORIZON:
            return False
        if next(self._locks.waiting(), None) is not None:
            return True
        return any(next(state.planner.pending.waiters(), None) is not None for state in self.roots.values())

    def _happen(self) -> None:
        """Let everything happen that is due at the present time, but for creations and releases."""
        while self._ends and self._ends[0][0] <= self.now:
            ended = self.played.get(heappop(self._ends)[2])
            if ended is not None:  # Else a newer one of its key has ended it before.
                self._end_stretch(ended)
        while self._wakes and self._wakes[0][0] <= self.now:
            due, root = heappop(self._wakes)
            if self._due.get(root) != due:
                continue
            del self._due[root]
            if root is None:
                for waiter in self._locks.granted():
                    self._got_locks(waiter)
                self._look_at_locks()
            else:
                self._dirty[root] = None

    def _settle(self) -> None:
        """Release what fits in each root that something concerned, and end what has waited for too long."""
        while self._dirty:
            for root in sorted(self._dirty):
                del self._dirty[root]
                self._release(root, self.roots[root])
                if root in self._seen:
                    self._seen[root] = WebhookSight(self.roots[root])

    def _release(self, root: Root, state: LoneRoot) -> None:
        now = at(self.now)
        if state.move_limits(now):
            self._observer.used(root, state.used, "", self.now)
        cancelled = self._supersede(state, now)
        for uid in state.release(now):
            self._start(self.played[uid], state, now)
        for played in cancelled:
            self._cancel(played)
        for waiter in state.planner.pending.overdue(now):
            self._give_up(self.played[waiter.uid], state, now)
        self._look_again(root)

    def _look_again(self, root: Root) -> None:
        """Remember when time alone may change something in a root."""
        due = self.roots[root].next_event()
        if due is None or due >= NEVER:
            self._due.pop(root, None)
            return
        seconds = max(due.timestamp(), self.now + _SOON)
        if self._due.get(root) != seconds:
            self._due[root] = seconds
            heappush(self._wakes, (seconds, root))

    # One run.

    def _arrive(self, run: PastRun) -> None:
        root = self._snapshot.policies(run.namespace).root
        state = self.roots.get(root)
        number, self._created = self._created, self._created + 1
        sight = self._seen.get(root)
        arrival = self._arrivals.arrive(
            run,
            at(self.now),
            usage=lambda: _usage(state, sight, run.namespace),
            ledger=None if sight is None else sight.ledger,
        )
        if sight is not None and arrival.reserved is not None:
            sight.ledger = arrival.reserved
        if arrival.reasons and not run.runs_already:
            self._observer.denied(run, number, arrival.reasons)
            return
        tracked = arrival.tracked
        played = ReplayedRun(run, number, arrival.priority, tracked, None, arrival.locks, run.user)
        self.played[run.uid] = played
        if tracked is None or state is None:
            self._begin(played)
            return
        played.root, played.user, played.usage = root, tracked.user, tracked.weight
        state.change(None, tracked, at(self.now))
        self._dirty[root] = None
        if run.runs_already and tracked.held:
            self._start(played, state, at(self.now))
        elif tracked.held:
            self._observer.waits(played, self.now)
        else:
            self._count(played, state, tracked)
            self._begin(played)

    def _start(self, played: ReplayedRun, state: LoneRoot, now: datetime) -> None:
        """Begin a run that was released."""
        held = played.tracked
        if held is None:
            raise AssertionError("what waits is tracked")
        load = state.load(held)
        marks = held.usage_marks
        counted = MarkedUsage(load.usage.task_amount, marks.priority, marks.admitted)
        traits = msgspec.structs.replace(held.traits, usage_marks=counted)
        running = msgspec.structs.replace(held, hold=None, traits=traits)
        played.tracked, played.usage = running, load.usage
        state.change(held, running, now)
        self._count(played, state, running)
        self._begin(played)

    def _count(self, played: ReplayedRun, state: LoneRoot, running: Tracked) -> None:
        played.accounts = state.load(running).accounts
        self._observer.used(state.root, played.accounts, played.run.namespace, self.now)

    def _begin(self, played: ReplayedRun) -> None:
        """Begin a run that has its slot: with the locks of the whole, as soon as it has them."""
        played.released = self.now
        self._observer.released(played, self.now)
        self._want(played, played.locks.whole)

    def _want(self, played: ReplayedRun, locks: frozenset[str]) -> None:
        if not locks:
            self._go_on(played)
            return
        run = played.run
        waiter = StepWaiter((-played.priority, at(run.created), run.name, run.uid), locks, self.now)
        self._look_at_locks()
        if self._locks.take(waiter):
            self._got_locks(waiter)

    def _got_locks(self, waiter: StepWaiter) -> None:
        played = self.played[waiter.uid]
        waited = self.now - waiter.since
        played.lock_wait += waited
        self._observer.got_lock(waiter.wanted, played.run.namespace, waited)
        self._go_on(played)

    def _go_on(self, played: ReplayedRun) -> None:
        """Go on with what locks were needed for: the first stretch, or the one that is next."""
        run = played.run
        if played.stretch < 0:
            played.stretch = 0
            if run.stretches:
                self._want(played, self._locks_of(played))
                return
        seconds = run.stretches[played.stretch].seconds if run.stretches else 0.0
        heappush(self._ends, (self.now + seconds, next(self._numbers), run.uid))

    def _locks_of(self, played: ReplayedRun) -> frozenset[str]:
        by_template = played.locks.by_template
        if not by_template:
            return frozenset()
        names = played.run.stretches[played.stretch].templates
        return frozenset().union(*(by_template.get(each, frozenset()) for each in names))

    def _end_stretch(self, played: ReplayedRun) -> None:
        if played.run.stretches:
            self._free(self._locks_of(played))
        played.stretch += 1
        if played.stretch < len(played.run.stretches):
            self._want(played, self._locks_of(played))
            return
        self._free(played.locks.whole)
        self._over(played)

    def _over(self, played: ReplayedRun) -> None:
        """Let a run that has freed its locks be over."""
        del self.played[played.run.uid]
        self._last_end = self.now
        if played.root is not None:
            state = self.roots[played.root]
            state.change(played.tracked, None, at(self.now))
            self._dirty[played.root] = None
            self._observer.used(played.root, played.accounts, played.run.namespace, self.now)
        self._observer.ended(played, self.now)

    def _free(self, locks: frozenset[str]) -> None:
        if locks:
            for waiter in self._locks.free(locks):
                self._got_locks(waiter)

    def _look_at_locks(self) -> None:
        """Remember when limits of locks change by themselves."""
        until = self._lock_limits.until(at(self.now))
        if until < NEVER and None not in self._due:
            self._due[None] = until.timestamp()
            heappush(self._wakes, (until.timestamp(), None))

    def _supersede(self, state: LoneRoot, now: datetime) -> list[ReplayedRun]:
        """End those that wait while newer ones of their key do; return those that run, and are to end."""
        found = [(self.played[each.workflow.uid], each.cancel) for each in state.superseded()]
        for played, cancel in found:
            if cancel is None:
                state.change(played.tracked, None, now)
                del self.played[played.run.uid]
                self._observer.superseded(played, self.now)
        return [played for played, cancel in found if cancel is not None]

    def _cancel(self, played: ReplayedRun) -> None:
        """End a run before its time, with the locks that it has by then; here that takes no time."""
        waits_for_locks = self._locks.withdraw(played.run.uid)
        if played.run.stretches and not waits_for_locks:
            self._free(self._locks_of(played))
        if played.stretch >= 0:
            self._free(played.locks.whole)
        self._over(played)

    def _give_up(self, played: ReplayedRun, state: LoneRoot, now: datetime) -> None:
        state.change(played.tracked, None, now)
        del self.played[played.run.uid]
        self._observer.gave_up(played, self.now)


def _usage(state: LoneRoot | None, sight: WebhookSight | None, namespace: str) -> UsageView:
    """Return the usage of a root, as a review of a namespace in it reads it."""
    if state is None:
        return UsageView()
    if sight is not None:
        return sight.usage
    pending = state.planner.pending
    return UsageView(
        used=state.planner.headroom.used,
        queues={namespace: NamespaceQueue(pending.of(namespace).priorities)},
        running=state.running,
        live=True,
    )
