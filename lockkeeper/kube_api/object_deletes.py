"""Deletes of objects, one by name or all that are selected, as the API server answers them."""

from collections.abc import Callable
from typing import Final

import msgspec

from lockkeeper.kube_api.answers import Answer, RequestRefused, invalid_options
from lockkeeper.kube_api.request_paths import ObjectPath
from lockkeeper.kube_api.requests import ApiRequest, unsupported, write_options
from lockkeeper.kube_api.served_kinds import SERVED
from policy.cluster.errors import NotFound
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import NAMESPACES, MergePatch, Preconditions
from policy.core.objects.json_parts import metadata_of
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import Read
from policy.core.values.prepared import prepare

_ORPHAN: Final = "Orphan"
_POLICIES: Final = ("Foreground", "Background", _ORPHAN, "nil")


class _Preconditions(Read, frozen=True):
    """What must still hold for a delete to happen."""

    uid: str | None = None
    resource_version: str | None = None


class _DeleteOptions(Read, frozen=True):
    """The body of a delete."""

    preconditions: _Preconditions | None = None
    propagation_policy: str | None = None
    dry_run: tuple[str, ...] | None = None


prepare(_DeleteOptions)


class ObjectDeletes(msgspec.Struct, frozen=True, kw_only=True):
    """Deletes objects; may raise RequestRefused and ClusterError."""

    cluster: MemoryCluster

    def one(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Delete one object; what is answered is that it is gone, or the object that waits for finalizers."""
        options, dry_run = self._options(request)
        resource = path.kind.resource
        obj = self.cluster.get(resource, path.name, namespace=path.namespace)
        _check(path, obj, options.preconditions or _Preconditions())
        if not dry_run:
            self._delete(path, obj, options)
        if resource == NAMESPACES:
            return Answer(200, {**obj, "status": {"phase": "Terminating"}})
        if metadata_of(obj).get("finalizers"):
            left = self.cluster.get(resource, path.name, namespace=path.namespace)
            return Answer(200, left)
        details: JsonObject = {"name": path.name, "kind": resource.plural, "uid": metadata_of(obj).get("uid")}
        if resource.group:
            details["group"] = resource.group
        body: JsonObject = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return Answer(200, {**body, "details": details})

    def many(
        self, request: ApiRequest, path: ObjectPath, listed: Callable[[ApiRequest, ObjectPath], Answer]
    ) -> Answer:
        """Delete what is selected; the answer is the list as it was."""
        options, dry_run = self._options(request)
        if path.kind.resource == NAMESPACES:
            text = "the server does not allow this method on the requested resource"
            raise RequestRefused(405, text, details={})
        plain = msgspec.structs.replace(request, accept="")
        answer = listed(plain, path)
        items = answer.body.get("items")
        for each in items if isinstance(items, list) and not dry_run else ():
            if not isinstance(each, dict):
                continue
            metadata = metadata_of(each)
            namespace, name = str(metadata.get("namespace") or ""), str(metadata.get("name"))
            try:
                self._delete(ObjectPath(path.kind, namespace, name), each, options)
            except NotFound:
                continue  # It went with its owner.
        return answer

    def _options(self, request: ApiRequest) -> tuple[_DeleteOptions, bool]:
        """Return how to delete, and whether nothing is to be stored. Raises RequestRefused."""
        dry_run = write_options(request, "DeleteOptions").dry_run
        options = _DeleteOptions()
        if request.body:
            try:
                options = msgspec.json.decode(request.body, type=_DeleteOptions)
            except msgspec.DecodeError as error:
                text = f"couldn't get version/kind; json parse error: {error}"
                raise RequestRefused(400, text) from error
        policy = options.propagation_policy or request.query.get("propagationPolicy") or ""
        if policy not in ("", *_POLICIES):
            raise invalid_options("DeleteOptions", [unsupported("propagationPolicy", policy, _POLICIES)])
        return msgspec.structs.replace(options, propagation_policy=policy), dry_run or bool(options.dry_run)

    def _delete(self, path: ObjectPath, obj: JsonObject, options: _DeleteOptions) -> None:
        resource = path.kind.resource
        wanted = options.preconditions or _Preconditions()
        if resource == NAMESPACES:
            self._empty(path.name)
        if options.propagation_policy == _ORPHAN:
            self._let_go(str(metadata_of(obj).get("uid")))
        self.cluster.delete(
            resource,
            path.name,
            namespace=path.namespace,
            preconditions=Preconditions(wanted.uid, wanted.resource_version),
        )

    def _empty(self, namespace: str) -> None:
        """Delete what is in a namespace."""
        for kind in SERVED:
            if kind.resource.namespaced:
                for each in self.cluster.list(kind.resource, namespace=namespace).items:
                    try:
                        self.cluster.delete(
                            kind.resource, str(metadata_of(each).get("name")), namespace=namespace
                        )
                    except NotFound:
                        continue  # It went with its owner.

    def _let_go(self, uid: str) -> None:
        """Take an owner from what it owns, so that it does not go with it."""
        for kind in SERVED:
            for each in self.cluster.list(kind.resource).items:
                metadata = metadata_of(each)
                owners = metadata.get("ownerReferences")
                listed: list[JsonValue] = owners if isinstance(owners, list) else []
                kept = [one for one in listed if not (isinstance(one, dict) and one.get("uid") == uid)]
                if len(kept) < len(listed):
                    patch = MergePatch({"metadata": {"ownerReferences": kept or None}})
                    namespace = str(metadata.get("namespace") or "")
                    self.cluster.patch(kind.resource, str(metadata.get("name")), patch, namespace=namespace)


def _check(path: ObjectPath, obj: JsonObject, wanted: _Preconditions) -> None:
    """Check what must hold for the delete to happen. Raises RequestRefused."""
    metadata = metadata_of(obj)
    uid, version = metadata.get("uid"), metadata.get("resourceVersion")
    why = ""
    if wanted.uid and wanted.uid != uid:
        why = (
            f"the UID in the precondition ({wanted.uid}) does not match the UID in record ({uid}). "
            "The object might have been deleted and then recreated"
        )
    elif wanted.resource_version and wanted.resource_version != version:
        why = (
            f"the ResourceVersion in the precondition ({wanted.resource_version}) does not match the "
            f"ResourceVersion in record ({version}). The object might have been modified"
        )
    if why:
        resource = path.kind.resource
        word = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
        group: JsonObject = {"group": resource.group} if resource.group else {}
        raise RequestRefused(
            409,
            f'Operation cannot be fulfilled on {word} "{path.name}": {why}',
            details={"name": path.name, **group, "kind": resource.kind},
        )
