"""Which semaphores exist, and their limits: what policies define, then the numbers in known ConfigMaps."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from policy.core.extent import WHOLE, Extent
from policy.core.kinds import ClusterSynchronizationPolicy, SynchronizationPolicy
from policy.core.locks.definitions import projected
from policy.core.locks.naming import read_limit
from policy.core.problems import MAX_CANDIDATES
from policy.core.selectors import Labels, LabelSelector

LockPolicy: TypeAlias = SynchronizationPolicy | ClusterSynchronizationPolicy
LabelsOf: TypeAlias = Callable[[str], Labels]
Address: TypeAlias = tuple[str, str]
"""Namespace and name of a ConfigMap."""
Limits: TypeAlias = Mapping[str, int]
"""Limits by key."""


class Definitions(msgspec.Struct, frozen=True):
    """Which semaphores exist: those that policies define, then the keys of known ConfigMaps.

    `everywhere` has those of cluster policies, by the name of the ConfigMap. `extent` says which ConfigMaps
    would be known if they existed.
    """

    owned: Mapping[Address, Limits]
    everywhere: tuple[tuple[LabelSelector, Mapping[str, Limits]], ...]
    config_maps: Mapping[Address, Mapping[str, str]]
    labels_of: LabelsOf
    extent: Extent = WHOLE

    def limit(self, namespace: str, config_map: str, key: str) -> str | None:
        """Return a semaphore's limit as it stands or will stand in its ConfigMap; None where undefined."""
        own = self.owned.get((namespace, config_map), {}).get(key)
        if own is not None:
            return str(own)
        for selector, limits in self.everywhere:
            found = limits.get(config_map, {}).get(key)
            if found is not None and selector.matches(self.labels_of(namespace)):
                return str(found)
        return self.config_maps.get((namespace, config_map), {}).get(key)

    def knows(self, namespace: str, config_map: str) -> bool:
        """Tell whether anything is known of a ConfigMap, so that a key may be missing in it."""
        return bool(self.config_maps.get((namespace, config_map)) or self.keys_beside(namespace, config_map))

    def keys_beside(self, namespace: str, config_map: str) -> list[str]:
        """Return the keys with limits that are known in a ConfigMap, to suggest one of them.

        A key whose value is no number is nobody's semaphore, and its name is none of ours to tell. Nothing is
        suggested from a ConfigMap of many keys: each wrong reference would cost a look at all of them.
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
    config_maps: Mapping[Address, Mapping[str, str]],
    labels_of: LabelsOf,
    *,
    extent: Extent = WHOLE,
) -> Definitions:
    """Return what all policies define; of two definitions of a namespace's own the last by name counts."""
    owned: dict[Address, dict[str, int]] = {}
    everywhere: list[tuple[LabelSelector, Mapping[str, Limits]]] = []
    for policy in policies:
        if isinstance(policy, ClusterSynchronizationPolicy):
            limits: dict[str, dict[str, int]] = {}
            for each in projected(policy.spec, None):
                limits.setdefault(each.config_map, {})[each.key] = each.limit
            everywhere.append((policy.spec.namespace_selector, limits))
            continue
        namespace = policy.metadata.namespace
        for each in projected(policy.spec, namespace):
            owned.setdefault((namespace, each.config_map), {})[each.key] = each.limit
    return Definitions(owned, tuple(everywhere), config_maps, labels_of, extent)
