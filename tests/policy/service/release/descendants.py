"""Workflows of Workflows in memory: parents as Argo leaves them, and children as their Pods create them."""

from typing import Final

import msgspec

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.memory.patching import merge
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.cluster.workflow_reads import ClusterRelatives
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Decision, Operation, Outcome, Review, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.owners import owner_of
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Root
from tests.policy.core.builders import decoded
from tests.policy.service.world import (
    NOON,
    Leader,
    draft,
    is_held,
    name_of,
    part,
    patched,
    review_of,
    submit,
)
from webhook.owner_reads import with_owner

NAMESPACE: Final = "etl"
POD: Final = f"system:serviceaccount:{NAMESPACE}:default"
STATUS: Final[JsonObject] = {
    "phase": "Running",
    "startedAt": "2026-11-23T12:00:00Z",
    "finishedAt": None,
    "progress": "0/1",
    "estimatedDuration": 5,
    "nodes": {
        "parent": {
            "id": "parent",
            "name": "parent",
            "type": "Steps",
            "phase": "Running",
            "children": ["parent-1"],
        }
    },
    "storedTemplates": {"namespaced/library/main": {"name": "main", "container": {"image": "i"}}},
    "storedWorkflowTemplateSpec": {
        "entrypoint": "main",
        "templates": [{"name": "main", "container": {"image": "i"}}],
    },
    "synchronization": {
        "semaphore": {"holding": [{"semaphore": "etl/ConfigMap/limits/db", "holders": ["etl/parent"]}]}
    },
    "conditions": [{"type": "PodRunning", "status": "True"}],
    "artifactRepositoryRef": {"default": True, "artifactRepository": {}},
    "taskResultsCompletionStatus": {"parent-1": False},
}
"""What Argo's controller writes; `storedWorkflowTemplateSpec` where there is a workflowTemplateRef."""
COMPRESSED: Final[JsonObject] = {
    "phase": "Running",
    "compressedNodes": "H4sIAAAAAAAA/6tWSs5ILErPTy1OVbJSUKoFAA==",
}
OFFLOADED: Final[JsonObject] = {"phase": "Running", "offloadNodeStatusVersion": "fnv:1234567890"}


def child_of(
    parent: JsonObject, name: str = "child", *, tasks: int | None = 1, labels: dict[str, str] | None = None
) -> JsonObject:
    """Return a Workflow as a step of another creates it."""
    obj = draft(name, tasks=tasks, labels=labels)
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)
    owner: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "name": name_of(parent),
        "uid": uid_of(parent),
        "controller": True,
    }
    metadata["ownerReferences"] = [owner]
    return obj


def reviewed(
    cluster: MemoryCluster, policies: Snapshot, obj: JsonObject, user: str = POD, side: Side = Side.MUTATE
) -> Decision:
    """Return what one side decides of a create, with what it reads about the owner."""
    review = review_of(obj, namespace=NAMESPACE, user=user, uid="create-child", side=side)
    assert review.workflow is not None
    assert review.workflow.metadata is not None
    owner = owner_of(review.workflow.metadata, "Workflow")
    assert owner is not None
    related = ClusterRelatives(cluster=cluster).of_child(NAMESPACE, owner)
    return apply_policies(msgspec.structs.replace(review, related=related), policies, NOON)


def admit(cluster: MemoryCluster, policies: Snapshot, obj: JsonObject, user: str = POD) -> Decision:
    """Create a Workflow as both sides of the webhook let it in; returns the decision of the first."""
    decision = reviewed(cluster, policies, obj, user)
    stored = patched(obj, decision)
    validated = reviewed(cluster, policies, stored, user, Side.VALIDATE)
    assert validated.allowed, validated.reasons
    cluster.create(WORKFLOWS, stored, namespace=NAMESPACE)
    return decision


def run(
    cluster: MemoryCluster, leader: Leader, name: str, *, tasks: int | None = 2, status: JsonObject = STATUS
) -> JsonObject:
    """Return a Workflow that was released, if it was held, and that Argo has taken up."""
    submit(cluster, leader.snapshot, draft(name, tasks=tasks), namespace=NAMESPACE)
    leader.work()
    obj = taken_up(cluster, name, status)
    assert not is_held(obj)
    return obj


def taken_up(cluster: MemoryCluster, name: str, status: JsonObject = STATUS) -> JsonObject:
    """Return a Workflow with the status and the labels that Argo writes."""
    labels: JsonObject = {well_known.PHASE: "Running", well_known.COMPLETED: "false"}
    patch = MergePatch({"metadata": {"labels": labels}, "status": status})
    return cluster.patch(WORKFLOWS, name, patch, namespace=NAMESPACE)


def adopted(
    cluster: MemoryCluster,
    policies: Snapshot,
    parent: JsonObject,
    name: str,
    *,
    tasks: int | None = 1,
    labels: dict[str, str] | None = None,
) -> JsonObject:
    """Return a child that runs under a slot, taken up by Argo."""
    decision = admit(cluster, policies, child_of(parent, name, tasks=tasks, labels=labels))
    assert (decision.outcome, decision.warnings) == (Outcome.ALLOWED, ())
    return taken_up(cluster, name)


def retry(
    cluster: MemoryCluster, policies: Snapshot, name: str, *, tasks: int | None = None, user: str = "ann"
) -> Decision:
    """Make a Workflow that is over run again as `argo retry` does; `tasks` is its new parallelism."""
    before = cluster.get(WORKFLOWS, name, namespace=NAMESPACE)
    labels: JsonObject = {well_known.COMPLETED: None, well_known.PHASE: "Running"}
    patch: JsonObject = {"metadata": {"labels": labels}, "status": {"phase": "Running", "finishedAt": None}}
    if tasks is not None:
        patch["spec"] = {"parallelism": tasks}
    after = merge(before, patch)
    review = Review(
        "retry",
        Side.MUTATE,
        Operation.UPDATE,
        NAMESPACE,
        user,
        dry_run=False,
        workflow=decoded(after),
        old=decoded(before),
        raw=msgspec.Raw(msgspec.json.encode(after)),
        old_raw=msgspec.Raw(msgspec.json.encode(before)),
    )
    decision = apply_policies(with_owner(review, policies, ClusterRelatives(cluster=cluster)), policies, NOON)
    assert decision.allowed, decision.reasons
    cluster.replace(WORKFLOWS, patched(after, decision))
    return decision


def uid_of(obj: JsonObject) -> str:
    """Return an object's uid."""
    return str(part(obj, "metadata", "uid"))


def used(leader: Leader) -> int:
    """Return how many Workflows the ledger counts."""
    return sum(
        each.workflows for each in leader.ledgers.read(Root.of_namespace(f"{NAMESPACE}")).used.values()
    )


def tasks_used(leader: Leader) -> int:
    """Return how many tasks the ledger counts."""
    return sum(each.tasks for each in leader.ledgers.read(Root.of_namespace(f"{NAMESPACE}")).used.values())
