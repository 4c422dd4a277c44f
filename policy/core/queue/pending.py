"""All Workflows that wait in one root, in groups by namespace, and what changes for them as time passes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import heappop, heappush
from itertools import chain, count

from policy.core.objects.workflow import HIGHEST_PRIORITY
from policy.core.policy_kinds.quota_parts import QueueStrategy
from policy.core.queue.equivalence_groups import EquivalenceGroup, LazyHeap, UserQueueKey
from policy.core.queue.ordering import Order, Requirements, Waiter
from policy.core.quota.compiled_quota import DEFAULT_RULES, QueueRules


class Deadlines:
    """The time at which each waiter has waited too long (`maxWait`), by uid."""

    __slots__ = ("_ahead", "_at", "_passed")

    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}
        self._ahead: LazyHeap[str] = LazyHeap()
        self._passed: dict[str, None] = {}

    def put(self, uid: str, at: datetime) -> None:
        """Set a deadline, or replace it."""
        if self._at.get(uid) == at:
            return
        self._passed.pop(uid, None)
        self._at[uid] = at
        self._ahead.put(uid, (at, uid))

    def discard(self, uid: str) -> None:
        """Forget a deadline, if there is one."""
        self._at.pop(uid, None)
        self._ahead.discard(uid)
        self._passed.pop(uid, None)

    def next(self) -> datetime | None:
        """Return the next deadline that `passed` has not returned yet."""
        first = self._ahead.first()
        return None if first is None else self._at[first[1]]

    def passed(self, now: datetime) -> list[str]:
        """Return those whose deadline has passed, in the order of the deadlines, until they are discarded."""
        while (first := self._ahead.first()) is not None and self._at[first[1]] <= now:
            self._ahead.discard(first[1])
            self._passed[first[1]] = None
        return list(self._passed)


class PendingOfNamespace:
    """The waiters of one namespace; those that stand aside are in no group."""

    __slots__ = ("aside", "groups", "priorities")

    def __init__(self) -> None:
        self.groups: dict[Requirements, EquivalenceGroup] = {}
        self.aside: dict[str, Waiter] = {}
        self.priorities: Counter[int] = Counter()


class Pending:
    """The waiters of one root. A method that changes their order returns the groups that may move forward."""

    __slots__ = (
        "_changed_priorities",
        "_deadlines",
        "_namespaces",
        "_numbers",
        "_priorities",
        "_timers",
        "_waiters",
        "order",
        "strict",
    )

    def __init__(self, order: Order) -> None:
        self.order = order
        self.strict: dict[str, None] = {}
        self._deadlines = Deadlines()
        self._waiters: dict[str, Waiter] = {}
        self._namespaces: defaultdict[str, PendingOfNamespace] = defaultdict(PendingOfNamespace)
        self._priorities: Counter[int] = Counter()
        self._changed_priorities: dict[int, None] = {}
        self._timers: list[tuple[datetime, int, EquivalenceGroup, UserQueueKey]] = []
        self._numbers = count()

    def add(self, waiter: Waiter) -> EquivalenceGroup | None:
        """Add a waiter that is not here yet; return its group if it is the head of it.

        A waiter that stands aside joins no group.
        """
        self._waiters[waiter.uid] = waiter
        here = self.of(waiter.namespace)
        here.priorities[waiter.priority] += 1
        self._set_deadline(waiter)
        if waiter.stands_aside:
            here.aside[waiter.uid] = waiter
            return None
        group = here.groups.get(waiter.needs)
        if group is None:
            group = here.groups[waiter.needs] = EquivalenceGroup(waiter.needs, self.order)
        group.put(waiter)
        self._count(waiter.priority, 1)
        self._set_timer(group, (waiter.user, waiter.priority))
        return group if group.head() is waiter else None

    def remove(self, uid: str) -> EquivalenceGroup | None:
        """Remove a waiter; return the group that it was in, which may be empty now."""
        waiter = self._waiters.pop(uid, None)
        if waiter is None:
            return None
        here = self.of(waiter.namespace)
        self._deadlines.discard(uid)
        here.priorities[waiter.priority] -= 1
        if not here.priorities[waiter.priority]:
            del here.priorities[waiter.priority]
        if here.aside.pop(uid, None) is not None:
            return None
        self._count(waiter.priority, -1)
        group = here.groups[waiter.needs]
        group.remove(waiter)
        if group:
            self._set_timer(group, (waiter.user, waiter.priority))
        else:
            del here.groups[group.needs]
        return group

    def of(self, namespace: str) -> PendingOfNamespace:
        """Return the waiters of a namespace."""
        return self._namespaces[namespace]

    def groups(self, namespace: str | None = None) -> list[EquivalenceGroup]:
        """Return the groups of a namespace, or of all namespaces."""
        where = self._namespaces.values() if namespace is None else [self.of(namespace)]
        return list(chain.from_iterable(each.groups.values() for each in where))

    def waiters(self) -> Iterator[Waiter]:
        """Yield all waiters, in no order."""
        return iter(self._waiters.values())

    def get(self, uid: str) -> Waiter | None:
        """Return a waiter by its uid."""
        return self._waiters.get(uid)

    def priorities(self) -> dict[str, dict[int, int]]:
        """Return how many wait with each priority, by namespace, where any do."""
        return {name: dict(here.priorities) for name, here in self._namespaces.items() if here.priorities}

    def rules(self, namespace: str) -> QueueRules:
        """Return the rules of a namespace."""
        return self.order.rules.get(namespace, DEFAULT_RULES)

    def set_rules(self, namespace: str, rules: QueueRules) -> list[EquivalenceGroup]:
        """Set the rules of a namespace."""
        self.order.rules[namespace] = rules
        self.strict.pop(namespace, None)
        if rules.strategy is QueueStrategy.STRICT_FIFO:
            self.strict[namespace] = None
        here = self.of(namespace)
        groups = list(here.groups.values())
        for waiter in [*chain.from_iterable(groups), *here.aside.values()]:
            self._set_deadline(waiter)
        self.reorder(groups)
        return groups

    # As time passes.

    def pass_time(self, now: datetime) -> list[EquivalenceGroup]:
        """Let time pass up to `now`: levels rise with age."""
        self.order.now = max(self.order.now, now)
        moved: dict[EquivalenceGroup, None] = {}
        while self._timers and self._timers[0][0] <= self.order.now:
            at, _, group, key = heappop(self._timers)
            if group.risen(key, at):
                moved[group] = None
                self._set_timer(group, key)
        return list(moved)

    def refresh_priorities(self) -> list[EquivalenceGroup]:
        """Update the priorities by which levels are computed: some that have aged may move forward by it.

        The heads of all user queues are compared once for all changes since the last call.
        """
        if not self._changed_priorities:
            return []
        order, known = self.order, set(self.order.priorities)
        changed = [each for each in self._changed_priorities if (each in known) != (each in self._priorities)]
        self._changed_priorities.clear()
        if not changed:
            return []
        highest = max(changed)
        below = [
            (group, key, head, order.level(head))
            for group in self.groups()
            for key, head in group.heads()
            if head.priority < highest
        ]
        order.set_priorities(sorted(self._priorities))
        risen: dict[EquivalenceGroup, set[UserQueueKey]] = {}
        for group, key, head, before in below:
            if order.level(head) > before:
                group.reposition(key)
                risen.setdefault(group, set()).add(key)
            self._set_timer(group, key)
        return [group for group, keys in risen.items() if group.head_queue() in keys]

    def next_event(self) -> datetime | None:
        """Return when time alone may change something: a level rises, or a `maxWait` ends."""
        late, rises = self._deadlines.next(), self._timers[0][0] if self._timers else None
        return late if rises is None else rises if late is None else min(late, rises)

    def overdue(self, now: datetime) -> list[Waiter]:
        """Return the waiters that have waited for their `maxWait`, until they are removed."""
        return [self._waiters[uid] for uid in self._deadlines.passed(now)]

    def reorder(self, groups: Iterable[EquivalenceGroup]) -> None:
        """Sort all waiters of these groups again."""
        for group in groups:
            for key in group.reorder():
                self._set_timer(group, key)

    def _set_deadline(self, waiter: Waiter) -> None:
        longest = self.rules(waiter.namespace).max_wait
        if longest is None:
            self._deadlines.discard(waiter.uid)
        else:
            self._deadlines.put(waiter.uid, waiter.created + longest)

    def _set_timer(self, group: EquivalenceGroup, key: UserQueueKey) -> None:
        rises = group.next_rise(key)
        if rises is not None:
            heappush(self._timers, (rises, next(self._numbers), group, key))

    def _count(self, priority: int, change: int) -> None:
        """Count one waiter more or less of a priority, unless none can rise to it."""
        if priority > HIGHEST_PRIORITY:
            return
        self._priorities[priority] += change
        if self._priorities[priority] == max(0, change):  # The first came, or the last left.
            self._changed_priorities[priority] = None
        if not self._priorities[priority]:
            del self._priorities[priority]
