"""Plays `argoexec resource` in the Pods of resource templates, of the double and the real controller alike.

The executor makes the object of the template as the ServiceAccount of its Pod, and ends when the object meets
the success or the failure condition. Of actions it knows `create`, of objects Workflows, and of conditions
those on `status.phase`, with `==` or `in`. A template without conditions is done when its object is there.
Who plays the kubelet has to let the Pod run, and for long enough.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import msgspec
import yaml

from policy.cluster.errors import NotFound
from policy.cluster.protocol import STATUS, WORKFLOWS, Cluster, MergePatch
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.values.prepared import prepare
from tests.e2e.argo.following import Change, Everything, Feed, Inbox, Stop
from tests.e2e.argo.pods import PODS, TEMPLATE_VARIABLE, WORKFLOW_LABEL, PodMetadata
from tests.e2e.argo.shapes import Anything, as_json

Create = Callable[[JsonObject, str, str], str]
"""Makes an object in a namespace as a user, and returns its name. Raises NotMadeError."""
WATCH_SECONDS: Final = 2.0
_CONDITION: Final = re.compile(r"status\.phase\s*(?:==\s*(?P<one>\w+)|in\s*\((?P<some>[\w,\s]+)\))")


class NotMadeError(Exception):
    """An object could not be made; the text says why."""


class Variable(msgspec.Struct, frozen=True):
    """A variable of a container's environment."""

    name: str
    value: str = ""


class ContainerOf(msgspec.Struct, frozen=True):
    """A container of a Pod."""

    name: str
    env: tuple[Variable, ...] = ()


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What a Pod runs, and as whom."""

    containers: tuple[ContainerOf, ...] = ()
    service_account_name: str = "default"


class StatusOf(msgspec.Struct, frozen=True, rename="camel"):
    """How far a Pod or a Workflow is."""

    phase: str = ""
    container_statuses: tuple[Anything, ...] = ()


class ExecutorPod(msgspec.Struct, frozen=True):
    """A Pod as its executor sees it."""

    metadata: PodMetadata
    spec: PodSpec
    status: StatusOf = StatusOf()


class Made(msgspec.Struct, frozen=True):
    """An object that an executor has made."""

    metadata: PodMetadata
    status: StatusOf = StatusOf()


class Resource(msgspec.Struct, frozen=True, rename="camel"):
    """What a resource template does."""

    action: str = ""
    manifest: str = ""
    success_condition: str = ""
    failure_condition: str = ""


class Given(msgspec.Struct, frozen=True):
    """The template that an executor was given."""

    resource: Resource | None = None


prepare(ExecutorPod, Made, Given)


class Executors:
    """All executors of a cluster; `create` makes an object as the user of a Pod."""

    def __init__(
        self, *, cluster: Cluster, create: Create, say: Callable[[str], None], subresource: str
    ) -> None:
        self._cluster = cluster
        self._subresource = subresource
        self._create = create
        self._say = say
        self._inbox = Inbox()
        self._ended = Event()
        self._waiting: dict[str, tuple[ExecutorPod, Resource]] = {}
        self._begun: set[str] = set()

    def begin(self) -> None:
        """Begin to follow Pods and Workflows."""
        for feed in (
            Feed(self._cluster, self._say, PODS, "", WORKFLOW_LABEL, WATCH_SECONDS),
            Feed(self._cluster, self._say, WORKFLOWS, "", "", WATCH_SECONDS),
        ):
            feed.start(self._inbox, self._ended)

    def run(self) -> None:
        """Play until stopped."""
        while not isinstance(change := self._inbox.get(), Stop):
            items = change.items if isinstance(change, Everything) else (change.obj,)
            for obj in () if isinstance(change, Change) and change.gone else items:
                if change.resource == PODS:
                    self._see_pod(msgspec.convert(obj, ExecutorPod))
                else:
                    self._see_made(msgspec.convert(obj, Made))

    def stop(self) -> None:
        """End the loop."""
        self._ended.set()
        self._inbox.put(Stop())

    def _see_pod(self, pod: ExecutorPod) -> None:
        """Begin the work of a Pod that runs, once."""
        resource = _resource_of(pod)
        key = f"{pod.metadata.namespace}/{pod.metadata.name}"
        runs = pod.status.phase == "Running" and key not in self._begun
        if resource is None or resource.action != "create" or not runs:
            return
        self._begun.add(key)
        obj: JsonObject = yaml.safe_load(resource.manifest)
        user = f"system:serviceaccount:{pod.metadata.namespace}:{pod.spec.service_account_name}"
        try:
            name = self._create(obj, pod.metadata.namespace, user)
        except NotMadeError as error:
            self._say(f"{key}: {error}")
            self._end(pod, "Failed")
            return
        if not resource.success_condition:
            self._end(pod, "Succeeded")
            return
        self._waiting[f"{pod.metadata.namespace}/{name}"] = (pod, resource)
        found = self._cluster.get(WORKFLOWS, name, namespace=pod.metadata.namespace)
        self._see_made(msgspec.convert(found, Made))

    def _see_made(self, made: Made) -> None:
        """End a Pod whose object meets a condition."""
        key = f"{made.metadata.namespace}/{made.metadata.name}"
        pod, resource = self._waiting.get(key, (None, None))
        if pod is None or resource is None:
            return
        for phase, condition in (
            ("Failed", resource.failure_condition),
            ("Succeeded", resource.success_condition),
        ):
            if made.status.phase in _phases(condition):
                del self._waiting[key]
                self._end(pod, phase)
                return

    def _end(self, pod: ExecutorPod, phase: str) -> None:
        """Let a Pod be over, with its containers, as the kubelet says it."""
        code = 0 if phase == "Succeeded" else 1
        ended: JsonObject = {
            "terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}
        }
        containers: list[JsonValue] = [
            {**as_json(each), "state": ended, "ready": False} for each in pod.status.container_statuses
        ]
        status: JsonObject = {"phase": phase, **({"containerStatuses": containers} if containers else {})}
        name, namespace = pod.metadata.name, pod.metadata.namespace
        patch = MergePatch({"status": status})
        try:
            self._cluster.patch(PODS, name, patch, namespace=namespace, subresource=self._subresource)
        except NotFound:
            self._say(f"{namespace}/{name}: the Pod is gone")


def _resource_of(pod: ExecutorPod) -> Resource | None:
    for container in pod.spec.containers:
        for variable in container.env:
            if variable.name == TEMPLATE_VARIABLE:
                return msgspec.json.decode(variable.value, type=Given).resource
    return None


def _phases(condition: str) -> frozenset[str]:
    """Return the phases that meet a condition.

    Raises:
        ValueError: it is none of those that are known here.
    """
    if not condition:
        return frozenset()
    found = _CONDITION.fullmatch(condition.strip())
    if found is None:
        raise ValueError(f"condition {condition!r}")
    return frozenset(each.strip() for each in (found["one"] or found["some"]).split(","))


@contextmanager
def executors(cluster: Cluster, create: Create, *, subresource: str = STATUS) -> Iterator[list[str]]:
    """Play executors while the context lasts; gives what they complain about.

    `subresource` is how the status of Pods is written; "" where a cluster does not keep it apart.
    """
    said: list[str] = []
    playing = Executors(cluster=cluster, create=create, say=said.append, subresource=subresource)
    playing.begin()
    thread = Thread(target=playing.run, name="executors", daemon=True)
    thread.start()
    try:
        yield said
    finally:
        playing.stop()
        thread.join(10)
