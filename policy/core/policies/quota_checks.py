"""What is wrong with a quota as a whole: all of its parts, and how they fit together."""

from collections.abc import Iterator
from typing import Final

from policy.core.objects.label_selectors import changing_problems
from policy.core.objects.workflow import HIGHEST_PRIORITY, LOWEST_PRIORITY
from policy.core.policies.group_checks import group_problems
from policy.core.policies.quota_part_checks import (
    MAX_RESERVES,
    borrowing_problems,
    elastic_problems,
    fair_share_problems,
    limits_problems,
    queue_problems,
    reserve_problems,
    window_problems,
)
from policy.core.policy_kinds.quota_parts import (
    RESOURCES,
    ClusterWorkflowQuotaSpec,
    ElasticSpec,
    OnExceed,
    PerWorkflow,
    PriorityAbove,
    QuotaLimits,
    WorkflowQuotaSpec,
)
from policy.core.values.amounts import INT64_MAX, AmountField
from policy.core.values.problems import Problem

_BOUNDLESS: Final = "is no bound where members may borrow without end"


def quota_problems(spec: WorkflowQuotaSpec, path: str) -> Iterator[Problem]:
    """Yield what is wrong with the spec of either kind, or with the defaults of a pool's members."""
    pool = spec if isinstance(spec, ClusterWorkflowQuotaSpec) else None
    yield from spec.selector.problems(f"{path}.selector")
    yield from changing_problems(spec.selector, f"{path}.selector")
    yield from limits_problems(spec.limits, f"{path}.limits")
    yield from limits_problems(spec.per_user, f"{path}.perUser")
    yield from _per_workflow(spec.per_workflow, f"{path}.perWorkflow")
    yield from queue_problems(spec.queue, f"{path}.queue")
    yield from window_problems(spec.windows, f"{path}.windows")
    for index, window in enumerate(spec.windows):
        yield from limits_problems(window.limits, f"{path}.windows[{index}].limits")
    reserved = spec.limits if pool is None else _most(pool)
    yield from reserve_problems(spec.reserve, reserved, f"{path}.reserve")
    yield from _reserved_above_cap(spec, f"{path}.reserve")
    yield from group_problems(spec, path, of_pool=pool is not None)
    if pool is not None:
        yield from _pool(pool, path)


def _pool(spec: ClusterWorkflowQuotaSpec, path: str) -> Iterator[Problem]:
    yield from spec.namespace_selector.problems(f"{path}.namespaceSelector")
    if spec.namespace_defaults is not None:
        yield from quota_problems(spec.namespace_defaults, f"{path}.namespaceDefaults")
    if spec.borrowing is not None:
        yield from borrowing_problems(spec.borrowing, f"{path}.borrowing")
        if spec.borrowing.enabled:
            yield from _lent(spec, path)
    yield from fair_share_problems(spec.fair_share, f"{path}.fairShare")
    if spec.elastic is not None:
        yield from elastic_problems(spec.elastic, f"{path}.elastic")
        yield from _least(spec.elastic, spec.limits, f"{path}.elastic.min")


def _lent(spec: ClusterWorkflowQuotaSpec, path: str) -> Iterator[Problem]:
    """Yield why members could not lend: no limit leaves anything unused, or nothing bounds them together."""
    if spec.on_exceed is OnExceed.WARN:
        message = "Warn lets everybody start, so that nothing is left to lend: set Queue or Deny"
        yield Problem(f"{path}.onExceed", message)
    if not spec.selector.selects_all:
        message = "leaves Workflows out, which no share bounds then: leave it out where members borrow"
        yield Problem(f"{path}.selector", message)
    defaults = spec.namespace_defaults
    shares = defaults is not None and defaults.selector.selects_all
    if defaults is not None and shares and defaults.on_exceed is OnExceed.WARN:
        message = "Warn does not go with a share that others borrow from: set Queue or Deny"
        yield Problem(f"{path}.namespaceDefaults.onExceed", message)
    if defaults is not None and shares and defaults.reserve:
        message = "reserves nothing of a share, which others use too: give the pool a reserve"
        yield Problem(f"{path}.namespaceDefaults.reserve", message)
    yield from _unbounded(spec, path)


