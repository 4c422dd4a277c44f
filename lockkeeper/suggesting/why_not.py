"""Why no limits meet a wait: what still happens under the highest ones that were tried."""

from collections.abc import Iterator, Sequence

from lockkeeper.simulation.words import length
from lockkeeper.suggesting.strategies.settings import quotas_of
from lockkeeper.suggesting.strategies.wanted_waits import AllWaits, WaitRequirement
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota
from policy.core.policy_kinds.quota_parts import StopPolicy
from policy.service.simulation.result import GroupResult, PolicyResult


def why_not(
    requirement: WaitRequirement, loosest: PolicyResult, waits: AllWaits, snapshot: Snapshot
) -> tuple[str, ...]:
    """Return sentences; `loosest` and `waits` are what comes of the highest settings."""
    namespaces = sorted({each.namespace for each in requirement.wanted})
    found: list[str] = []
    for namespace in namespaces:
        group = next((each for each in loosest.namespaces if each.name == namespace), None)
        if group is not None:
            found += _of_namespace(group, loosest)
    found += _of_policies(snapshot, namespaces)
    for name in requirement.hurt(waits):
        found.append(
            f"{name}, of the same pool, would wait for longer than at present; --others ignore lets it"
        )
    if not found:
        found.append("what still holds them up is in no limit, share or window of these quotas")
    return tuple(found)


def _of_namespace(group: GroupResult, loosest: PolicyResult) -> Iterator[str]:
    name = group.name
    for denied in loosest.denied:
        if denied.namespace == name:
            yield (
                f"{denied.count} of {group.workflows} Workflows of {name} are denied whatever the limits "
                f"are, such as {denied.example}: {denied.message}"
            )
    if group.gave_up:
        yield f"{group.gave_up} of {group.workflows} Workflows of {name} give up (queue.maxWait)"
    if group.never_started:
        yield f"{group.never_started} of {group.workflows} Workflows of {name} never start"
    if group.waits.longest:
        yield (
            f"with the highest limits half of {name} still wait up to {length(group.waits.median)}, 95 of "
            f"100 up to {length(group.waits.p95)}, the longest wait is {length(group.waits.longest)}"
        )


def _of_policies(snapshot: Snapshot, namespaces: Sequence[str]) -> Iterator[str]:
    """Yield what of the quotas holds Workflows up, and is no number that is searched."""
    for quota in quotas_of(snapshot, namespaces):
        name = f"{quota.kind} {quota.metadata.name}"
        if quota.spec.stop_policy is not StopPolicy.NONE:
            yield f"{name} releases nobody: its stopPolicy is {quota.spec.stop_policy.value}"
        for group in quota.spec.groups:
            yield (
                f"{name} limits what runs of each key of its group {group.name}, which the search does not "
                "change: what a key protects only you know"
            )
        if not isinstance(quota, ClusterWorkflowQuota):
            continue
        defaults = quota.spec.namespace_defaults
        if defaults is not None and defaults.stop_policy is not StopPolicy.NONE:
            yield f"{name} releases nobody: namespaceDefaults.stopPolicy is {defaults.stop_policy.value}"
        if quota.spec.elastic is not None:
            yield f"the limits of {name} follow nodes, which a history does not tell: spec.elastic.min holds"
        borrowing = quota.spec.borrowing
        if borrowing is not None and borrowing.enabled and borrowing.lending_limit.workflows is not None:
            yield f"{name} lends no more than borrowing.lendingLimit, which the search does not change"
