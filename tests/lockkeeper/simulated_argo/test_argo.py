"""The simulated Argo: it keeps locks, orders waiters, and leaves what is held alone."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Thread
from typing import Any

import pytest

from lockkeeper.locks.live_locks import live_traces
from lockkeeper.simulated_argo.argo import Locks, SimulatedArgo, WorkflowGone
from lockkeeper.simulated_argo.simulated_runs import plan_run
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_TEMPLATES,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    EventType,
    MergePatch,
)
from policy.core.lock_queues.lock_queues import LockQueue, lock_queues
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.patience import PATIENCE

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NAME = "here/Mutex/m"
PAIR = "here/ConfigMap/sem/two"
LIMITS = {NAME: 1, PAIR: 2}
TASK = timedelta(seconds=10)
ONE: JsonObject = {"mutexes": [{"name": "m"}]}
TWO: JsonObject = {"semaphores": [{"configMapKeyRef": {"name": "sem", "key": "two"}}]}


@pytest.fixture
def store() -> Iterator[MemoryCluster]:
    """Return an empty cluster, closed afterwards."""
    made = MemoryCluster(clock=lambda: NOON, rng=Random(1))
    yield made
    made.close()


def template(name: str, lock: JsonObject | None = None) -> JsonObject:
    """Return a leaf template, with a lock or without."""
    made: JsonObject = {"name": name, "container": {"image": "i"}}
    return made if lock is None else {**made, "synchronization": lock}


def add(
    store: MemoryCluster,
    name: str,
    *templates: JsonObject,
    whole: JsonObject | None = None,
    priority: int | None = None,
    labels: dict[str, str] | None = None,
) -> JsonObject:
    """Create a Workflow."""
    spec: JsonObject = {"templates": [*templates] or [template("t")]}
    if whole is not None:
        spec["synchronization"] = whole
    if priority is not None:
        spec["priority"] = priority
    obj: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name, "labels": {**(labels or {})}},
        "spec": spec,
    }
    return store.create(WORKFLOWS, obj, namespace="here")


class ByHand:
    """An Argo whose loop the test turns, on a stopwatch that the test moves."""

    def __init__(self, store: MemoryCluster) -> None:
        self.now = 0.0
        self.limits = dict(LIMITS)
        self.store = store
        self.argo = SimulatedArgo(
            cluster=store,
            clock=lambda: NOON,
            stopwatch=lambda: self.now,
            limit_of=lambda name: self.limits.get(name, 0),
            task_time=TASK,
            create=self.create,
        )
        self.users: list[str] = []
        self.refuses = False

    def create(self, obj: JsonObject, namespace: str, user: str) -> str:
        """Create what a resource template makes, unless it is to be refused."""
        self.users.append(user)
        if self.refuses:
            return ""
        made = self.store.create(WORKFLOWS, obj, namespace=namespace)
        self.argo._inbox.put(made)
        metadata = made["metadata"]
        assert isinstance(metadata, dict)
        return str(metadata["uid"])

    def give(self, *objects: JsonObject) -> None:
        """Hand over Workflows, as the watch does."""
        for obj in objects:
            self.argo._inbox.put(obj)
            self.argo._start_new()

    def turn(self) -> None:
        """Let the time of a task pass."""
        self.now += TASK.total_seconds()
        self.argo.finish_due()

    def phases(self) -> dict[str, JsonValue]:
        """Return the phase of every Workflow that has one."""
        found: dict[str, JsonValue] = {}
        for item in self.store.list(WORKFLOWS).items:
            metadata, status = item["metadata"], item.get("status")
            if isinstance(metadata, dict) and isinstance(status, dict):
                found[str(metadata["name"])] = status["phase"]
        return found

    def lock_queues(self) -> tuple[LockQueue, ...]:
        """Return the locks as `lockkeeper locks` reads them."""
        return lock_queues(live_traces(self.store, "", lambda: NOON), self.limits.get)


@pytest.fixture
def hand(store: MemoryCluster) -> ByHand:
    """Return an Argo to turn by hand."""
    return ByHand(store)


def test_a_workflow_runs_its_templates_one_after_another_and_succeeds(hand: ByHand) -> None:
    """Phase, label and times are written as Argo's controller writes them."""
    hand.give(add(hand.store, "a", template("x"), template("y")))
    assert hand.phases() == {"a": "Running"}
    hand.turn()
    assert hand.phases() == {"a": "Running"}
    hand.turn()
    ended = hand.store.get(WORKFLOWS, "a", namespace="here")
    assert ended["status"] == {
        "phase": "Succeeded",
        "startedAt": "2026-11-23T12:00:00Z",
        "finishedAt": "2026-11-23T12:00:00Z",
    }
    metadata = ended["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["labels"] == {well_known.PHASE: "Succeeded", well_known.COMPLETED: "true"}


def test_a_workflow_without_leaf_templates_succeeds_at_once(hand: ByHand) -> None:
    """One that only refers to a WorkflowTemplate has nothing to run here."""
    hand.give(add(hand.store, "a", {"name": "main", "dag": {"tasks": []}}))
    assert hand.phases() == {"a": "Succeeded"}


def making(child: str, *templates: JsonObject, **resource: JsonValue) -> JsonObject:
    """Return a template that creates a Workflow."""
    obj: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": child},
        "spec": {"templates": [*templates] or [template("t")]},
    }
    return {"name": "make", "resource": {"action": "create", "manifest": json.dumps(obj), **resource}}


