"""A leader keeps few labels of a Workflow; a quota that asks for others must still count what runs."""

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.objects.workflow_selectors import WorkflowSelector
from tests.policy.service.world import Clock, Leader, draft, quota, snapshot_of, submit


def test_a_quota_that_selects_by_another_label_counts_those_that_run_already(
    cluster: MemoryCluster, clock: Clock
) -> None:
    """Their labels were not stored, so the leader lists again before it releases anything."""
    first = snapshot_of(quota("etl", "all", workflows=5))
    leader = Leader(cluster, first, clock)
    submit(cluster, first, draft("runs", labels={"team": "red"}), namespace="etl")
    assert leader.work() == 1
    red = quota("etl", "red", workflows=1, selector=WorkflowSelector({"team": "red"}))
    leader.snapshot = snapshot_of(quota("etl", "all", workflows=5), red)
    submit(cluster, leader.snapshot, draft("waits", labels={"team": "red"}), namespace="etl")
    leader.see()
    assert leader.release_pass.run_pass(leader.tracker) == 0  # It does not know the label yet.
    assert leader.work() == 0
    assert leader.held("etl") == {"runs": False, "waits": True}
