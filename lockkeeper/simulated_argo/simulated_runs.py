"""The runs of the simulated Argo: which tasks a Workflow has, and which locks they need."""

from datetime import datetime
from typing import Any

import msgspec

from lockkeeper.simulated_argo.written_parts import owner_reference
from policy.cluster.errors import NotFound
from policy.cluster.protocol import CLUSTER_WORKFLOW_TEMPLATES, WORKFLOW_TEMPLATES, WORKFLOWS, Cluster
from policy.core.lock_model.parameters import workflow_values
from policy.core.lock_model.taken_locks import locks_of_block
from policy.core.lock_model.template_bodies import all_bodies, type_of
from policy.core.objects.json_parts import metadata_of
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import (
    EMPTY_METADATA,
    EMPTY_SPEC,
    Metadata,
    Template,
    Workflow,
)
from policy.core.policy_kinds.kinds import LEAF_TYPES
from policy.sources.yaml_positions import parse


class Task(msgspec.Struct, frozen=True):
    """One leaf template to run and the locks that it needs; `child` is what it creates, and may wait for."""

    template: str
    locks: frozenset[str]
    child: JsonObject | None = None
    waits: bool = False


class SimulatedRun(msgspec.Struct):
    """A Workflow on its way: which task is next, and which locks it holds.

    `told` is the step and the busy lock of which its status tells, `times` when each task began and ended;
    what is `over` goes on no more.
    """

    namespace: str
    name: str
    uid: str
    order: tuple[int, datetime, str]
    whole: frozenset[str]
    tasks: tuple[Task, ...]
    account: str = "default"
    next: int = -1
    told: tuple[int, str] = (-1, "")
    over: bool = False
    times: dict[int, tuple[str, str]] = {}

    @property
    def wanted(self) -> frozenset[str]:
        """The locks that the next step needs: the Workflow's own first, then each task's."""
        return self.whole if self.next < 0 else self.tasks[self.next].locks

    @property
    def locks(self) -> bool:
        """Whether it takes any lock."""
        return bool(self.whole) or any(each.locks for each in self.tasks)


def with_template(obj: JsonObject, cluster: Cluster) -> JsonObject:
    """Return a Workflow with the spec of the template that it refers to, where it does, below its own."""
    spec: Any = obj.get("spec") or {}
    metadata: Any = obj.get("metadata") or {}
    reference = spec.get("workflowTemplateRef")
    if not isinstance(reference, dict):
        return obj
    everywhere = reference.get("clusterScope") is True
    resource = CLUSTER_WORKFLOW_TEMPLATES if everywhere else WORKFLOW_TEMPLATES
    namespace = "" if everywhere else str(metadata.get("namespace", ""))
    try:
        template: Any = cluster.get(resource, str(reference.get("name")), namespace=namespace)
    except NotFound:
        return obj
    return {**obj, "spec": {**(template.get("spec") or {}), **spec}}


def plan_run(obj: JsonObject) -> SimulatedRun:
    """Return the run of a Workflow: its leaf templates in the order they are written."""
    workflow = msgspec.json.decode(msgspec.json.encode(obj), type=Workflow)
    metadata, spec = workflow.metadata or EMPTY_METADATA, workflow.spec or EMPTY_SPEC
    namespace, name = metadata.namespace or "", metadata.name or ""
    values = workflow_values([spec.arguments], namespace)
    tasks = tuple(
        _task(place.template, locks_of_block(place.template.synchronization, namespace, values), metadata)
        for place in all_bodies(spec)
        if type_of(place.template) in LEAF_TYPES
    )
    whole = locks_of_block(spec.synchronization, namespace, values)
    created = metadata.creation_timestamp
    if created is None:
        raise ValueError("a stored object has a creationTimestamp")
    order = (-(spec.priority or 0), created, name)
    account = spec.service_account_name or "default"
    return SimulatedRun(namespace, name, metadata.uid or "", order, whole, tasks, account)


def _task(template: Template, locks: frozenset[str], parent: Metadata) -> Task:
    """Return a task of a Workflow, with the Workflow that it creates."""
    name, resource = template.name or "inline", template.resource
    if resource is None or resource.action != "create":
        return Task(name, locks)
    written = parse((resource.manifest or "").encode()).documents
    child = written[0].value if written else None
    if not isinstance(child, dict) or child.get("kind") != WORKFLOWS.kind:
        return Task(name, locks)
    if resource.set_owner_reference:
        owner = owner_reference(WORKFLOWS, parent.name, parent.uid)
        child["metadata"] = {**metadata_of(child), "ownerReferences": [owner]}
    return Task(name, locks, child, bool(resource.success_condition))


def ended_nodes(run: SimulatedRun, phase: str) -> JsonObject:
    """Return the nodes of a run that is over, as Argo leaves them."""
    nodes: JsonObject = {}
    for number, (begun, ended) in run.times.items():
        node = f"{run.name}-{number}"
        nodes[node] = {
            "id": node,
            "name": f"{run.name}[{number}]",
            "type": "Pod",
            "phase": phase,
            "templateName": run.tasks[number].template,
            "startedAt": begun,
            "finishedAt": ended,
            "synchronizationStatus": None,
        }
    return {"nodes": nodes} if nodes else {}
