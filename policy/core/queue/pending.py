"""Who waits in one root: by namespace and shape, with the rules of each namespace, as time goes by."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from heapq import heappop, heappush
from itertools import chain, count

from policy.core.objects.workflow import HIGHEST_PRIORITY
from policy.core.policy_kinds.quota_parts import QueueStrategy
from policy.core.queue.equivalence_groups import Group, Shape, SubgroupKey, shape_of
from policy.core.queue.ordering import Order, Waiter
from policy.core.quota.compiled_quota import USUAL_RULES, QueueRules


class Deadlines:
    """When somebody has waited too long, by uid; each has one deadline at most."""

    def __init__(self) -> None:
        self._at: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._passed: dict[str, None] = {}

    def put(self, uid: str, at: datetime) -> None:
        """Set a deadline, in the place of an earlier one."""
        if self._at.get(uid) == at:
            return
        self._passed.pop(uid, None)
        self._at[uid] = at
        heappush(self._heap, (at, uid))

    def discard(self, uid: str) -> None:
        """Forget a deadline, if there is one."""
        self._at.pop(uid, None)
        self._passed.pop(uid, None)

    def next(self) -> datetime | None:
        """Return the next deadline that has not been found passed."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def passed(self, now: datetime) -> list[str]:
        """Return those whose deadline has come, in the order of the deadlines, until they are forgotten."""
        while (at := self.next()) is not None and at <= now:
            self._passed[heappop(self._heap)[1]] = None
        return list(self._passed)


class PendingOfNamespace:
    """Those who wait in one namespace; who has a fault is in no group."""

    def __init__(self) -> None:
        self.groups: dict[Shape, Group] = {}
        self.faulty: dict[str, Waiter] = {}
        self.priorities: Counter[int] = Counter()