def test_a_workflow_waits_for_what_it_creates(hand: ByHand) -> None:
    """The child is created as the account of its Pods, owned by it, and runs beside it."""
    made = making("child", setOwnerReference=True, successCondition="status.phase == Succeeded")
    parent = add(hand.store, "parent", made)
    hand.give(parent)
    hand.argo._start_new()
    assert hand.phases() == {"parent": "Running", "child": "Running"}
    assert hand.users == ["system:serviceaccount:here:default"]
    owners = hand.store.get(WORKFLOWS, "child", namespace="here")["metadata"]
    assert isinstance(owners, dict)
    assert isinstance(parent["metadata"], dict)
    owner: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "name": "parent",
        "uid": parent["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    assert owners["ownerReferences"] == [owner]
    hand.turn()
    assert hand.phases() == {"parent": "Succeeded", "child": "Succeeded"}


def test_without_a_condition_nobody_waits_for_what_was_created(hand: ByHand) -> None:
    """It takes the time of a task, and leaves the other to itself."""
    hand.give(add(hand.store, "parent", making("child")))
    hand.turn()
    assert hand.phases() == {"parent": "Succeeded"}


def test_a_workflow_fails_with_what_is_refused(hand: ByHand) -> None:
    """And so does whoever waits for it; their locks are free again."""
    hand.refuses = True
    hand.give(add(hand.store, "a", {**making("child"), "synchronization": ONE}, whole=TWO))
    assert hand.phases() == {"a": "Failed"}
    assert set(hand.argo.locks.held.values()) == {0}
    hand.refuses = False
    hand.give(add(hand.store, "outer", making("inner", making("none"), successCondition="x")))
    hand.refuses = True
    hand.argo._start_new()
    assert hand.phases() == {"a": "Failed", "inner": "Failed", "outer": "Failed"}


@pytest.mark.parametrize("manifest", ["kind: Job", "{{inputs.parameters.text}}", "[", ""])
def test_other_objects_only_take_their_time(hand: ByHand, manifest: str) -> None:
    """Whatever is no Workflow, or is not known yet."""
    hand.give(add(hand.store, "a", {"name": "m", "resource": {"action": "create", "manifest": manifest}}))
    hand.turn()
    assert hand.phases() == {"a": "Succeeded"}
    assert hand.users == []


def test_a_lock_of_the_whole_workflow_keeps_it_from_starting(hand: ByHand) -> None:
    """It is taken before the start and given back at the end."""
    hand.give(*(add(hand.store, name, whole=ONE) for name in "ab"))
    assert hand.phases() == {"a": "Running", "b": "Pending"}
    hand.turn()
    assert hand.phases() == {"a": "Succeeded", "b": "Running"}
    assert hand.argo.locks.most == {NAME: 1}


def test_a_lock_of_a_template_keeps_the_task_and_not_the_workflow(hand: ByHand) -> None:
    """The Workflow runs while its task waits."""
    hand.give(*(add(hand.store, name, template("t", ONE)) for name in "ab"))
    assert hand.phases() == {"a": "Running", "b": "Running"}
    hand.turn()
    assert hand.phases() == {"a": "Succeeded", "b": "Running"}
    hand.turn()
    assert hand.phases() == {"a": "Succeeded", "b": "Succeeded"}


def test_waiters_go_by_priority_then_by_name_of_the_same_second(hand: ByHand) -> None:
    """The order of Argo's own queues."""
    hand.give(add(hand.store, "holder", whole=ONE))
    for name, priority in (("d", None), ("b", 5), ("c", 1), ("a", 5), ("e", -1)):
        hand.give(add(hand.store, name, whole=ONE, priority=priority))
    order = ["holder"]
    for _ in range(5):
        hand.turn()
        order += [name for name, phase in sorted(hand.phases().items()) if phase == "Running"]
    assert order == ["holder", "a", "b", "c", "d", "e"]


def test_a_lock_that_is_not_defined_is_never_granted(hand: ByHand) -> None:
    """As an undefined semaphore stops a Workflow in Argo."""
    unknown: JsonObject = {"mutexes": [{"name": "other"}]}
    hand.give(add(hand.store, "a", whole=unknown), add(hand.store, "b"))
    hand.turn()
    assert hand.phases() == {"a": "Pending", "b": "Succeeded"}


@pytest.mark.parametrize("whole", [True, False])
def test_holders_and_waiters_are_in_the_status(hand: ByHand, whole: bool) -> None:  # noqa: FBT001 - a parameter
    """So `lockkeeper locks`, the page and the controller see them as those of Argo."""
    for name in "ab":
        made = add(hand.store, name, whole=ONE) if whole else add(hand.store, name, template("t", ONE))
        hand.give(made)
    node = "" if whole else "{}-0"
    [queue] = hand.lock_queues()
    assert (queue.lock, queue.limit) == (NAME, 1)
    assert [(each.workflow.name, each.held.node) for each in queue.holders] == [("a", node.format("a"))]
    assert [(each.workflow.name, each.waits.node) for each in queue.waiters] == [("b", node.format("b"))]
    hand.turn()
    [queue] = hand.lock_queues()
    assert [each.workflow.name for each in queue.holders] == ["b"]
    assert queue.waiters == ()
    hand.turn()
    assert hand.lock_queues() == ()


def test_waiters_look_again_without_an_event_when_a_limit_may_be_another(hand: ByHand) -> None:
    """A policy was edited, or a window opened: nothing about a Workflow tells of that."""
    hand.give(*(add(hand.store, name, whole=ONE) for name in "ab"))
    assert hand.phases() == {"a": "Running", "b": "Pending"}
    hand.limits[NAME] = 2
    hand.argo._start_new()
    assert hand.phases() == {"a": "Running", "b": "Running"}


def test_a_lock_on_a_condition_is_taken_as_if_that_held() -> None:
    """Its own parameters fill names in; a name that is not known is not taken."""
    key = "{{= workflow.parameters.env == 'prod' ? 'two' : 'unlimited'}}"
    chosen: JsonObject = {"semaphores": [{"configMapKeyRef": {"name": "sem", "key": key}}]}
    names: list[JsonValue] = [{"name": "{{workflow.parameters.env}}"}, {"name": "{{inputs.parameters.x}}"}]
    arguments: JsonObject = {"parameters": [{"name": "env", "value": "dev"}]}
    obj: JsonObject = {
        "metadata": {
            "name": "a",
            "namespace": "here",
            "uid": "u",
            "creationTimestamp": "2026-11-23T12:00:00Z",
        },
        "spec": {
            "templates": [template("x", chosen), template("y", {"mutexes": names})],
            "arguments": arguments,
        },
    }
    assert [task.locks for task in plan_run(obj).tasks] == [{PAIR}, {"here/Mutex/dev"}]


def test_a_workflow_seen_twice_runs_once(hand: ByHand) -> None:
    """Every change of it comes as an event."""
    obj = add(hand.store, "a", whole=TWO)
    hand.give(obj, obj)
    assert hand.argo.locks.held == {PAIR: 1}


def test_a_workflow_deleted_while_it_runs_frees_its_locks(hand: ByHand) -> None:
    """Its mark has nowhere to go, and its waiters go on."""
    hand.give(*(add(hand.store, name, whole=ONE) for name in "ab"))
    hand.store.delete(WORKFLOWS, "a", namespace="here")
    hand.turn()
    assert hand.phases() == {"b": "Running"}


@pytest.mark.parametrize("waits", [False, True])
def test_one_that_is_terminated_fails_at_once_and_frees_its_locks(hand: ByHand, waits: bool) -> None:  # noqa: FBT001 - a parameter
    """Whether it runs a task or waits for a lock; its own are free for others."""
    hand.give(add(hand.store, "z", template("t", ONE)))
    if not waits:
        hand.turn()
    hand.give(add(hand.store, "a", template("t", ONE), template("u"), whole=TWO))
    ended = hand.store.patch(
        WORKFLOWS, "a", MergePatch({"spec": {"shutdown": "Terminate"}}), namespace="here"
    )
    hand.give(ended, ended)
    stored: Any = hand.store.get(WORKFLOWS, "a", namespace="here")
    assert (stored["status"]["phase"], stored["status"]["message"]) == (
        "Failed",
        "Stopped with strategy 'Terminate'",
    )
    assert hand.argo.locks.held.get(PAIR) == 0
    hand.turn()
    hand.turn()
    assert hand.argo.locks.held[NAME] == 0
    assert hand.phases() == {"a": "Failed", "z": "Succeeded"}


def test_one_that_is_stopped_before_it_is_seen_never_runs(hand: ByHand) -> None:
    """It fails, as in Argo."""
    made: Any = add(hand.store, "a", template("t", ONE))
    hand.give({**made, "spec": {**made["spec"], "shutdown": "Stop"}})
    assert hand.phases() == {"a": "Failed"}


def test_one_that_is_gone_frees_its_locks_at_once(hand: ByHand) -> None:
    """Whoever deletes a Workflow need not wait for the task that it ran."""
    first: Any = add(hand.store, "a", whole=ONE)
    hand.give(first, add(hand.store, "b", whole=ONE))
    hand.store.delete(WORKFLOWS, "a", namespace="here")
    hand.argo._inbox.put(WorkflowGone(first["metadata"]["uid"]))
    hand.argo._inbox.put(WorkflowGone("of another"))
    hand.argo._start_new()
    hand.argo._start_new()
    assert hand.phases() == {"b": "Running"}
    hand.turn()
    assert hand.phases() == {"b": "Succeeded"}


@pytest.mark.parametrize("everywhere", [False, True])
def test_the_templates_of_a_reference_are_run(hand: ByHand, everywhere: bool) -> None:  # noqa: FBT001 - a parameter
    """They take their time, and their locks."""
    resource = CLUSTER_WORKFLOW_TEMPLATES if everywhere else WORKFLOW_TEMPLATES
    shared: JsonObject = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "shared"},
        "spec": {"templates": [template("t", ONE)]},
    }
    hand.store.create(resource, shared, namespace="" if everywhere else "here")
    made = add(hand.store, "a")
    reference: JsonObject = {"name": "shared", "clusterScope": everywhere}
    hand.give({**made, "spec": {"workflowTemplateRef": reference}})
    assert hand.argo.locks.held == {NAME: 1}
    hand.turn()
    assert hand.phases() == {"a": "Succeeded"}


