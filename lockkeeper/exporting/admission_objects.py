"""ValidatingAdmissionPolicy objects and their bindings, of each policy that has a rule."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

from lockkeeper.exporting.label_conditions import label_condition
from lockkeeper.exporting.lock_rules import lock_part
from lockkeeper.exporting.quota_rules import quota_part
from lockkeeper.exporting.static_rules import StaticPart, StaticRule, selector
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Snapshot

_API: Final = "admissionregistration.k8s.io/v1"
_LONGEST_NAME: Final = 253
_SHORT: Final = {
    "WorkflowQuota": "quota",
    "ClusterWorkflowQuota": "pool",
    "SynchronizationPolicy": "locks",
    "ClusterSynchronizationPolicy": "cluster-locks",
}


class ValidationAction(StrEnum):
    """What the API server does with a Workflow for which a rule does not hold."""

    DENY = "Deny"
    WARN = "Warn"
    AUDIT = "Audit"


def static_parts(snapshot: Snapshot) -> list[StaticPart]:
    """Return what each policy says of one Workflow alone; quotas first, in the order of their names."""
    quotas = [each for namespace in sorted(snapshot.quotas) for each in snapshot.quotas[namespace]]
    pools = sorted(snapshot.pools, key=lambda each: each.metadata.name)
    locks = sorted(snapshot.lock_policies, key=lambda each: (each.metadata.namespace, each.metadata.name))
    return [
        *(quota_part(each) for each in pools),
        *(quota_part(each) for each in quotas),
        *(lock_part(each, snapshot.argo) for each in locks),
    ]


def admission_objects(part: StaticPart, action: ValidationAction) -> Iterator[JsonObject]:
    """Yield the admission policy of one of ours, and its binding; nothing where it has no rule."""
    name = object_name(part)
    if not part.rules or len(name) > _LONGEST_NAME:
        return
    created = [each for each in part.resources if each not in part.edited]
    matched: list[JsonValue] = [
        {
            "apiGroups": ["argoproj.io"],
            "apiVersions": ["v1alpha1"],
            "resources": [*resources],
            "operations": [*operations],
        }
        for resources, operations in ((created, ("CREATE",)), (part.edited, ("CREATE", "UPDATE")))
        if resources
    ]
    constraints: JsonObject = {"namespaceSelector": selector(part.namespaces), "resourceRules": matched}
    spec: JsonObject = {"failurePolicy": "Fail", "matchConstraints": constraints}
    if chosen := selector(part.workflows):
        if part.edited:
            spec["matchConditions"] = [{"name": "workflows", "expression": label_condition(part.workflows)}]
        else:
            constraints["objectSelector"] = chosen
    if part.variables:
        spec["variables"] = [{"name": key, "expression": value} for key, value in part.variables]
    validations: list[JsonValue] = [_validation(part, each) for each in part.rules]
    spec["validations"] = validations
    yield {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }
    yield {
        "apiVersion": _API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": [action.value]},
    }


def object_name(part: StaticPart) -> str:
    """Return the name of both objects; a dot stands in no name of a namespace, so names are unique."""
    policy = part.policy
    where = f"{policy.namespace}." if policy.namespace else ""
    return f"lockkeeper-{_SHORT[policy.kind]}.{where}{policy.name}"


def too_long(parts: Sequence[StaticPart]) -> Iterator[str]:
    """Yield the policies whose objects would have a name that is too long."""
    for each in parts:
        if each.rules and len(object_name(each)) > _LONGEST_NAME:
            yield f"{each.policy}: its name is too long for an admission policy"


def _validation(part: StaticPart, rule: StaticRule) -> JsonObject:
    said = f"{rule.code.value}: [{part.policy}] {rule.message}"
    expression = rule.expression
    if part.edited and rule.before:  # An edit may correct something else than what was wrong before it.
        expression = f"({expression}) || (request.operation == 'UPDATE' && !({rule.before}))"
    return {"expression": expression, "message": said, "reason": "Forbidden"}
