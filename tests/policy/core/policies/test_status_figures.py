"""The figures that the status of a quota shows: the limits are those that count."""

from policy.core.objects.json_patch import JsonValue
from policy.core.policies.conflicts import PolicyName
from policy.core.policies.status_figures import Counted, QuotaFigures, ShownLimits, figures
from policy.core.quota.accounts import Account
from policy.core.quota.usage_view import UsageView
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
