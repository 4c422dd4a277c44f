"""What of a policy is decided by a new Workflow alone: rules in CEL, and what is left out with its reason."""

import json
from typing import Final

import msgspec

from policy.core.decision.decision import Code
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.label_selectors import LabelSelector
from policy.core.objects.well_known import NAMESPACE_NAME
from policy.core.policies.conflicts import PolicyName
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicySpec, Policy
from policy.core.policy_kinds.quota_parts import ClusterWorkflowQuotaSpec

EDITED: Final = (
    "edits of Workflows: what may change depends on whether it waits, runs or is over, and on who writes"
)


class StaticRule(msgspec.Struct, frozen=True):
    """An expression that is true of every Workflow that may pass, and what is said of the others.

    `before` is the same of the object as it was, where an edit may leave wrong what was wrong.
    """

    code: Code
    expression: str
    message: str
    before: str = ""


class Unsaid(msgspec.Struct, frozen=True):
    """A field that no expression about the object can say, and why."""

    policy: str
    field: str
    message: str


class StaticPart(msgspec.Struct, frozen=True):
    """What is said of one policy about new objects of some `resources`, and about edits of those `edited`.

    `variables` are used by the rules.
    """

    policy: PolicyName
    resources: tuple[str, ...]
    namespaces: LabelSelector
    workflows: LabelSelector
    rules: tuple[StaticRule, ...]
    unsaid: tuple[Unsaid, ...]
    variables: tuple[tuple[str, str], ...] = ()
    edited: tuple[str, ...] = ()


def governed_by(policy: Policy) -> LabelSelector:
    """Return the namespaces that a policy governs; one of a namespace governs that alone."""
    if isinstance(policy.spec, ClusterWorkflowQuotaSpec | ClusterSynchronizationPolicySpec):
        return policy.spec.namespace_selector
    return LabelSelector(match_labels={NAMESPACE_NAME: policy.metadata.namespace})


def text(value: str) -> str:
    """Return a text as a literal of CEL, which has the escapes of JSON but for pairs of surrogates."""
    return json.dumps(value, ensure_ascii=False)


def selector(given: LabelSelector) -> JsonObject:
    """Return a label selector as Kubernetes has it."""
    found: JsonObject = {}
    if given.match_labels:
        found["matchLabels"] = dict(given.match_labels)
    if given.match_expressions:
        found["matchExpressions"] = [
            {
                "key": each.key,
                "operator": each.operator.value,
                **({"values": [*each.values]} if each.values else {}),
            }
            for each in given.match_expressions
        ]
    return found
