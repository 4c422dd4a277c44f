"""The objects of one resource as the cluster has them: their last good forms, and the verdicts on policies.

An event that asks for nothing new (a status was written, a label was set) changes no document, so that the
status writes of Lockkeeper itself compile nothing anew. `metadata.generation` counts what is asked for.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    Resource,
)
from policy.core.lock_model.generated_names import header_of
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policy_kinds.kinds import (
    ConfigMap,
    ManagedFieldsEntry,
    NamespaceObject,
    Policy,
    PolicyMetadata,
)
from policy.core.values.prepared import prepare
from policy.core.values.problems import Problem
from policy.sources.documents import Document, read
from policy.sources.related_objects import numbers_in

POLICY_RESOURCES: Final = (
    WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    CLUSTER_SYNCHRONIZATION_POLICIES,
)


class Verdict(msgspec.Struct, frozen=True):
    """Whether a policy is in force as it stands, and how the object stands in the cluster.

    `generation` is the one that was judged, and `in_force` the one of the last good form, 0 where there is
    none; `status` is the status of the object at `resource_version`.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    in_force: int
    problems: tuple[Problem, ...]
    status: JsonValue = None

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.resource.kind} {name}"


class ShelfChange(msgspec.Struct, frozen=True):
    """What a shelf made of something new: whether documents changed, and what was judged.

    `moved` tells that something about a policy is other than before, if only its status.
    """

    documents: bool = False
    judged: tuple[Verdict, ...] = ()
    moved: bool = False


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that a verdict names."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0


prepare(_Meta)


class Shelf:
    """The documents of one resource by uid, the last good form of each, and the verdicts on policies."""

    def __init__(self, *, resource: Resource) -> None:
        self.resource = resource
        self.documents: dict[str, Document] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.listed = False
        self.changes = 0
        self._judges = resource in POLICY_RESOURCES

    def reset(self, items: Iterable[JsonObject]) -> ShelfChange:
        """Start anew from a listing; what is known already is not judged again."""
        objects = {_meta(item).uid: item for item in items}
        gone = [uid for uid in (*self.documents, *self.verdicts) if uid not in objects]
        parts = [self._remove(uid) for uid in gone] + [self.put(item) for item in objects.values()]
        first, self.listed = not self.listed, True
        return ShelfChange(
            documents=first or any(part.documents for part in parts),
            judged=tuple(verdict for part in parts for verdict in part.judged),
            moved=any(part.moved for part in parts),
        )

    def put(self, obj: JsonObject) -> ShelfChange:
        """Take an object in if it is good; one that asks for the same as before is only looked at."""
        meta = _meta(obj)
        before = self.verdicts.get(meta.uid)
        if before is not None and meta.generation and before.generation == meta.generation:
            return self._look_again(before, meta, obj)
        typed: JsonObject = {"apiVersion": self.resource.api_version, "kind": self.resource.kind, **obj}
        contents = read(typed)
        changed = False
        for decoded in contents.documents:
            slim = _slim(decoded.document)
            changed = changed or self.documents.get(meta.uid) != slim
            self.documents[meta.uid] = slim
        if not self._judges:
            return ShelfChange(documents=changed)
        kept = before.in_force if before is not None else 0
        verdict = Verdict(
            resource=self.resource,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            in_force=kept if contents.problems else meta.generation,
            problems=contents.problems,
            status=obj.get("status"),
        )
        self.verdicts[meta.uid] = verdict
        return ShelfChange(documents=changed, judged=(verdict,), moved=True)

    def drop(self, obj: JsonObject) -> ShelfChange:
        """Take an object out."""
        return self._remove(_meta(obj).uid)

    def _look_again(self, before: Verdict, meta: _Meta, obj: JsonObject) -> ShelfChange:
        """Note how an object stands whose spec is the one that was judged."""
        if before.resource_version == meta.resource_version:
            return ShelfChange()
        self.verdicts[meta.uid] = msgspec.structs.replace(
            before, resource_version=meta.resource_version, status=obj.get("status")
        )
        return ShelfChange(moved=True)

    def _remove(self, uid: str) -> ShelfChange:
        document, verdict = self.documents.pop(uid, None), self.verdicts.pop(uid, None)
        return ShelfChange(documents=document is not None, moved=verdict is not None)


def _meta(obj: JsonObject) -> _Meta:
    return msgspec.convert(obj.get("metadata") or {}, _Meta)


def _slim(document: Document) -> Document:
    """Return a document with only what a snapshot is made of, so that it is equal while that is the same."""
    if isinstance(document, NamespaceObject):
        return NamespaceObject(PolicyMetadata(name=document.metadata.name, labels=document.metadata.labels))
    if isinstance(document, ConfigMap):
        return ConfigMap(_identity(document.metadata), numbers_in(document.data, names=True))
    if isinstance(document, Policy):
        return msgspec.structs.replace(document, metadata=_identity(document.metadata))
    return msgspec.structs.replace(document, metadata=header_of(document.metadata))


def _identity(metadata: PolicyMetadata) -> PolicyMetadata:
    """Return what tells objects apart, which of two is older, and since when each is as it is."""
    return PolicyMetadata(
        name=metadata.name,
        namespace=metadata.namespace,
        creation_timestamp=metadata.creation_timestamp,
        managed_fields=(ManagedFieldsEntry(metadata.edited),) if metadata.managed_fields else (),
    )
