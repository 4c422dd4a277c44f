"""Pools: shares of members, what nodes allow, and one answer where a Workflow does not fit into the tree."""

from datetime import timedelta

import pytest

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Account
from policy.core.quota.demands import share_shortfalls
from policy.core.quota.pool_borrowing import ROOT, PoolUsage
from policy.core.quota.pools import CompiledPool, share_demand
from policy.core.values.amounts import Amount, Usage
from tests.policy.core.builders import NOW, limits, namespace_object, pool, quota, snapshot, weight
from tests.policy.core.quota.tree_oracle import usage_in

AN_HOUR = timedelta(hours=1)
WINDOW: JsonObject = {"name": "noon", "schedule": "0 12 * * *", "duration": "1h", "limits": {"workflows": 8}}


def members(*documents: Document, **spec: JsonValue) -> Snapshot:
    """Return a pool with the members team-a and team-b."""
    spec.setdefault("limits", {"workflows": 10})
    made = pool("shared", created="", **spec)
    return snapshot(made, namespace_object("team-a"), namespace_object("team-b"), *documents)


def pool_in(policies: Snapshot, namespace: str = "team-a") -> CompiledPool:
    """Return the pool of a namespace."""
    found = policies.pool(namespace)
    assert found is not None
    return found


def share(namespace: str, workflows: int, **spec: JsonValue) -> Document:
    """Return a quota that is the share of a namespace."""
    return quota("share", namespace=namespace, limits={"workflows": workflows}, **spec)


def test_a_namespace_without_a_pool_has_none() -> None:
    """Its quotas are all there is."""
    assert snapshot(quota()).pool("team-a") is None


def test_the_limits_of_members_are_their_shares_where_the_pool_borrows() -> None:
    """One without a quota of its own is bounded by the pool alone."""
    found = pool_in(members(share("team-a", 4), borrowing={}))
    assert found.borrows
    assert found.share_at("team-a", NOW) == limits(4)
    assert found.share_at("team-b", NOW) == limits()
    tree = found.tree_at(NOW, None)
    assert set(tree.members) == {ROOT, "team-a", "team-b"}
    assert tree.members[ROOT].nominal == limits(10)


@pytest.mark.parametrize("borrowing", [None, {"enabled": False}])
def test_a_pool_that_does_not_borrow_has_no_shares(borrowing: JsonValue) -> None:
    """The quota of a member is a hard limit then."""
    policies = members(share("team-a", 4), **({} if borrowing is None else {"borrowing": borrowing}))
    assert not pool_in(policies).borrows
    assert not any(each.is_share for each in policies.policies("team-a").quotas)


@pytest.mark.parametrize(
    ("spec", "shared"),
    [({}, True), ({"selector": {"matchLabels": {"tier": "gold"}}}, False), ({"onExceed": "Warn"}, False)],
)
def test_only_what_bounds_every_workflow_is_a_share(spec: JsonObject, shared: bool) -> None:  # noqa: FBT001
    """A quota for some of them stays a limit of its own, and one that warns bounds none."""
    policies = members(share("team-a", 4, **spec), borrowing={})
    found = {each.account.quota: each.is_share for each in policies.policies("team-a").quotas}
    assert found == {"share": shared, "shared": False}
    assert pool_in(policies).share_at("team-a", NOW) == (limits(4) if shared else limits())


def test_the_defaults_of_a_pool_are_the_share_of_every_member() -> None:
    """A quota of a member may lower it, and not raise it."""
    found = pool_in(
        members(
            share("team-a", 4),
            share("team-b", 1),
            namespace_object("team-c"),
            borrowing={},
            namespaceDefaults={"limits": {"workflows": 2}},
        )
    )
    shares = {each: found.share_at(each, NOW) for each in ("team-a", "team-b", "team-c", "unheard")}
    assert shares == {
        "team-a": limits(2),
        "team-b": limits(1),
        "team-c": limits(2),
        "unheard": limits(2),
    }


SHARES: JsonObject = {"shares": {"team-a": {"workflows": 6}, "team-b": {"tasks": 30}}}


