"""What the ConfigMaps of semaphores should contain, and what to write into each of them.

In each namespace the definition counts that reviews look up: its own before the cluster's, of its own the
last by name, of the cluster's the first.

We own keys by server-side apply, under a field manager of our own. A key that another manager owns with
another value stays as it is: that is reported, and not forced. A key that no policy defines any more is
removed; but while Workflows hold or wait for its lock it retains its last value, because Argo would strand
them (argo-verified 4).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_model.semaphore_definitions import ConfigMapAddress, LockPolicy, projected_definitions
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.label_selectors import LabelSelector
from policy.core.objects.workflow import Read
from policy.core.policies.conflicts import PolicyName, name_of
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicy, SemaphoreDefinition
from policy.core.quota.windows import NEVER, semaphore_limits
from policy.core.values.prepared import prepare

FIELD_MANAGER: Final = "lockkeeper-semaphores"
LABEL: Final = "lockkeeper.dev/semaphores"
"""Label of ConfigMaps that have a key of ours, by which the next leader finds them."""
OURS: Final = f"{LABEL}=true"
NOTHING: Final[Mapping[str, "ProjectedKey"]] = {}


class ProjectedKey(msgspec.Struct, frozen=True):
    """The value that a key should have, and the definition that it comes from."""

    value: str
    policy: PolicyName
    path: str


_Keys: TypeAlias = Mapping[str, Mapping[str, ProjectedKey]]
"""Keys with what they should have, by the name of their ConfigMap."""


class Projection(msgspec.Struct, frozen=True):
    """All keys that should exist, by ConfigMap, until the first window opens or closes."""

    config_maps: Mapping[ConfigMapAddress, Mapping[str, ProjectedKey]]
    until: datetime


class ManagedFields(Read, frozen=True):
    """What one manager owns (`metav1.ManagedFieldsEntry`)."""

    manager: str | None = None
    operation: str | None = None
    fields_v1: dict[str, object] | None = msgspec.field(default=None, name="fieldsV1")


class ManagedMetadata(Read, frozen=True):
    """The metadata that shows which keys are ours."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    managed_fields: tuple[ManagedFields, ...] | None = None


class ObservedConfigMap(Read, frozen=True):
    """A ConfigMap as it is in the cluster."""

    metadata: ManagedMetadata
    data: dict[str, str] | None = None

    @property
    def address(self) -> ConfigMapAddress:
        """Where it is."""
        return self.metadata.namespace, self.metadata.name


prepare(ObservedConfigMap)


class ForeignKey(msgspec.Struct, frozen=True):
    """A key that another manager owns with another value than a policy defines."""

    owner: str
    value: str


class ConfigMapPlan(msgspec.Struct, frozen=True):
    """What to apply (None: it is so already), which keys are not ours to set, and which are `retained`."""

    data: Mapping[str, str] | None
    foreign: Mapping[str, ForeignKey]
    retained: tuple[str, ...]
    empty: bool
    """Whether nothing of it will be ours."""


def project(snapshot: Snapshot, now: datetime) -> Projection:
    """Return what the ConfigMaps of all known namespaces should contain at `now` (aware)."""
    until = NEVER
    own: dict[str, list[_Keys]] = {}
    everywhere: list[tuple[LabelSelector, _Keys]] = []
    for policy in snapshot.lock_policies:
        keys, change = _defined(policy, now)
        until = min(until, change)
        if isinstance(policy, ClusterSynchronizationPolicy):
            everywhere.append((policy.spec.namespace_selector, keys))
        else:
            own.setdefault(policy.metadata.namespace, []).append(keys)
    namespaces = own.keys() | (snapshot.namespace_labels.keys() if everywhere else set())
    config_maps: dict[ConfigMapAddress, Mapping[str, ProjectedKey]] = {}
    for namespace in sorted(namespaces):
        labels = snapshot.labels_of(namespace)
        # The definition that counts is last: the first of the cluster's, before those of the namespace.
        counting = [keys for selector, keys in reversed(everywhere) if selector.matches(labels)]
        for name, merged in _merged([*counting, *own.get(namespace, ())]).items():
            config_maps[namespace, name] = merged
    return Projection(config_maps, until)


