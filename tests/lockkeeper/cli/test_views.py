"""`lockkeeper status`, `queue` and `why` on a cluster: what people read, what programs read, and errors."""

import argparse
import re
from collections.abc import Callable
from datetime import timedelta
from types import ModuleType
from typing import Any

import msgspec
import pytest
import yaml

from lockkeeper.cli import queue, status, why
from lockkeeper.process.console import UsageError
from lockkeeper.views.terminal import Terminal
from policy.cluster.errors import NotFound
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    QUOTA_LEDGERS,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    Cluster,
    Listing,
    Resource,
)
from policy.cluster.stored_lengths import write_lengths
from policy.core.cluster_view.run_lengths import RunLengths, series_of
from policy.core.objects.json_patch import JsonObject
from policy.service.leading.leader_election import LEASES
from tests.policy.core.lock_graph.running import running, semaphore
from tests.policy.service.reading.read_cluster import RightsIn, Scene
from tests.policy.service.world import complete, member, part, pool, quota

Show = Callable[..., str]


@pytest.fixture
def scene() -> Scene:
    """Return a pool of two slots that are taken, where three wait."""
    made = Scene(
        pool("data", workflows=2), member("a", "data"), member("b", "data"), quota("a", "main", workflows=2)
    )
    for name in ("a1", "a2", "a3"):
        made.submit(name)
    made.leader.work()
    made.submit("b1", "b", priority=7)
    made.submit("b2", "b", user="bea")
    made.leader.work()
    return made


@pytest.fixture
def show(scene: Scene, capsys: pytest.CaptureFixture[str]) -> Show:
    """Return what runs a command and returns what it prints."""

    def shown(command: ModuleType, *arguments: str, cluster: Cluster | None = None) -> str:
        parser = argparse.ArgumentParser()
        command.configure(parser)
        assert (
            command.act(cluster or scene.cluster, parser.parse_args(arguments), Terminal(), scene.clock) == 0
        )
        return capsys.readouterr().out

    return shown


def test_status_shows_the_pool_and_its_member(show: Show) -> None:
    """Both are full or not, as the leader counts them."""
    lines = show(status).splitlines()
    assert lines[1].split()[:5] == ["pool", "data", "2/2", "2/-", "3"]
    assert any(line.split()[:3] == ["a/main", "2/2", "2/-"] for line in lines)


def test_queue_shows_who_waits_and_who_runs(show: Show) -> None:
    """The user, the pool and the order are chosen."""
    assert [line.split()[2] for line in show(queue).splitlines()[1:]] == ["a3", "b1", "b2"]
    assert [line.split()[2] for line in show(queue, "--sort", "priority").splitlines()[1:]] == [
        "b1",
        "a3",
        "b2",
    ]
    assert [line.split()[2] for line in show(queue, "--user", "bea").splitlines()[1:]] == ["b2"]
    assert show(queue, "--user", "nobody") == "nothing waits\n"
    assert [line.split()[1] for line in show(queue, "--running").splitlines()[1:]] == ["a1", "a2"]
    assert show(queue, "-n", "b", "-o", "name").split() == ["workflow/b1", "workflow/b2"]


def read(text: str, output: str) -> Any:
    """Return what a program reads."""
    return msgspec.json.decode(text) if output == "json" else yaml.safe_load(text)


@pytest.mark.parametrize("output", ["json", "yaml"])
def test_programs_read_the_same_rows(show: Show, output: str) -> None:
    """The form is stable: camelCase fields, times with their zone."""
    (row,) = read(show(queue, "-n", "a", "-o", output), output)
    assert row["name"] == "a3"
    assert row["blockedBy"] == "WorkflowQuota a/main"
    assert row["reason"] == "WaitingForQuota"
    quotas = read(show(status, "-o", output), output)
    assert [(each["name"], each["figures"]["running"]) for each in quotas] == [("data", 2), ("main", 2)]


def test_why_tells_who_is_ahead_and_what_helps(show: Show) -> None:
    """The answer is first; each option has what comes of it."""
    text = show(why, "b2", "-n", "b")
    assert text.startswith("b2 is queued for ")
    assert "position 2 of 2 in b" in text
    assert "1 with a higher priority" in text
    assert "what would help:" in text
    assert "  - spec.priority 8" in text
    assert "ClusterWorkflowQuota data" in text


def test_queue_and_why_tell_when_it_starts(show: Show, scene: Scene) -> None:
    """As a range, with how sure it is; nothing is said while too little is known."""
    assert "when it starts cannot be said" in show(why, "b2", "-n", "b")
    lengths = RunLengths()
    for name in ("a1", "b1") * 5:
        lengths.add(series_of(name[0], name), timedelta(minutes=30), scene.clock())
    write_lengths(scene.cluster, lengths.stored(scene.clock()))
    assert "it is expected to start in " in show(why, "b2", "-n", "b")
    (row,) = msgspec.json.decode(show(queue, "-n", "a", "-o", "json"))
    assert row["expected"]["earliest"] <= row["expected"]["latest"]
    header, first = show(queue, "-n", "a").splitlines()
    assert header.split()[7:9] == ["STARTS", "IN"]
    assert re.fullmatch(r"\w+-\w+", first.split()[7])


