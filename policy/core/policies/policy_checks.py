"""What a policy's schema cannot express: rules over its values, each problem with its field path."""

from collections.abc import Iterator
from itertools import chain
from typing import Final

from policy.core.lock_model.key_rules import checked_key_rule
from policy.core.lock_model.lock_names import name_problems
from policy.core.objects.label_selectors import EVERYTHING, changing_problems
from policy.core.policies.inject_rule_checks import rule_problems, unlimited_problems
from policy.core.policies.quota_checks import quota_problems
from policy.core.policies.window_checks import semaphore_limit_problems, semaphore_window_problems
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicySpec,
    ClusterWorkflowQuota,
    LockValidation,
    MatchedKind,
    Policy,
    SynchronizationPolicy,
    SynchronizationPolicySpec,
    WorkflowQuota,
)
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced
from policy.core.values.problems import Problem, too_many

_MAX_SEMAPHORES: Final = 500
"""Bound of the CRDs."""


def problems(policy: Policy, budget: Budget = UNBOUNDED) -> list[Problem]:
    """Return everything that is wrong with the values of a policy that fits its schema."""
    if isinstance(policy, WorkflowQuota | ClusterWorkflowQuota):
        return list(quota_problems(policy.spec, "spec"))
    own = policy.metadata.namespace if isinstance(policy, SynchronizationPolicy) else None
    return list(_synchronization(policy.spec, "spec", own, budget))


def _synchronization(
    spec: SynchronizationPolicySpec, path: str, own: str | None, budget: Budget
) -> Iterator[Problem]:
    yield from spec.match.workflows.problems(f"{path}.match.workflows")
    yield from changing_problems(spec.match.workflows, f"{path}.match.workflows")
    if isinstance(spec, ClusterSynchronizationPolicySpec):
        yield from spec.namespace_selector.problems(f"{path}.namespaceSelector")
    yield from _kinds(spec, f"{path}.match.kinds")
    yield from _definitions(spec, f"{path}.semaphores", budget)
    yield from rule_problems(spec, f"{path}.inject", own, budget)
    yield from _validation(spec.validate, f"{path}.validate")


def _kinds(spec: SynchronizationPolicySpec, path: str) -> Iterator[Problem]:
    if not spec.match.kinds:
        yield Problem(path, "needs at least one kind; leave it out to match Workflow")
    for index, kind in enumerate(spec.match.kinds):
        if kind is not MatchedKind.CLUSTER_WORKFLOW_TEMPLATE:
            continue
        if not (isinstance(spec, ClusterSynchronizationPolicySpec) and spec.namespace_selector == EVERYTHING):
            message = (
                "needs a ClusterSynchronizationPolicy whose namespaceSelector is {}: all namespaces use such "
                "templates"
            )
            yield Problem(f"{path}[{index}]", message)


def _definitions(spec: SynchronizationPolicySpec, path: str, budget: Budget) -> Iterator[Problem]:
    yield from too_many(spec.semaphores, _MAX_SEMAPHORES, path)
    yield from unlimited_problems(spec, path)
    seen: dict[tuple[str, str], int] = {}
    for index, definition in enumerate(paced(spec.semaphores[:_MAX_SEMAPHORES], budget, Part.POLICY)):
        where = f"{path}[{index}]"
        yield from chain(
            name_problems(definition.config_map, f"{where}.configMap"),
            name_problems(definition.key, f"{where}.key"),
        )
        yield from semaphore_limit_problems(definition.limit, f"{where}.limit")
        yield from semaphore_window_problems(definition.windows, f"{where}.windows")
        first = seen.setdefault((definition.config_map, definition.key), index)
        if first != index:
            yield Problem(where, f"defines the same ConfigMap key as {path}[{first}]: remove one of them")


def _validation(validation: LockValidation, path: str) -> Iterator[Problem]:
    if validation.key_pattern is None:
        return
    try:
        checked_key_rule(validation.key_pattern)
    except ValueError as error:
        yield Problem(f"{path}.keyPattern", f"is not a usable pattern: {error}")
