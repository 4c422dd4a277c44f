"""What Workflows count for and need, computed once for all that are alike."""

from policy.core.quota.accounts import Account
from policy.core.values.amounts import Usage
from tests.policy.core.builders import quota
from tests.policy.service.release.driven_state import DrivenState, live, one_pool


def test_workflows_that_are_alike_share_their_needs() -> None:
    """A leader may remember a hundred thousand that wait, and most of a namespace need the same."""
    alike = (live("u1", arrival=1), live("u2", arrival=2), live("u3", user="bob", arrival=3))
    driven = DrivenState(one_pool(0), *alike, live("u4", tasks=2, arrival=4))
    waiting = driven.waiting()
    assert waiting["u1"].needs is waiting["u2"].needs is waiting["u3"].needs
    assert waiting["u4"].needs.requested == Usage(1, 2)
    assert waiting["u4"].priority == waiting["u1"].priority == 0


def test_a_run_counts_by_its_own_user_labels_and_tasks() -> None:
    """What is shared is only what is the same."""
    own = quota("q", namespace="a", perUser={"workflows": 2}, selector={"matchLabels": {"tier": "gold"}})
    driven = DrivenState(one_pool(9, own))
    pool, whole = Account("", "data"), Account("a", "q")
    found = [
        driven.state.load(live("u1", held=False, tasks=3, gold=True)),
        driven.state.load(live("u2", held=False, gold=True, user="bob")),
        driven.state.load(live("u3", held=False)),
    ]
    assert [sorted(each.accounts) for each in found] == [
        [pool, whole, whole.of_key("ann")],
        [pool, whole, whole.of_key("bob")],
        [pool],
    ]
    assert [each.usage for each in found] == [Usage(1, 3), Usage(1, 1), Usage(1, 1)]
