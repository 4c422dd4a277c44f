"""Which uses of locks the existing Workflows record: by template, once each, and no guesses."""

from datetime import timedelta

import msgspec
import pytest

from policy.core.lock_queues.live_workflow import LiveWorkflow
from policy.core.lock_queues.past_uses import Use, lock_uses
from policy.core.objects.json_patch import JsonObject
from tests.policy.core.lock_graph.running import BEGIN, mutex, node, running, semaphore, stamp

DB = semaphore("db")
BLOCK: JsonObject = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]}
LOAD: JsonObject = {"name": "load", "container": {"image": "x"}, "synchronization": BLOCK}


def live(obj: JsonObject) -> LiveWorkflow:
    """Return a Workflow as it is read."""
    return msgspec.json.decode(msgspec.json.encode(obj), type=LiveWorkflow)


def done(template: str = "load", at: float = 0, until: float = 9) -> JsonObject:
    """Return a node that is over."""
    return {
        **node(phase="Succeeded", at=at),
        "finishedAt": stamp(until),
        "templateName": template,
        "templateScope": "local/a",
    }


def use(lock: str, arrived: float, ended: float | None, began: float | None = None) -> Use:
    """Return a use by a Workflow that was created at the begin."""

    def at(seconds: float) -> timedelta:
        return timedelta(seconds=seconds)

    return Use(
        lock,
        BEGIN + at(arrived),
        None if began is None else BEGIN + at(began),
        None if ended is None else BEGIN + at(ended),
        0,
        BEGIN,
    )


def test_nodes_use_the_locks_of_their_templates() -> None:
    """From the start of the wait to the end; those that are not finished have no end."""
    nodes: dict[str, JsonObject] = {
        "n1": done(at=1),
        "n2": {**done(at=2), "phase": "Running", "finishedAt": None},
        "n3": done("other"),
        "n4": {**done(), "type": "TaskGroup"},
        "n5": {**done(), "type": "Skipped"},
    }
    seen = lock_uses([live(running(spec={"templates": [LOAD, {"name": "other"}]}, nodes=nodes))])
    assert seen.uses == (use(DB, 1, 9), use(DB, 2, None))
    assert seen.unknown == 0


def test_a_retry_holds_the_lock_over_all_of_its_attempts() -> None:
    """They have the template's name as well, and hold nothing themselves."""
    nodes: dict[str, JsonObject] = {
        "r": {**done(until=30), "type": "Retry", "children": ["r0", "r1"]},
        "r0": done(until=10),
        "r1": done(at=10, until=30),
    }
    seen = lock_uses([live(running(spec={"templates": [LOAD]}, nodes=nodes))])
    assert seen.uses == (use(DB, 0, 30),)


def test_a_workflow_uses_its_own_lock_from_its_start() -> None:
    """It has no start before it has the lock."""
    spec: JsonObject = {"synchronization": {"mutexes": [{"name": "m"}]}}
    whole = running(spec=spec, startedAt=stamp(5), finishedAt=stamp(9))
    assert lock_uses([live(whole)]).uses == (use(mutex("m"), 0, 9, 5),)


@pytest.mark.parametrize(
    ("where", "status"),
    [
        (
            {"templateRef": {"name": "library", "template": "far"}},
            {"storedTemplates": {"namespaced/library/far": LOAD}},
        ),
        (
            {"templateRef": {"name": "library", "template": "far", "clusterScope": True}},
            {"storedTemplates": {"cluster/library/far": LOAD}},
        ),
        (
            {"templateName": "far", "templateScope": "namespaced/library"},
            {"storedTemplates": {"namespaced/library/far": LOAD}},
        ),
        ({"templateName": "load"}, {"storedWorkflowTemplateSpec": {"templates": [LOAD]}}),
    ],
    ids=["templateRef", "of the cluster", "below one", "workflowTemplateRef"],
)
def test_templates_of_other_objects_are_found_where_argo_stored_them(
    where: JsonObject, status: JsonObject
) -> None:
    """By the name that it stored them under."""
    obj = running(nodes={"n": {**done(), **where}})
    run = obj["status"]
    assert isinstance(run, dict)
    run.update(status)
    seen = lock_uses([live(obj)])
    assert [each.lock for each in seen.uses] == [DB]


def test_a_key_with_parameters_is_counted_and_not_guessed() -> None:
    """Which one it was is not written down."""
    key = "{{= workflow.parameters.env == 'prod' ? 'db' : 'unlimited'}}"
    block: JsonObject = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": key}}]}
    obj = running(spec={"templates": [{**LOAD, "synchronization": block}]}, nodes={"n": done()})
    seen = lock_uses([live(obj)])
    assert (seen.uses, seen.unknown) == ((), 1)


def test_the_life_of_a_daemon_is_no_use_of_its_lock() -> None:
    """Argo frees it when the daemon is ready, which no node records."""
    daemon: JsonObject = {**LOAD, "daemon": True}
    seen = lock_uses([live(running(spec={"templates": [daemon]}, nodes={"n": done(until=3000)}))])
    assert (seen.uses, seen.unknown, seen.of_daemons) == ((), 0, 1)
