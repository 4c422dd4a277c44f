"""What does the work of a template: a Pod, or, without a kubelet, the passing of time."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

import msgspec

from policy.cluster.errors import AlreadyExists, ClusterError, Forbidden, Invalid, NotFound, TooManyRequests
from policy.cluster.protocol import Cluster, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.argo.planning import Step
from tests.e2e.argo.pods import PODS, Pod, pod_name, pod_of
from tests.e2e.argo.shapes import Workflow


class Stage(Enum):
    """How far a piece of work is."""

    ABSENT = auto()
    PENDING = auto()
    RUNNING = auto()
    SUCCEEDED = auto()
    FAILED = auto()


class Refused(Exception):  # noqa: N818 - an answer of the API and no fault of the double
    """Work could not be begun; where it is `passing` it is tried again."""

    def __init__(self, message: str, *, passing: bool) -> None:
        super().__init__(message)
        self.message = message
        self.passing = passing


class Work(Protocol):
    """Begins pieces of work, and tells how far they are."""

    def start(self, workflow: Workflow, step: Step) -> None:
        """Begin a piece of work, unless that was done. Raises Refused."""
        ...

    def stage(self, workflow: Workflow, step: Step) -> Stage:
        """Tell how far it is."""
        ...

    def stop(self, workflow: Workflow) -> None:
        """End what is under way."""
        ...

    def file(self, workflow: Workflow) -> None:
        """Note that the Workflow is over and its results are kept."""
        ...


class PodWork:
    """A Pod for each piece of work; somebody else plays the kubelet."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pods: dict[str, dict[str, Pod]] = {}

    def see(self, obj: JsonObject) -> str:
        """Take note of a Pod, and return the key of its Workflow."""
        pod = msgspec.convert(obj, Pod)
        self._pods.setdefault(pod.key, {})[pod.metadata.name] = pod
        return pod.key

    def lose(self, obj: JsonObject) -> str:
        """Take note that a Pod is gone, and return the key of its Workflow."""
        pod = msgspec.convert(obj, Pod)
        self._pods.get(pod.key, {}).pop(pod.metadata.name, None)
        return pod.key

    def start(self, workflow: Workflow, step: Step) -> None:
        """Create the Pod. Raises Refused."""
        try:
            self.see(
                self._cluster.create(PODS, pod_of(workflow, step), namespace=workflow.metadata.namespace)
            )
        except AlreadyExists as error:
            # The double was restarted, or its last PUT did not go through; or this is the Pod of a Workflow
            # of the same name before, which the garbage collector has not come to yet.
            if not self._is_ours(workflow, step):
                raise Refused(error.message, passing=True) from error
        except (Forbidden, Invalid) as error:
            raise Refused(error.message, passing="exceeded quota" in error.message) from error
        except TooManyRequests as error:
            raise Refused(error.message, passing=True) from error

    def stage(self, workflow: Workflow, step: Step) -> Stage:
        """Tell how far the Pod is."""
        pod = self._pod(workflow, step)
        return Stage.__members__.get(pod.status.phase.upper(), Stage.PENDING) if pod else Stage.ABSENT

    def _is_ours(self, workflow: Workflow, step: Step) -> bool:
        pod = self._pod(workflow, step)
        return pod is not None and any(
            one.uid == workflow.metadata.uid for one in pod.metadata.owner_references
        )

    def _pod(self, workflow: Workflow, step: Step) -> Pod | None:
        """Return a Pod; one that no event told of is asked for."""
        name = pod_name(workflow, step)
        pod = self._pods.get(workflow.key, {}).get(name)
        if pod is None:
            try:
                obj = self._cluster.get(PODS, name, namespace=workflow.metadata.namespace)
            except NotFound:
                return None
            self.see(obj)
            pod = msgspec.convert(obj, Pod)
        return pod

    def stop(self, workflow: Workflow) -> None:
        """Delete the Pods."""
        for name in tuple(self._pods.get(workflow.key, ())):
            try:
                self._cluster.delete(PODS, name, namespace=workflow.metadata.namespace)
            except NotFound:
                continue

    def file(self, workflow: Workflow) -> None:
        """Label the Pods as done with."""
        patch = MergePatch({"metadata": {"labels": {well_known.COMPLETED: "true"}}})
        for name, pod in self._pods.pop(workflow.key, {}).items():
            if pod.metadata.labels.get(well_known.COMPLETED) != "true":
                try:
                    self._cluster.patch(PODS, name, patch, namespace=workflow.metadata.namespace)
                except ClusterError:
                    continue  # It is gone, or stays as it is: nothing depends on it.


class TimedWork:
    """No Pods: each piece of work takes the same time, and is forgotten at a restart.

    `again` is told after how many seconds a Workflow should be looked at again.
    """

    def __init__(
        self, *, seconds: float, stopwatch: Callable[[], float], again: Callable[[str, float], None]
    ) -> None:
        self._seconds = seconds
        self._stopwatch = stopwatch
        self._again = again
        self._begun: dict[tuple[str, str], float] = {}

    def start(self, workflow: Workflow, step: Step) -> None:
        """Begin to wait."""
        self._begun[workflow.metadata.uid, step.node] = self._stopwatch()
        self._again(workflow.key, self._seconds)

    def stage(self, workflow: Workflow, step: Step) -> Stage:
        """Tell whether the time is over."""
        begun = self._begun.get((workflow.metadata.uid, step.node))
        if begun is None:
            return Stage.ABSENT
        return Stage.SUCCEEDED if self._stopwatch() - begun >= self._seconds else Stage.RUNNING

    def stop(self, workflow: Workflow) -> None:
        """Forget it."""
        self.file(workflow)

    def file(self, workflow: Workflow) -> None:
        """Forget it."""
        for key in [each for each in self._begun if each[0] == workflow.metadata.uid]:
            del self._begun[key]
