"""The patches that hold, resume, cancel and reorder, and what is said where one cannot be made."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from lockkeeper.actions.targets import ActionTarget
from lockkeeper.process.console import UsageError
from policy.cluster.errors import ClusterError, Conflict, Forbidden, Invalid, NotFound
from policy.cluster.protocol import WORKFLOWS, Cluster, JsonPatch, Resource
from policy.core.cluster_view.story import SeenWorkflow
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import JsonValue, Op, PatchOp, pointer
from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.service.reading.needed_roles import missing_kind, with_role
from policy.sources.schema_check import did_you_mean

_UID: Final = pointer("metadata", "uid")
_ON_HOLD: Final = hold.ANNOTATIONS + pointer(well_known.ON_HOLD)
_SHUTDOWN: Final = pointer("spec", "shutdown")
_PRIORITY: Final = pointer("spec", "priority")
_STOP_POLICY: Final = pointer("spec", "stopPolicy")


def queued_workflow(cluster: Cluster, namespace: str, name: str) -> SeenWorkflow:
    """Return a Workflow that waits.

    Raises:
        UsageError: there is none of that name, or it does not wait.
    """
    with cluster_errors(f"workflow {name} in {namespace}"):
        try:
            found = msgspec.convert(cluster.get(WORKFLOWS, name, namespace=namespace), SeenWorkflow)
        except NotFound:
            raise UsageError(not_found(cluster, namespace, name)) from None
    if not found.held:
        raise UsageError(
            f"{name} does not wait for Lockkeeper: lockkeeper why {name} -n {namespace} tells its state"
        )
    return found


def not_found(cluster: Cluster, namespace: str, name: str) -> str:
    """Return the sentence for a name that does not exist, with the nearest that does."""
    names = _names(cluster, WORKFLOWS, namespace)
    return f"there is no Workflow {name} in {namespace}{did_you_mean(name, names)}"


def _names(cluster: Cluster, resource: Resource, namespace: str) -> list[str]:
    """Return the names of all objects of a kind, as far as the caller may list them."""
    try:
        listing = cluster.list(resource, namespace=namespace, metadata_only=True)
    except NotFound as error:
        raise missing_kind(resource, error) from error
    except Forbidden:
        return []
    metadata = (each.get("metadata") for each in listing.items)
    return [str(each.get("name")) for each in metadata if isinstance(each, dict)]


def pause(cluster: Cluster, workflow: SeenWorkflow) -> None:
    """Let a Workflow that waits wait until it is resumed."""
    _change(cluster, workflow, PatchOp(Op.ADD, _ON_HOLD, "true"))


def unpause(cluster: Cluster, workflow: SeenWorkflow) -> None:
    """Let a paused Workflow wait for its turn again."""
    _change(cluster, workflow, PatchOp(Op.ADD, _ON_HOLD, "false"))


def cancel(cluster: Cluster, workflow: SeenWorkflow) -> None:
    """End a Workflow that waits; nothing of it runs."""
    _change(cluster, workflow, PatchOp(Op.ADD, _SHUTDOWN, "Terminate"))


def set_priority(cluster: Cluster, workflow: SeenWorkflow, priority: int) -> None:
    """Give a Workflow that waits another priority."""
    _change(cluster, workflow, PatchOp(Op.ADD, _PRIORITY, priority))


def set_stop_policy(cluster: Cluster, target: ActionTarget, namespace: str, policy: StopPolicy) -> None:
    """Stop a quota or a pool, or let it go on."""
    where = "" if not target.resource.namespaced else namespace
    value: JsonValue = str(policy)
    what = f"{target}{f' in {where}' if where else ''}"
    with cluster_errors(what):
        patch = JsonPatch((PatchOp(Op.ADD, _STOP_POLICY, value),))
        try:
            cluster.patch(target.resource, target.name, patch, namespace=where)
        except NotFound:
            names = _names(cluster, target.resource, where)
            raise UsageError(f"there is no {what}{did_you_mean(target.name, names)}") from None


def _change(cluster: Cluster, workflow: SeenWorkflow, operation: PatchOp) -> None:
    """Change a Workflow, if it is still the one that was read and still waits."""
    metadata = workflow.metadata
    tests = (
        PatchOp(Op.TEST, _UID, metadata.uid),
        PatchOp(Op.TEST, hold.INSTANCE_LABEL, well_known.HOLD_VALUE),
    )
    with cluster_errors(f"workflow {metadata.name} in {metadata.namespace}"):
        try:
            cluster.patch(
                WORKFLOWS, metadata.name, JsonPatch((*tests, operation)), namespace=metadata.namespace
            )
        except (Invalid, Conflict) as error:
            raise UsageError(f"{metadata.name} was not changed: {error.message}") from error


@contextmanager
def cluster_errors(what: str) -> Iterator[None]:
    """Report an error of the cluster in one line that names the object."""
    try:
        yield
    except Forbidden as error:
        raise UsageError(f"{what}: {with_role(error)}") from error
    except NotFound as error:
        raise UsageError(f"there is no {what}") from error
    except ClusterError as error:
        raise UsageError(f"{what}: the cluster does not answer as it should: {error.message}") from error