def test_a_reference_that_leads_nowhere_has_no_tasks(hand: ByHand) -> None:
    """Nobody waits for it."""
    hand.give({**add(hand.store, "a"), "spec": {"workflowTemplateRef": {"name": "none"}}})
    assert hand.phases() == {"a": "Succeeded"}


def test_all_locks_of_a_step_are_taken_or_none() -> None:
    """Half of them would stop others for nothing."""
    locks = Locks(limit_of=lambda name: LIMITS[name])
    assert locks.take([NAME])
    assert not locks.take([PAIR, NAME])
    assert locks.held == {NAME: 1}
    locks.give_back([NAME])
    assert locks.take([PAIR, NAME])
    assert locks.most == {NAME: 1, PAIR: 1}


def test_a_run_has_the_leaf_templates_and_their_locks() -> None:
    """Inline templates too; steps and DAGs hold nothing here."""
    inline: JsonObject = {"name": "s", "inline": {"container": {"image": "i"}}}
    obj: JsonObject = {
        "metadata": {
            "name": "w",
            "namespace": "here",
            "uid": "u",
            "creationTimestamp": "2026-11-23T12:00:00Z",
        },
        "spec": {"templates": [{"name": "main", "steps": [[inline]]}, template("leaf", TWO)], "priority": 3},
    }
    run = plan_run(obj)
    assert [(each.template, each.locks) for each in run.tasks] == [
        ("inline", frozenset()),
        ("leaf", frozenset({PAIR})),
    ]
    assert (run.order, run.whole) == ((-3, NOON, "w"), frozenset())


