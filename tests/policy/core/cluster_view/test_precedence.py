"""Who goes before a waiter is told with the rule that decides, in the order of the planner."""

from datetime import timedelta

import pytest

from policy.core.cluster_view.precedence import Precedence, RootOrder
from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.core.queue.ordering import Waiter
from policy.core.queue.planner import Planner
from policy.core.quota.accounts import Account, Tenant
from policy.core.quota.compiled_quota import QueueRules
from tests.policy.core.builders import NOW, limits
from tests.policy.core.queue.queue_fixtures import bound, planner, waiter

FULL = bound("main", limits(0, None))


def queue(*waiters: Waiter, rules: QueueRules = QueueRules()) -> Planner:  # noqa: B008 - a frozen value
    """Return a planner in which these wait, and one more that is asked about."""
    made = planner()
    for namespace in {each.namespace for each in waiters} | {"team-a"}:
        made.set_rules(namespace, rules)
    for each in waiters:
        made.add(each)
    made.add(waiter("me", FULL, arrival=100))
    made.set_limits(Account("team-a", "main"), limits(0, None), ever=limits(9, None))
    made.plan(NOW)
    return made


def causes(made: Planner) -> list[tuple[str, Precedence]]:
    """Return who is before the one that is asked about, and why."""
    return [(each.waiter.uid, each.because) for each in RootOrder(made).before("me")]


@pytest.mark.parametrize(
    ("other", "because"),
    [
        (waiter("x", FULL, priority=1), Precedence.PRIORITY),
        (waiter("x", FULL, age=timedelta(seconds=1)), Precedence.OLDER),
        (waiter("x", FULL, arrival=1), Precedence.OLDER),
    ],
)
def test_the_first_rule_that_decides_is_the_cause(other: Waiter, because: Precedence) -> None:
    """A priority counts before age."""
    assert causes(queue(other)) == [("x", because)]


def test_a_priority_that_rose_by_waiting_is_told_as_such() -> None:
    """Its own priority would not explain it."""
    rules = QueueRules(aging=timedelta(hours=1))
    made = queue(
        waiter("old", FULL, priority=0, age=timedelta(hours=9)),
        waiter("high", FULL, priority=5, arrival=101),
        rules=rules,
    )
    assert dict(causes(made)) == {"old": Precedence.AGED, "high": Precedence.PRIORITY}


def test_who_used_less_lately_goes_first() -> None:
    """Fair share is between users of a namespace, and between namespaces."""
    made = planner()
    made.fair.ranks[Tenant("team-a", "ann")] = 9
    made.fair.ranks[Tenant("team-a")] = 9
    made.set_limits(Account("team-a", "main"), limits(0, None), ever=limits(9, None))
    made.add(waiter("me", FULL, user="ann"))
    made.add(waiter("other-user", FULL, user="bea", arrival=1))
    made.add(
        waiter(
            "other-team", bound("main", limits(0, None), namespace="team-b"), namespace="team-b", arrival=2
        )
    )
    made.set_limits(Account("team-b", "main"), limits(0, None), ever=limits(9, None))
    made.plan(NOW)
    assert dict(causes(made)) == {
        "other-user": Precedence.USER_USED_LESS,
        "other-team": Precedence.NAMESPACE_USED_LESS,
    }


def test_those_that_can_not_be_released_go_before_none() -> None:
    """One on hold, one that never fits and one with a fault stop nobody."""
    made = queue(
        waiter("held", bound("main", limits(0, None), namespace="team-b"), namespace="team-b", priority=9),
        waiter("faulty", FULL, priority=9, fault="it is broken"),
        waiter("huge", bound("small", limits(0, 1)), priority=9, tasks=5),
    )
    made.set_rules("team-b", QueueRules(stop_policy=StopPolicy.HOLD))
    assert causes(made) == []
    assert RootOrder(made).ahead("faulty") is None
    assert RootOrder(made).ahead("me") == 0