class Pending:
    """The waiters of one root. What changes their order returns the groups that may have moved forward."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.strict: dict[str, None] = {}
        self._deadlines = Deadlines()
        self._waiters: dict[str, Waiter] = {}
        self._namespaces: dict[str, PendingOfNamespace] = {}
        self._priorities: Counter[int] = Counter()
        self._other: set[int] = set()
        self._timers: list[tuple[datetime, int, Group, SubgroupKey]] = []
        self._numbers = count()

    def add(self, waiter: Waiter) -> Group | None:
        """Take in a waiter that is not here; returns its group if it is the head of it.

        One with a fault is only remembered.
        """
        self._waiters[waiter.uid] = waiter
        here = self.of(waiter.namespace)
        here.priorities[waiter.priority] += 1
        self._set_deadline(waiter)
        if waiter.fault:
            here.faulty[waiter.uid] = waiter
            return None
        shape = shape_of(waiter)
        group = here.groups.get(shape)
        if group is None:
            group = here.groups[shape] = Group(shape, self.order)
        group.put(waiter)
        if waiter.priority <= HIGHEST_PRIORITY:
            self._came(waiter.priority)
        self._set_timer(group, (waiter.user, waiter.priority))
        return group if group.head() is waiter else None

    def remove(self, uid: str) -> Group | None:
        """Take a waiter out; returns the group that it was in, which is empty now or still waits."""
        waiter = self._waiters.pop(uid, None)
        if waiter is None:
            return None
        here = self.of(waiter.namespace)
        self._deadlines.discard(uid)
        here.priorities[waiter.priority] -= 1
        if not here.priorities[waiter.priority]:
            del here.priorities[waiter.priority]
        if here.faulty.pop(uid, None) is not None:
            return None
        if waiter.priority <= HIGHEST_PRIORITY:
            self._went(waiter.priority)
        group = here.groups[shape_of(waiter)]
        group.remove(waiter)
        if group:
            self._set_timer(group, (waiter.user, waiter.priority))
        else:
            del here.groups[group.shape]
        return group

    def of(self, namespace: str) -> PendingOfNamespace:
        """Return those who wait in a namespace."""
        found = self._namespaces.get(namespace)
        if found is None:
            found = self._namespaces[namespace] = PendingOfNamespace()
        return found

    def groups(self, namespace: str | None = None) -> list[Group]:
        """Return the groups of a namespace, or all."""
        where = self._namespaces.values() if namespace is None else (self.of(namespace),)
        return list(chain.from_iterable(each.groups.values() for each in where))

    def waiters(self) -> Iterator[Waiter]:
        """Yield all who wait, in no order."""
        return iter(self._waiters.values())

    def get(self, uid: str) -> Waiter | None:
        """Return one who waits."""
        return self._waiters.get(uid)

    def namespaces(self) -> list[str]:
        """Return the namespaces where somebody waits."""
        return [name for name, here in self._namespaces.items() if here.groups or here.faulty]

    def priorities(self) -> dict[str, dict[int, int]]:
        """Return by namespace how many wait with which priority."""
        return {
            name: dict(here.priorities)
            for name, here in self._namespaces.items()
            if here.groups or here.faulty
        }

    def rules(self, namespace: str) -> QueueRules:
        """Return the rules of a namespace."""
        return self.order.rules.get(namespace, USUAL_RULES)

    def set_rules(self, namespace: str, rules: QueueRules) -> list[Group]:
        """Change the rules of a namespace."""
        self.order.rules[namespace] = rules
        self.strict.pop(namespace, None)
        if rules.strategy is QueueStrategy.STRICT_FIFO:
            self.strict[namespace] = None
        here = self.of(namespace)
        groups = list(here.groups.values())
        for waiter in [*chain.from_iterable(groups), *here.faulty.values()]:
            self._set_deadline(waiter)
        self.reorder(groups)
        return groups

    # As time goes by.

    def pass_time(self, now: datetime) -> list[Group]:
        """Let time pass up to `now`."""
        self.order.moment = max(self.order.moment, now)
        moved: dict[Group, None] = {}
        while self._timers and self._timers[0][0] <= self.order.moment:
            at, _, group, key = heappop(self._timers)
            if group.risen(key, at):
                moved[group] = None
                self._set_timer(group, key)
        return list(moved)

    def climb(self) -> list[Group]:
        """Look at which priorities are waited with now: those who have aged may stand higher by it.

        It looks at the head of every subgroup, once for all that has come and gone since the last look.
        """
        if not self._other:
            return []
        order, known = self.order, set(self.order.ladder)
        other = [each for each in self._other if (each in known) != (each in self._priorities)]
        self._other.clear()
        if not other:
            return []
        highest = max(other)
        below = [
            (group, key, head, order.level(head))
            for group in self.groups()
            for key, head in group.heads()
            if head.priority < highest
        ]
        order.ladder = sorted(self._priorities)
        risen: dict[Group, set[SubgroupKey]] = {}
        for group, key, head, before in below:
            if order.level(head) > before:
                group.moved(key)
                risen.setdefault(group, set()).add(key)
            self._set_timer(group, key)
        return [group for group, keys in risen.items() if group.head_subgroup() in keys]

    def next_event(self) -> datetime | None:
        """Return when time alone may change something: somebody rises, or has waited too long."""
        late, rises = self._deadlines.next(), self._timers[0][0] if self._timers else None
        return late if rises is None else rises if late is None else min(late, rises)

    def overdue(self, now: datetime) -> list[Waiter]:
        """Return those who have waited for their `maxWait`, until they are removed."""
        return [self._waiters[uid] for uid in self._deadlines.passed(now)]

    def reorder(self, groups: Iterable[Group]) -> None:
        """Put everybody in these groups to where they belong now, whatever has changed."""
        for group in groups:
            for key in group.reorder():
                self._set_timer(group, key)

    def _set_deadline(self, waiter: Waiter) -> None:
        longest = self.rules(waiter.namespace).max_wait
        if longest is None:
            self._deadlines.discard(waiter.uid)
        else:
            self._deadlines.put(waiter.uid, waiter.created + longest)

    def _set_timer(self, group: Group, key: SubgroupKey) -> None:
        rises = group.next_rise(key)
        if rises is not None:
            heappush(self._timers, (rises, next(self._numbers), group, key))

    def _came(self, priority: int) -> None:
        if priority not in self._priorities:
            self._other.add(priority)
        self._priorities[priority] += 1

    def _went(self, priority: int) -> None:
        self._priorities[priority] -= 1
        if not self._priorities[priority]:
            del self._priorities[priority]
            self._other.add(priority)