def test_why_tells_the_other_states(show: Show, scene: Scene) -> None:
    """One that runs, and one that is over."""
    assert show(why, "a1", "-n", "a").startswith("a1 is admitted")
    done = complete(scene.cluster, "a1", namespace="a")
    scene.cluster.replace(WORKFLOWS, {**done, "status": {"phase": "Succeeded"}})
    assert show(why, "a1", "-n", "a") == "a1 is over: Succeeded\n"


def test_why_finds_the_limit_of_argo_that_one_waits_for(show: Show, scene: Scene) -> None:
    """It has its slot here, so nothing of ours would help."""
    settings: JsonObject = {"parallelism": "9", "namespaceParallelism": "4"}
    metadata: JsonObject = {"name": "workflow-controller-configmap", "namespace": "argo"}
    config: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": settings}
    scene.cluster.create(CONFIG_MAPS, config)
    message = "Workflow processing has been postponed because too many workflows are already running"
    runs = scene.cluster.get(WORKFLOWS, "a1", namespace="a")
    scene.cluster.replace(WORKFLOWS, {**runs, "status": {"phase": "Pending", "message": message}})
    assert show(why, "a1", "-n", "a").splitlines() == [
        "a1 is admitted, and Argo itself keeps it pending",
        "Argo lets 4 run at once: namespaceParallelism of its controller",
    ]


def test_why_as_json_has_the_options_with_numbers(show: Show) -> None:
    """A bot that answers in a chat needs no text to be parsed."""
    story = msgspec.json.decode(show(why, "b2", "-n", "b", "-o", "json"))
    assert story["state"] == "Queued"
    kinds = {each["kind"]: each for each in story["options"]}
    assert kinds["RaisePriority"]["value"] == 8
    assert story["ahead"][0]["name"] == "b1"


def test_a_name_that_does_not_exist_gets_the_nearest(show: Show) -> None:
    """Most are typed wrongly."""
    with pytest.raises(UsageError) as error:
        show(why, "b22", "-n", "b")
    assert str(error.value).startswith(
        'there is no Workflow b22 in b; did you mean "b2"? (one that was refused '
    )


def test_a_pool_that_does_not_exist_has_no_empty_queue(show: Show) -> None:
    """It would look like one in which nothing waits; the nearest is named, as for a Workflow."""
    with pytest.raises(UsageError) as error:
        show(queue, "--pool", "dat")
    assert str(error.value) == 'there is no pool dat; did you mean "data"?'


