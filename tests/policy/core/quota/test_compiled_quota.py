"""Quotas as they are reckoned with: limits by the hour, who waits how, and what a stop means."""

from datetime import timedelta

import pytest

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policy_kinds.quota_parts import QueueStrategy, StopPolicy
from policy.core.quota.compiled_quota import (
    DEFAULT_AGING,
    DEFAULT_RULES,
    NOTHING,
    CompiledQuota,
    QueueRules,
    queue_rules,
)
from tests.policy.core.builders import NAMESPACE, NOW, limits, quota, snapshot

GOLD: JsonObject = {"matchLabels": {"tier": "gold"}}
NOON_WINDOW: JsonObject = {
    "name": "noon",
    "schedule": "0 12 * * *",
    "duration": "2h",
    "limits": {"workflows": 9},
}


def compiled(**spec: JsonValue) -> CompiledQuota:
    """Return one quota of the namespace."""
    (found,) = snapshot(quota("main", namespace=NAMESPACE, **spec)).policies(NAMESPACE).quotas
    return found


def rules(*specs: JsonObject) -> QueueRules:
    """Return the rules of a namespace with these quotas."""
    made = [quota(f"q{number}", namespace=NAMESPACE, **spec) for number, spec in enumerate(specs)]
    return snapshot(*made).policies(NAMESPACE).rules


def test_limits_are_those_of_the_hour() -> None:
    """A window changes limits while it is open, and only those that it names."""
    found = compiled(limits={"workflows": 2, "tasks": 5}, windows=[NOON_WINDOW])
    assert found.limits_at(NOW - timedelta(seconds=1)) == limits(2, 5)
    assert found.limits_at(NOW) == limits(9, 5)
    assert found.limits_at(NOW + timedelta(hours=2)) == limits(2, 5)
    assert found.elastic.base == limits(2, 5)


@pytest.mark.parametrize(
    "bounds",
    [
        {"limits": {"tasks": 3}},
        {"perUser": {"tasks": 3}},
        {"windows": [{**NOON_WINDOW, "limits": {"tasks": 3}}]},
    ],
)
def test_tasks_are_bounded_where_any_limit_ever_bounds_them(bounds: JsonObject) -> None:
    """A Workflow without a bound on its tasks has to be refused then, also while a window is closed."""
    assert compiled(**bounds).bounds_tasks
    assert not compiled(limits={"workflows": 3}).bounds_tasks


@pytest.mark.parametrize("stop", ["Hold", "HoldAndDrain"])
@pytest.mark.parametrize(
    ("spec", "nothing"),
    [
        ({}, False),
        ({"selector": GOLD}, True),
        ({"onExceed": "Deny"}, True),
        ({"onExceed": "Deny", "selector": GOLD}, True),
    ],
)
def test_a_stop_is_of_the_queue_or_lets_nothing_run(stop: str, spec: JsonObject, nothing: bool) -> None:  # noqa: FBT001
    """A queue has one order, so what selects only some, or does not queue, has a limit of 0 instead."""
    found = compiled(limits={"workflows": 5}, stopPolicy=stop, **spec)
    assert found.limits_at(NOW) == (NOTHING if nothing else limits(5))
    assert found.stops_the_queue is not nothing
    assert (rules({**spec, "stopPolicy": stop}).stop_policy is StopPolicy.NONE) is nothing


def test_a_namespace_without_a_queue_has_the_usual_rules() -> None:
    """None waits there, or only by the default rules."""
    assert rules() == rules({"onExceed": "Deny"}) == rules({"selector": GOLD}) == DEFAULT_RULES
    assert rules({}).aging == DEFAULT_AGING


def test_of_many_quotas_the_stricter_rule_holds() -> None:
    """Each of them is a promise to users."""
    found = rules(
        {"queue": {"strategy": "StrictFIFO", "maxLength": 7, "maxWait": "1h", "aging": "10m"}},
        {"queue": {"maxLength": 5, "maxWait": "2h", "aging": "20m"}, "stopPolicy": "Hold"},
        {"stopPolicy": "HoldAndDrain"},
        {"selector": GOLD, "queue": {"maxLength": 1, "maxWait": "1m"}},
    )
    assert found == QueueRules(
        strategy=QueueStrategy.STRICT_FIFO,
        aging=timedelta(minutes=10),
        max_length=5,
        max_wait=timedelta(hours=1),
        stop_policy=StopPolicy.HOLD_AND_DRAIN,
        stopped_by=found.stopped_by,
    )
    assert found.stopped_by == f"WorkflowQuota {NAMESPACE}/q2"


def test_a_quota_without_a_queue_leaves_aging_to_others() -> None:
    """Its default is no wish."""
    assert rules({"queue": {"aging": "3h"}}, {}).aging == timedelta(hours=3)
    assert queue_rules([]) == DEFAULT_RULES
