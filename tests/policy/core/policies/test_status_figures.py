"""The figures that the status of a quota shows: the limits are those that count."""

from policy.core.objects.json_patch import JsonValue
from policy.core.policies.conflicts import PolicyName
from policy.core.policies.group_figures import GroupFigures
from policy.core.policies.status_figures import Counted, QuotaFigures, ShownLimits, figures
from policy.core.quota.accounts import Account
from policy.core.quota.usage_view import UsageView, Waits
from policy.core.values.amounts import Limits, Usage
from tests.policy.core.builders import NOW, namespace_object, pool, quota, snapshot

OWN = PolicyName("WorkflowQuota", "team-a", "own")


def shown(**spec: JsonValue) -> QuotaFigures:
    """Return the figures of a greedy quota in a pool whose members borrow; 7 run."""
    greedy = quota("own", limits={"workflows": 10**9})
    shared = pool("data", created="", limits={"workflows": 9}, **spec)
    taken = {Account("team-a", "own"): Usage(7), Account.share("data", "team-a"): Usage(7)}
    view = UsageView(taken)

    def capacity(_: str) -> Limits | None:
        return None

    policies = snapshot(namespace_object("team-a"), shared, greedy)
    return figures(view, policies, NOW, capacity)[OWN]


def test_the_limit_of_a_share_is_what_the_pool_gives_at_most() -> None:
    """`kubectl get` does not show a billion where 5 count; what is beyond them is borrowed."""
    found = shown(borrowing={"shares": {"team-a": {"workflows": 5}}})
    assert (found.effective_limits, found.borrowed) == (ShownLimits(5), Counted(2))
    found = shown(borrowing={}, namespaceDefaults={"limits": {"workflows": 4}})
    assert (found.effective_limits, found.borrowed) == (ShownLimits(4), Counted(3))
    assert shown(borrowing={}).effective_limits == ShownLimits(9)
    assert shown(borrowing={"enabled": False}).effective_limits == ShownLimits(10**9)


GROUPS: JsonValue = [
    {"name": "branch", "key": "{{workflow.labels.branch}}", "limits": {"workflows": 2}},
    {"name": "user", "key": "{{user}}", "limits": {"tasks": 5}},
]


def test_groups_are_counted_by_keys() -> None:
    """How many are in use, how many have nothing left, and who waits; users of `perUser` are no keys."""
    branch, user = Account("team-a", "own:branch"), Account("team-a", "own:user")
    taken = {
        Account("team-a", "own", "ann"): Usage(9),
        branch.of_key("main"): Usage(2),
        branch.of_key("fix"): Usage(1),
        branch.of_key("old"): Usage(0),
        user.of_key("ann"): Usage(1, 5),
    }
    policies = snapshot(namespace_object("team-a"), quota("own", limits={"workflows": 9}, groups=GROUPS))
    view = UsageView(taken, waits=Waits(keys={branch: 4}))
    found = figures(view, policies, NOW, lambda _: None)[OWN]
    assert found.groups == (GroupFigures("branch", 2, 1, 4), GroupFigures("user", 1, 1, 0))


def test_the_groups_of_a_pool_are_counted_over_all_members() -> None:
    """Also where another quota of a member has a group of the same name."""
    shared = pool("data", created="", limits={"workflows": 9}, groups=GROUPS)
    own = quota("own", limits={"workflows": 9}, groups=GROUPS)
    taken = {Account("", "data:branch", "main"): Usage(1), Account("team-a", "own:branch", "x"): Usage(2)}
    policies = snapshot(namespace_object("team-a"), shared, own)
    found = figures(UsageView(taken), policies, NOW, lambda _: None)
    of_pool = found[PolicyName("ClusterWorkflowQuota", "", "data")]
    assert [each.groups[0] for each in (of_pool, found[OWN])] == [
        GroupFigures("branch", 1, 0, 0),
        GroupFigures("branch", 1, 1, 0),
    ]
