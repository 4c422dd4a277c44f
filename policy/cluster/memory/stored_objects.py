"""Objects of the in-memory cluster: how they are stored and found, and how a write changes their metadata.

A stored object is bytes. So no caller can change stored state through what it got or gave, what is returned
needs no lock, and "did this write change anything" is an exact comparison (Python would call 1, 1.0 and True
equal).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

import msgspec

from policy.cluster.errors import Invalid
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    NODES,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    Resource,
)
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.values.prepared import prepare

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_SERVER_OWNED: Final = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
_IDENTITY: Final = ("name", "namespace")
_STATUS_APART: Final = (
    WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    CLUSTER_SYNCHRONIZATION_POLICIES,
)
"""Kinds with a status subresource: their status is written through it, and through nothing else."""
_BUILT_IN: Final = (CONFIG_MAPS, NAMESPACES, NODES, EVENTS)
_NO_STATUS: Final = _ENCODER.encode({})


class OwnerUid(msgspec.Struct, frozen=True):
    """The part of an owner reference that the cascade needs."""

    uid: str


class StoredMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that the cluster itself acts upon; absent strings are empty."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    deletion_timestamp: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerUid, ...] = ()


prepare(StoredMetadata)


class StoredObject(msgspec.Struct, frozen=True):
    """One object at one version: its parts as JSON bytes with sorted keys, and its metadata decoded.

    `content` is everything but apiVersion, kind, metadata and status; `status` is `{}` or `{"status": ...}`.
    """

    resource: Resource
    facts: StoredMetadata
    metadata: bytes
    content: bytes
    status: bytes

    def full(self) -> JsonObject:
        """Return a new copy of the whole object."""
        obj = self.partial()
        for part in (self.content, self.status):
            obj.update(msgspec.json.decode(part))
        return obj

    def partial(self) -> JsonObject:
        """Return a new object with apiVersion, kind and metadata alone."""
        return {
            "apiVersion": self.resource.api_version,
            "kind": self.resource.kind,
            "metadata": msgspec.json.decode(self.metadata),
        }

    def with_metadata(self, changes: Mapping[str, JsonValue]) -> "StoredObject":
        """Return this object with some fields of its metadata set, or removed where the value is null."""
        metadata: JsonObject = msgspec.json.decode(self.metadata)
        facts, encoded = _read_metadata({**metadata, **changes})
        return msgspec.structs.replace(self, facts=facts, metadata=encoded)


def encoded(resource: Resource, obj: JsonObject) -> StoredObject:
    """Return the object as bytes, its metadata as sent. Raises Invalid for a wrong kind or metadata."""
    if (obj.get("apiVersion"), obj.get("kind")) != (resource.api_version, resource.kind):
        raise Invalid(
            f"the object is {obj.get('apiVersion')} {obj.get('kind')}, "
            f"but {resource.plural} are {resource.api_version} {resource.kind}"
        )
    facts, encoded = _read_metadata(obj.get("metadata"))
    content = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata", "status")}
    status = {"status": obj["status"]} if "status" in obj else {}
    return StoredObject(resource, facts, encoded, _ENCODER.encode(content), _ENCODER.encode(status))


def created(draft: StoredObject, *, namespace: str, name: str, uid: str, at: datetime) -> StoredObject:
    """Return the object to store for a create: the draft with its identity, and nothing else server-owned.

    `namespace` is that of the request; it and the object's own must agree. Raises Invalid.
    """
    if draft.facts.resource_version:
        raise Invalid("resourceVersion should not be set on objects to be created")
    identity: JsonObject = {
        "name": name,
        "namespace": namespace_of(draft, namespace),
        "uid": uid,
        "creationTimestamp": _timestamp(at),
    }
    if _has_generation(draft):
        identity["generation"] = 1
    stored = draft.with_metadata({**dict.fromkeys(_SERVER_OWNED), **identity})
    return msgspec.structs.replace(stored, status=_NO_STATUS) if has_status_apart(stored) else stored


def has_status_apart(stored: StoredObject) -> bool:
    """Return whether the object's kind has a status subresource."""
    return stored.resource in _STATUS_APART


def _has_generation(stored: StoredObject) -> bool:
    """Return whether versions of the content are counted: of all kinds here but the built-in ones."""
    return stored.resource not in _BUILT_IN


def namespace_of(draft: StoredObject, namespace: str = "") -> str:
    """Return the namespace that an object belongs to, "" for cluster-scoped kinds. Raises Invalid."""
    own = draft.facts.namespace
    if not draft.resource.namespaced:
        if own or namespace:
            raise Invalid(f"{draft.resource.plural} are cluster-scoped: namespace must be empty")
        return ""
    if own and namespace and own != namespace:
        raise Invalid(f"the object's namespace {own} is not the request's namespace {namespace}")
    if not (own or namespace):
        raise Invalid(f"{draft.resource.plural} are namespaced: namespace is required")
    return own or namespace


