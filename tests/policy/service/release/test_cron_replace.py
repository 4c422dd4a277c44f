"""The leader drops runs that newer ones replaced, and the newest takes over the slot of the one that ran."""

from datetime import timedelta
from typing import Final

import pytest

from policy.cluster.errors import Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.policy.service.world import (
    Call,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    memory,
    name_of,
    quota,
    snapshot_of,
    submit,
)

POLICIES: Final = snapshot_of(quota("etl", "q", workflows=1))
OWNER: Final[JsonObject] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "CronWorkflow",
    "name": "nightly",
    "uid": "cron-1",
    "controller": True,
}


def run(
    cluster: MemoryCluster, clock: Clock, name: str, *, policy: str = "Replace", inherits: str = ""
) -> str:
    """Create a run of a schedule as admission leaves it, and return its uid."""
    clock.advance(timedelta(minutes=1))
    stored = submit(cluster, POLICIES, draft(name), namespace="etl")
    metadata = stored["metadata"]
    assert isinstance(metadata, dict)
    annotations = metadata["annotations"]
    assert isinstance(annotations, dict)
    annotations |= {well_known.CRON: policy, well_known.SCHEDULED_TIME: clock().isoformat()}
    if inherits:
        annotations[well_known.INHERITS] = inherits
    metadata["ownerReferences"] = [OWNER]
    return str(cluster.replace(WORKFLOWS, stored)["metadata"]["uid"])  # type: ignore[index,call-overload]


def names(cluster: MemoryCluster) -> list[str]:
    """Return what is there."""
    return sorted(name_of(each) for each in cluster.list(WORKFLOWS, namespace="etl").items)


@pytest.fixture
def clock() -> Clock:
    """Return the time."""
    return Clock()


def test_only_the_newest_run_that_waits_is_left(clock: Clock) -> None:
    """The one that runs is Argo's to end."""
    cluster = memory(clock)
    leader = Leader(cluster, POLICIES, clock)
    run(cluster, clock, "run-1")
    leader.work()
    for number in (2, 3, 4):
        run(cluster, clock, f"run-{number}")
    leader.work()
    assert names(cluster) == ["run-1", "run-4"]


def test_runs_under_other_policies_all_wait(clock: Clock) -> None:
    """Allow means it."""
    cluster = memory(clock)
    leader = Leader(cluster, POLICIES, clock)
    for number in (1, 2, 3):
        run(cluster, clock, f"run-{number}", policy="Allow")
    leader.work()
    assert len(names(cluster)) == 3


def test_a_run_that_takes_over_a_slot_is_released_before_all_others(clock: Clock) -> None:
    """Or a schedule in a full queue would never finish a run."""
    cluster = memory(clock)
    leader = Leader(cluster, POLICIES, clock)
    first = run(cluster, clock, "run-1")
    leader.work()
    submit(cluster, POLICIES, draft("urgent", priority=1000), namespace="etl")
    run(cluster, clock, "run-2", inherits=first)
    leader.work()
    complete(cluster, "run-1", namespace="etl")
    assert leader.work() == 1
    assert leader.held("etl") == {"run-1": False, "urgent": True, "run-2": False}


def test_a_run_that_cannot_be_dropped_is_dropped_later(clock: Clock) -> None:
    """And delays no other meanwhile."""
    cluster = memory(clock)
    spy = Spy(cluster)
    leader = Leader(spy, POLICIES, clock)
    run(cluster, clock, "run-1")
    leader.work()
    run(cluster, clock, "run-2")
    run(cluster, clock, "run-3")

    def refuse(call: Call) -> None:
        if call.verb == "delete":
            raise Unavailable("not now")

    spy.before = refuse
    leader.work()
    assert len(names(cluster)) == 3
    spy.before = lambda _: None
    leader.work()
    assert names(cluster) == ["run-1", "run-3"]


def test_a_run_that_was_released_meanwhile_is_not_deleted(clock: Clock) -> None:
    """It is deleted only as it was seen, waiting."""
    cluster = memory(clock)
    spy = Spy(cluster)
    leader = Leader(spy, POLICIES, clock)
    run(cluster, clock, "run-1")
    leader.work()
    run(cluster, clock, "run-2")
    run(cluster, clock, "run-3")

    def change(call: Call) -> None:
        if call.verb == "delete" and call.name == "run-2":
            obj = cluster.get(WORKFLOWS, "run-2", namespace="etl")
            cluster.replace(WORKFLOWS, {**obj, "spec": {"entrypoint": "other"}})

    spy.before = change
    leader.work()
    assert "run-2" in names(cluster)
