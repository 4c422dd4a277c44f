"""Those that run and wait in a cluster now, played on from there."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from lockkeeper.cli.planning.simulate import simulated
from lockkeeper.histories.live_queue import LiveQueue, cluster_history, live_queue
from lockkeeper.process.console import UsageError
from lockkeeper.simulation.outcome import SimulationOutcome
from lockkeeper.simulation.report_page import report_page
from lockkeeper.simulation.tables import simulation_tables
from policy.cluster.errors import Forbidden
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.cluster.stored_lengths import write_lengths
from policy.core.cluster_view.run_lengths import RunLengths, series_of
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import WorkflowQuota
from tests.lockkeeper.histories.past_runs import of_kind, policies

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
Put = Callable[..., None]


class Now:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Now:
    """Return the clock."""
    return Now()


@pytest.fixture
def cluster(clock: Now) -> MemoryCluster:
    """Return a cluster without Workflows."""
    return MemoryCluster(clock=clock, rng=Random(1))


@pytest.fixture
def put(cluster: MemoryCluster, clock: Now) -> Put:
    """Return what creates Workflows some minutes ago; what has no phase is held by us."""

    def create(name: str, ago: int, *, phase: str = "", started: int = 0, ended: int = 0) -> None:
        clock.time = NOON - timedelta(minutes=ago)
        status: dict[str, Any] = {"phase": phase} if phase else {"phase": "Pending"}
        for field, minutes in (("startedAt", started), ("finishedAt", ended)):
            if minutes:
                status[field] = f"{NOON - timedelta(minutes=minutes):%FT%TZ}"
        labels = {} if phase else {"workflows.argoproj.io/controller-instanceid": "lockkeeper-hold"}
        obj: dict[str, Any] = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {
                "name": name,
                "namespace": "team-a",
                "labels": labels,
                "annotations": {"lockkeeper.dev/user": "ann"},
            },
            "spec": {"entrypoint": "m", "templates": [{"name": "m", "container": {"image": "i"}}]},
            "status": status,
        }
        cluster.create(WORKFLOWS, obj, namespace="team-a")
        clock.time = NOON

    return create


def limited(workflows: int) -> Snapshot:
    """Return a quota of so many Workflows."""
    return policies(of_kind(WorkflowQuota, "main", "team-a", limits={"workflows": workflows}))


def outcome(queue: LiveQueue, present: int, proposed: int | None = None) -> SimulationOutcome:
    """Return what comes of those that wait."""
    after = None if proposed is None else limited(proposed)
    return simulated(queue, limited(present), "present", after, "proposal")


def starts(found: SimulationOutcome) -> dict[str, float | None]:
    """Return in how many minutes each starts."""
    return {each.name: None if each.seconds is None else each.seconds / 60 for each in found.starts}


@pytest.fixture
def queue(cluster: MemoryCluster, put: Put) -> LiveQueue:
    """Return a queue behind two that run, for 20 and 5 minutes of 30."""
    put("job-aaaaa", 200, phase="Succeeded", started=190, ended=160)
    put("job-bbbbb", 60, phase="Running", started=20)
    put("job-ccccc", 50, phase="Running", started=5)
    put("job-ddddd", 40)
    put("job-fffff", 30)
    put("job-ggggg", 20)
    return live_queue(cluster, NOON, source="the cluster")


def test_those_that_wait_start_as_those_that_run_end(queue: LiveQueue) -> None:
    """Runs take as long as one that has ended: ten and 25 minutes are left."""
    found = outcome(queue, 2)
    assert starts(found) == {"job-ddddd": 10, "job-fffff": 25, "job-ggggg": 40}
    assert found.sentences[0] == "In the cluster 3 Workflows wait and 2 run, as of 2026-11-23 12:00Z."


def test_a_proposal_lets_them_start_earlier_and_takes_no_slot_from_anybody(queue: LiveQueue) -> None:
    """With four slots two start at once; with one, those that run go on, and the others start after them."""
    more = outcome(queue, 2, 4)
    assert starts(more) == {"job-ddddd": 0, "job-fffff": 0, "job-ggggg": 10}
    assert [each.before for each in more.starts] == [600, 1500, 2400]
    assert "ann   20m     10m (was 40m)" in simulation_tables(more)
    assert "<td>team-a/job-ggggg</td><td>ann</td><td>20m</td><td>10m</td><td>40m</td>" in report_page(more)
    assert starts(outcome(queue, 2, 1)) == {"job-ddddd": 25, "job-fffff": 55, "job-ggggg": 85}


def test_the_record_of_the_controller_tells_how_long_runs_take(
    cluster: MemoryCluster, put: Put, clock: Now
) -> None:
    """Where it knows a template it goes before the few that are still there, and that is told."""
    record = RunLengths()
    for _ in range(8):
        record.add(series_of("team-a", "job-xxxxx"), timedelta(minutes=64), clock.time)
    write_lengths(cluster, record.stored(clock.time))
    put("job-aaaaa", 200, phase="Succeeded", started=190, ended=160)
    put("job-bbbbb", 60, phase="Running", started=20)
    put("job-ddddd", 40)
    found = live_queue(cluster, NOON, source="the cluster")
    left = starts(outcome(found, 1))["job-ddddd"]
    assert left is not None
    assert 40 <= left <= 52
    assert any(
        "record of the controller, which counts for 8 new ones" in each for each in found.facts().remarks
    )


def test_a_record_that_may_not_be_read_is_told_with_the_role(clock: Now) -> None:
    """The queue is played all the same."""

    class Reserved(MemoryCluster):
        """A cluster whose records are for administrators."""

        def get(self, *_: Any, **__: Any) -> Any:
            raise Forbidden('User "ann" cannot get resource "runlengths" in API group "lockkeeper.dev"')

    reserved = Reserved(clock=clock, rng=Random(1))
    spec: JsonObject = {"entrypoint": "m", "templates": [{"name": "m", "container": {"image": "i"}}]}
    held: JsonObject = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": spec}
    reserved.create(WORKFLOWS, {**held, "metadata": {"name": "w", "namespace": "team-a"}}, namespace="team-a")
    remarks = live_queue(reserved, NOON, source="the cluster").facts().remarks
    assert any(
        "record of the controller cannot be read" in each and "lockkeeper-pools" in each for each in remarks
    )


def test_waits_count_from_the_creation_and_those_that_run_are_not_counted(queue: LiveQueue) -> None:
    """One that has waited for 40 minutes and starts in ten waits for 50."""
    (group,) = outcome(queue, 2).result.namespaces
    assert (group.workflows, group.waits.longest / 60, group.waits.median / 60) == (3, 60, 55)


def test_one_that_was_released_and_has_not_begun_has_its_slot(cluster: MemoryCluster, put: Put) -> None:
    """Argo may take its time with it; others do not get its slot meanwhile."""
    put("job-aaaaa", 200, phase="Succeeded", started=190, ended=160)
    put("job-ccccc", 3)
    put("job-ddddd", 2)
    marked: JsonObject = {
        "labels": {"workflows.argoproj.io/controller-instanceid": None},
        "annotations": {well_known.TASKS: "1"},
    }
    released = MergePatch({"metadata": marked, "status": None})
    cluster.patch(WORKFLOWS, "job-ccccc", released, namespace="team-a")
    found = live_queue(cluster, NOON, source="the cluster")
    assert (found.count, found.running) == (2, 1)
    assert starts(outcome(found, 1)) == {"job-ddddd": 30}


def test_one_namespace_alone_is_read_where_that_is_asked(cluster: MemoryCluster, put: Put) -> None:
    """What is not counted then is told."""
    put("job-ddddd", 2)
    found = live_queue(cluster, NOON, source="namespace team-a", namespace="team-a")
    assert found.count == 1
    assert any("only team-a was read" in each for each in found.facts().remarks)
    with pytest.raises(UsageError, match="no Workflow waits in namespace other: 0 run"):
        live_queue(cluster, NOON, source="namespace other", namespace="other")


def test_where_nobody_waits_there_is_nothing_to_play(cluster: MemoryCluster, put: Put) -> None:
    """It is said how many run."""
    put("a", 10, phase="Running", started=5)
    with pytest.raises(UsageError, match="no Workflow waits in the cluster: 1 run"):
        live_queue(cluster, NOON, source="the cluster")


def test_a_cluster_that_refuses_is_told() -> None:
    """With its own words."""

    class Refusing(MemoryCluster):
        """A cluster that lets nobody list."""

        def list(self, *_: Any, **__: Any) -> Any:
            raise Forbidden("workflows is forbidden")

    refusing = Refusing(clock=Now(), rng=Random(1))
    with pytest.raises(UsageError, match="Workflows of the cluster cannot be read: workflows is forbidden"):
        live_queue(refusing, NOON, source="the cluster")


def test_a_cluster_is_a_history_of_those_that_are_over_and_those_that_wait(
    cluster: MemoryCluster, put: Put
) -> None:
    """As `kubectl get wf -A -o json` would print them: times as they were, lengths of what has ended."""
    put("over", 50, phase="Succeeded", started=40, ended=10)
    put("waits", 5)
    history = cluster_history(cluster, source="the cluster", with_nodes=False)
    runs = list(history.runs())
    assert [(each.name, each.waited, each.seconds) for each in runs] == [
        ("over", 600.0, 1800.0),
        ("waits", None, 1800.0),
    ]
    assert history.facts().workflows == 2


def test_a_cluster_without_workflows_is_no_history(cluster: MemoryCluster) -> None:
    """There is nothing to be played."""
    with pytest.raises(UsageError, match="there is no Workflow in the cluster that can be played"):
        cluster_history(cluster, source="the cluster", with_nodes=False)
