"""Which policies are others, field by field, and which limits are in force by that."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from lockkeeper.policy_diff.differences import ChangeKind, FieldChange, LimitChange, PolicyChange
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import Policy
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import Limits
from policy.sources.yaml_positions import child

_NAMES = ("name", "key")
"""Fields by which the entries of a list are known."""


def policy_changes(before: Snapshot, after: Snapshot) -> Iterator[PolicyChange]:
    """Yield policies, labels of Namespaces and keys of ConfigMaps that came, went or changed."""
    old, new = _objects(before), _objects(after)
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield PolicyChange(name, ChangeKind.ADDED, tuple(_fields("", None, new[name])))
        elif name not in new:
            yield PolicyChange(name, ChangeKind.REMOVED, tuple(_fields("", old[name], None)))
        elif found := tuple(_fields("", old[name], new[name])):
            yield PolicyChange(name, ChangeKind.CHANGED, found)


def limit_changes(
    before: Snapshot, after: Snapshot, namespaces: Iterable[str], now: datetime
) -> Iterator[LimitChange]:
    """Yield the limits that are in force now in these namespaces and in those that policies name."""
    known = {*namespaces}
    for snapshot in (before, after):
        known |= {*snapshot.quotas, *snapshot.namespace_labels}
    pools: set[str] = set()
    for namespace in sorted(known):
        old, new = _limits(before, namespace, now), _limits(after, namespace, now)
        for quota in sorted(old.keys() | new.keys()):
            was, then = old.get(quota, ""), new.get(quota, "")
            if was == then:
                continue
            both = quota in old and quota in new
            of_pool = both and quota.startswith("ClusterWorkflowQuota ") and "/" not in quota
            if of_pool and quota in pools:
                continue  # It is told once for all members.
            pools.add(quota)
            yield LimitChange("" if of_pool else namespace, quota, was, then)


def _objects(snapshot: Snapshot) -> dict[str, JsonValue]:
    policies: list[Policy] = [
        *(each for quotas in snapshot.quotas.values() for each in quotas),
        *snapshot.pools,
        *snapshot.lock_policies,
    ]
    found: dict[str, JsonValue] = {_name(each): {"spec": _plain(each)} for each in policies}
    for (namespace, name), data in snapshot.config_maps.items():
        found[f"ConfigMap {namespace}/{name}"] = {"data": dict(data)}
    for name, labels in snapshot.namespace_labels.items():
        found[f"Namespace {name}"] = {"metadata": {"labels": dict(labels)}}
    return found


def _plain(policy: Policy) -> JsonValue:
    """Return the spec as JSON has it."""
    found: JsonValue = msgspec.json.decode(msgspec.json.encode(policy.spec))
    return found


def _name(policy: Policy) -> str:
    scoped = policy.kind.startswith("Cluster")
    name = policy.metadata.name
    return f"{policy.kind} {name}" if scoped else f"{policy.kind} {policy.metadata.namespace}/{name}"


def _fields(path: str, before: JsonValue, after: JsonValue) -> Iterator[FieldChange]:
    if before == after:
        return
    old, new = _entries(before), _entries(after)
    maps = isinstance(before, dict | None) and isinstance(after, dict | None)
    lists = isinstance(before, list | None) and isinstance(after, list | None)
    if (old is None and new is None) or not (maps or lists):
        yield FieldChange(path, before, after)
        return
    if (old is None and before is not None) or (new is None and after is not None):
        yield FieldChange(path, before, after)
        return
    for key in dict.fromkeys([*(old or ()), *(new or ())]):
        where = f"{path}[{key}]" if lists else child(path, key)
        yield from _fields(where, (old or {}).get(key), (new or {}).get(key))


def _entries(value: JsonValue) -> Mapping[str, JsonValue] | None:
    """Return the entries of a map, or of a list whose entries have names; None for other values."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list) or not value:
        return None
    for field in _NAMES:
        named: JsonObject = {str(each.get(field)): each for each in value if isinstance(each, dict)}
        if len(named) == len(value) and all(isinstance(e, dict) and field in e for e in value):
            return named
    return None


def _limits(snapshot: Snapshot, namespace: str, now: datetime) -> dict[str, str]:
    """Return the limits in force in a namespace as text, by quota."""
    return {each.source: _shown(each, now) for each in snapshot.policies(namespace).quotas}


def _shown(quota: CompiledQuota, now: datetime) -> str:
    parts = [_text(quota.limits_at(now))]
    if quota.bounds_users:
        parts.append(f"each {'user' if quota.group is None else 'key'} {_text(quota.per_user)}")
    if quota.max_tasks is not None:
        parts.append(f"each Workflow tasks={quota.max_tasks}")
    group = quota.group
    then = f"onExceed {quota.on_exceed}" if group is None else f"whenBusy {group.when_busy}"
    return ", ".join([*(each for each in parts if each), then])


def _text(limits: Limits) -> str:
    amounts = (("workflows", limits.workflows), ("tasks", limits.tasks))
    return ", ".join(f"{name}={amount}" for name, amount in amounts if not amount.unlimited)
