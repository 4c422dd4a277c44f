"""One waiting Workflow under other priorities, sizes, limits and times: its root is built anew for each."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias

import msgspec

from policy.core.cluster_view.live_root import LiveRoot
from policy.core.cluster_view.options import Raised
from policy.core.decision.quota_messages import short_resources
from policy.core.policies.conflicts import name_of
from policy.core.policies.governing_quotas import governing
from policy.core.policies.snapshot import Snapshot, with_policy
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from policy.core.policy_kinds.quota_parts import QuotaLimits, WorkflowQuotaSpec
from policy.core.quota.accounts import Account
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.quota.demands import Shortfall
from policy.core.quota.windows import NEVER
from policy.core.values.amounts import Amount, Usage
from policy.service.reading.live_roots import LiveRoots
from policy.service.tracking.tracked import MarkedUsage, Tracked

_Quota: TypeAlias = WorkflowQuota | ClusterWorkflowQuota


class _Field(msgspec.Struct, frozen=True):
    """A limit in a policy: where it is (`spec.limits`, or in a window or group), and its value now."""

    path: str
    limits: QuotaLimits
    window: int | None = None
    group: int | None = None
    per_user: bool = False


class WorkflowWhatIf:
    """What would be otherwise for one Workflow; the WhatIf of `core.cluster_view.options`."""

    def __init__(self, roots: LiveRoots, workflow: Tracked) -> None:
        self._roots = roots
        self._workflow = workflow
        self._snapshot = roots.reading.snapshot
        self._now = roots.reading.at
        self._root = self._snapshot.policies(workflow.namespace).root

    @property
    def max_priority(self) -> int | None:
        """The lowest cap of its quotas."""
        caps = [each.max_priority for each in self._quotas() if each.max_priority is not None]
        return min(caps, default=None)

    def with_priority(self, priority: int) -> LiveRoot:
        """Return its root if it had this priority."""
        marks = self._workflow.usage_marks
        return self._with_marks(MarkedUsage(marks.tasks, priority, marks.admitted))

    def with_tasks(self, tasks: int) -> LiveRoot:
        """Return its root if it needed so many tasks."""
        marks = self._workflow.usage_marks
        return self._with_marks(MarkedUsage(Amount(tasks), marks.priority, marks.admitted))

    def later(self, at: datetime) -> LiveRoot:
        """Return its root at another time."""
        return self._roots.build(self._root, self._snapshot, at)

    def next_change(self, after: datetime) -> datetime | None:
        """Return when limits of its namespace or pool change next by themselves."""
        times = [each.elastic.at(after).until for each in self._quotas()]
        pool = self._snapshot.pool(self._workflow.namespace)
        if pool is not None:
            times.append(pool.until(after))
        soonest = min(times, default=NEVER)
        return soonest if soonest < NEVER else None

    def with_room_for(self, short: tuple[Shortfall, ...], beside: Usage) -> Raised | None:
        """Return its root with every short limit raised by just what is missing, and what others need."""
        snapshot, texts = self._snapshot, []
        for each in short:
            quota = _policy_of(snapshot, each.demand.account)
            if quota is None:
                return None
            for name, missing in _missing(each, beside):
                field = self._field(quota, each.demand.account, name)
                if field is None:
                    return None
                value = getattr(field.limits, name)
                quota = _raised(quota, field, name, value + missing)
                texts.append(f"{field.path}.{name} of {name_of(quota)} {value + missing} instead of {value}")
            snapshot = with_policy(snapshot, quota)
        live = self._roots.build(self._root, snapshot, self._now)
        return Raised(live, " and ".join(texts)) if texts else None

    def _field(self, quota: _Quota, account: Account, name: str) -> _Field | None:
        """Return the field that gives the limit in force now; None where it is no number of the policy."""
        spec = quota.spec
        fields: list[_Field] = []
        if account.group:
            at = next(index for index, each in enumerate(spec.groups) if each.name == account.group)
            fields.append(_Field(f"spec.groups[{at}].limits", spec.groups[at].limits, group=at))
        elif account.key:
            fields.append(_Field("spec.perUser", spec.per_user, per_user=True))
        else:
            by_name = {each.name: index for index, each in enumerate(spec.windows)}
            opened = [by_name[each] for each in self._opened(account)]
            fields += [_Field(f"spec.windows[{at}].limits", spec.windows[at].limits, at) for at in opened]
            fields.append(_Field("spec.limits", spec.limits))
        found = next((each for each in fields if getattr(each.limits, name) is not None), None)
        return found if found is not None and isinstance(getattr(found.limits, name), int) else None

    def _opened(self, account: Account) -> tuple[str, ...]:
        """Return the open windows of a quota, last started first."""
        quotas = self._snapshot.policies(self._workflow.namespace).quotas
        own = (each for each in quotas if each.account == Account(account.namespace, account.quota))
        pool = (
            each for each in quotas if each.account == Account.of_pool(account.quota.removesuffix("/share"))
        )
        compiled = next(own, None) or next(pool, None)
        return () if compiled is None else compiled.elastic.at(self._now).opened

    def _quotas(self) -> tuple[CompiledQuota, ...]:
        return governing(self._snapshot.policies(self._workflow.namespace).quotas, self._workflow.labels)

    def _with_marks(self, marks: MarkedUsage) -> LiveRoot:
        traits = msgspec.structs.replace(self._workflow.traits, usage_marks=marks)
        other = msgspec.structs.replace(self._workflow, traits=traits)
        return self._roots.build(self._root, self._snapshot, self._now, replaced={self._workflow.uid: other})


def _policy_of(snapshot: Snapshot, account: Account) -> _Quota | None:
    """Return the quota that an account is of; shares and defaults are the pool's."""
    name = account.owner
    own = next(
        (each for each in snapshot.quotas.get(account.namespace, ()) if each.metadata.name == name), None
    )
    if own is not None:
        return own
    pool = name.removesuffix("/share")
    return next((each for each in snapshot.pools if each.metadata.name == pool), None)


def _missing(short: Shortfall, beside: Usage) -> Iterator[tuple[str, int]]:
    """Yield each resource that is short, and by how much; nothing for tasks that nothing bounds."""
    for row in short_resources(short.demand.limits, short.used, short.requested):
        total = short.used + short.requested + beside
        needed = total.workflows if row.name == "workflows" else total.task_amount.value
        if needed is not None and row.limit.value is not None:
            yield row.name, needed - row.limit.value


def _raised(quota: _Quota, field: _Field, name: str, value: int) -> _Quota:
    """Return a quota with another value of one limit."""
    limits = msgspec.structs.replace(field.limits, **{name: value})
    spec: WorkflowQuotaSpec = quota.spec
    if field.per_user:
        changed = msgspec.structs.replace(spec, per_user=limits)
    elif field.group is not None:
        groups = list(spec.groups)
        groups[field.group] = msgspec.structs.replace(groups[field.group], limits=limits)
        changed = msgspec.structs.replace(spec, groups=tuple(groups))
    elif field.window is None:
        changed = msgspec.structs.replace(spec, limits=limits)
    else:
        windows = list(spec.windows)
        windows[field.window] = msgspec.structs.replace(windows[field.window], limits=limits)
        changed = msgspec.structs.replace(spec, windows=tuple(windows))
    return msgspec.structs.replace(quota, spec=changed)
