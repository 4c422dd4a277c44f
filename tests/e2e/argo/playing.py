"""The double on a cluster in memory, with the test itself as user and as kubelet."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import Random
from threading import Event, Thread
from typing import Final

import msgspec

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CONFIG_MAPS, WORKFLOWS, MergePatch, Resource
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.argo.controller import WorkflowController
from tests.e2e.argo.pods import PODS, Pod
from tests.e2e.argo.shapes import Phase, Workflow, as_json, read_workflow
from tests.e2e.product import until
from tests.patience import PATIENCE

NAMESPACE: Final = "team"
LIMITS: Final = "limits"
TASK: Final = 0.02
"""Seconds that a task takes where there are no Pods."""


def now() -> datetime:
    """Return the time as Kubernetes writes it."""
    return datetime.now(UTC).replace(microsecond=0)


def container(name: str, **more: JsonValue) -> JsonObject:
    """Return a template that makes a Pod."""
    return {"name": name, "container": {"image": "busybox", "command": ["true"]}, **more}


def making(name: str, manifest: JsonObject, **more: JsonValue) -> JsonObject:
    """Return a template that makes a Workflow of its own and waits for it to succeed."""
    resource: JsonObject = {
        "action": "create",
        "setOwnerReference": True,
        "successCondition": "status.phase == Succeeded",
        "failureCondition": "status.phase in (Failed, Error)",
        "manifest": json.dumps(manifest),
    }
    return {"name": name, "resource": resource, **more}


def semaphore(key: str) -> JsonObject:
    """Return a block with one semaphore."""
    return {"semaphores": [{"configMapKeyRef": {"name": LIMITS, "key": key}}]}


def mutex(name: str) -> JsonObject:
    """Return a block with one mutex."""
    return {"mutexes": [{"name": name}]}


class Field:
    """A namespace in which a test plays; what it waits for has to come within seconds."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.cluster = cluster

    def submit(self, name: str, *templates: JsonObject, held: bool = False, **spec: JsonValue) -> None:
        """Create a Workflow, whose first template is the entry unless `spec` says otherwise."""
        written = [*(templates or (container("main"),))]
        labels: JsonObject = {well_known.INSTANCE_ID: well_known.HOLD_VALUE} if held else {}
        whole: JsonObject = {"entrypoint": written[0]["name"], "templates": [*written], **spec}
        self.create(WORKFLOWS, name, labels, spec=whole)

    def create(
        self, resource: Resource, name: str, labels: JsonObject | None = None, **fields: JsonValue
    ) -> None:
        """Create an object of any kind."""
        obj: JsonObject = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name, "labels": labels or {}},
            **fields,
        }
        self.cluster.create(resource, obj, namespace=NAMESPACE if resource.namespaced else "")

    def limit(self, **limits: JsonValue) -> None:
        """Set limits in the ConfigMap for them."""
        self.cluster.patch(CONFIG_MAPS, LIMITS, MergePatch({"data": {**limits}}), namespace=NAMESPACE)

    def patch(self, name: str, **patch: JsonValue) -> None:
        """Merge something into a Workflow."""
        self.cluster.patch(WORKFLOWS, name, MergePatch({**patch}), namespace=NAMESPACE)

    def object(self, name: str) -> JsonObject:
        """Return a Workflow as it is stored."""
        return self.cluster.get(WORKFLOWS, name, namespace=NAMESPACE)

    def workflow(self, name: str) -> Workflow:
        """Return a Workflow."""
        return read_workflow(self.object(name))

    def workflows(self) -> list[Workflow]:
        """Return all Workflows as they are at one moment."""
        return [read_workflow(item) for item in self.cluster.list(WORKFLOWS, namespace=NAMESPACE).items]

    def becomes(self, name: str, phase: Phase, message: str = "") -> Workflow:
        """Wait until a Workflow has a phase and message, and return it."""

        def has_become() -> bool:
            status = self.workflow(name).status
            return (status.phase, status.message) == (phase, message)

        until(has_become, f"{name} does not become {phase} {message!r}", seconds=10)
        return self.workflow(name)

    def pods(self) -> dict[str, Pod]:
        """Return the Pods by name."""
        listing = self.cluster.list(PODS, namespace=NAMESPACE)
        found = (msgspec.convert(item, Pod) for item in listing.items)
        return {pod.metadata.name: pod for pod in found}

    def pod(self, name: str) -> JsonObject:
        """Wait for a Pod and return it."""
        until(lambda: name in self.pods(), f"there is no Pod {name}", seconds=10)
        return self.cluster.get(PODS, name, namespace=NAMESPACE)

    def play(self, name: str, phase: str) -> None:
        """Give a Pod a phase, as a kubelet does."""
        pod = self.pod(name)
        self.cluster.replace(PODS, {**pod, "status": {"phase": phase}})


@contextmanager
def controlled(
    field: Field, *, finish_after: float | None = None, instance_id: str = ""
) -> Iterator[list[str]]:
    """Run the double's loop while the context lasts; gives what it complains about."""
    said: list[str] = []
    controller = WorkflowController(
        cluster=field.cluster,
        clock=now,
        stopwatch=time.monotonic,
        say=said.append,
        finish_after=finish_after,
        instance_id=instance_id,
    )
    ready = Event()
    thread = Thread(target=lambda: controller.run(ready=ready.set), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield said
    finally:
        controller.stop()
        thread.join(10)


@contextmanager
def memory() -> Iterator[Field]:
    """Give a field with no more than a ConfigMap of limits; whoever watches it is let go in the end."""
    cluster = MemoryCluster(clock=now, rng=Random(1))
    field = Field(cluster)
    field.create(CONFIG_MAPS, LIMITS)
    try:
        yield field
    finally:
        cluster.close()


def json_of(value: object) -> JsonObject:
    """Return a struct as JSON, to be compared as a whole."""
    return as_json(value)