def revised(old: StoredObject, draft: StoredObject) -> StoredObject:
    """Return the object to store over `old`, or `old` itself when the draft changes nothing.

    Identity and server-owned metadata stay; the generation rises when the content changed. Raises Invalid.
    """
    present: JsonObject = msgspec.json.decode(old.metadata)
    new = draft.with_metadata({field: present.get(field) for field in (*_IDENTITY, *_SERVER_OWNED)})
    if has_status_apart(old):
        new = msgspec.structs.replace(new, status=old.status)
    if old.facts.deletion_timestamp and not set(new.facts.finalizers) <= set(old.facts.finalizers):
        raise Invalid("no new finalizers can be added if the object is being deleted")
    if new == old:
        return old
    # Argo's kinds have no status subresource, so to the API server their status is content like any other.
    status_counts = old.resource.group == WORKFLOWS.group
    if not _has_generation(old):
        return new
    if new.content != old.content or (status_counts and new.status != old.status):
        return new.with_metadata({"generation": old.facts.generation + 1})
    return new


def marked_deleted(old: StoredObject, *, at: datetime) -> StoredObject:
    """Return the object with its deletion requested, or `old` itself where it was already."""
    if old.facts.deletion_timestamp:
        return old
    mark: JsonObject = {"deletionTimestamp": _timestamp(at), "deletionGracePeriodSeconds": 0}
    if _has_generation(old):
        # The API server raises the generation here, so that controllers see a change of intent.
        mark["generation"] = old.facts.generation + 1
    return old.with_metadata(mark)


def without_owner(dependant: StoredObject, uid: str) -> StoredObject:
    """Return the object without its references to the owner of that uid."""
    metadata: JsonObject = msgspec.json.decode(dependant.metadata)
    references = metadata.get("ownerReferences")
    if not isinstance(references, list):
        return dependant
    others: list[JsonValue] = [r for r in references if not (isinstance(r, dict) and r.get("uid") == uid)]
    return dependant.with_metadata({"ownerReferences": others})


def _timestamp(at: datetime) -> str:
    """Return an aware time as Kubernetes writes it: UTC, whole seconds, `2026-11-23T10:00:00Z`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_metadata(metadata: JsonValue) -> tuple[StoredMetadata, bytes]:
    """Return metadata decoded and encoded. Raises Invalid where a field has the wrong type."""
    # The API server omits empty fields, which decides whether a JSON patch finds the map it adds to.
    present = metadata if isinstance(metadata, dict) else {}
    tidy = {key: value for key, value in present.items() if value not in (None, "", {}, [])}
    try:
        facts = msgspec.convert(tidy, StoredMetadata)
    except msgspec.ValidationError as error:
        raise Invalid(f"metadata: {error}") from error
    return facts, _ENCODER.encode(tidy)


_Address: TypeAlias = tuple[Resource, str, str]
"""Resource, namespace ("" for cluster-scoped kinds) and name."""


class ObjectTable:
    """Objects by address, with an index from an owner's uid to what it owns."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[tuple[str, str], StoredObject]] = {}
        self._uids: set[str] = set()
        # Ordered by insertion and not a set, because a cascade has to run in the same order in every process.
        self._owned: dict[str, dict[_Address, None]] = {}

    def find(self, resource: Resource, namespace: str, name: str) -> StoredObject | None:
        """Return the object at an address, or None."""
        return self._objects.get(resource, {}).get((namespace, name))

    def every(self, resource: Resource) -> tuple[StoredObject, ...]:
        """Return all objects of a kind, in no particular order."""
        return tuple(self._objects.get(resource, {}).values())

    def exists(self, uid: str) -> bool:
        """Return whether an object of that uid exists."""
        return uid in self._uids

    def dependants(self, uid: str) -> tuple[StoredObject, ...]:
        """Return the objects, of any kind, whose owner references name the uid, oldest reference first."""
        found = (self.find(*address) for address in self._owned.get(uid, ()))
        return tuple(stored for stored in found if stored is not None)

    def put(self, stored: StoredObject) -> None:
        """Store the object at its address, over the one that is there."""
        facts = stored.facts
        before = self.find(stored.resource, facts.namespace, facts.name)
        if before is not None:
            self._forget_owners(before)
        self._objects.setdefault(stored.resource, {})[facts.namespace, facts.name] = stored
        self._uids.add(facts.uid)
        for owner in facts.owner_references:
            self._owned.setdefault(owner.uid, {})[_address(stored)] = None

    def drop(self, stored: StoredObject) -> None:
        """Remove the object from its address."""
        self._forget_owners(stored)
        self._uids.discard(stored.facts.uid)
        del self._objects[stored.resource][stored.facts.namespace, stored.facts.name]

    def _forget_owners(self, stored: StoredObject) -> None:
        """Take the object out of the index of its owners."""
        for owner in stored.facts.owner_references:
            owned = self._owned.get(owner.uid, {})
            owned.pop(_address(stored), None)
            if not owned:
                self._owned.pop(owner.uid, None)


def _address(stored: StoredObject) -> _Address:
    """Return the address of the object."""
    return stored.resource, stored.facts.namespace, stored.facts.name
