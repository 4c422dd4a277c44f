"""Locks that stay held because Argo does not come to their holders, in statuses like its controller's."""

import pytest

from policy.core.lock_queues.lock_queues import LiveDeadlock, live_deadlocks, lock_queues
from policy.core.objects.json_patch import JsonObject
from tests.policy.core.lock_graph.running import mutex, node, running, traced

M = mutex("m")


def named(name: str, made: JsonObject, boundary: str = "w") -> JsonObject:
    """Return a node with its name and the DAG or steps that it stands in."""
    return {**made, "name": f"w{name}", "boundaryID": boundary}


def told(*workflows: JsonObject, limit: int = 1) -> tuple[LiveDeadlock, ...]:
    """Return the deadlocks of Workflows whose locks all have one limit."""
    return live_deadlocks(lock_queues([traced(each) for each in workflows], lambda _: limit))


def items(second: str = "Succeeded", group: str = "Succeeded") -> dict[str, JsonObject]:
    """Return a DAG task with two items, the exit hook of the first, and that of all together."""
    return {
        "w": named("", node("DAG", "Running", "g"), ""),
        "g": named(".a", node("TaskGroup", group, "i0", "i1", "all")),
        "i0": named(".a(0:x)", node("Pod", "Succeeded", "x0")),
        "x0": named(".a(0:x).onExit", node("Pod", "Succeeded")),
        "i1": named(".a(1:y)", node("Pod", second)),
        "all": named(".a.onExit", node("Pod", "Pending", waiting=M)),
    }


def test_what_the_exit_hook_of_an_item_keeps_is_kept_until_the_workflow_ends() -> None:
    """The one of all items waits for it for ever; with another one left it does not, nor while a Pod runs."""
    (found,) = told(running("w", holds={M: ["x0"]}, nodes=items()))
    assert found.text == (
        f"waits for ever for {M}, which only itself holds: Argo never gives back what the exit hook of an "
        "item took last. Terminate it (argo terminate w), and take no lock in the exit hook of a DAG task "
        "with items"
    )
    assert not told(running("w", holds={M: ["x0"]}, nodes=items()), limit=2)
    assert not told(running("w", holds={M: ["x0"]}, nodes=items("Running", "Running")))
    elsewhere = {**items(), "p": named(".p", node("Pod", "Running"))}
    assert not told(running("w", holds={M: ["x0"]}, nodes=elsewhere))


def test_others_that_wait_for_a_kept_lock_wait_for_ever_too() -> None:
    """And of the lock of an item itself that Argo no more comes to the same is true."""
    other = running("other", nodes={"n": node(phase="Pending", waiting=M)})
    found = told(running("w", holds={M: ["i1"]}, nodes=items()), other)
    assert [each.workflow.name for each in found] == ["other", "w"]


def test_an_exit_hook_that_argo_does_not_come_back_to_waits_for_ever() -> None:
    """Whoever holds the lock, and if nobody does."""
    nodes = items()
    nodes["x0"] = named(".a(0:x).onExit", node("Pod", "Pending", waiting=M))
    nodes["all"] = named(".a.onExit", node("Pod", "Succeeded"))
    (found,) = told(running("w", nodes=nodes))
    assert found.text.startswith(
        f"waits for ever for {M}, which Argo does not try to take any more: the task is over for it. "
    )
    nodes["g"] = named(".a", node("TaskGroup", "Running", "i0", "i1"))
    assert not told(running("w", nodes=nodes))
    ending = running("w", nodes={**nodes, "g": items()["g"]}, spec={"shutdown": "Terminate"})
    assert not told(ending)


@pytest.mark.parametrize(("boundary", "found"), [("DAG", True), ("Steps", False)])
@pytest.mark.parametrize("phase", ["Succeeded", "Running"])
def test_a_hook_of_a_dag_task_keeps_what_is_below_the_task(
    boundary: str,
    found: bool,  # noqa: FBT001 - a table
    phase: str,
) -> None:
    """Once that is over: a Pod that runs may still end. In steps Argo comes to it."""
    nodes = {
        "w": named("", node(boundary, "Running", "a"), ""),
        "a": named(".a", node("Steps", "Running", "s", "h")),
        "s": named(".a[0]", node("StepGroup", "Running", "p"), "a"),
        "p": named(".a[0].p", node("Pod", phase), "a"),
        "h": named(".a.hooks.told", node("Pod", "Pending", waiting=M)),
    }
    assert bool(told(running("w", holds={M: ["p"]}, nodes=nodes))) is (found and phase == "Succeeded")


def test_a_hook_of_a_step_keeps_what_hooks_of_later_steps_hold() -> None:
    """Not those of earlier ones, to which Argo comes before."""
    nodes = {
        "w": named("", node("Steps", "Running", "s"), ""),
        "s": named("[0]", node("StepGroup", "Running", "a", "b")),
        "a": named("[0].a", node("Pod", "Succeeded", "ha")),
        "b": named("[0].b", node("Pod", "Succeeded", "hb")),
        "ha": named("[0].a.hooks.told", node("Pod", "Pending", waiting=M)),
        "hb": named("[0].b.hooks.told", node("Pod", "Succeeded")),
    }
    assert told(running("w", holds={M: ["hb"]}, nodes=nodes))
    turned = {**nodes, "ha": {**nodes["hb"], "name": "w[0].a.hooks.told"}}
    turned["hb"] = {**nodes["ha"], "name": "w[0].b.hooks.told"}
    assert not told(running("w", holds={M: ["ha"]}, nodes=turned))


def test_the_exit_hook_of_an_item_keeps_what_is_below_later_items() -> None:
    """Not what is below earlier ones; the hook may be steps that wait somewhere below."""
    nodes = {
        "w": named("", node("DAG", "Running", "g"), ""),
        "g": named(".a", node("TaskGroup", "Running", "i0", "i1")),
        "i0": named(".a(0:x)", node("Pod", "Succeeded", "x0")),
        "x0": named(".a(0:x).onExit", node("Steps", "Running", "x0s")),
        "x0s": named(".a(0:x).onExit[0]", node("StepGroup", "Running", "x0p"), "x0"),
        "x0p": named(".a(0:x).onExit[0].p", node("Pod", "Pending", waiting=M), "x0"),
        "i1": named(".a(1:y)", node("Steps", "Running", "i1s")),
        "i1s": named(".a(1:y)[0]", node("StepGroup", "Running", "i1p"), "i1"),
        "i1p": named(".a(1:y)[0].p", node("Pod", "Succeeded"), "i1"),
    }
    assert told(running("w", holds={M: ["i1p"]}, nodes=nodes))
    nodes["g"] = named(".a", node("TaskGroup", "Running", "i1", "i0"))
    assert not told(running("w", holds={M: ["i1p"]}, nodes=nodes))
