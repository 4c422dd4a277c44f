"""Which quotas a namespace has: its own, the defaults of its pool, and which of them are its share there.

Where a pool borrows, the quotas of a member that select every Workflow and do not only warn are its share.
"""

from collections.abc import Iterable, Sequence

import msgspec

from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from policy.core.policy_kinds.quota_parts import (
    RESOURCES,
    OnExceed,
    QuotaLimits,
    StopPolicy,
    WorkflowQuotaSpec,
)
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota, compile_quota
from policy.core.values.amounts import UNLIMITED_WORD


def quotas_of_member(
    own: Iterable[WorkflowQuota], namespace: str, pool: ClusterWorkflowQuota | None
) -> tuple[CompiledQuota, ...]:
    """Return the quotas of a namespace itself: its own, and the defaults of its pool.

    The defaults are left out where its own quotas bound all that they bound.
    """
    own = tuple(own)
    found = [
        compile_quota(
            quota.spec,
            Account(namespace, quota.metadata.name),
            f"WorkflowQuota {namespace}/{quota.metadata.name}",
        )
        for quota in own
    ]
    if pool is not None and (not own or left_open([quota.spec for quota in own], pool)):
        defaults = defaults_of(pool, namespace)
        found += [] if defaults is None else [defaults]
    lender = pool is not None and borrows(pool)
    return tuple(
        msgspec.structs.replace(each, is_share=True) if lender and bounds_all(each) else each
        for each in found
    )


def defaults_of(pool: ClusterWorkflowQuota, namespace: str) -> CompiledQuota | None:
    """Return the quota that a pool gives each of its members, if it gives any."""
    spec, name = pool.spec.namespace_defaults, pool.metadata.name
    if spec is None:
        return None
    account = Account.defaults(name, namespace)
    return compile_quota(spec, account, f"ClusterWorkflowQuota {name} (namespaceDefaults)")


def left_open(own: Sequence[WorkflowQuotaSpec], pool: ClusterWorkflowQuota) -> tuple[str, ...]:
    """Return the fields that the defaults of a pool bound, and its own quotas for all do not."""
    if pool.spec.namespace_defaults is None:
        return ()
    bound = {field for each in own if spec_bounds_all(each) for field in _always_bounded(each)}
    return tuple(field for field in _bounded(pool.spec.namespace_defaults) if field not in bound)


def spec_bounds_all(spec: WorkflowQuotaSpec) -> bool:
    """Return whether a quota bounds every Workflow: it selects all, and does not only warn."""
    return spec.selector.selects_all and spec.on_exceed is not OnExceed.WARN


def borrows(pool: ClusterWorkflowQuota) -> bool:
    """Return whether members of a pool may use what others leave idle."""
    return pool.spec.borrowing is not None and pool.spec.borrowing.enabled


def bounds_all(quota: CompiledQuota) -> bool:
    """Return the same of a compiled quota."""
    return quota.selects_all and quota.on_exceed is not OnExceed.WARN


def same_on_exceed(quotas: tuple[CompiledQuota, ...]) -> tuple[CompiledQuota, ...]:
    """Return the quotas of a member of a pool that borrows, with one `onExceed` for its share and the pool.

    A Workflow that does not fit into the tree is either denied or queued: if one of them denies, all do.
    """
    tree = [quota for quota in quotas if quota.is_share or not quota.account.namespace]
    if all(quota.on_exceed is not OnExceed.DENY for quota in tree):
        return quotas
    return tuple(
        msgspec.structs.replace(quota, on_exceed=OnExceed.DENY) if quota in tree else quota
        for quota in quotas
    )


def _bounded(spec: WorkflowQuotaSpec) -> list[str]:
    """Return the fields by which a quota bounds its Workflows at any time."""
    at_times = (spec.limits, *(window.limits for window in spec.windows))
    found = [f"limits.{name}" for name in RESOURCES if any(_is_number(each, name) for each in at_times)]
    return found + _bounded_apart_from_limits(spec)


def _always_bounded(spec: WorkflowQuotaSpec) -> list[str]:
    """Return the fields by which a quota bounds its Workflows at all times.

    A quota that does not queue bounds the length and the time of waiting too.
    """
    lifted = {
        name for name in RESOURCES for each in spec.windows if getattr(each.limits, name) == UNLIMITED_WORD
    }
    found = [f"limits.{name}" for name in RESOURCES if _is_number(spec.limits, name) and name not in lifted]
    found += _bounded_apart_from_limits(spec)
    return found if spec.on_exceed is OnExceed.QUEUE else [*found, "queue.maxLength", "queue.maxWait"]


def _bounded_apart_from_limits(spec: WorkflowQuotaSpec) -> list[str]:
    given = {
        **{f"perUser.{name}": _is_number(spec.per_user, name) for name in RESOURCES},
        "perWorkflow.maxTasks": spec.per_workflow.max_tasks is not None,
        "perWorkflow.maxPriority": spec.per_workflow.max_priority is not None,
        "queue.maxLength": spec.queue.max_length is not None,
        "queue.maxWait": spec.queue.max_wait is not None,
        "stopPolicy": spec.stop_policy is not StopPolicy.NONE,
        **{f"groups.{each.name}": True for each in spec.groups},
    }
    return [field for field, is_given in given.items() if is_given]


def _is_number(limits: QuotaLimits, name: str) -> bool:
    return isinstance(getattr(limits, name), int)
