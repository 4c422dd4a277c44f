"""What metrics show of every quota: one name each, and the limits that count."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from policy.core.objects.json_patch import JsonValue
from policy.core.policies.group_figures import GroupFigures
from policy.core.policies.quota_gauges import POOL, QUOTA, QuotaGauge, quota_gauges
from policy.core.policies.snapshot import Document
from policy.core.policies.status_figures import ShownLimits, figures
from policy.core.quota.accounts import Account
from policy.core.quota.usage_view import UsageView
from policy.core.values.amounts import UNLIMITED, ZERO, Amount, Limits, Usage
from tests.policy.core.builders import NOW, namespace_object, pool, quota, snapshot

MEMBERS = (namespace_object("team-a"), namespace_object("team-b"))
NODES = Limits(Amount(3))


def gauges(
    *documents: Document, used: Mapping[Account, Usage] | None = None, nodes: Limits | None = None
) -> dict[tuple[str, str, str], QuotaGauge]:
    """Return the gauges of two namespaces by kind, namespace and name; no name is there twice."""
    policies = snapshot(*MEMBERS, *documents)
    view = UsageView(used or {})
    found = list(quota_gauges(policies, view, NOW, lambda _: nodes, ("team-a", "team-b")))
    by_name = {(each.kind, each.namespace, each.name): each for each in found}
    assert len(by_name) == len(found)
    return by_name


def shared(**spec: JsonValue) -> Document:
    """Return a pool over both namespaces."""
    return pool("data", created="", limits={"workflows": 9}, **spec)


def workflows(gauge: QuotaGauge) -> int | None:
    """Return the limit on Workflows."""
    return gauge.limits.workflows.value


def test_a_pool_is_shown_where_no_member_has_a_quota() -> None:
    """Before, its limit was found only by way of the quotas of a member."""
    found = gauges(shared(), used={Account.of_pool("data"): Usage(7)})
    assert found.keys() == {(POOL, "", "data")}
    gauge = found[POOL, "", "data"]
    assert (workflows(gauge), gauge.used, gauge.limits.tasks) == (9, Usage(7), UNLIMITED)


def test_a_pool_without_members_is_shown_too() -> None:
    """It is in force for whoever comes."""
    lonely = pool("none", created="", limits={"workflows": 2}, namespaceSelector={"matchLabels": {"x": "y"}})
    assert workflows(gauges(lonely)[POOL, "", "none"]) == 2


def test_an_elastic_pool_shows_what_nodes_allow() -> None:
    """Not what is written; the highest that it may become stands beside it."""
    elastic = shared(elastic={"workflowsPerNode": 1, "min": {"workflows": 1}, "max": {"workflows": 5}})
    gauge = gauges(elastic, nodes=NODES)[POOL, "", "data"]
    assert workflows(gauge) == 3
    assert gauge.highest is not None
    assert gauge.highest.workflows == Amount(5)
    assert workflows(gauges(elastic)[POOL, "", "data"]) == 1, "the lowest, while nodes are not measured"


def test_the_defaults_of_a_pool_have_the_name_of_the_pool() -> None:
    """With the namespace of the member; where it has a quota of its own for all, there are none."""
    own = quota("own", limits={"workflows": 4})
    taken = {Account.defaults("data", "team-b"): Usage(2)}
    found = gauges(shared(namespaceDefaults={"limits": {"workflows": 3}}), own, used=taken)
    assert found.keys() == {(POOL, "", "data"), (QUOTA, "team-a", "own"), (POOL, "team-b", "data")}
    gauge = found[POOL, "team-b", "data"]
    assert (workflows(gauge), gauge.used, gauge.borrowed) == (3, Usage(2), None)


def test_a_share_is_shown_once_with_what_is_borrowed() -> None:
    """`data.defaults` and `data/share` were two names for it."""
    taken = {
        Account.share("data", "team-a"): Usage(5, 8),
        Account.defaults("data", "team-a"): Usage(5, 8),
    }
    found = gauges(shared(borrowing={}, namespaceDefaults={"limits": {"workflows": 3}}), used=taken)
    gauge = found[POOL, "team-a", "data"]
    assert (workflows(gauge), gauge.used, gauge.borrowed) == (3, Usage(5, 8), Usage(2, 0))
    assert found[POOL, "team-b", "data"].borrowed == ZERO


def test_a_quota_and_a_pool_may_have_one_name() -> None:
    """The kind tells them apart; two series with equal labels would fail the whole scrape."""
    found = gauges(
        shared(borrowing={}, namespaceDefaults={"limits": {"workflows": 3}, "onExceed": "Warn"}),
        quota("data", limits={"workflows": 1}),
    )
    assert {(QUOTA, "team-a", "data"), (POOL, "team-a", "data")} <= found.keys()


def test_a_limit_per_user_is_one_of_its_own() -> None:
    """It was +Inf; how many have used it up is a number, their names are none of a metric's business."""
    per_user = quota("fair", limits={"workflows": 9}, perUser={"workflows": 2})
    taken = {
        Account("team-a", "fair"): Usage(3),
        Account("team-a", "fair", "ada"): Usage(2),
        Account("team-a", "fair", "bob"): Usage(1),
    }
    gauge = gauges(per_user, used=taken)[QUOTA, "team-a", "fair"]
    assert (gauge.per_user, gauge.at_limit, gauge.used) == (Limits(Amount(2)), 1, Usage(3))


