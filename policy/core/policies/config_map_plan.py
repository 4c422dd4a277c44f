"""What to write into one ConfigMap so that it says what policies ask for, and leaves what is others' alone.

We own keys by server-side apply, under a manager's name of our own. A key that somebody else owns with
another value stays theirs: that is reported, and not forced. A key that nobody asks for any more goes; but
while Workflows hold or want its lock it keeps its last value, because Argo would strand them
(argo-verified 4).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_model.semaphore_definitions import ConfigMapAddress
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import Read
from policy.core.values.prepared import prepare

FIELD_MANAGER: Final = "lockkeeper-semaphores"
LABEL: Final = "lockkeeper.dev/semaphores"
"""Label of ConfigMaps that have a key of ours, by which the next leader finds them."""
OURS: Final = f"{LABEL}=true"
_APPLY: Final = "Apply"
_DATA: Final = "f:data"

InUse: TypeAlias = Callable[[str], bool]
"""Tells whether any Workflow holds or wants the lock of a key; in doubt it says so."""


class ManagedFields(Read, frozen=True):
    """What one manager owns (`metav1.ManagedFieldsEntry`)."""

    manager: str | None = None
    operation: str | None = None
    fields_v1: dict[str, object] | None = msgspec.field(default=None, name="fieldsV1")


class ManagedMetadata(Read, frozen=True):
    """The metadata that tells what is ours."""

    name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    managed_fields: tuple[ManagedFields, ...] | None = None


class ObservedConfigMap(Read, frozen=True):
    """A ConfigMap as it stands."""

    metadata: ManagedMetadata
    data: dict[str, str] | None = None

    @property
    def address(self) -> ConfigMapAddress:
        """Where it is."""
        return self.metadata.namespace, self.metadata.name


prepare(ObservedConfigMap)


class ForeignKey(msgspec.Struct, frozen=True):
    """A key that somebody else owns with another value than is asked for."""

    owner: str
    value: str


class Plan(msgspec.Struct, frozen=True):
    """What is to be applied, None where it stands so already; what is not ours to set; what is kept."""

    data: Mapping[str, str] | None
    foreign: Mapping[str, ForeignKey]
    kept: tuple[str, ...]
    empty: bool
    """Whether nothing of it will be ours."""


def plan(standing: ObservedConfigMap | None, wanted: Mapping[str, str], in_use: InUse) -> Plan:
    """Return what to do about one ConfigMap; `standing` is None where it does not exist."""
    if standing is None:
        return Plan(dict(wanted) or None, {}, (), empty=not wanted)
    data = standing.data or {}
    ours, owners = _owners(standing.metadata.managed_fields or ())
    foreign = {
        key: ForeignKey(", ".join(owners[key]), data[key])
        for key, value in wanted.items()
        if owners.get(key) and data.get(key, value) != value
    }
    kept = tuple(key for key in sorted(ours - wanted.keys()) if key in data and in_use(key))
    target = {key: value for key, value in wanted.items() if key not in foreign}
    target.update((key, data[key]) for key in kept)
    owned = {key: data[key] for key in ours if key in data}
    labelled = (standing.metadata.labels or {}).get(LABEL) == "true"
    settled = target == owned and ours == owned.keys() and (labelled or not target)
    return Plan(None if settled else target, foreign, kept, empty=not target)


def config_map(address: ConfigMapAddress, data: Mapping[str, str]) -> JsonObject:
    """Return what to apply; without data it gives up all that was ours."""
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
        fields = (each.fields_v1 or {}).get(_DATA)
        keys = [key.removeprefix("f:") for key in fields if key != "."] if isinstance(fields, dict) else []
        if each.manager == FIELD_MANAGER and each.operation == _APPLY:
            ours.update(keys)
        else:
            for key in keys:
                others.setdefault(key, []).append(each.manager or "somebody")
    return ours, others
