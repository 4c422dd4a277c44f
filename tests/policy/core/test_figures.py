"""The figures that the status of a quota shows: the limits are those that count."""

from policy.core.amounts import Limits, Usage
from policy.core.figures import Counted, QuotaFigures, Shown, figures
from policy.core.findings import PolicyName
from policy.core.ledger import Account
from policy.core.patches import JsonValue
from policy.core.usage import UsageView
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
    assert (found.effective_limits, found.borrowed) == (Shown(5), Counted(2))
    found = shown(borrowing={}, namespaceDefaults={"limits": {"workflows": 4}})
    assert (found.effective_limits, found.borrowed) == (Shown(4), Counted(3))
    assert shown(borrowing={}).effective_limits == Shown(9)
    assert shown(borrowing={"enabled": False}).effective_limits == Shown(10**9)