def test_an_order_that_there_is_not_is_told_with_those_there_are(
    show: Show, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the words of the command line."""
    with pytest.raises(SystemExit):
        show(queue, "--sort", "size")
    assert "'size' (choose from 'position', 'age', 'priority', 'tasks')" in capsys.readouterr().err


@pytest.mark.parametrize(("command", "arguments"), [(status, ()), (queue, ()), (why, ("a3", "-n", "a"))])
def test_without_rights_it_is_one_line(
    show: Show, scene: Scene, command: ModuleType, arguments: tuple[str, ...]
) -> None:
    """The line says what was refused, and nothing is shown."""
    with pytest.raises(UsageError) as error:
        show(command, *arguments, cluster=RightsIn(scene.cluster, {"b"}))
    assert "\n" not in str(error.value)
    assert "forbidden" in str(error.value)
    if command is not why:
        assert "the ClusterRole lockkeeper-view gives that right" in str(error.value)


def test_rights_in_one_namespace_are_enough(show: Show, scene: Scene) -> None:
    """What is missing is told below the table."""
    scene.publish()
    text = show(
        queue, "-n", "b", cluster=RightsIn(scene.cluster, {"b"}, CLUSTER_WORKFLOW_QUOTAS, QUOTA_LEDGERS)
    )
    assert [line.split()[2] for line in text.splitlines()[1:3]] == ["b1", "b2"]
    assert "note: workflows of other namespaces of the pool: no right to list them" in text


def test_commands_change_nothing(show: Show, scene: Scene) -> None:
    """They read."""
    before = scene.cluster.list(WORKFLOWS).resource_version
    for command, arguments in ((status, ()), (queue, ()), (why, ("a3", "-n", "a"))):
        show(command, *arguments)
    assert scene.cluster.list(WORKFLOWS).resource_version == before
    assert part(scene.cluster.get(WORKFLOWS, "a3", namespace="a"), "metadata", "name") == "a3"


def test_why_says_what_to_do_about_a_poisoned_lock(show: Show, scene: Scene) -> None:
    """Argo gives it to nobody, and names no way out."""
    said = f"lock {semaphore('db', 'a')} is in a poisoned state: no limit; manual intervention required"
    scene.cluster.create(WORKFLOWS, running("lost", phase="Pending", message=said, namespace="a"))
    told = show(why, "lost", "-n", "a")
    assert "the lock is poisoned: Argo's controller gives it to nobody" in told
    assert "restart Argo's workflow-controller" in told


def test_a_namespace_that_does_not_exist_has_no_empty_queue(show: Show, scene: Scene) -> None:
    """The nearest is named; where namespaces may not be listed, an empty queue is all that is known."""
    for name in ("team-etl", "team-ml"):
        scene.cluster.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {}}}
        )
    for command in (queue, status):
        with pytest.raises(UsageError) as error:
            show(command, "-n", "team-elt")
        assert str(error.value) == 'there is no namespace team-elt; did you mean "team-etl"?'


def test_a_controller_that_is_away_is_told_with_its_age(show: Show, scene: Scene) -> None:
    """What is shown of a queue is as old as its last sign of life."""
    renewed = scene.clock().isoformat()
    lease: JsonObject = {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": {"name": "lockkeeper-controller", "namespace": "lockkeeper"},
        "spec": {"holderIdentity": "one", "leaseDurationSeconds": 4, "renewTime": renewed},
    }
    scene.cluster.create(LEASES, lease, namespace="lockkeeper")
    assert "controller" not in show(status)
    scene.clock.advance(timedelta(minutes=12))
    for command, arguments in ((status, ()), (queue, ()), (why, ("b2", "-n", "b"))):
        assert "note: no controller leads since 12m: nothing is released; " in show(command, *arguments)


def test_a_cluster_without_lockkeeper_is_one_line(show: Show, scene: Scene) -> None:
    """It names the kind that is missing, and what tells more."""
    for command, arguments in ((status, ()), (queue, ()), (why, ("b2", "-n", "b"))):
        with pytest.raises(UsageError) as error:
            show(command, *arguments, cluster=Bare(scene.cluster))
        assert "it has no kind WorkflowQuota of lockkeeper.dev/v1alpha1: Lockkeeper is not installed" in str(
            error.value
        )


def test_a_policy_that_is_wrong_is_told(show: Show, scene: Scene) -> None:
    """As one of another version, with a field that cannot be read: it is left out."""
    wrong: JsonObject = {
        "apiVersion": WORKFLOW_QUOTAS.api_version,
        "kind": WORKFLOW_QUOTAS.kind,
        "metadata": {"name": "odd", "namespace": "a"},
        "spec": {"limits": {"workflows": "many"}},
    }
    scene.cluster.create(WORKFLOW_QUOTAS, wrong, namespace="a")
    assert "note: WorkflowQuota a/odd is left out, as it is wrong: spec.limits.workflows: " in show(status)


def test_one_that_is_gone_is_told_by_its_last_event(show: Show, scene: Scene) -> None:
    """As of one that a newer run replaced, or of a CronWorkflow whose run was refused."""
    for number, note in enumerate(("it waited", "admission webhook denied the request: no more than 2")):
        event: JsonObject = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": f"gone.{number}", "namespace": "b"},
            "regarding": {"kind": "CronWorkflow", "name": "nightly", "namespace": "b"},
            "reason": "SubmissionError",
            "note": note,
            "eventTime": f"2026-11-23T12:0{number}:00.000000Z",
        }
        scene.cluster.create(EVENTS, event, namespace="b")
    with pytest.raises(UsageError) as error:
        show(why, "nightly", "-n", "b")
    assert str(error.value) == (
        "there is no Workflow nightly in b; the last event about that name: SubmissionError: "
        "admission webhook denied the request: no more than 2"
    )


@pytest.mark.parametrize("reason", ["Superseded", "Released"])
def test_one_that_was_asked_to_end_is_told_by_whom(show: Show, scene: Scene, reason: str) -> None:
    """Argo says no more than that it was stopped; events of other reasons tell nothing of that."""
    event: JsonObject = {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": "a1.1", "namespace": "a"},
        "regarding": {"kind": "Workflow", "name": "a1", "namespace": "a"},
        "reason": reason,
        "note": "superseded by a9, which is newer",
        "eventTime": "2026-11-23T12:00:00.000000Z",
    }
    scene.cluster.create(EVENTS, event, namespace="a")
    scene.edit("a1", {"shutdown": "Stop"})
    told = show(why, "a1", "-n", "a")
    assert "a1 is being stopped (spec.shutdown Stop)" in told
    assert ("superseded by a9, which is newer" in told) == (reason == "Superseded")


class Bare(RightsIn):
    """A cluster where our kinds are not installed."""

    def __init__(self, inner: MemoryCluster) -> None:
        super().__init__(inner, {"", "a", "b"}, WORKFLOWS, NAMESPACES)

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """Know only kinds of others."""
        if resource.group == "lockkeeper.dev":
            raise NotFound("404 page not found")
        return super().list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )
