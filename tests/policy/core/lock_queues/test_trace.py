"""The record of a running Workflow: which locks it holds, waits for, and may still request."""

import base64
import gzip
from datetime import timedelta

import msgspec
import pytest

from policy.core.lock_queues.live_workflow import LockHold, LockWait
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.core.lock_graph.running import BEGIN, mutex, node, running, semaphore, stamp, traced

DB = semaphore("db")
GPU = semaphore("gpu")


def test_holders_are_those_that_argo_lists() -> None:
    """By node, or the Workflow itself; an entry without holders lingers and counts nothing."""
    record = traced(
        running(holds={DB: ["n1", "n2"], GPU: [], mutex("m"): [""]}, nodes={"n1": node(), "n2": node()})
    )
    assert record.holds == (LockHold(DB, "n1", ()), LockHold(DB, "n2", ()), LockHold(mutex("m"), "", ()))


def test_a_waiter_is_a_node_with_a_lock_to_wait_for_that_is_not_completed() -> None:
    """What waited before lingers in finished nodes."""
    record = traced(
        running(
            nodes={
                "n1": node(phase="Pending", waiting=DB, at=5),
                "n2": node(phase="Succeeded", waiting=DB),
                "n3": node(phase="Running"),
            }
        )
    )
    assert record.waits == (LockWait(DB, "n1", BEGIN + timedelta(seconds=5)),)


@pytest.mark.parametrize(
    "message",
    [f"Waiting for {DB} lock. Lock status: 0/1", f"Failed to get semaphore limit for {DB}"],
)
def test_a_workflow_that_waits_as_a_whole_is_known_by_its_message(message: str) -> None:
    """Unless it holds the lock by now: Argo leaves the message on one that is suspended."""
    assert traced(running(phase="Pending", message=message)).waits == (LockWait(DB, "", BEGIN),)
    holding = running(holds={DB: [""]}, phase="Pending", message=message)
    assert traced(holding).waits == ()


def test_a_daemon_that_is_ready_waits_for_nothing() -> None:
    """Argo asks for its lock again and notes a wait; one that is not ready yet does wait."""
    serving = {**node(waiting=DB), "daemoned": True}
    starting = {**node(phase="Pending", waiting=DB, at=5), "daemoned": True}
    record = traced(running(nodes={"serving": serving, "starting": starting}))
    assert [each.node for each in record.waits] == ["starting"]


def test_a_daemon_that_is_ready_brings_no_lock_back() -> None:
    """It runs until its DAG is over, so that a DAG whose other tasks wait is stuck."""
    nodes = {
        "d": node("DAG", "Running", "serving", "w"),
        "serving": {**node(), "daemoned": True},
        "w": node(phase="Pending", waiting=GPU),
    }
    (held,) = traced(running(holds={DB: ["d"]}, nodes=nodes)).holds
    assert held.stuck_on == ("w",)


POISON = (
    f"lock {DB} is in a poisoned state: controller could not initialize lock at startup: failed to "
    f"initialize semaphore {DB} with limit; manual intervention required"
)
WHY = f"controller could not initialize lock at startup: failed to initialize semaphore {DB} with limit"


def test_a_poisoned_lock_is_known_by_what_argo_says_of_its_waiters() -> None:
    """Of a task, of a whole Workflow, and of one that held it when the controller was restarted."""
    waiter = {**node(phase="Pending", waiting=DB), "message": POISON}
    assert traced(running(nodes={"n": waiter})).waits == (LockWait(DB, "n", BEGIN, WHY),)
    assert traced(running(phase="Pending", message=POISON)).waits == (LockWait(DB, "", BEGIN, WHY),)
    holding = running(holds={DB: [""]}, message=POISON)
    assert traced(holding).waits == (LockWait(DB, "", BEGIN, WHY),)


@pytest.mark.parametrize(
    ("nodes", "stuck_on"),
    [
        ({"d": node("DAG", "Running", "w"), "w": node(phase="Pending", waiting=GPU)}, ("w",)),
        ({"d": node("DAG", "Running", "w", "p"), "w": node(phase="Pending", waiting=GPU), "p": node()}, ()),
        (
            {
                "d": node("DAG", "Running", "w", "r"),
                "w": node(phase="Pending", waiting=GPU),
                "r": node("Retry", "Running", "f"),
                "f": node(phase="Failed"),
            },
            (),
        ),
        (
            {
                "d": node("DAG", "Running", "s"),
                "s": node(phase="Succeeded", waiting="", at=1) | {"children": ["e"]},
                "e": node("Steps", "Running", "g"),
                "g": node("StepGroup", "Running", "w", "x"),
                "w": node(phase="Pending", waiting=GPU),
                "x": node(phase="Pending", waiting=DB),
            },
            ("w", "x"),
        ),
        (
            {
                "d": node("DAG", "Running", "s"),
                "s": node(phase="Succeeded"),
                "z": node(phase="Pending", waiting=GPU),
            },
            (),
        ),
    ],
    ids=["all waits", "a task runs", "a retry backs off", "deep below", "between two tasks"],
)
def test_a_holder_is_stuck_where_all_below_it_waits(
    nodes: dict[str, JsonObject], stuck_on: tuple[str, ...]
) -> None:
    """Anything else may bring the lock back by itself."""
    (held,) = traced(running(holds={DB: ["d"]}, nodes=nodes)).holds
    assert sorted(held.stuck_on) == sorted(stuck_on)


@pytest.mark.parametrize("spec", [{"suspend": True}, {"shutdown": "Terminate"}])
def test_a_workflow_that_is_suspended_or_shut_down_is_not_stuck(spec: JsonObject) -> None:
    """A suspended Workflow continues some day; one that is shut down ends within seconds."""
    nodes = {"w": node(phase="Pending", waiting=GPU)}
    asked = running(holds={DB: [""]}, nodes=nodes, spec=spec)
    assert [each.stuck_on for each in traced(asked).holds] == [()]


def test_compressed_nodes_are_read() -> None:
    """As Argo writes them when a Workflow grows large; what cannot be read is as if it went on."""
    nodes = {"d": node("DAG", "Running", "w"), "w": node(phase="Pending", waiting=GPU)}
    packed = base64.b64encode(gzip.compress(msgspec.json.encode(nodes))).decode()
    record = traced(running(holds={DB: ["d"]}, nodes=None) | {"status": _status(packed)})
    assert record.waits == (LockWait(GPU, "w", BEGIN),)
    assert record.holds[0].stuck_on == ("w",)
    spoilt = traced(running(holds={DB: ["d"]}) | {"status": _status(packed[:24])})
    assert (spoilt.waits, spoilt.holds[0].stuck_on) == ((), ())


def _status(packed: str) -> JsonObject:
    holding: list[JsonValue] = [{"semaphore": DB, "holders": ["team-a/a/d"]}]
    return {"compressedNodes": packed, "synchronization": {"semaphore": {"holding": holding}}}


def block(key: str, **more: JsonValue) -> JsonObject:
    """Return a block of one semaphore."""
    return {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": key}, **more}]}


def test_locks_that_argo_finds_by_a_config_map_are_distinguished_from_those_it_overlooks() -> None:
    """By its index it knows own templates and semaphores of the own namespace, and no inline ones."""
    inline: JsonObject = {"name": "t", "inline": {"synchronization": block("inline")}}
    spec: JsonObject = {
        "synchronization": block("whole"),
        "templates": [
            {"name": "main", "dag": {"tasks": [inline]}},
            {"name": "leaf", "synchronization": block("db")},
            {"name": "far", "synchronization": block("db", namespace="team-b")},
        ],
    }
    record = traced(running(spec=spec))
    assert record.indexed == {semaphore("whole"), DB}
    assert record.named == {semaphore("whole"), DB, semaphore("inline"), semaphore("db", "team-b")}
    assert not record.open_ended


@pytest.mark.parametrize(
    "spec",
    [
        {"workflowTemplateRef": {"name": "x"}},
        {"templates": [{"dag": {"tasks": [{"templateRef": {"name": "x", "template": "y"}}]}}]},
        {"templates": [{"steps": [[{"inline": {"steps": [[{"templateRef": {"name": "x"}}]]}}]]}]},
        {"templates": [{"synchronization": block("{{inputs.parameters.x}}")}]},
    ],
    ids=["workflowTemplateRef", "templateRef", "templateRef below inline", "parameter"],
)
def test_a_workflow_that_may_wait_for_other_locks_is_open_ended(spec: JsonObject) -> None:
    """Then a key is not removed while it runs."""
    assert traced(running(spec=spec)).open_ended


def test_the_spec_that_was_stored_at_the_start_counts() -> None:
    """A Workflow that refers to a template carries it there."""
    stored: JsonObject = {"templates": [{"name": "leaf", "synchronization": block("db")}]}
    record = traced(running(spec={"workflowTemplateRef": {"name": "x"}}, storedWorkflowTemplateSpec=stored))
    assert (set(record.indexed), record.open_ended) == ({DB}, False)


@pytest.mark.parametrize(
    ("seconds", "deadline"),
    [(30, BEGIN + timedelta(seconds=40)), ("30", BEGIN + timedelta(seconds=40)), (None, None), ("x", None)],
)
def test_a_deadline_counts_from_the_start(seconds: JsonValue, deadline: object) -> None:
    """Not from the creation: who is held has its whole time."""
    spec: JsonObject = {"activeDeadlineSeconds": seconds}
    assert traced(running(spec=spec, startedAt=stamp(10))).deadline == deadline
