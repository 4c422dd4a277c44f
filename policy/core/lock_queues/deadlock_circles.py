"""Which deadlocked Workflows belong together: a circle of three is one deadlock, told on three Workflows."""

from collections.abc import Iterable

from policy.core.lock_queues.lock_queues import LiveDeadlock


def circles(deadlocks: Iterable[LiveDeadlock]) -> tuple[tuple[LiveDeadlock, ...], ...]:
    """Return the deadlocks by circle: those that hold or wait for a lock of one another, at any distance.

    Whoever only waits behind a circle belongs to it, since it goes on when the circle is broken.
    """
    found: list[tuple[set[str], list[LiveDeadlock]]] = []
    for each in deadlocks:
        locks, members = {*each.locks, *(held.lock for held in each.workflow.holds)}, [each]
        apart = []
        for others, together in found:
            if locks.isdisjoint(others):
                apart.append((others, together))
            else:
                locks |= others
                members = [*together, *members]
        found = [*apart, (locks, members)]
    return tuple(tuple(members) for _, members in found)