def test_a_pool_assigns_shares_to_its_members_by_name() -> None:
    """A member without a share has that of the defaults; quotas of members lower it."""
    spec: JsonObject = {"limits": {"workflows": 10, "tasks": 90}}
    defaults: JsonObject = {"limits": {"workflows": 2, "tasks": 8}}
    found = pool_in(members(share("team-a", 99), **spec, borrowing=SHARES, namespaceDefaults=defaults))
    assert found.share_at("team-a", NOW) == limits(6, 8)
    assert found.share_at("team-b", NOW) == limits(2, 30)
    found = pool_in(members(share("team-a", 3), **spec, borrowing=SHARES))
    assert found.share_at("team-a", NOW) == limits(3)
    assert found.share_at("team-b", NOW) == limits(None, 30)


GREEDY = 10**9


@pytest.mark.parametrize(
    "said",
    [
        {"borrowing": {"lendingLimit": {"workflows": 6}, "shares": {"team-b": {"workflows": 38}}}},
        {
            "borrowing": {
                "lendingLimit": {"workflows": 6},
                "shares": {each: {"workflows": 38} for each in ("team-a", "team-b")},
            }
        },
        {"borrowing": {"lendingLimit": {"workflows": 6}}, "namespaceDefaults": {"limits": {"workflows": 38}}},
    ],
    ids=["the pool names the neighbour", "it names both", "defaults"],
)
@pytest.mark.parametrize(
    "greedy",
    [
        {"limits": {"workflows": GREEDY}},
        {"limits": {"workflows": 1}, "windows": [{**WINDOW, "limits": {"workflows": GREEDY}}]},
        {"limits": {"workflows": GREEDY}, "onExceed": "Deny"},
        {"limits": {"workflows": GREEDY, "tasks": GREEDY}, "perUser": {"workflows": GREEDY}},
    ],
    ids=["limits", "a window", "one that denies", "tasks too"],
)
def test_no_quota_of_a_member_shrinks_what_the_pool_guarantees_to_another(
    said: JsonObject, greedy: JsonObject
) -> None:
    """Not at noon, when the window is open, either; the greedy one runs nothing and lends 6."""
    spec: JsonObject = {"limits": {"workflows": 64}, **said}
    fair = PoolUsage(pool_in(members(**spec)).tree_at(NOW, None))
    found = pool_in(members(quota("share", namespace="team-a", **greedy), **spec))
    for tree in (found.tree_at(NOW, None), found.written_tree(NOW)):
        shares = PoolUsage(tree)
        assert tree.workflows["team-b"].guaranteed == 32
        assert tree.workflows["team-a"].guaranteed <= 32
        assert shares.available("team-b").workflows.covers(fair.available("team-a").workflows.value or 0)
        busy = usage_in(tree, {"team-a": Usage(32)})
        assert busy.available("team-b").workflows == Amount(32)


def test_without_an_assigned_share_a_quota_is_the_share_up_to_the_limit_of_the_pool() -> None:
    """In windows too; and by what nodes make of that limit."""
    own = [share("team-a", GREEDY, windows=[{**WINDOW, "limits": {"workflows": 2 * GREEDY}}])]
    found = pool_in(members(*own, share("team-b", 4), borrowing={"lendingLimit": {"workflows": 0}}))
    for now in (NOW - AN_HOUR, NOW):
        assert found.share_at("team-a", now) == limits(10)
        tree = found.tree_at(now, None)
        assert [tree.workflows[each].guaranteed for each in ("team-a", "team-b")] == [7, 2]
    elastic: JsonObject = {"workflowsPerNode": 2, "min": {"workflows": 3}, "max": {"workflows": 8}}
    found = pool_in(members(*own, elastic=elastic, borrowing={}))
    assert found.tree_at(NOW, None).members["team-a"].nominal == limits(3)
    assert found.tree_at(NOW, limits(6)).members["team-a"].nominal == limits(6)
    assert found.tree_ever().members["team-a"].nominal == limits(8)


