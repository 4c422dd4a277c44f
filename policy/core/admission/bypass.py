"""Workflows that bypassed admission: a quota governs them, and they were not reviewed.

Admission writes the mark with its tasks on every Workflow that a quota governs: on children, on those that a
quota only warns of, and on those that were released. One without it was created while no quota governed it,
or while our webhook was not called. The latter is reported only where the quota was as it is now before the
Workflow was created; where that is uncertain nothing is reported.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from policy.core.objects.label_selectors import Labels
from policy.core.policies.governing import governing
from policy.core.policies.snapshot import Snapshot, pool_of
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.compiled_quota import CompiledQuota

GRACE: Final = timedelta(seconds=10)
"""How long a webhook may take to receive a policy: what is created by then was rightly admitted."""
_Since: TypeAlias = Callable[[CompiledQuota], datetime | None]


def bypassed_quota(
    quotas: Iterable[CompiledQuota], labels: Labels, created: datetime, since: _Since
) -> CompiledQuota | None:
    """Return the quota that a Workflow without marks bypassed, None where it may be older than the quota.

    `since` gives when a quota came to be as it is in its namespace, None where that is not known.
    """
    for quota in governing(tuple(quotas), labels):
        if quota.on_exceed is OnExceed.WARN:
            continue
        moment = since(quota)
        if moment is not None and created > moment + GRACE:
            return quota
    return None


def edited_at(quota: CompiledQuota, namespace: str, snapshot: Snapshot) -> datetime | None:
    """Return when the policy of a quota was written last, None where that is unknown."""
    own = snapshot.quotas.get(namespace, ()) if quota.account.namespace else ()
    metadata = next((each.metadata for each in own if each.metadata.name == quota.account.quota), None)
    if metadata is None:  # It is that of the pool, or the pool's default for its members.
        pool = pool_of(snapshot, namespace)
        metadata = None if pool is None else pool.metadata
    return None if metadata is None else _moment(metadata.edited)


def message(quota: CompiledQuota) -> str:
    """Return what it means that a Workflow bypassed a quota, and what to do."""
    weight = " and as one whose tasks have no bound" if quota.bounds_tasks else ""
    return (
        f"Lockkeeper was not asked when it was created, though {quota.source} governs it: the webhook was "
        f"away or passed over. It goes on and counts as running{weight}, so the limit may be exceeded and "
        "others wait until it ends. To have it wait its turn, delete it and create it anew"
    )


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
