"""Running Workflows, as Argo's controller writes them: what they hold and what they wait for."""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from policy.core.lock_queues.live_workflow import LiveWorkflow, Traced
from policy.core.lock_queues.trace import trace
from policy.core.objects.json_patch import JsonObject, JsonValue

NAMESPACE: Final = "team-a"
BEGIN: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def stamp(seconds: float = 0) -> str:
    """Return a time so many seconds after the begin, as Kubernetes writes it."""
    return (BEGIN + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def semaphore(key: str, namespace: str = NAMESPACE) -> str:
    """Return Argo's name of a semaphore."""
    return f"{namespace}/ConfigMap/limits/{key}"


def mutex(name: str, namespace: str = NAMESPACE) -> str:
    """Return Argo's name of a mutex."""
    return f"{namespace}/Mutex/{name}"


def node(
    type_: str = "Pod", phase: str = "Running", *children: str, waiting: str = "", at: float = 0
) -> JsonObject:
    """Return a node; its children are ids."""
    made: JsonObject = {"type": type_, "phase": phase, "startedAt": stamp(at), "children": [*children]}
    if waiting:
        made["synchronizationStatus"] = {"waiting": waiting}
    return made


def running(
    name: str = "a",
    *,
    holds: dict[str, list[str]] | None = None,
    nodes: dict[str, JsonObject] | None = None,
    waits: str = "",
    created: float = 0,
    spec: JsonObject | None = None,
    namespace: str = NAMESPACE,
    **status: JsonValue,
) -> JsonObject:
    """Return a running Workflow: `holds` are the nodes that hold each lock, "" the Workflow itself."""
    semaphores: list[JsonValue] = []
    mutexes: list[JsonValue] = []
    for lock, holders in (holds or {}).items():
        keys: list[JsonValue] = [f"{namespace}/{name}/{each}".removesuffix("/") for each in holders]
        if "/Mutex/" in lock:
            mutexes += [{"mutex": lock, "holder": key} for key in keys]
        else:
            semaphores.append({"semaphore": lock, "holders": keys})
    whole: JsonObject = {
        "phase": "Pending" if waits else "Running",
        "synchronization": {"semaphore": {"holding": semaphores}, "mutex": {"holding": mutexes}},
        "nodes": {**(nodes or {})},
        **status,
    }
    if waits:
        whole["message"] = f"Waiting for {waits} lock. Lock status: 0/1"
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{namespace}-{name}",
            "creationTimestamp": stamp(created),
        },
        "spec": spec if spec is not None else {"entrypoint": "main"},
        "status": whole,
    }


def traced(obj: JsonObject) -> Traced:
    """Return the record of a Workflow, from bytes as it is watched."""
    return trace(msgspec.json.decode(msgspec.json.encode(obj), type=LiveWorkflow), unborn=BEGIN)
