"""One look at one Workflow: what its status becomes, given what its work and its locks say.

The status is all the memory there is, so a look may be repeated at any time, after a conflict or a restart.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.argo.expressions import filled
from tests.e2e.argo.locks import LimitError, Locks, names_of
from tests.e2e.argo.planning import Branch, Fetch, PlanError, Step, known_of, plan, resolve
from tests.e2e.argo.serialising import reserialised
from tests.e2e.argo.shapes import FULFILLED, Node, Phase, Spec, Waited, Workflow, as_json, read_workflow
from tests.e2e.argo.work import Refused, Stage, Work

_STOP: Final = "Stop"


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
        ends = bool(workflow.spec.shutdown) and not workflow.spec.suspend  # Argo ends none that is suspended.
        if ends and (workflow.spec.shutdown != _STOP or workflow.status.phase is not Phase.PENDING):
            self._stop(workflow)
            return
        fetch = self._fetch(workflow.metadata.namespace)
        stored = workflow.status.stored_workflow_template_spec
        resolved = as_json(stored) if stored is not None else resolve(raw, fetch)
        if workflow.spec.workflow_template_ref is not None:
            workflow.status.stored_workflow_template_spec = {**resolved}
        spec = msgspec.convert(resolved, Spec)
        self._locks.index(workflow.key, _named_by(spec, workflow.metadata.namespace))
        if not self._has_its_locks(workflow, spec):
            return
        if ends:  # One that is stopped while it waits for its own lock ends when it has it.
            self._stop(workflow)
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
        known = known_of(workflow, spec)
        whole = names_of(spec.synchronization, workflow.metadata.namespace)
        wanted = tuple(filled(name, known) for name in whole)
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

    def _run(self, workflow: Workflow, whole: Branch) -> None:
        """Go through the tree as far as it goes now: one task that is done lets others begin."""
        before = -1
        while before != (before := self._fulfilled(workflow)):
            if self._visit(workflow, whole):
                break
        if workflow.status.phase not in FULFILLED and self._is_done(workflow, whole):
            self._end(workflow, Phase.SUCCEEDED, "")

    def _visit(self, workflow: Workflow, branch: Branch) -> bool:
        """Bring a branch on; tell whether it is done, or the Workflow with it."""
        if self._is_done(workflow, branch):
            return True
        node = workflow.status.nodes.get(workflow.node_id(branch.step.node))
        if node is None or node.phase is Phase.PENDING:
            node = self._begin(workflow, branch.step)
        if node is None:
            return workflow.status.phase in FULFILLED
        if branch.groups is None:
            self._follow(workflow, branch.step, node)
            return node.phase in FULFILLED
        for group in branch.groups:
            done = [self._join(workflow, node, part, group) for part in group]
            if workflow.status.phase in FULFILLED:
                return True
            if not all(done):
                return False
        self._fulfil(workflow, node, Phase.SUCCEEDED)
        return True

    def _join(self, workflow: Workflow, parent: Node, part: Branch, group: tuple[Branch, ...]) -> bool:
        """Bring one part of a group on, once those that it waits for are done."""
        if workflow.status.phase in FULFILLED:
            return True
        outcomes = {name: self._outcome(workflow, node, group) for name, node in part.after.items()}
        if not all(outcomes.values()):
            return False
        node_id = workflow.node_id(part.step.node)
        if node_id not in workflow.status.nodes:
            wanted = part.wanted(outcomes)
            if not (wanted and part.runs):
                phase = Phase.SKIPPED if wanted else Phase.OMITTED
                workflow.status.nodes[node_id] = self._node(node_id, part.step, "Skipped", phase)
        if node_id not in parent.children:
            parent.children.append(node_id)
        return self._visit(workflow, part)

    def _outcome(self, workflow: Workflow, node: str, group: tuple[Branch, ...]) -> str:
        """Return what became of a task, or of all items of one that loops; "" while it is not over."""
        names = [each.step.node for each in group if each.step.node.partition("(")[0] == node]
        nodes = [workflow.status.nodes.get(workflow.node_id(name)) for name in names]
        phases = {each.phase if each is not None else Phase.PENDING for each in nodes}
        if not phases <= FULFILLED:
            return ""
        return next(iter(phases)).value if len(phases) == 1 else Phase.SUCCEEDED.value

    def _is_done(self, workflow: Workflow, branch: Branch) -> bool:
        node = workflow.status.nodes.get(workflow.node_id(branch.step.node))
        return node is not None and node.phase in FULFILLED

    def _fulfilled(self, workflow: Workflow) -> int:
        return sum(node.phase in FULFILLED for node in workflow.status.nodes.values())

    def _node(self, node_id: str, step: Step, node_type: str, phase: Phase) -> Node:
        now = self._clock()
        return Node(
            node_id,
            step.node,
            step.shown,
            node_type,
            phase,
            step.template.name,
            started_at=now,
            finished_at=now if phase in FULFILLED else None,
        )

    def _begin(self, workflow: Workflow, step: Step) -> Node | None:
        """Take a step's locks and begin it. None when it has to wait, or the Workflow ended over it."""
        node_id = workflow.node_id(step.node)
        node = workflow.status.nodes.setdefault(
            node_id, self._node(node_id, step, step.node_type, Phase.PENDING)
        )
        wanted = names_of(step.template.synchronization, workflow.metadata.namespace)
        try:
            waiting = self._locks.acquire(f"{workflow.key}/{node_id}", wanted, order=workflow.order)
            if waiting is not None:
                node.message, node.synchronization_status = waiting.message, Waited(waiting.lock)
                return None
            if step.makes_pod:
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


def _named_by(spec: Spec, namespace: str) -> set[str]:
    """Return the locks that a Workflow names itself: those of inline templates Argo's index passes over."""
    blocks = [spec.synchronization, *(each.synchronization for each in spec.templates or ())]
    return {name for block in blocks for name in names_of(block, namespace)}


def _written(obj: JsonObject, workflow: Workflow) -> JsonObject:
    """Return the object as the controller puts it: spec written anew, labels, status."""
    phase = workflow.status.phase
    if phase is None:
        return obj
    metadata = as_json(obj["metadata"])
    labels = {
        **(workflow.metadata.labels or {}),
        well_known.PHASE: phase.value,
        well_known.COMPLETED: "true" if phase in FULFILLED else "false",
    }
    annotations = {**(workflow.metadata.annotations or {}), "workflows.argoproj.io/pod-name-format": "v2"}
    return {
        **obj,
        "metadata": {**metadata, "labels": {**labels}, "annotations": {**annotations}},
        "spec": reserialised(as_json(obj["spec"])),
        "status": as_json(workflow.status),
    }
