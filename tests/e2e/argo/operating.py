"""One look at one Workflow: what its status becomes, given what its work and its locks say.

The status is all the memory there is, so a look may be repeated at any time, after a conflict or a restart.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from policy.core import marks
from policy.core.patches import JsonObject
from tests.e2e.argo.locks import LimitError, Locks, names_of
from tests.e2e.argo.planning import Fetch, Moment, PlanError, Step, plan, resolve
from tests.e2e.argo.serialising import reserialised
from tests.e2e.argo.shapes import FULFILLED, Node, Phase, Spec, Waited, Workflow, as_json, read_workflow
from tests.e2e.argo.work import Refused, Stage, Work


class Operator:
    """Looks at Workflows; `again` is told when one should be looked at once more without an event."""

    def __init__(
        self,
        *,
        locks: Locks,
        work: Work,
        fetch: Callable[[str], Fetch],
        clock: Callable[[], datetime],
        again: Callable[[str, float], None],
    ) -> None:
        self._locks = locks
        self._work = work
        self._fetch = fetch
        self._clock = clock
        self._again = again

    def look(self, obj: JsonObject) -> JsonObject:
        """Return what the object should be; equal to what it is where there is nothing to do."""
        workflow = read_workflow(obj)
        if workflow.is_completed or workflow.metadata.deletion_timestamp is not None:
            return obj
        if workflow.status.phase is Phase.PENDING and workflow.status.started_at is None:
            workflow.status.message = ""  # Whoever held it may have left something here.
        try:
            self._advance(workflow, as_json(obj["spec"]))
        except PlanError as error:
            self._end(workflow, Phase.ERROR, str(error))
        return _written(obj, workflow)

    def _advance(self, workflow: Workflow, raw: JsonObject) -> None:
        """Go as far as it goes now. Raises PlanError."""
        if workflow.spec.shutdown:
            self._stop(workflow)
            return
        fetch = self._fetch(workflow.metadata.namespace)
        stored = workflow.status.stored_workflow_template_spec
        resolved = as_json(stored) if stored is not None else resolve(raw, fetch)
        if workflow.spec.workflow_template_ref is not None:
            workflow.status.stored_workflow_template_spec = {**resolved}
        spec = msgspec.convert(resolved, Spec)
        if not self._has_its_locks(workflow, spec):
            return
        status = workflow.status
        if status.phase is not Phase.RUNNING:
            status.phase, status.message = Phase.RUNNING, ""
            status.started_at = status.started_at or self._clock()
        if not workflow.spec.suspend:
            self._run(workflow, plan(workflow, spec, fetch))
        status.synchronization = self._locks.status_of(workflow.key)

    def _has_its_locks(self, workflow: Workflow, spec: Spec) -> bool:
        """Take the locks of the Workflow itself; tell whether it may go on."""
        wanted = names_of(spec.synchronization, workflow.metadata.namespace)
        try:
            waiting = self._locks.acquire(workflow.key, wanted, order=workflow.order)
        except LimitError as error:
            negative = str(error).startswith("semaphore:")
            lead = "" if negative else "Failed to acquire the synchronization lock. "
            self._end(workflow, Phase.ERROR if negative else Phase.FAILED, f"{lead}{error}")
            return False
        if waiting is not None:
            if workflow.status.phase is not Phase.RUNNING:
                workflow.status.phase = Phase.PENDING
            workflow.status.message = waiting.message
            workflow.status.synchronization = self._locks.status_of(workflow.key)
        return waiting is None

    def _run(self, workflow: Workflow, steps: tuple[Step, ...]) -> None:
        """Go through the plan up to the first step that is not done."""
        for step in steps:
            node = workflow.status.nodes.get(workflow.node_id(step.node))
            if node is not None and node.phase in FULFILLED:
                continue
            if node is None or node.phase is Phase.PENDING:
                node = self._begin(workflow, step)
            if node is not None and step.moment is Moment.LEAVE:
                self._fulfil(workflow, node, Phase.SUCCEEDED)
            elif node is not None and step.moment is Moment.WORK:
                self._follow(workflow, step, node)
            if workflow.status.phase in FULFILLED:
                return
            if node is None or (step.moment is Moment.WORK and node.phase not in FULFILLED):
                return
        self._end(workflow, Phase.SUCCEEDED, "")

    def _begin(self, workflow: Workflow, step: Step) -> Node | None:
        """Take a step's locks and begin it. None when it has to wait, or the Workflow ended over it."""
        node_id = workflow.node_id(step.node)
        node = workflow.status.nodes.setdefault(
            node_id,
            Node(
                node_id,
                step.node,
                step.shown,
                step.node_type,
                Phase.PENDING,
                step.template.name,
                started_at=self._clock(),
            ),
        )
        wanted = names_of(step.template.synchronization, workflow.metadata.namespace)
        try:
            waiting = self._locks.acquire(f"{workflow.key}/{node_id}", wanted, order=workflow.order)
            if waiting is not None:
                node.message, node.synchronization_status = waiting.message, Waited(waiting.lock)
                return None
            if step.moment is Moment.WORK and step.makes_pod:
                self._work.start(workflow, step)
        except LimitError as error:
            negative = str(error).startswith("semaphore:")
            lead = "" if negative else "error in entry template execution: "
            node.phase, node.message = Phase.ERROR, str(error)
            self._end(workflow, Phase.ERROR, f"{lead}{error}")
            return None
        except Refused as refused:
            self._refused(workflow, node, refused)
            return None
        node.phase, node.message, node.synchronization_status = Phase.RUNNING, "", None
        return node

    def _refused(self, workflow: Workflow, node: Node, refused: Refused) -> None:
        """Try again later what was refused for now; end the Workflow over the rest."""
        node.message = refused.message
        if refused.passing:
            self._again(workflow.key, 1.0)
            return
        node.phase = Phase.ERROR
        self._end(workflow, Phase.ERROR, refused.message)

    def _follow(self, workflow: Workflow, step: Step, node: Node) -> None:
        """Let a node become what its work is."""
        stage = self._work.stage(workflow, step) if step.makes_pod else Stage.SUCCEEDED
        match stage:
            case Stage.SUCCEEDED:
                self._fulfil(workflow, node, Phase.SUCCEEDED)
            case Stage.FAILED:
                self._fulfil(workflow, node, Phase.FAILED)
                self._end(workflow, Phase.FAILED, f"child '{node.id}' failed")
            case Stage.ABSENT:
                node.message = "pod deleted"
                self._fulfil(workflow, node, Phase.ERROR)
                self._end(workflow, Phase.ERROR, f"child '{node.id}' errored")
            case Stage.PENDING | Stage.RUNNING:
                return

    def _fulfil(self, workflow: Workflow, node: Node, phase: Phase) -> None:
        node.phase, node.finished_at = phase, self._clock()
        self._locks.release(f"{workflow.key}/{node.id}")

    def _stop(self, workflow: Workflow) -> None:
        """End a Workflow that somebody wants to end, with its Pods."""
        message = f"Stopped with strategy '{workflow.spec.shutdown}'"
        self._work.stop(workflow)
        for node in workflow.status.nodes.values():
            if node.phase not in FULFILLED:
                node.message = message
                self._fulfil(workflow, node, Phase.FAILED)
        self._end(workflow, Phase.FAILED, message)

    def _end(self, workflow: Workflow, phase: Phase, message: str) -> None:
        status = workflow.status
        status.phase, status.message, status.finished_at = phase, message, self._clock()
        status.started_at = status.started_at or status.finished_at
        for node in status.nodes.values():
            if node.phase not in FULFILLED:
                node.phase, node.finished_at = phase, status.finished_at
        self._locks.forget(workflow.key)
        status.synchronization = None


def _written(obj: JsonObject, workflow: Workflow) -> JsonObject:
    """Return the object as the controller puts it: spec written anew, labels, status."""
    phase = workflow.status.phase
    if phase is None:
        return obj
    metadata = as_json(obj["metadata"])
    labels = {
        **(workflow.metadata.labels or {}),
        marks.PHASE: phase.value,
        marks.COMPLETED: "true" if phase in FULFILLED else "false",
    }
    annotations = {**(workflow.metadata.annotations or {}), "workflows.argoproj.io/pod-name-format": "v2"}
    return {
        **obj,
        "metadata": {**metadata, "labels": {**labels}, "annotations": {**annotations}},
        "spec": reserialised(as_json(obj["spec"])),
        "status": as_json(workflow.status),
    }