def _unbounded(spec: ClusterWorkflowQuotaSpec, path: str) -> Iterator[Problem]:
    """Yield the shares without a bound above them, so that a member could borrow without end."""
    boundless = [name for name in RESOURCES if not _bounds(spec, name)]
    if len(boundless) == len(RESOURCES):
        message = f"{_BOUNDLESS}: give limits of the pool, or borrowingLimit"
        yield Problem(f"{path}.borrowing", message)
        return
    defaults = spec.namespace_defaults
    shares = {} if spec.borrowing is None else spec.borrowing.shares
    for name in boundless:
        message = f"{_BOUNDLESS}: give limits.{name} of the pool, or borrowing.borrowingLimit.{name}"
        share_by_default = defaults is not None and defaults.selector.selects_all
        if defaults is not None and share_by_default and isinstance(getattr(defaults.limits, name), int):
            yield Problem(f"{path}.namespaceDefaults.limits.{name}", message)
        for namespace, share in sorted(shares.items()):
            if getattr(share, name) is not None:
                yield Problem(f"{path}.borrowing.shares.{namespace}.{name}", message)


def _bounds(spec: ClusterWorkflowQuotaSpec, name: str) -> bool:
    """Return whether anything bounds what a member of a pool with borrowing may use of a resource."""
    borrowing = spec.borrowing.borrowing_limit if spec.borrowing is not None else QuotaLimits()
    bounds = [spec.limits, borrowing, *(window.limits for window in spec.windows)]
    if any(isinstance(getattr(limits, name), int) for limits in bounds):
        return True
    return spec.elastic is not None and bool(spec.elastic.rates(name))


def _least(spec: ElasticSpec, limits: QuotaLimits, path: str) -> Iterator[Problem]:
    """Yield that the minimum of limits that follow nodes is more than the pool may have at all."""
    for name in RESOURCES:
        low, bound = getattr(spec.min, name), getattr(limits, name)
        if isinstance(low, int) and isinstance(bound, int) and low > bound:
            yield Problem(f"{path}.{name}", f"{low} is above limits.{name} {bound}: lower it")


def _most(spec: ClusterWorkflowQuotaSpec) -> QuotaLimits:
    """Return the limits of which a pool may reserve a part: those written, or whatever nodes can run."""
    if spec.elastic is None:
        return spec.limits
    bounds: dict[str, AmountField] = {name: INT64_MAX for name in RESOURCES if spec.elastic.rates(name)}
    bounds |= {name: bound for name in RESOURCES if isinstance(bound := getattr(spec.limits, name), int)}
    return QuotaLimits(**bounds)


def _reserved_above_cap(spec: WorkflowQuotaSpec, path: str) -> Iterator[Problem]:
    """Yield the reserves that no Workflow can use, because the same quota allows no such priority."""
    most = spec.per_workflow.max_priority
    if most is None:
        return
    for index, each in enumerate(spec.reserve[:MAX_RESERVES]):
        if each.above_priority >= most:
            message = (
                f"leaves the reserve to no Workflow, since perWorkflow.maxPriority is {most}: lower this, or "
                f"raise that; got {each.above_priority}"
            )
            yield Problem(f"{path}[{index}].abovePriority", message)


def _per_workflow(bounds: PerWorkflow, path: str) -> Iterator[Problem]:
    for name, tasks in (("defaultTasks", bounds.default_tasks), ("maxTasks", bounds.max_tasks)):
        if tasks is not None and tasks < 1:
            yield Problem(f"{path}.{name}", f"must be 1 or more (Argo starts no task at 0); got {tasks}")
        elif tasks is not None and tasks > INT64_MAX:
            yield Problem(f"{path}.{name}", f"must be at most {INT64_MAX}")
    most = bounds.max_priority
    if most is not None and not LOWEST_PRIORITY <= most <= HIGHEST_PRIORITY:
        message = f"must be from {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}; got {most}"
        yield Problem(f"{path}.maxPriority", message)
    if most is None and bounds.on_priority_above is PriorityAbove.LOWER:
        yield Problem(f"{path}.onPriorityAbove", "lowers nothing: give maxPriority")
    if bounds.default_tasks and bounds.max_tasks and bounds.default_tasks > bounds.max_tasks:
        yield Problem(
            f"{path}.defaultTasks", f"{bounds.default_tasks} is above maxTasks {bounds.max_tasks}: lower it"
        )