@pytest.fixture
def threaded(store: MemoryCluster) -> Iterator[SimulatedArgo]:
    """Run an Argo in a thread, with tasks that take next to no time."""
    ticks = iter(range(10**9))
    argo = SimulatedArgo(
        cluster=store,
        clock=lambda: NOON,
        stopwatch=lambda: next(ticks) / 1000,
        limit_of=lambda name: LIMITS.get(name, 0),
        task_time=timedelta(milliseconds=5),
    )
    thread = Thread(target=argo.run)
    thread.start()
    yield argo
    argo.stop()
    store.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_locks_are_kept_at_every_event_while_workflows_come_and_go(
    store: MemoryCluster, threaded: SimulatedArgo
) -> None:
    """Counted by the watch, not by what Argo says of itself."""
    since = store.list(WORKFLOWS).resource_version
    names = {f"w{number:02}" for number in range(30)}
    for number, name in enumerate(sorted(names)):
        add(store, name, template("t"), whole=TWO if number % 3 else ONE)
    running: dict[str, bool] = {}
    done: set[str] = set()
    for event in store.watch(WORKFLOWS, since=since, timeout=PATIENCE):
        metadata, status = event.object["metadata"], event.object.get("status")
        assert isinstance(metadata, dict)
        name = str(metadata["name"])
        phase = status["phase"] if isinstance(status, dict) else ""
        running[name] = phase == "Running"
        holders = [int(each[1:]) for each, runs in running.items() if runs]
        assert sum(number % 3 == 0 for number in holders) <= 1
        assert sum(number % 3 != 0 for number in holders) <= 2
        if phase == "Succeeded":
            done.add(name)
        if done == names:
            break
    assert done == names
    assert threaded.locks.most == LIMITS
    assert not any(threaded.locks.held.values())