def limit_at(definition: SemaphoreDefinition, now: datetime) -> tuple[int, datetime]:
    """Return the limit of a definition at `now`, and until when that is valid."""
    in_force = semaphore_limits(definition).at(now)
    limit = in_force.limits.workflows.value
    return definition.limit if limit is None else limit, in_force.until


def _defined(policy: LockPolicy, now: datetime) -> tuple[_Keys, datetime]:
    """Return the keys of one policy at a time, and until when they are valid."""
    name, until = name_of(policy), NEVER
    keys: dict[str, dict[str, ProjectedKey]] = {}
    for index, definition in enumerate(projected_definitions(policy.spec, name.namespace or None)):
        limit, change = limit_at(definition, now)
        until = min(until, change)
        own = index < len(policy.spec.semaphores)  # After its own come those that its rules need.
        key = ProjectedKey(str(limit), name, f"spec.semaphores[{index}]" if own else "spec.inject")
        keys.setdefault(definition.config_map, {})[definition.key] = key
    return keys, until


def _merged(counting: list[_Keys]) -> _Keys:
    """Return the keys of several policies; of two for one key the later counts."""
    if len(counting) == 1:
        return counting[0]
    merged: dict[str, dict[str, ProjectedKey]] = {}
    for each in counting:
        for name, keys in each.items():
            merged.setdefault(name, {}).update(keys)
    return merged


def plan(
    present: ObservedConfigMap | None, wanted: Mapping[str, str], in_use: Callable[[str], bool]
) -> ConfigMapPlan:
    """Return what to do about one ConfigMap; `present` is None where it does not exist.

    `in_use` returns whether any Workflow holds or waits for the lock of a key; if that is unknown, True.
    """
    if present is None:
        return ConfigMapPlan(dict(wanted) or None, {}, (), empty=not wanted)
    data = present.data or {}
    ours, owners = _owners(present.metadata.managed_fields or ())
    foreign = {
        key: ForeignKey(", ".join(owners[key]), data[key])
        for key, value in wanted.items()
        if owners.get(key) and data.get(key, value) != value
    }
    retained = tuple(key for key in sorted(ours - wanted.keys()) if key in data and in_use(key))
    target = {key: value for key, value in wanted.items() if key not in foreign}
    target.update((key, data[key]) for key in retained)
    owned = {key: data[key] for key in ours if key in data}
    labelled = (present.metadata.labels or {}).get(LABEL) == "true"
    settled = target == owned and ours == owned.keys() and (labelled or not target)
    return ConfigMapPlan(None if settled else target, foreign, retained, empty=not target)


def config_map_to_apply(address: ConfigMapAddress, data: Mapping[str, str]) -> JsonObject:
    """Return what to apply; without data, all keys that were ours are given up."""
    namespace, name = address
    metadata: JsonObject = {"name": name, "namespace": namespace}
    body: JsonObject = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    if data:
        metadata["labels"] = {LABEL: "true"}
        values: dict[str, JsonValue] = {**data}
        body["data"] = values
    return body


def _owners(managed: Iterable[ManagedFields]) -> tuple[set[str], dict[str, list[str]]]:
    """Return the keys of data that are ours, and the other owners of each key."""
    ours: set[str] = set()
    others: dict[str, list[str]] = {}
    for each in managed:
        fields = (each.fields_v1 or {}).get("f:data")
        keys = [key.removeprefix("f:") for key in fields if key != "."] if isinstance(fields, dict) else []
        if each.manager == FIELD_MANAGER and each.operation == "Apply":
            ours.update(keys)
        else:
            for key in keys:
                others.setdefault(key, []).append(each.manager or "somebody")
    return ours, others
