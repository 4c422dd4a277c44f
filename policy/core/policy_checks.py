"""What a policy's schema cannot say: rules over its values, each problem with its field path."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from policy.core.amounts import UNLIMITED_WORD
from policy.core.fields import QuotaLimits
from policy.core.kinds import (
    ClusterSynchronizationPolicySpec,
    ClusterWorkflowQuota,
    ClusterWorkflowQuotaSpec,
    CrossNamespace,
    InjectRule,
    LockTarget,
    LockValidation,
    PerWorkflow,
    Policy,
    SynchronizationPolicy,
    SynchronizationPolicySpec,
    WorkflowQuota,
    WorkflowQuotaSpec,
)
from policy.core.locks.naming import INT64_MAX, compile_key_pattern, empty_problems, name_problems
from policy.core.problems import Problem
from policy.core.selectors import too_many

MAX_SEMAPHORES: Final = 500
MAX_RULES: Final = 200
MAX_GIVEN: Final = 100
"""Bounds of the CRDs: definitions, rules, and entries of each part of a template selector."""


def problems(policy: Policy) -> list[Problem]:
    """Return everything that is wrong with the values of a policy that fits its schema."""
    if isinstance(policy, WorkflowQuota | ClusterWorkflowQuota):
        return list(_quota(policy.spec, "spec"))
    own = policy.metadata.namespace if isinstance(policy, SynchronizationPolicy) else None
    return list(_synchronization(policy.spec, "spec", own))


def _quota(spec: WorkflowQuotaSpec, path: str) -> Iterator[Problem]:
    yield from spec.selector.problems(f"{path}.selector")
    yield from _limits(spec.limits, f"{path}.limits")
    yield from _limits(spec.per_user, f"{path}.perUser")
    yield from _per_workflow(spec.per_workflow, f"{path}.perWorkflow")
    if isinstance(spec, ClusterWorkflowQuotaSpec):
        yield from spec.namespace_selector.problems(f"{path}.namespaceSelector")
        if spec.namespace_defaults is not None:
            yield from _quota(spec.namespace_defaults, f"{path}.namespaceDefaults")


def _limits(limits: QuotaLimits, path: str) -> Iterator[Problem]:
    for name, amount in (("workflows", limits.workflows), ("tasks", limits.tasks)):
        if isinstance(amount, int) and amount < 0:
            yield Problem(f"{path}.{name}", f"must be 0 or more, or {UNLIMITED_WORD}; got {amount}")
        elif isinstance(amount, int) and amount > INT64_MAX:
            yield Problem(f"{path}.{name}", f"must be at most {INT64_MAX}, or {UNLIMITED_WORD}")


def _per_workflow(bounds: PerWorkflow, path: str) -> Iterator[Problem]:
    for name, tasks in (("defaultTasks", bounds.default_tasks), ("maxTasks", bounds.max_tasks)):
        if tasks is not None and tasks < 1:
            yield Problem(f"{path}.{name}", f"must be 1 or more (Argo starts no task at 0); got {tasks}")
        elif tasks is not None and tasks > INT64_MAX:
            yield Problem(f"{path}.{name}", f"must be at most {INT64_MAX}")
    if bounds.default_tasks and bounds.max_tasks and bounds.default_tasks > bounds.max_tasks:
        yield Problem(
            f"{path}.defaultTasks", f"{bounds.default_tasks} is above maxTasks {bounds.max_tasks}: lower it"
        )


def _synchronization(spec: SynchronizationPolicySpec, path: str, own: str | None) -> Iterator[Problem]:
    yield from spec.match.workflows.problems(f"{path}.match.workflows")
    if isinstance(spec, ClusterSynchronizationPolicySpec):
        yield from spec.namespace_selector.problems(f"{path}.namespaceSelector")
    if not spec.match.kinds:
        yield Problem(f"{path}.match.kinds", "needs at least one kind; leave it out to match Workflow")
    yield from _definitions(spec, f"{path}.semaphores")
    yield from _rules(spec, f"{path}.inject", own)
    yield from _validation(spec.validate, f"{path}.validate")


def _definitions(spec: SynchronizationPolicySpec, path: str) -> Iterator[Problem]:
    yield from too_many(spec.semaphores, MAX_SEMAPHORES, path)
    seen: dict[tuple[str, str], int] = {}
    for index, definition in enumerate(spec.semaphores[:MAX_SEMAPHORES]):
        where = f"{path}[{index}]"
        yield from chain(
            name_problems(definition.config_map, f"{where}.configMap"),
            name_problems(definition.key, f"{where}.key"),
        )
        if definition.limit < 1:
            yield Problem(
                f"{where}.limit", f"must be 1 or more (Argo fails Workflows at 0); got {definition.limit}"
            )
        if definition.limit > INT64_MAX:
            yield Problem(f"{where}.limit", f"must be at most {INT64_MAX}, or Argo cannot read it")
        first = seen.setdefault((definition.config_map, definition.key), index)
        if first != index:
            yield Problem(where, f"defines the same ConfigMap key as {path}[{first}]: remove one of them")


def _rules(spec: SynchronizationPolicySpec, path: str, own: str | None) -> Iterator[Problem]:
    yield from too_many(spec.inject, MAX_RULES, path)
    seen: dict[str, int] = {}
    for index, rule in enumerate(spec.inject[:MAX_RULES]):
        where = f"{path}[{index}]"
        first = seen.setdefault(rule.name, index)
        if first != index:
            yield Problem(f"{where}.name", f"{rule.name!r} is the name of {path}[{first}] too")
        yield from _selects_something(rule, f"{where}.templates")
        yield from _target(rule.lock, f"{where}.lock")
        foreign = rule.lock.semaphore is not None and rule.lock.semaphore.namespace not in (None, own)
        if foreign and spec.validate.cross_namespace is CrossNamespace.DENY:
            message = "needs validate.crossNamespace: Allow here; this policy refuses such locks otherwise"
            yield Problem(f"{where}.lock.semaphore.namespace", message)


def _selects_something(rule: InjectRule, path: str) -> Iterator[Problem]:
    templates = rule.templates
    if not (templates.names or templates.images or templates.types or templates.labels):
        yield Problem(path, 'selects nothing: give names, images, types or labels (names: ["*"] for all)')
    for field in ("names", "images", "types", "labels"):
        yield from too_many(getattr(templates, field), MAX_GIVEN, f"{path}.{field}")
    for field, globs in (("names", templates.names), ("images", templates.images)):
        for index, glob in enumerate(globs[:MAX_GIVEN]):
            if not glob:
                yield Problem(f"{path}.{field}[{index}]", "is empty and would match nothing")


def _target(lock: LockTarget, path: str) -> Iterator[Problem]:
    given = [name for name in ("semaphore", "mutex", "database") if getattr(lock, name) is not None]
    if len(given) != 1:
        said = " and ".join(given) if given else "none of them"
        yield Problem(path, f"needs exactly one of semaphore, mutex, database; got {said}")
    if lock.semaphore is not None:
        yield from name_problems(lock.semaphore.config_map, f"{path}.semaphore.configMap")
        yield from name_problems(lock.semaphore.key, f"{path}.semaphore.key")
        if lock.semaphore.namespace is not None:
            yield from name_problems(lock.semaphore.namespace, f"{path}.semaphore.namespace")
    if lock.mutex is not None:
        yield from empty_problems(lock.mutex, f"{path}.mutex")
    if lock.database is not None:
        yield from empty_problems(lock.database, f"{path}.database")


def _validation(validation: LockValidation, path: str) -> Iterator[Problem]:
    if validation.key_pattern is None:
        return
    try:
        compile_key_pattern(validation.key_pattern)
    except (re.error, ValueError, OverflowError, RecursionError) as error:
        yield Problem(f"{path}.keyPattern", f"is not a usable pattern: {error}")
