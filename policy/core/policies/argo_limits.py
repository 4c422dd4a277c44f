"""Where Argo's own limits are lower than those of a quota: Workflows then wait in Argo after their release.

Argo's controller has limits too: `parallelism` and `namespaceParallelism` in its ConfigMap, and since 3.7 a
label of a namespace that counts instead of the latter. What waits for them has its slot here already, so no
position is shown, and others that would fit in Argo wait behind it.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from policy.core.objects.argo_version import ArgoVersion
from policy.core.policies.snapshot import Snapshot, pool_of
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, Policy, WorkflowQuota
from policy.core.policy_kinds.quota_parts import OnExceed, WorkflowQuotaSpec

PARALLELISM_LABEL: Final = "workflows.argoproj.io/parallelism-limit"
_FIRST_WITH_LABEL: Final = ArgoVersion(3, 7)
_MOST_FINDINGS: Final = 5
"""Findings about members of a pool that are reported; a mistake is mostly one in all of them."""


class ArgoLimit(msgspec.Struct, frozen=True):
    """How many Workflows Argo itself lets run at once, and by which of its settings."""

    workflows: int
    setting: str


class LowerLimit(msgspec.Struct, frozen=True):
    """A field of a quota that allows more than Argo does."""

    path: str
    message: str


def lower_limits(policy: Policy, snapshot: Snapshot) -> Iterator[LowerLimit]:
    """Yield the limits of a policy above those of Argo; a quota that only warns holds nobody."""
    if isinstance(policy, WorkflowQuota):
        argo = argo_limit(policy.metadata.namespace, snapshot)
        yield from _above(policy.spec, argo, policy.metadata.namespace, "spec")
    elif isinstance(policy, ClusterWorkflowQuota):
        yield from _above(policy.spec, _of_controller(snapshot), "all namespaces together", "spec")
        defaults = policy.spec.namespace_defaults
        if defaults is not None:
            yield from islice(_of_members(policy, defaults, snapshot), _MOST_FINDINGS)


def _of_members(
    pool: ClusterWorkflowQuota, defaults: WorkflowQuotaSpec, snapshot: Snapshot
) -> Iterator[LowerLimit]:
    for namespace in sorted(snapshot.namespace_labels):
        if pool_of(snapshot, namespace) is pool:
            argo = argo_limit(namespace, snapshot)
            yield from _above(defaults, argo, namespace, "spec.namespaceDefaults")


def argo_limit(namespace: str, snapshot: Snapshot) -> ArgoLimit | None:
    """Return the lowest limit that Argo has in a namespace, None where it has none."""
    limits = (_of_namespace(namespace, snapshot), _of_controller(snapshot))
    return min((each for each in limits if each is not None), key=lambda each: each.workflows, default=None)


def _of_controller(snapshot: Snapshot) -> ArgoLimit | None:
    most = snapshot.argo_defaults.most
    return None if most is None else ArgoLimit(most, "parallelism of its controller")


def _of_namespace(namespace: str, snapshot: Snapshot) -> ArgoLimit | None:
    """Return the limit by the label, or where that is not a number, by the controller; 0 is none."""
    label = snapshot.labels_of(namespace).get(PARALLELISM_LABEL, "")
    if snapshot.argo >= _FIRST_WITH_LABEL and label.isascii() and label.isdigit():
        return ArgoLimit(int(label), f"label {PARALLELISM_LABEL}") if int(label) else None
    most = snapshot.argo_defaults.most_in_namespace
    return None if most is None else ArgoLimit(most, "namespaceParallelism of its controller")


def _above(spec: WorkflowQuotaSpec, argo: ArgoLimit | None, where: str, path: str) -> Iterator[LowerLimit]:
    if argo is None or spec.on_exceed is OnExceed.WARN:
        return
    given = [(f"{path}.limits", spec.limits)]
    given += [(f"{path}.windows[{index}].limits", each.limits) for index, each in enumerate(spec.windows)]
    for field, limits in given:
        amount = limits.workflows
        if isinstance(amount, int) and amount > argo.workflows:
            message = (
                f"{amount} is above the {argo.workflows} Workflows that Argo itself runs at once in {where} "
                f"({argo.setting}): what is released beyond that waits in Argo, where no position is shown. "
                f"Raise it there, or lower this to {argo.workflows}"
            )
            yield LowerLimit(f"{field}.workflows", message)