@pytest.mark.parametrize("stopped", ["own", "defaults", "own that queues in a pool that denies"])
def test_a_member_whose_share_is_stopped_has_nothing_and_borrows_nothing(stopped: str) -> None:
    """Whatever share the pool assigns, and however much others leave idle."""
    spec: JsonObject = {"borrowing": SHARES, "onExceed": "Deny"}
    stop: JsonObject = {"stopPolicy": "Hold", "onExceed": "Queue" if "queues" in stopped else "Deny"}
    own = [] if stopped == "defaults" else [share("team-a", 4, **stop)]
    if stopped == "defaults":
        spec["namespaceDefaults"] = {"limits": {"workflows": 2}, **stop}
    policies = members(*own, **spec)
    tree = pool_in(policies).tree_at(NOW, None)
    assert PoolUsage(tree).available("team-a").workflows == Amount(0)
    demand = share_demand(pool_in(policies), "team-a", 0, NOW)
    (short,) = share_shortfalls({}, weight(), demand)
    assert (short.never_fits, short.must_rise) == (False, True)


def test_the_most_of_a_share_and_when_it_moves_go_by_the_windows_of_the_defaults() -> None:
    """Of a member with a quota of its own, too: the pool's word moves."""
    spec: JsonObject = {
        "borrowing": {},
        "namespaceDefaults": {"limits": {"workflows": 2}, "windows": [WINDOW]},
    }
    found = pool_in(members(share("team-a", 6), share("team-b", 1), **spec))
    before = NOW - timedelta(minutes=5)
    assert found.until(before) == NOW
    assert [found.share_at("team-a", now) for now in (before, NOW)] == [limits(2), limits(6)]
    assert found.share_at("team-b", NOW) == limits(1)
    assert found.tree_ever().members["team-a"].nominal == limits(6)
    assert found.rises == "its windows allow it"


def test_a_member_without_any_quota_is_put_into_the_tree() -> None:
    """Namespaces may not be known, as where policies come from files."""
    policies = snapshot(pool("shared", limits={"workflows": 10}, borrowing={}), share("unheard", 3))
    found = pool_in(policies, "unheard")
    assert found.share_at("unheard", NOW) == limits(3)
    assert set(found.tree_at(NOW, None).members) == {ROOT, "unheard"}


@pytest.mark.parametrize("denying", ["pool", "share", "defaults"])
def test_one_that_denies_anywhere_in_the_tree_makes_all_of_it_deny(denying: str) -> None:
    """There is one answer to a Workflow that does not fit into the tree."""
    effect = {each: "Deny" if each == denying else "Queue" for each in ("pool", "share", "defaults")}
    policies = members(
        *([] if denying == "defaults" else [share("team-a", 4, onExceed=effect["share"])]),
        quota("other", namespace="team-b", selector={"matchLabels": {"tier": "gold"}}),
        share("team-b", 1),
        onExceed=effect["pool"],
        borrowing={},
        namespaceDefaults={"limits": {"workflows": 2}, "onExceed": effect["defaults"]},
    )
    assert {each.on_exceed for each in policies.policies("team-a").quotas} == {OnExceed.DENY}
    beside = {each.account.quota: each.on_exceed for each in policies.policies("team-b").quotas}
    assert beside["other"] is OnExceed.QUEUE
    assert beside["shared"] is (OnExceed.DENY if denying == "pool" else OnExceed.QUEUE)


def test_a_pool_that_does_not_borrow_leaves_each_quota_its_own_answer() -> None:
    """They are limits apart."""
    policies = members(share("team-a", 4, onExceed="Deny"))
    assert [each.on_exceed for each in policies.policies("team-a").quotas] == [OnExceed.DENY, OnExceed.QUEUE]


def test_nodes_bound_what_is_written_and_allow_the_least_until_they_are_measured() -> None:
    """What has no rate is not bounded by them."""
    found = pool_in(
        members(
            limits={"workflows": 10, "tasks": 50},
            elastic={"workflowsPerNode": 2, "min": {"workflows": 3}, "max": {"workflows": 8}},
        )
    )
    assert found.limits_at(NOW, None) == limits(3, 50)
    assert found.limits_at(NOW, limits(6)) == limits(6, 50)
    assert found.limits_at(NOW, limits(99)) == limits(8, 50)  # Measured before `max` was lowered.
    assert found.tree_at(NOW, limits(6)).members[ROOT].nominal == limits(6, 50)
    assert found.tree_ever().members[ROOT].nominal == limits(8, 50)


