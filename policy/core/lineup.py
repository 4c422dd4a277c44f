"""Who waits in one root: by namespace and shape, with the rules of each namespace, as time goes by."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from heapq import heappop, heappush
from itertools import chain, count

from policy.core.deadlines import Deadlines
from policy.core.groups import Group, LaneKey, Shape, shape_of
from policy.core.ordering import USUAL_RULES, Key, Order, QueueRules, Waiter
from policy.core.quota_kinds import QueueStrategy
from policy.core.ranking import Ranking
from policy.core.workflow import HIGHEST_PRIORITY


class Queue:
    """One namespace. In a strict one only the first group may go; those set aside for it are `behind`."""

    def __init__(self, place: Callable[[Group], Key | None]) -> None:
        self.groups: dict[Shape, Group] = {}
        self.faulty: dict[str, Waiter] = {}
        self.priorities: Counter[int] = Counter()
        self.ranked: Ranking[Group] = Ranking(place)
        self.behind: dict[Group, None] = {}


class Lineup:
    """The waiters of one root. What changes the line returns the groups that may have moved forward by it."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.strict: dict[str, None] = {}
        self.deadlines = Deadlines()
        self._waiters: dict[str, Waiter] = {}
        self._queues: dict[str, Queue] = {}
        self._priorities: Counter[int] = Counter()
        self._other: set[int] = set()
        self._timers: list[tuple[datetime, int, Group, LaneKey]] = []
        self._numbers = count()

    def add(self, waiter: Waiter) -> list[Group]:
        """Take in a waiter that is not in the line; one with a fault is only remembered."""
        self._waiters[waiter.uid] = waiter
        queue = self.queue(waiter.namespace)
        queue.priorities[waiter.priority] += 1
        self._set_deadline(waiter)
        if waiter.fault:
            queue.faulty[waiter.uid] = waiter
            return []
        shape = shape_of(waiter)
        group = queue.groups.get(shape)
        if group is None:
            group = queue.groups[shape] = Group(shape, self.order)
        group.put(waiter)
        if waiter.priority <= HIGHEST_PRIORITY:
            self._came(waiter.priority)
        self._set_timer(group, (waiter.user, waiter.priority))
        return [group] if group.head() is waiter else []

    def remove(self, uid: str) -> Group | None:
        """Take a waiter out; returns the group that it was in, which may be empty now and out of the line."""
        waiter = self._waiters.pop(uid, None)
        if waiter is None:
            return None
        queue = self.queue(waiter.namespace)
        self.deadlines.discard(uid)
        queue.priorities[waiter.priority] -= 1
        if not queue.priorities[waiter.priority]:
            del queue.priorities[waiter.priority]
        if queue.faulty.pop(uid, None) is not None:
            return None
        if waiter.priority <= HIGHEST_PRIORITY:
            self._went(waiter.priority)
        group = queue.groups[shape_of(waiter)]
        group.remove(waiter)
        if group:
            self._set_timer(group, (waiter.user, waiter.priority))
        else:
            del queue.groups[group.shape]
        return group

    def queue(self, namespace: str) -> Queue:
        """Return the queue of a namespace."""
        queue = self._queues.get(namespace)
        if queue is None:
            queue = self._queues[namespace] = Queue(self._place)
        return queue

    def groups(self, namespace: str | None = None) -> Iterable[Group]:
        """Return the groups of a namespace, or all."""
        queues = self._queues.values() if namespace is None else (self.queue(namespace),)
        return list(chain.from_iterable(queue.groups.values() for queue in queues))

    def waiters(self) -> Iterator[Waiter]:
        """Yield all who wait, in no order."""
        return iter(self._waiters.values())

    def get(self, uid: str) -> Waiter | None:
        """Return one who waits."""
        return self._waiters.get(uid)

    def namespaces(self) -> list[str]:
        """Return the namespaces where somebody waits."""
        return [name for name, queue in self._queues.items() if queue.groups or queue.faulty]

    def rules(self, namespace: str) -> QueueRules:
        """Return the rules of a namespace."""
        return self.order.rules.get(namespace, USUAL_RULES)

    def set_rules(self, namespace: str, rules: QueueRules) -> list[Group]:
        """Change the rules of a namespace."""
        self.order.rules[namespace] = rules
        self.strict.pop(namespace, None)
        if rules.strategy is QueueStrategy.STRICT_FIFO:
            self.strict[namespace] = None
        queue = self.queue(namespace)
        groups = list(queue.groups.values())
        for waiter in [*chain.from_iterable(groups), *queue.faulty.values()]:
            self._set_deadline(waiter)
        self.reorder(groups)
        return groups

    def first(self, namespace: str) -> Group | None:
        """Return whose turn it is in a strict namespace; groups that can never fit have none."""
        first = self.queue(namespace).ranked.first()
        return None if first is None else first[1]

    def pass_time(self, now: datetime) -> list[Group]:
        """Let time pass up to `now`."""
        self.order.moment = max(self.order.moment, now)
        moved: dict[Group, None] = {}
        while self._timers and self._timers[0][0] <= self.order.moment:
            at, _, group, lane = heappop(self._timers)
            if group.risen(lane, at):
                moved[group] = None
                self._set_timer(group, lane)
        return list(moved)

    def climb(self) -> list[Group]:
        """Look at which priorities are waited with now: those who have aged may stand higher by it.

        It looks at everybody's lane, once for all that has come and gone since the last look.
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
            for key, head in group.lane_heads()
            if head.priority < highest
        ]
        order.ladder = sorted(self._priorities)
        risen: dict[Group, set[LaneKey]] = {}
        for group, key, head, before in below:
            if order.level(head) > before:
                group.moved(key)
                risen.setdefault(group, set()).add(key)
            self._set_timer(group, key)
        return [group for group, keys in risen.items() if group.head_lane() in keys]

    def next_rise(self) -> datetime | None:
        """Return when somebody may gain a level next."""
        return self._timers[0][0] if self._timers else None

    def reorder(self, groups: Iterable[Group]) -> None:
        """Put everybody in these groups to where they belong now, whatever has changed."""
        for group in groups:
            group.reorder()
            for lane in group.lanes():
                self._set_timer(group, lane)

    @staticmethod
    def _place(group: Group) -> Key | None:
        return None if group.never else group.place()

    def _set_deadline(self, waiter: Waiter) -> None:
        longest = self.rules(waiter.namespace).max_wait
        if longest is None:
            self.deadlines.discard(waiter.uid)
        else:
            self.deadlines.put(waiter.uid, waiter.created + longest)

    def _set_timer(self, group: Group, lane: LaneKey) -> None:
        rises = group.next_rise(lane)
        if rises is not None:
            heappush(self._timers, (rises, next(self._numbers), group, lane))

    def _came(self, priority: int) -> None:
        if priority not in self._priorities:
            self._other.add(priority)
        self._priorities[priority] += 1

    def _went(self, priority: int) -> None:
        self._priorities[priority] -= 1
        if not self._priorities[priority]:
            del self._priorities[priority]
            self._other.add(priority)
