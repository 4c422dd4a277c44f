"""The numbers in policies that a search may change, where they are in a spec, and policies with others.

A setting is named as authors write it, so that the same path changes a policy in a snapshot and in a file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from policy.core.policies.conflicts import PolicyName, name_of
from policy.core.policies.policy_checks import problems
from policy.core.policies.snapshot import Snapshot, pool_of, with_policy
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota, WorkflowQuota
from policy.core.policy_kinds.quota_parts import (
    RESOURCES,
    ClusterWorkflowQuotaSpec,
    QuotaLimits,
    WindowSpec,
    WorkflowQuotaSpec,
)
from policy.core.quota.accounts import Account
from policy.core.quota.namespace_quotas import borrows

Quota: TypeAlias = WorkflowQuota | ClusterWorkflowQuota
_WINDOWS: Final = "windows"
_DEFAULTS: Final = "namespaceDefaults"


class Setting(msgspec.Struct, frozen=True, order=True):
    """A number in a quota: `field` are the keys that lead to it, of a window its name.

    A pool has no namespace.
    """

    kind: str
    namespace: str
    name: str
    field: tuple[str, ...]

    @property
    def policy(self) -> PolicyName:
        """The policy that it is in."""
        return PolicyName(self.kind, self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.policy} {'.'.join(self.field)}"


Values: TypeAlias = Mapping[Setting, int]
"""Settings and what they are to be."""


def setting_of(quota: Quota, *field: str) -> Setting:
    """Return a setting of a quota."""
    found = name_of(quota)
    return Setting(found.kind, found.namespace, found.name, field)


def quotas_of(snapshot: Snapshot, namespaces: Iterable[str]) -> tuple[Quota, ...]:
    """Return the quotas of some namespaces, and their pools; each once."""
    found: dict[PolicyName, Quota] = {}
    for namespace in namespaces:
        own: tuple[Quota, ...] = snapshot.quotas.get(namespace, ())
        pool = pool_of(snapshot, namespace)
        for quota in own if pool is None else (*own, pool):
            found[name_of(quota)] = quota
    return tuple(found.values())


def limit_settings(snapshot: Snapshot, namespaces: Sequence[str]) -> dict[Setting, int]:
    """Return the limits that bound some namespaces: also of users, in windows, and in a pool's defaults."""
    found: dict[Setting, int] = {}
    for quota in quotas_of(snapshot, namespaces):
        spec = quota.spec
        found |= _numbers(quota, spec.limits, "limits")
        found |= _numbers(quota, spec.per_user, "perUser")
        for window in spec.windows:
            found |= _numbers(quota, window.limits, _WINDOWS, window.name, "limits")
        if isinstance(quota, ClusterWorkflowQuota) and _defaults_count(snapshot, quota, namespaces):
            defaults = quota.spec.namespace_defaults
            if defaults is not None:
                found |= _numbers(quota, defaults.limits, _DEFAULTS, "limits")
                found |= _numbers(quota, defaults.per_user, _DEFAULTS, "perUser")
    return found


def share_settings(snapshot: Snapshot, namespaces: Sequence[str]) -> dict[Setting, int]:
    """Return what bounds the shares of some namespaces in pools that lend, and what they borrow."""
    found: dict[Setting, int] = {}
    for namespace in namespaces:
        pool, compiled = pool_of(snapshot, namespace), snapshot.pool(namespace)
        if pool is None or compiled is None or not borrows(pool) or pool.spec.borrowing is None:
            continue
        assigned = compiled.assigned_to(namespace, None)
        for resource, amount in zip(RESOURCES, (assigned.workflows, assigned.tasks), strict=True):
            if amount.value is not None:
                found[setting_of(pool, "borrowing", "shares", namespace, resource)] = amount.value
        found |= _numbers(pool, pool.spec.borrowing.borrowing_limit, "borrowing", "borrowingLimit")
        for quota in snapshot.quotas.get(namespace, ()):
            if quota.spec.selector.selects_all:
                found |= _numbers(quota, quota.spec.limits, "limits")
    return found


def base_limits(snapshot: Snapshot, namespaces: Sequence[str]) -> dict[Setting, int]:
    """Return the limits of quotas and pools that a window may replace for some hours."""
    found: dict[Setting, int] = {}
    for quota in quotas_of(snapshot, namespaces):
        found |= _numbers(quota, quota.spec.limits, "limits")
    return found


def in_window(setting: Setting, window: str) -> Setting:
    """Return the limit that a window has in place of a limit."""
    return msgspec.structs.replace(setting, field=(_WINDOWS, window, *setting.field))


def edited(spec: dict[str, Any], changes: Mapping[tuple[str, ...], int], window: WindowSpec | None) -> None:
    """Write other numbers into a spec as its author wrote it; a window that is not there is `window`."""
    for field, value in changes.items():
        at: Any = spec
        steps = list(field)
        if steps[0] == _WINDOWS:
            at, steps = _window_in(spec, steps[1], window), steps[2:]
        for step in steps[:-1]:
            at = at.setdefault(step, {})
        at[steps[-1]] = value


def with_settings(snapshot: Snapshot, values: Values, window: WindowSpec | None = None) -> Snapshot | None:
    """Return a snapshot with other numbers; None where policies would be wrong with them."""
    by_policy: dict[PolicyName, dict[tuple[str, ...], int]] = {}
    for setting, value in values.items():
        by_policy.setdefault(setting.policy, {})[setting.field] = value
    for quota in _named(snapshot, by_policy):
        spec = msgspec.to_builtins(quota.spec)
        edited(spec, by_policy[name_of(quota)], window)
        changed = msgspec.structs.replace(quota, spec=_spec(spec, quota))
        if problems(changed):
            return None
        snapshot = with_policy(snapshot, changed)
    return snapshot


def _spec(edited: object, quota: Quota) -> WorkflowQuotaSpec:
    """Return the spec of a quota from its fields."""
    if isinstance(quota, ClusterWorkflowQuota):
        return msgspec.convert(edited, ClusterWorkflowQuotaSpec)
    return msgspec.convert(edited, WorkflowQuotaSpec)


def _named(snapshot: Snapshot, names: Iterable[PolicyName]) -> Iterator[Quota]:
    wanted = set(names)
    for quotas in snapshot.quotas.values():
        yield from (each for each in quotas if name_of(each) in wanted)
    yield from (each for each in snapshot.pools if name_of(each) in wanted)


def _numbers(quota: Quota, limits: QuotaLimits, *path: str) -> dict[Setting, int]:
    """Return the bounds in limits that are numbers."""
    found = {}
    for resource in RESOURCES:
        value: object = getattr(limits, resource)
        if isinstance(value, int):
            found[setting_of(quota, *path, resource)] = value
    return found


def _defaults_count(snapshot: Snapshot, pool: ClusterWorkflowQuota, namespaces: Sequence[str]) -> bool:
    """Return whether the defaults of a pool bound one of some namespaces."""
    name = pool.metadata.name
    return any(
        quota.account == Account.defaults(name, namespace)
        for namespace in namespaces
        for quota in snapshot.policies(namespace).quotas
    )


def _window_in(spec: dict[str, Any], name: str, window: WindowSpec | None) -> Any:
    windows = spec["windows"] = list(spec.get("windows", ()))
    for index, each in enumerate(windows):
        if each["name"] == name:
            windows[index] = dict(each)
            return windows[index]
    if window is None:
        raise AssertionError(f"there is no window {name}")
    new = {**msgspec.to_builtins(window), "limits": {}}
    windows.append(new)
    return new