def test_nodes_without_a_least_allow_nothing_until_they_are_measured() -> None:
    """While the number is unknown, nothing starts."""
    found = pool_in(members(limits={}, elastic={"tasksPerNode": 4}))
    assert found.limits_at(NOW, None) == limits(None, 0)
    assert found.tree_ever().members[ROOT].nominal == limits()


def test_windows_of_the_pool_and_of_members_move_the_tree() -> None:
    """`until` is when limits of any member may change; until then the written tree is compiled once."""
    found = pool_in(members(share("team-a", 4, windows=[WINDOW]), borrowing={}))
    before = NOW - timedelta(minutes=5)
    assert found.until(before) == NOW
    closed = found.written_tree(before)
    assert found.written_tree(before + timedelta(minutes=1)) is closed
    opened = found.written_tree(NOW)
    assert (closed.members["team-a"].nominal, opened.members["team-a"].nominal) == (limits(4), limits(8))
    assert found.written_tree(NOW + AN_HOUR).members["team-a"].nominal == limits(4)
    assert found.tree_ever().members["team-a"].nominal == limits(8)


@pytest.mark.parametrize(
    ("spec", "moving", "most"),
    [
        ({}, {}, 0),
        ({}, {"windows": [WINDOW]}, 8),
        ({"windows": [WINDOW]}, {}, 8),
        ({"elastic": {"workflowsPerNode": 1, "max": {"workflows": 6}}}, {}, 6),
    ],
)
def test_guarantees_of_others_block_a_request_for_ever_only_where_no_limit_changes(
    spec: JsonObject, moving: JsonObject, most: int
) -> None:
    """Windows and nodes lower guarantees at another time, and then it fits."""
    spec = {"limits": {"workflows": 8}, "borrowing": {"lendingLimit": {"workflows": 0}}, **spec}
    found = pool_in(members(share("team-a", 8, **moving), **spec))
    assert found.tree_ever().potential("team-b") == limits(most)


def test_a_member_may_borrow_and_must_lend_as_far_as_is_written() -> None:
    """The figures are those of docs/policies.md: share 4, two more at most, two that are never lent."""
    found = pool_in(
        members(
            share("team-a", 4),
            share("team-b", 6),
            borrowing={"borrowingLimit": {"workflows": 2}, "lendingLimit": {"workflows": 4}},
        )
    )
    idle = PoolUsage(found.tree_at(NOW, None))
    assert idle.available("team-a") == limits(6)
    lent = usage_in(found.tree_at(NOW, None), {"team-a": Usage(6)})
    assert lent.available("team-b") == limits(4)


def test_a_demand_of_a_member_names_its_accounts_and_what_is_withheld() -> None:
    """A reserve of the pool holds in the tree, by the priority of the Workflow."""
    policies = members(share("team-a", 4), borrowing={}, reserve=[{"abovePriority": 5, "workflows": 3}])
    low, high = (share_demand(pool_in(policies), "team-a", each, NOW) for each in (5, 6))
    assert (low.account, low.pool) == (Account("team-a", "shared/share"), Account("", "shared"))
    assert low.account == Account.share("shared", "team-a")
    assert (low.withheld, high.withheld) == (Usage(3), Usage(0))
    assert low.written == limits(10)
    assert low.source == "ClusterWorkflowQuota shared"


def test_weights_and_half_life_are_those_of_the_pool() -> None:
    """The usual half-life is a day."""
    found = pool_in(members(fairShare={"weights": {"team-a": 3}, "halfLife": "2h"}))
    assert (found.weights, found.half_life) == ({"team-a": 3}, 2 * AN_HOUR)
    assert pool_in(members()).half_life == 24 * AN_HOUR