def test_what_was_there_before_argo_started_runs_too(store: MemoryCluster) -> None:
    """It lists before it watches."""
    add(store, "early")
    since = store.list(WORKFLOWS).resource_version
    argo = SimulatedArgo(
        cluster=store,
        clock=lambda: NOON,
        stopwatch=iter(range(10**9)).__next__,
        limit_of=lambda _: 1,
        task_time=timedelta(0),
    )
    thread = Thread(target=argo.run)
    thread.start()
    labels = next(
        event.object["metadata"]
        for event in store.watch(
            WORKFLOWS, since=since, labels=f"{well_known.COMPLETED}=true", timeout=PATIENCE
        )
    )
    argo.stop()
    thread.join(PATIENCE)
    assert isinstance(labels, dict)
    assert labels["name"] == "early"


@pytest.mark.parametrize("instance", [well_known.HOLD_VALUE, "another-argo"])
def test_a_workflow_that_is_held_or_foreign_is_not_touched(
    store: MemoryCluster, threaded: SimulatedArgo, instance: str
) -> None:
    """Not a byte of it changes until it is let go; then it runs."""
    held = add(store, "a", labels={well_known.INSTANCE_ID: instance})
    since = store.list(WORKFLOWS).resource_version
    add(store, "b")
    for event in store.watch(WORKFLOWS, since=since, labels=f"{well_known.COMPLETED}=true", timeout=PATIENCE):
        assert event.type is EventType.ADDED
        break
    assert store.get(WORKFLOWS, "a", namespace="here") == held
    value: JsonObject = {"metadata": {"labels": {well_known.INSTANCE_ID: None}}}
    let_go = store.patch(WORKFLOWS, "a", MergePatch(value), namespace="here")
    metadata = let_go["metadata"]
    assert isinstance(metadata, dict)
    since = str(metadata["resourceVersion"])
    for event in store.watch(WORKFLOWS, since=since, labels=f"{well_known.COMPLETED}=true", timeout=PATIENCE):
        done = event.object["metadata"]
        assert isinstance(done, dict)
        assert done["name"] == "a"
        break
    assert threaded.locks.most == {}
