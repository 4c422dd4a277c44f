"""In a pool that borrows, a Workflow that is released and then seen to run is charged for once."""

from policy.core.quota.accounts import Tenant
from tests.policy.core.builders import quota
from tests.policy.service.release.driven_state import DrivenState, live, one_pool


def test_a_release_that_is_seen_to_run_is_no_second_start() -> None:
    """Or tenants whose Workflows were queued would fall behind those whose Workflows started at once."""
    policies = one_pool(
        5,
        quota("a", limits={"workflows": 2}),
        quota("b", limits={"workflows": 2}),
        borrowing={"enabled": True},
    )
    driven = DrivenState(policies, live("u1"))
    assert driven.work() == ["u1"]
    fair, team = driven.state.planner.fair, Tenant("a")
    charged = fair.ranks.get(team, 0)
    assert charged > 0
    driven.runs("u1")
    driven.work()
    assert fair.ranks.get(team, 0) == charged