def test_a_quota_that_nothing_uses_is_zero_and_does_not_vanish() -> None:
    """A dashboard would have a gap, and an alert that looks back a wrong last value."""
    assert gauges(quota("own", limits={"workflows": 4}))[QUOTA, "team-a", "own"].used == ZERO


def test_windows_and_reserves_are_shown() -> None:
    """Which window is open, and what is kept for whom."""
    night: JsonValue = {
        "name": "night",
        "schedule": "0 0 * * *",
        "duration": "1h",
        "limits": {"workflows": 20},
    }
    always: JsonValue = {
        "name": "always",
        "schedule": "* * * * *",
        "duration": "1h",
        "limits": {"workflows": 8},
    }
    gauge = gauges(
        quota(
            "own",
            limits={"workflows": 4},
            windows=[night, always],
            reserve=[{"abovePriority": 5, "workflows": 1}],
        )
    )[QUOTA, "team-a", "own"]
    assert dict(gauge.windows) == {"night": False, "always": True}
    assert workflows(gauge) == 8
    assert [(each.above_priority, each.size) for each in gauge.reserves] == [(5, Usage(1))]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"borrowing": {}},
        {"borrowing": {"shares": {"team-a": {"workflows": 5}}}},
        {"borrowing": {}, "namespaceDefaults": {"limits": {"workflows": 4}}},
        {"elastic": {"workflowsPerNode": 1}},
    ],
)
def test_the_status_of_a_quota_says_the_same(spec: dict[str, JsonValue]) -> None:
    """Two figures of one thing would have people ask which of them is right."""
    documents = (shared(**spec), quota("own", limits={"workflows": 6}))
    taken = {Account("team-a", "own"): Usage(7), Account.share("data", "team-a"): Usage(7)}
    policies = snapshot(*MEMBERS, *documents)
    told = figures(UsageView(taken), policies, NOW + timedelta(0), lambda _: NODES)
    shown = gauges(*documents, used=taken, nodes=NODES)
    for name, figure in told.items():
        gauge = shown[name.kind, name.namespace, name.name]
        limit = workflows(gauge)
        assert figure.effective_limits == ShownLimits("Unlimited" if limit is None else limit)
        assert figure.running == gauge.used.workflows


def test_a_group_has_a_gauge_of_its_own_with_the_name_of_its_quota() -> None:
    """Also that which a pool gives each member; no key is named."""
    groups: JsonValue = [{"name": "branch", "key": "{{workflow.labels.branch}}"}]
    documents = (
        shared(groups=groups, namespaceDefaults={"groups": groups}),
        quota("own", selector={"matchLabels": {"a": "b"}}, limits={"workflows": 6}, groups=groups),
    )
    taken = {
        Account("", "data:branch", "main"): Usage(1),
        Account.defaults("data", "team-b").of_group("branch").of_key("main"): Usage(1),
    }
    view = UsageView(taken)
    policies = snapshot(*MEMBERS, *documents)
    found = quota_gauges(policies, view, NOW, lambda _: None, ("team-a", "team-b"))
    shown = {(each.kind, each.namespace, each.name): each.group for each in found if each.group is not None}
    assert shown == {
        (POOL, "", "data"): GroupFigures("branch", 1, 1),
        (POOL, "team-a", "data"): GroupFigures("branch"),
        (POOL, "team-b", "data"): GroupFigures("branch", 1, 1),
        (QUOTA, "team-a", "own"): GroupFigures("branch"),
    }
