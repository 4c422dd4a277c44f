"""Short ways to write policies, Workflows, snapshots and reviews, as their authors write them: as JSON."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import jsonpatch
import msgspec

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Decision, Operation, Review, Side
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.objects.argo_version import DEFAULT_VERSION, ArgoVersion
from policy.core.objects.json_patch import JsonObject, JsonValue, PatchOp
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.workflow import CronWorkflow, Template, TemplateObject, Workflow, WorkflowSpec
from policy.core.policies.snapshot import Document, Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterWorkflowQuota,
    ConfigMap,
    NamespaceObject,
    PolicyMetadata,
    SynchronizationPolicy,
    WorkflowQuota,
)
from policy.core.quota.accounts import Account
from policy.core.quota.demands import Demand
from policy.core.quota.ledger import Ledger, recount
from policy.core.values.amounts import UNLIMITED, Amount, Limits, Usage

NAMESPACE: Final = "team-a"
USER: Final = "ann"
UID: Final = "review-1"
NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def workflow(spec: JsonObject | None = None, **metadata: JsonValue) -> JsonObject:
    """Return a Workflow with this spec and metadata."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "build", "namespace": NAMESPACE, **metadata},
        "spec": {"entrypoint": "main"} if spec is None else spec,
    }


def counted_live(ledger: Ledger, reservation_id: str) -> Ledger:
    """Return the ledger as a leader leaves it that has seen what one reservation is for live."""
    reservation = ledger.reservations.get(reservation_id)
    if reservation is None:
        return ledger
    used = dict(ledger.used)
    for account in reservation.accounts:
        used[account] = used.get(account, Usage()) + reservation.requested
    return recount(ledger, used, [reservation_id])


def decoded(obj: JsonObject) -> Workflow:
    """Return an object as the webhook decodes it, from bytes."""
    return msgspec.json.decode(msgspec.json.encode(obj), type=Workflow)


def spec_of(spec: JsonObject) -> WorkflowSpec:
    """Return a decoded spec."""
    return msgspec.convert(spec, WorkflowSpec)


def template_of(template: JsonObject) -> Template:
    """Return a decoded template."""
    return msgspec.convert(template, Template)


def patched(obj: JsonObject, patch: Iterable[PatchOp]) -> JsonObject:
    """Return the object after the patch, applied by another library than ours."""
    changed: JsonObject = jsonpatch.apply_patch(obj, msgspec.to_builtins(list(patch)))
    return changed


def at(obj: JsonValue, *path: str | int) -> JsonValue:
    """Return what is at a path of an object, None where there is nothing."""
    for part in path:
        if isinstance(part, int):
            obj = obj[part] if isinstance(obj, list) else None
        else:
            obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


def texts(obj: JsonObject, *path: str) -> dict[str, JsonValue]:
    """Return the map at a path of an object; an absent one is empty."""
    found = at(obj, *path)
    return found if isinstance(found, dict) else {}


def quota(name: str = "main", *, namespace: str = NAMESPACE, **spec: JsonValue) -> WorkflowQuota:
    """Return a WorkflowQuota with this spec."""
    given = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    return msgspec.convert(given, WorkflowQuota)


def pool(name: str = "shared", *, created: str = "", **spec: JsonValue) -> ClusterWorkflowQuota:
    """Return a ClusterWorkflowQuota with this spec; it selects every namespace unless the spec has others."""
    given = {
        "metadata": {"name": name, "creationTimestamp": created},
        "spec": {"namespaceSelector": {}, **spec},
    }
    return msgspec.convert(given, ClusterWorkflowQuota)


def lock_policy(
    name: str = "locks", *, namespace: str = NAMESPACE, **spec: JsonValue
) -> SynchronizationPolicy:
    """Return a SynchronizationPolicy with this spec."""
    given = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    return msgspec.convert(given, SynchronizationPolicy)


def cluster_lock_policy(name: str = "everywhere", **spec: JsonValue) -> ClusterSynchronizationPolicy:
    """Return a ClusterSynchronizationPolicy; it selects every namespace unless the spec has others."""
    given = {"metadata": {"name": name}, "spec": {"namespaceSelector": {}, **spec}}
    return msgspec.convert(given, ClusterSynchronizationPolicy)


def rule(name: str, lock: JsonObject, **templates: JsonValue) -> JsonObject:
    """Return an injection rule; without a selector it selects every leaf template."""
    return {"name": name, "templates": templates or {"names": ["*"]}, "lock": lock}


def semaphore_target(key: str, config_map: str = "limits", **more: JsonValue) -> JsonObject:
    """Return the lock target of a ConfigMap semaphore."""
    return {"semaphore": {"configMap": config_map, "key": key, **more}}


