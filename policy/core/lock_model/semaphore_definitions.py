"""Which semaphores are defined, by policies and in known ConfigMaps, and the limits that they give."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_model.lock_names import CONFIG_MAP, MUTEX, LockName, parameterised, read_limit
from policy.core.lock_model.when_conditions import unlimited_key
from policy.core.objects.label_selectors import Labels, LabelSelector
from policy.core.objects.read_extent import WHOLE, Extent
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    LockTarget,
    SemaphoreDefinition,
    SynchronizationPolicy,
    SynchronizationPolicySpec,
)
from policy.core.values.problems import MAX_CANDIDATES

LockPolicy: TypeAlias = SynchronizationPolicy | ClusterSynchronizationPolicy
LabelsOf: TypeAlias = Callable[[str], Labels]
ConfigMapAddress: TypeAlias = tuple[str, str]
"""Namespace and name of a ConfigMap."""
KeyLimits: TypeAlias = Mapping[str, int]
"""Limits by key."""
ValueOf: TypeAlias = Callable[[str, str, str], str | None]
"""Returns the text of a limit by namespace, ConfigMap and key; None where there is none."""
LimitOf: TypeAlias = Callable[[str], int | None]
"""Returns the limit of a lock by Argo's name of it; None where it is not known."""
_UNLIMITED_KEY_LIMIT: Final = 1_000_000
"""Limit of the key without limit; Argo has the holders in memory, and no cluster runs that many Pods."""


def key_can_hold_condition(lock: LockTarget, own: str | None) -> bool:
    """Return whether a condition can be part of the key of the lock (argo-verified V.8a).

    A mutex or a database lock would need a free one for each holder, and to a ConfigMap of another namespace
    we must not write the unlimited key.
    """
    target = lock.semaphore
    if target is None or target.namespace not in (None, own):
        return False
    return not (parameterised(target.config_map) or parameterised(target.key) or "'" in target.key)


def projected_definitions(
    spec: SynchronizationPolicySpec, own: str | None
) -> tuple[SemaphoreDefinition, ...]:
    """Return all keys that ConfigMaps must have for this policy, each once, its own definitions first.

    `own` is the namespace of the policy, if it has one. Where a rule has a condition that is false, Workflows
    take a key without limit beside it. By such a conditional key Argo does not see which Workflows wait for a
    ConfigMap; so after a raise these have to be touched, as those that reach a lock by templateRef
    (argo-verified V.4).
    """
    found = {(each.config_map, each.key): each for each in spec.semaphores}
    for rule in spec.inject:
        target = rule.lock.semaphore
        if rule.when is not None and target is not None and key_can_hold_condition(rule.lock, own):
            free = SemaphoreDefinition(target.config_map, unlimited_key(target.key), _UNLIMITED_KEY_LIMIT)
            found.setdefault((free.config_map, free.key), free)
    return tuple(found.values())


class Definitions(msgspec.Struct, frozen=True):
    """Which semaphores exist: those that policies define, then the keys of known ConfigMaps.

    `everywhere` has those of cluster policies, by the name of the ConfigMap. `extent` is which ConfigMaps
    would be known if they existed.
    """

    owned: Mapping[ConfigMapAddress, KeyLimits]
    everywhere: tuple[tuple[LabelSelector, Mapping[str, KeyLimits]], ...]
    config_maps: Mapping[ConfigMapAddress, Mapping[str, str]]
    labels_of: LabelsOf
    extent: Extent = WHOLE

    def limit(self, namespace: str, config_map: str, key: str) -> str | None:
        """Return a semaphore's limit as its ConfigMap has or will have it; None where undefined."""
        own = self.owned.get((namespace, config_map), {}).get(key)
        if own is not None:
            return str(own)
        for selector, limits in self.everywhere:
            found = limits.get(config_map, {}).get(key)
            if found is not None and selector.matches(self.labels_of(namespace)):
                return str(found)
        return self.config_maps.get((namespace, config_map), {}).get(key)

    def knows(self, namespace: str, config_map: str) -> bool:
        """Return whether anything is known of a ConfigMap, so that a key may be missing in it."""
        return bool(self.config_maps.get((namespace, config_map)) or self.keys_beside(namespace, config_map))

    def keys_beside(self, namespace: str, config_map: str) -> list[str]:
        """Return the keys with limits that are known in a ConfigMap, to suggest one of them.

        A key whose value is no number is no semaphore, and its name may be confidential. Nothing is suggested
        from a ConfigMap of many keys: each wrong reference would cost a look at all of them.
        """
        data = self.config_maps.get((namespace, config_map), {})
        if len(data) > MAX_CANDIDATES:
            return []
        known = {key for key, value in data.items() if read_limit(value) is not None}
        known.update(self.owned.get((namespace, config_map), ()))
        for selector, limits in self.everywhere:
            if config_map in limits and selector.matches(self.labels_of(namespace)):
                known.update(limits[config_map])
        return sorted(known) if len(known) <= MAX_CANDIDATES else []


def definitions_in(
    policies: Iterable[LockPolicy],
    config_maps: Mapping[ConfigMapAddress, Mapping[str, str]],
    labels_of: LabelsOf,
    *,
    extent: Extent = WHOLE,
) -> Definitions:
    """Return what all policies define; of two definitions in one namespace the last by name counts."""
    owned: dict[ConfigMapAddress, dict[str, int]] = {}
    everywhere: list[tuple[LabelSelector, Mapping[str, KeyLimits]]] = []
    for policy in policies:
        if isinstance(policy, ClusterSynchronizationPolicy):
            limits: dict[str, dict[str, int]] = {}
            for each in projected_definitions(policy.spec, None):
                limits.setdefault(each.config_map, {})[each.key] = each.limit
            everywhere.append((policy.spec.namespace_selector, limits))
            continue
        namespace = policy.metadata.namespace
        for each in projected_definitions(policy.spec, namespace):
            owned.setdefault((namespace, each.config_map), {})[each.key] = each.limit
    return Definitions(owned, tuple(everywhere), config_maps, labels_of, extent)


def limit_named(name: str, value_of: ValueOf) -> int | None:
    """Return the limit of a lock: 1 of a mutex, None where it is not known.

    It is unknown of a lock in a database, and of a semaphore whose name is not known yet.
    """
    lock = LockName.parse(name)
    if lock.kind == MUTEX:
        return 1
    if lock.kind != CONFIG_MAP or not lock.key or parameterised(name):
        return None
    value = value_of(lock.namespace, lock.config_map, lock.key)
    return read_limit(value) if value is not None else None


def limit_lookup(definitions: Definitions, *, only: str | None = None) -> LimitOf:
    """Return how limits are looked up in what policies and ConfigMaps define, each once.

    With `only`, the limits of other namespaces' ConfigMaps are not looked up, and so not known.
    """

    def value_of(namespace: str, config_map: str, key: str) -> str | None:
        return definitions.limit(namespace, config_map, key) if only in (None, namespace) else None

    return cache(lambda name: limit_named(name, value_of))
