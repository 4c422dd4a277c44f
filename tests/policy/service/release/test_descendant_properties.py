"""Workflows of Workflows complete with whatever capacity there is, and take no more than their roots' slots.

A parent ends after all that it created; nothing else is assumed of the order in which things happen.
"""

from random import Random
from typing import Final

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy.cluster.protocol import WORKFLOWS
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.service.tracking.tracker import LIVE
from tests.policy.service.release.descendants import NAMESPACE, admit, child_of, reviewed, taken_up, used
from tests.policy.service.world import (
    Clock,
    Leader,
    complete,
    draft,
    is_held,
    memory,
    name_of,
    part,
    quota,
    snapshot_of,
    submit,
)

STEPS: Final = 400
"""More than any plan takes."""


class Plan(msgspec.Struct, frozen=True):
    """A Workflow and those that it creates when it runs; it waits for all of them."""

    name: str
    tasks: int
    below: tuple["Plan", ...] = ()


def plan(name: str, shape: str, tasks: int, below: object) -> Plan:
    """Return a root: with children side by side, none larger than itself, or with a chain of small ones."""
    if isinstance(below, list):
        return Plan(name, tasks, tuple(Plan(f"{name}-{n}", 1 + each % tasks) for n, each in enumerate(below)))
    found: tuple[Plan, ...] = ()
    for level in range(min(int(str(below)), tasks), 0, -1):
        found = (Plan(f"{name}-{shape}-{level}", 1, found),)
    return Plan(name, tasks, found)


fans = st.tuples(st.just("fan"), st.integers(1, 5), st.lists(st.integers(0, 4), max_size=6))
chains = st.tuples(st.just("chain"), st.integers(1, 5), st.integers(1, 5))


class Play:
    """Argo and the leader by turns, until all that is planned has run."""

    def __init__(self, limit: int, on_exceed: OnExceed) -> None:
        self.cluster = memory()
        self.limit = limit
        self.denies = on_exceed is OnExceed.DENY
        self.policies = snapshot_of(quota(NAMESPACE, "q", workflows=limit, on_exceed=on_exceed))
        self.leader = Leader(self.cluster, self.policies, Clock())
        self.wanted: list[tuple[Plan, str]] = []
        self.plans: dict[str, Plan] = {}
        self.over: set[str] = set()

    def play(self, roots: list[Plan], rng: Random) -> None:
        """Create the roots, and end Workflows in any order until there are none."""
        self.wanted = [(each, "") for each in roots]
        for _ in range(STEPS):
            self._create()
            self._count()
            running = self._running()
            if not running and not self.wanted:
                return
            ending = [each for each in running if {one.name for one in self.plans[each].below} <= self.over]
            if ending:
                name = rng.choice(ending)
                complete(self.cluster, name, namespace=NAMESPACE)
                self.over.add(name)

    def _count(self) -> None:
        """Release what may be released, and compare what is counted with the limit."""
        while self.leader.work():
            continue
        assert used(self.leader) <= self.limit

    def _create(self) -> None:
        """Create what can be created; what is denied is tried again, as an executor does."""
        for plan, above in list(self.wanted):
            self._count()
            if not above:
                if self.denies and used(self.leader) >= self.limit:
                    continue
                submit(self.cluster, self.policies, draft(plan.name, tasks=plan.tasks), namespace=NAMESPACE)
            else:
                parent = self.cluster.get(WORKFLOWS, above, namespace=NAMESPACE)
                obj = child_of(parent, plan.name, tasks=plan.tasks)
                reserves = reviewed(self.cluster, self.policies, obj).reservation is not None
                if reserves and used(self.leader) >= self.limit:
                    continue
                admit(self.cluster, self.policies, obj)
            self.wanted.remove((plan, above))
            self.plans[plan.name] = plan

    def _running(self) -> list[str]:
        """Return what runs; Argo takes it up, and it is to create what it plans."""
        found = []
        for item in self.cluster.list(WORKFLOWS, namespace=NAMESPACE, labels=LIVE).items:
            name = name_of(item)
            if is_held(item):
                continue
            found.append(name)
            if part(item, "status", "nodes") is None:
                taken_up(self.cluster, name)
                self.wanted += [(each, name) for each in self.plans[name].below]
        return found


@given(
    st.lists(st.one_of(fans, chains), min_size=1, max_size=4),
    st.integers(1, 2),
    st.sampled_from([OnExceed.QUEUE, OnExceed.DENY]),
    st.randoms(use_true_random=False),
)
@example([("fan", 2, [0, 1, 1, 0, 0])], 2, OnExceed.QUEUE, Random(1))
@example([("fan", 5, [0, 4, 0, 0])], 2, OnExceed.QUEUE, Random(2))
@settings(max_examples=60)
def test_all_complete_within_the_limit_whatever_waits_for_what(
    drawn: list[tuple[str, int, object]], limit: int, on_exceed: OnExceed, rng: Random
) -> None:
    """Parents keep their slots while they wait, so no child may wait for a slot of theirs."""
    roots = [plan(f"w{number}", *each) for number, each in enumerate(drawn)]
    play = Play(limit, on_exceed)
    play.play(roots, rng)
    assert play.wanted == []
    assert play.over == set(play.plans)
    assert used(play.leader) == 0
