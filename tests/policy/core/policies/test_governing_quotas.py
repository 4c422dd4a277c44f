"""Which quotas govern a Workflow, and which accounts it counts on."""

import pytest

from policy.core.objects.json_patch import JsonValue
from policy.core.policies.governing_quotas import accounts_of, demands, governing
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    limits,
    pool,
    quota,
    snapshot,
)

SOURCE = "WorkflowQuota team-a/main"


def _quotas(*documents: Document) -> tuple[CompiledQuota, ...]:
    return snapshot(*documents).policies(NAMESPACE).quotas


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ({}, ["all", "not-etl"]),
        ({"team": "etl"}, ["all", "etl"]),
        ({"team": "web"}, ["all", "not-etl"]),
    ],
)
def test_a_quota_governs_the_workflows_that_its_selector_matches(
    labels: dict[str, str], names: list[str]
) -> None:
    """Labels and expressions both select; an absent selector selects all."""
    not_etl: JsonValue = {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["etl"]}]}
    quotas = _quotas(
        quota("all"),
        quota("etl", selector={"matchLabels": {"team": "etl"}}),
        quota("not-etl", selector=not_etl),
    )
    assert [each.account.quota for each in governing(quotas, labels)] == names


def test_a_workflow_demands_its_namespace_its_user_and_its_pool() -> None:
    """Every account that must have free capacity is named with its own limits and a source for messages."""
    quotas = _quotas(
        quota(limits={"workflows": 10, "tasks": 200}, perUser={"workflows": 3}),
        pool(limits={"workflows": 50}),
    )
    found = [(each.account, each.limits, each.source) for each in demands(quotas, "ann", now=NOW)]
    assert found == [
        (Account(NAMESPACE, "main"), limits(10, 200), SOURCE),
        (Account(NAMESPACE, "main", "ann"), limits(3), f"{SOURCE} for user ann"),
        (Account("", "shared"), limits(50), "ClusterWorkflowQuota shared"),
    ]


def test_a_quota_without_limits_for_users_counts_no_users() -> None:
    """Accounts of users exist only where a quota limits them, so that the ledger stays small."""
    assert [
        each.account.key for each in demands(_quotas(quota(limits={"workflows": 1})), "ann", now=NOW)
    ] == [""]
    limited = _quotas(quota(perUser={"tasks": 0}))
    assert [each.account.key for each in demands(limited, "ann", now=NOW)] == ["", "ann"]


def test_a_workflow_of_no_user_is_charged_once_on_the_quota() -> None:
    """A Workflow that bypassed the webhook has no user mark; its account is not that of the whole quota."""
    accounts = [
        each.account
        for each in demands(_quotas(quota(limits={"workflows": 9}, perUser={"workflows": 1})), "", now=NOW)
    ]
    assert accounts == [Account(NAMESPACE, "main"), Account(NAMESPACE, "main", "system:anonymous")]


def _mixed() -> Snapshot:
    return snapshot(
        quota("denies", onExceed="Deny", perUser={"workflows": 1}),
        quota("queues", perUser={"workflows": 1}),
        quota("warns", onExceed="Warn"),
    )


def test_a_running_workflow_counts_on_every_quota() -> None:
    """Whatever a quota does when it is full, it counts what runs, for the user too."""
    policies = _mixed()
    quotas = policies.policies(NAMESPACE).quotas
    found = accounts_of(quotas, NAMESPACE, "ann", policies)
    assert list(found) == [each.account for each in demands(quotas, "ann", now=NOW)]