def semaphore(key: str, config_map: str = "limits", **more: JsonValue) -> JsonObject:
    """Return a semaphore reference as a Workflow writes it."""
    return {"configMapKeyRef": {"name": config_map, "key": key}, **more}


def definition(key: str, limit: int = 1, config_map: str = "limits") -> JsonObject:
    """Return a semaphore definition of a policy."""
    return {"configMap": config_map, "key": key, "limit": limit}


def config_map(name: str = "limits", *, namespace: str = NAMESPACE, **data: str) -> ConfigMap:
    """Return a ConfigMap; underscores of its keys become dashes."""
    named = {key.replace("_", "-"): value for key, value in data.items()}
    return ConfigMap(PolicyMetadata(name=name, namespace=namespace), named)


def namespace_object(name: str, **labels: str) -> NamespaceObject:
    """Return a Namespace with labels."""
    return NamespaceObject(PolicyMetadata(name=name, labels=labels))


def template_object(
    name: str,
    spec: JsonObject,
    *,
    kind: str = "WorkflowTemplate",
    namespace: str | None = NAMESPACE,
) -> TemplateObject:
    """Return a WorkflowTemplate or ClusterWorkflowTemplate."""
    given = {"kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    made = msgspec.convert(given, TemplateObject)
    return msgspec.structs.replace(made, text=msgspec.json.encode(spec).decode())


def snapshot(*documents: Document, argo: str | ArgoVersion = DEFAULT_VERSION) -> Snapshot:
    """Return the snapshot of these documents."""
    version = ArgoVersion.parse(argo) if isinstance(argo, str) else argo
    return take_snapshot(documents, version="1", argo=version)


def locks_of(*documents: Document, argo: str = "4.1", namespace: str = NAMESPACE) -> LockPolicies:
    """Return the compiled lock policies of a namespace that has some."""
    locks = snapshot(*documents, argo=argo).policies(namespace).locks
    assert locks is not None
    return locks


def review(
    obj: JsonObject | None,
    side: Side = Side.MUTATE,
    *,
    operation: Operation = Operation.CREATE,
    namespace: str = NAMESPACE,
    uid: str = UID,
    user: str = USER,
    dry_run: bool = False,
) -> Review:
    """Return the review of an object, which is None for other kinds."""
    return Review(
        uid=uid,
        side=side,
        operation=operation,
        namespace=namespace,
        user=user,
        dry_run=dry_run,
        workflow=decoded(obj) if obj is not None else None,
        raw=msgspec.Raw(msgspec.json.encode(obj)),
    )


def review_of(
    obj: JsonObject,
    side: Side = Side.MUTATE,
    *,
    old: JsonObject | None = None,
    operation: Operation = Operation.CREATE,
) -> Review:
    """Return the review of a template or schedule, as the webhook decodes it; `old` makes it an update."""
    kind = ObjectKind(str(obj["kind"]))
    raw = msgspec.Raw(msgspec.json.encode(obj))
    cron = kind is ObjectKind.CRON_WORKFLOW
    given = review(None, side, operation=operation if old is None else Operation.UPDATE)
    return msgspec.structs.replace(
        given,
        kind=kind,
        namespace="" if kind is ObjectKind.CLUSTER_WORKFLOW_TEMPLATE else NAMESPACE,
        template=None if cron else msgspec.json.decode(raw, type=TemplateObject),
        cron=msgspec.json.decode(raw, type=CronWorkflow) if cron else None,
        raw=raw,
        old_raw=msgspec.Raw(msgspec.json.encode(old)),
    )


def mutate(obj: JsonObject, policies: Snapshot, *, uid: str = UID) -> Decision:
    """Return what the mutating side decides."""
    return apply_policies(review(obj, uid=uid), policies, NOW)


def validate(obj: JsonObject, policies: Snapshot, *, uid: str = "review-2") -> Decision:
    """Return what the validating side decides; the API server gives it a uid of its own."""
    return apply_policies(review(obj, Side.VALIDATE, uid=uid), policies, NOW)


def limits(workflows: int | None = None, tasks: int | None = None) -> Limits:
    """Return limits; None is unlimited."""
    return Limits(Amount(workflows), Amount(tasks))


def weight(tasks: int | None = 0) -> Usage:
    """Return the weight of one Workflow; None is an unbounded one."""
    return Usage.of(UNLIMITED if tasks is None else Amount(tasks))


def demand(bound: Limits, *, quota_name: str = "main", user: str = "", namespace: str = NAMESPACE) -> Demand:
    """Return the demand of one Workflow on one account."""
    return Demand(Account(namespace, quota_name, user), bound, f"WorkflowQuota {namespace}/{quota_name}")


def without(given: Mapping[str, JsonValue], *keys: str) -> dict[str, JsonValue]:
    """Return the map without some keys."""
    return {key: value for key, value in given.items() if key not in keys}
