"""Which keys of which ConfigMaps the definitions of policies ask for at a time: what Argo should read.

In each namespace the definition counts that reviews look up: its own before the cluster's, of its own the
last by name, of the cluster's the first.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import msgspec

from policy.core.lock_model.semaphore_definitions import ConfigMapAddress, LockPolicy, projected_definitions
from policy.core.policies.conflicts import PolicyName, name_of
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy, SemaphoreDefinition
from policy.core.quota.windows import NEVER, semaphore_limits

NOTHING: Final[Mapping[str, "ProjectedKey"]] = {}


class ProjectedKey(msgspec.Struct, frozen=True):
    """The value that a key should have, and the definition that says so."""

    value: str
    policy: PolicyName
    path: str


class Projection(msgspec.Struct, frozen=True):
    """All keys that should be there, by ConfigMap, until the first window opens or closes."""

    config_maps: Mapping[ConfigMapAddress, Mapping[str, ProjectedKey]]
    until: datetime


class _PolicyKeys(msgspec.Struct, frozen=True):
    """The keys of one policy, by ConfigMap, at a time."""

    policy: LockPolicy
    keys: Mapping[str, Mapping[str, ProjectedKey]]


def project(snapshot: Snapshot, now: datetime) -> Projection:
    """Return what the ConfigMaps of all known namespaces should say at `now` (aware)."""
    until = NEVER
    own: dict[str, list[_PolicyKeys]] = {}
    everywhere: list[_PolicyKeys] = []
    for policy in snapshot.lock_policies:
        defined, change = _defined(policy, now)
        until = min(until, change)
        if isinstance(policy, ClusterSynchronizationPolicy):
            everywhere.append(defined)
        else:
            own.setdefault(policy.metadata.namespace, []).append(defined)
    namespaces = own.keys() | (snapshot.namespace_labels.keys() if everywhere else set())
    config_maps: dict[ConfigMapAddress, Mapping[str, ProjectedKey]] = {}
    for namespace in sorted(namespaces):
        counting = [*_selecting(everywhere, namespace, snapshot), *own.get(namespace, ())]
        for name, keys in _merged(counting).items():
            config_maps[namespace, name] = keys
    return Projection(config_maps, until)


def limit_at(definition: SemaphoreDefinition, now: datetime) -> tuple[int, datetime]:
    """Return the limit of a definition at `now`, and until when that holds."""
    in_force = semaphore_limits(definition).at(now)
    limit = in_force.limits.workflows.value
    return definition.limit if limit is None else limit, in_force.until


def _defined(policy: LockPolicy, now: datetime) -> tuple[_PolicyKeys, datetime]:
    name, until = name_of(policy), NEVER
    keys: dict[str, dict[str, ProjectedKey]] = {}
    for index, definition in enumerate(projected_definitions(policy.spec, name.namespace or None)):
        limit, change = limit_at(definition, now)
        until = min(until, change)
        own = index < len(policy.spec.semaphores)  # After its own come those that its rules need.
        key = ProjectedKey(str(limit), name, f"spec.semaphores[{index}]" if own else "spec.inject")
        keys.setdefault(definition.config_map, {})[definition.key] = key
    return _PolicyKeys(policy, keys), until


def _selecting(everywhere: list[_PolicyKeys], namespace: str, snapshot: Snapshot) -> Iterator[_PolicyKeys]:
    """Yield the cluster's policies for a namespace, the one that counts last."""
    labels = snapshot.labels_of(namespace)
    for each in reversed(everywhere):
        policy = each.policy
        if isinstance(policy, ClusterSynchronizationPolicy) and policy.spec.namespace_selector.matches(
            labels
        ):
            yield each


def _merged(counting: list[_PolicyKeys]) -> Mapping[str, Mapping[str, ProjectedKey]]:
    """Return the keys of several policies; of two for one key the later counts."""
    if len(counting) == 1:
        return counting[0].keys
    merged: dict[str, dict[str, ProjectedKey]] = {}
    for each in counting:
        for name, keys in each.keys.items():
            merged.setdefault(name, {}).update(keys)
    return merged
