"""The objects of one resource as the cluster has them: their last good forms, and the verdicts on policies.

An event without a new spec (a status was written, a label was set) changes no document, so that the status
writes of Lockkeeper itself compile nothing again. `metadata.generation` counts the changes of the spec.
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
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policy_kinds.kinds import (
    ManagedFieldsEntry,
    NamespaceObject,
    Policy,
    PolicyMetadata,
)
from policy.core.values.problems import Problem
from policy.sources.documents import Document, read
from policy.sources.related_objects import ObjectFacts

POLICY_RESOURCES: Final = (
    WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    CLUSTER_SYNCHRONIZATION_POLICIES,
)


class Verdict(msgspec.Struct, frozen=True):
    """Whether a policy is in force as it is written, and the state of its object in the cluster.

    `generation` is the one that was checked, and `in_force` the one of the last good form, 0 where there is
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


class ObjectsChange(msgspec.Struct, frozen=True):
    """What an update changed: whether documents did, and the new verdicts.

    `policies` is whether anything about a policy changed, if only its status.
    """

    documents: bool = False
    verdicts: tuple[Verdict, ...] = ()
    policies: bool = False


class LastGoodObjects:
    """The documents of one resource by uid, the last good form of each, and the verdicts on policies."""

    def __init__(self, *, resource: Resource) -> None:
        self.resource = resource
        self.documents: dict[str, Document] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.listed = False
        self.changes = 0
        self._gives_verdicts = resource in POLICY_RESOURCES

    def reset(self, items: Iterable[JsonObject]) -> ObjectsChange:
        """Start again from a listing; what is known already is not checked again."""
        objects = {_meta(item).uid: item for item in items}
        deleted = [uid for uid in (*self.documents, *self.verdicts) if uid not in objects]
        parts = [self._remove(uid) for uid in deleted] + [self.put(item) for item in objects.values()]
        first, self.listed = not self.listed, True
        return ObjectsChange(
            documents=first or any(part.documents for part in parts),
            verdicts=tuple(verdict for part in parts for verdict in part.verdicts),
            policies=any(part.policies for part in parts),
        )

    def put(self, obj: JsonObject) -> ObjectsChange:
        """Store an object if it is good; of one whose spec is the same as before only the status."""
        meta = _meta(obj)
        before = self.verdicts.get(meta.uid)
        if before is not None and meta.generation and before.generation == meta.generation:
            return self._update_status(before, meta, obj)
        typed: JsonObject = {"apiVersion": self.resource.api_version, "kind": self.resource.kind, **obj}
        contents = read(typed)
        changed = False
        for decoded in contents.documents:
            slim = _slim(decoded.document)
            changed = changed or self.documents.get(meta.uid) != slim
            self.documents[meta.uid] = slim
        if not self._gives_verdicts:
            return ObjectsChange(documents=changed)
        last_good = before.in_force if before is not None else 0
        verdict = Verdict(
            resource=self.resource,
            namespace=meta.namespace,
            name=meta.name,
            uid=meta.uid,
            resource_version=meta.resource_version,
            generation=meta.generation,
            in_force=last_good if contents.problems else meta.generation,
            problems=contents.problems,
            status=obj.get("status"),
        )
        self.verdicts[meta.uid] = verdict
        return ObjectsChange(documents=changed, verdicts=(verdict,), policies=True)

    def drop(self, obj: JsonObject) -> ObjectsChange:
        """Remove an object."""
        return self._remove(_meta(obj).uid)

    def _update_status(self, before: Verdict, meta: ObjectFacts, obj: JsonObject) -> ObjectsChange:
        """Store the status of an object whose spec was checked already."""
        if before.resource_version == meta.resource_version:
            return ObjectsChange()
        self.verdicts[meta.uid] = msgspec.structs.replace(
            before, resource_version=meta.resource_version, status=obj.get("status")
        )
        return ObjectsChange(policies=True)

    def _remove(self, uid: str) -> ObjectsChange:
        document, verdict = self.documents.pop(uid, None), self.verdicts.pop(uid, None)
        return ObjectsChange(documents=document is not None, policies=verdict is not None)


def _meta(obj: JsonObject) -> ObjectFacts:
    return msgspec.convert(obj.get("metadata") or {}, ObjectFacts)


def _slim(document: Document) -> Document:
    """Return a document with only what a snapshot uses, so that it is equal while that is the same."""
    if isinstance(document, NamespaceObject):
        return NamespaceObject(PolicyMetadata(name=document.metadata.name, labels=document.metadata.labels))
    if isinstance(document, Policy):
        return msgspec.structs.replace(document, metadata=_identity(document.metadata))
    return document


def _identity(metadata: PolicyMetadata) -> PolicyMetadata:
    """Return what identifies an object, when it was created, and since when it is as it is."""
    return PolicyMetadata(
        name=metadata.name,
        namespace=metadata.namespace,
        creation_timestamp=metadata.creation_timestamp,
        managed_fields=(ManagedFieldsEntry(metadata.edited),) if metadata.managed_fields else (),
    )
