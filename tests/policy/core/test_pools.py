"""Pools: shares of members, what nodes allow, and one answer where the tree has no room."""

from datetime import timedelta

import pytest

from policy.core.amounts import Usage
from policy.core.kinds import OnExceed
from policy.core.ledger import Account
from policy.core.patches import JsonObject, JsonValue
from policy.core.pools import CompiledPool, share_account, share_demand
from policy.core.rooms import ROOT
from policy.core.shares import Shares
from policy.core.snapshot import Document, Snapshot
from tests.policy.core.builders import NOW, limits, namespace_object, pool, quota, snapshot

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
    """A quota for some of them stays a limit of its own, and one that warns bounds nobody."""
    policies = members(share("team-a", 4, **spec), borrowing={})
    found = {each.account.quota: each.is_share for each in policies.policies("team-a").quotas}
    assert found == {"share": shared, "shared": False}
    assert pool_in(policies).share_at("team-a", NOW) == (limits(4) if shared else limits())


def test_the_defaults_of_a_pool_are_the_share_of_whoever_has_no_quota() -> None:
    """And of nobody else."""
    found = pool_in(members(share("team-a", 4), borrowing={}, namespaceDefaults={"limits": {"workflows": 2}}))
    assert found.share_at("team-a", NOW) == limits(4)
    assert found.share_at("team-b", NOW) == limits(2)


def test_a_member_that_nobody_has_told_of_is_put_into_the_tree() -> None:
    """Namespaces may not be known, as where policies come from files."""
    policies = snapshot(pool("shared", limits={"workflows": 10}, borrowing={}), share("unheard", 3))
    found = pool_in(policies, "unheard")
    assert found.share_at("unheard", NOW) == limits(3)
    assert set(found.tree_at(NOW, None).members) == {ROOT, "unheard"}


@pytest.mark.parametrize("denying", ["pool", "share", "defaults"])
def test_one_that_denies_anywhere_in_the_tree_makes_all_of_it_deny(denying: str) -> None:
    """There is one answer to a Workflow that finds no room in the tree."""
    effect = {each: "Deny" if each == denying else "Queue" for each in ("pool", "share", "defaults")}
    policies = members(
        *([] if denying == "defaults" else [share("team-a", 4, onExceed=effect["share"])]),
        quota("other", namespace="team-b", selector={"matchLabels": {"tier": "gold"}}),
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
    """A number that nobody knows lets nobody start."""
    found = pool_in(members(limits={}, elastic={"tasksPerNode": 4}))
    assert found.limits_at(NOW, None) == limits(None, 0)
    assert found.tree_ever().members[ROOT].nominal == limits()


def test_windows_of_the_pool_and_of_members_move_the_tree() -> None:
    """`until` is when anybody's limits may be others; until then the written tree is made once."""
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
def test_what_others_are_kept_bars_somebody_for_ever_only_where_no_limit_moves(
    spec: JsonObject, moving: JsonObject, most: int
) -> None:
    """Windows and nodes make what is kept less at another time, and then there is room."""
    spec = {"limits": {"workflows": 8}, "borrowing": {"lendingLimit": {"workflows": 0}}, **spec}
    found = pool_in(members(share("team-a", 8, **moving), **spec))
    assert Shares(found.tree_ever(), {}).potential("team-b") == limits(most)


def test_a_member_may_borrow_and_must_lend_as_far_as_is_written() -> None:
    """The figures are those of docs/policies.md: share 4, two more at most, two that are never lent."""
    found = pool_in(
        members(
            share("team-a", 4),
            share("team-b", 6),
            borrowing={"borrowingLimit": {"workflows": 2}, "lendingLimit": {"workflows": 4}},
        )
    )
    idle = Shares(found.tree_at(NOW, None), {})
    assert idle.available("team-a") == limits(6)
    lent = Shares(found.tree_at(NOW, None), {"team-a": Usage(6)})
    assert lent.available("team-b") == limits(4)


def test_what_a_member_demands_names_its_accounts_and_what_is_kept_from_it() -> None:
    """A reserve of the pool holds in the tree, by the priority of the Workflow."""
    policies = members(share("team-a", 4), borrowing={}, reserve=[{"abovePriority": 5, "workflows": 3}])
    low, high = (share_demand(pool_in(policies), "team-a", each, NOW) for each in (5, 6))
    assert (low.account, low.pool) == (Account("team-a", "shared/share"), Account("", "shared"))
    assert low.account == share_account("shared", "team-a")
    assert (low.withheld, high.withheld) == (Usage(3), Usage(0))
    assert low.written == limits(10)
    assert low.source == "ClusterWorkflowQuota shared"


def test_weights_and_half_life_are_those_of_the_pool() -> None:
    """The usual half-life is a day."""
    found = pool_in(members(fairShare={"weights": {"team-a": 3}, "halfLife": "2h"}))
    assert (found.weights, found.half_life) == ({"team-a": 3}, 2 * AN_HOUR)
    assert pool_in(members()).half_life == 24 * AN_HOUR
