"""Writes of objects as the API server makes them: checked, through admission, then into the cluster."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec

from lockkeeper.kube_api.answers import (
    MODIFIED,
    PATCH_REFUSED,
    Answer,
    FieldError,
    RequestRefused,
    conflict,
    forbidden,
    invalid,
    invalid_options,
    invalid_value,
    not_found,
)
from lockkeeper.kube_api.describing.crd_schemas import defaulted
from lockkeeper.kube_api.object_rules import (
    check_applied,
    check_fields,
    check_identity,
    completed,
    finalizer_warnings,
    known_fields,
    read_body,
    read_yaml,
)
from lockkeeper.kube_api.request_paths import ObjectPath
from lockkeeper.kube_api.requests import ApiRequest, WriteOptions, write_options
from lockkeeper.kube_api.served_kinds import ServedKind
from policy.cluster.errors import Conflict, Invalid, NotFound
from policy.cluster.memory.managed_fields import first_applied
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.memory.patching import apply_patch
from policy.cluster.protocol import NAMESPACES, JsonPatch, MergePatch, Patch, Resource
from policy.core.objects.json_parts import metadata_of, name_of
from policy.core.objects.json_patch import JsonObject, Op, PatchOp

_APPLY: Final = "application/apply-patch+yaml"
_JSON_PATCH: Final = "application/json-patch+json"
_MERGE: Final = "application/merge-patch+json"
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_MOST_TRIES: Final = 5


class Written(msgspec.Struct, frozen=True):
    """An object as stored, the warnings, and in a word what was done: created, changed or unchanged."""

    obj: JsonObject
    warnings: tuple[str, ...] = ()
    outcome: str = "changed"


class WriteAdmission(Protocol):
    """What decides about writes before they are stored."""

    def admitted(
        self,
        resource: Resource,
        obj: JsonObject,
        /,
        *,
        old: JsonObject | None,
        namespace: str,
        dry_run: bool,
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Return what is to be stored, and the warnings. Raises RequestRefused."""
        ...

    def created(self, resource: Resource, given: JsonObject, stored: JsonObject, /) -> None:
        """Take note that an object was created."""
        ...


class ObjectWrites(msgspec.Struct, frozen=True, kw_only=True):
    """Writes objects; may raise RequestRefused and ClusterError."""

    cluster: MemoryCluster
    admission: WriteAdmission

    def post(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Create an object."""
        options = write_options(request, "CreateOptions")
        obj = read_body(request.body, request.content_type, path.kind)
        obj = check_identity(obj, path)
        obj, unknown = known_fields(obj, request.body, path.kind, options.validation)
        written = self.create(path.kind, obj, namespace=path.namespace, options=options)
        return Answer(201, written.obj, unknown + written.warnings)

    def put(self, kind: ServedKind, obj: JsonObject, *, namespace: str) -> Written:
        """Create an object, or store it over the one that is there."""
        path = ObjectPath(kind, namespace)
        obj = check_identity(obj, path)
        name = name_of(obj)
        options = WriteOptions(manager="lockkeeper-run")
        try:
            before = self.cluster.get(kind.resource, name, namespace=namespace) if name else None
        except NotFound:
            before = None
        if before is None:
            return self.create(kind, obj, namespace=namespace, options=options)
        metadata = {**metadata_of(obj), "resourceVersion": metadata_of(before).get("resourceVersion")}
        kept = {"status": before["status"]} if "status" in before and "status" not in obj else {}
        return self._replace(path, before, {**obj, **kept, "metadata": metadata}, options)

    def create(self, kind: ServedKind, obj: JsonObject, *, namespace: str, options: WriteOptions) -> Written:
        """Create an object."""
        obj = defaulted(obj, kind.resource.kind)
        check_fields(obj, kind)
        self._require_namespace(kind, namespace)
        if metadata_of(obj).get("resourceVersion"):
            raise RequestRefused(500, "resourceVersion should not be set on objects to be created", reason="")
        admitted, warnings = self.admission.admitted(
            kind.resource, obj, old=None, namespace=namespace, dry_run=options.dry_run
        )
        stored = self.cluster.create_as(
            options.manager,
            kind.resource,
            completed(admitted, kind),
            namespace=namespace,
            dry_run=options.dry_run,
        )
        if not options.dry_run:
            self.admission.created(kind.resource, obj, stored)
        return Written(stored, (*finalizer_warnings(obj), *warnings), "created")

    def replace(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Store an object over the one that is there."""
        options = write_options(request, "UpdateOptions")
        obj = check_identity(read_body(request.body, request.content_type, path.kind), path, name=path.name)
        obj, unknown = known_fields(obj, request.body, path.kind, options.validation)
        before = self._get(path)
        version = metadata_of(obj).get("resourceVersion")
        if not version and not path.kind.built_in:
            text = "must be specified for an update"
            error = FieldError("metadata.resourceVersion", "FieldValueInvalid", f"Invalid value: 0: {text}")
            raise _unversioned(path, error)
        if version and not str(version).isdecimal():
            text = f'strconv.ParseUint: parsing "{version}": invalid syntax'
            raise RequestRefused(500, text, reason="")
        _check_uid(path, before, obj)
        written = self._replace(path, before, obj, options)
        return Answer(200, written.obj, unknown + written.warnings)

    def patch(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Change an object by a patch."""
        options = write_options(request, "PatchOptions")
        kind = request.content_type.partition(";")[0].strip()
        if kind == _APPLY:
            return self._apply(request, path, options)
        if kind == _MERGE or (kind == _STRATEGIC and path.kind.built_in):
            patch: Patch = MergePatch(_patch_body(request.body))
        elif kind == _JSON_PATCH:
            patch = JsonPatch(_operations(request.body))
        else:
            known = (_JSON_PATCH, _MERGE, *((_STRATEGIC,) if path.kind.built_in else ()), _APPLY)
            text = "the body of the request was in an unknown format - accepted media types include: "
            raise RequestRefused(415, text + ", ".join(known))

        def patched() -> Answer:
            before = self._get(path)
            try:
                after = apply_patch(before, patch)
            except Invalid as error:
                raise RequestRefused(422, PATCH_REFUSED, details={}) from error
            after = check_identity(after, path, name=path.name)
            after, unknown = known_fields(after, b"", path.kind, options.validation)
            written = self._replace(path, before, after, options)
            return Answer(200, written.obj, unknown + written.warnings)

        return _again_at_conflicts(patched)

    def _replace(
        self,
        path: ObjectPath,
        before: JsonObject,
        after: JsonObject,
        options: WriteOptions,
        *,
        owned: bool = False,
    ) -> Written:
        """Store the new state of an object that was read."""
        kind = path.kind
        self._check_change(path, before, after)
        if path.subresource:
            return Written(self._status(path, after, dry_run=options.dry_run))
        after = defaulted(after, kind.resource.kind)
        check_fields(after, kind)
        admitted, warnings = self.admission.admitted(
            kind.resource, after, old=before, namespace=path.namespace, dry_run=options.dry_run
        )
        stored = self.cluster.replace_as(
            options.manager,
            kind.resource,
            completed(admitted, kind),
            owned=owned,
            dry_run=options.dry_run,
        )
        same = metadata_of(stored).get("resourceVersion") == metadata_of(before).get("resourceVersion")
        return Written(stored, warnings, "unchanged" if same and not options.dry_run else "changed")

    def _check_change(self, path: ObjectPath, before: JsonObject, after: JsonObject) -> None:
        """Check that the object is the one that was read. Raises RequestRefused."""
        old, new, kind, name = metadata_of(before), metadata_of(after), path.kind, name_of(before)
        uid, version = new.get("uid"), new.get("resourceVersion")
        if version and version != old.get("resourceVersion"):
            raise conflict(kind, name, MODIFIED)
        if uid and uid != old.get("uid"):
            raise invalid(kind, name, [invalid_value("metadata.uid", str(uid), "field is immutable")])
        added = [each for each in _finalizers(new) if each not in _finalizers(old)]
        if old.get("deletionTimestamp") and added:
            quoted = ", ".join(f'"{each}"' for each in added)
            text = (
                "no new finalizers can be added if the object is being deleted, found new finalizers "
                f"[]string{{{quoted}}}"
            )
            raise invalid(kind, name, [forbidden("metadata.finalizers", text)])

    def _status(self, path: ObjectPath, after: JsonObject, *, dry_run: bool) -> JsonObject:
        """Store the status alone."""
        resource = path.kind.resource
        if dry_run:
            return {**self._get(path), "status": after.get("status")}
        patch = JsonPatch((PatchOp(Op.ADD, "/status", after.get("status")),))
        return self.cluster.patch(
            resource, path.name, patch, namespace=path.namespace, subresource=path.subresource
        )

    def _apply(self, request: ApiRequest, path: ObjectPath, options: WriteOptions) -> Answer:
        """Apply by the server: fields that are given are set and owned."""
        if not request.query.get("fieldManager"):
            text = "Required value: is required for apply patch"
            raise invalid_options("PatchOptions", [FieldError("fieldManager", "FieldValueRequired", text)])
        config = read_yaml(request.body)
        if not config.get("kind"):
            raise RequestRefused(400, "invalid object type: /, Kind=")
        if metadata_of(config).get("managedFields"):
            raise RequestRefused(400, "metadata.managedFields must be nil")
        check_applied(config, path.kind)
        config = check_identity(config, path, name=path.name)
        config, unknown = known_fields(config, request.body, path.kind, options.validation)

        def applied() -> Answer:
            try:
                before = self._get(path)
            except RequestRefused:
                return self._apply_first(path, config, options, unknown)
            resource = path.kind.resource
            filled = defaulted(config, resource.kind, only_in_lists=True)
            after = self.cluster.applied(resource, filled, field_manager=options.manager, force=options.force)
            written = self._replace(path, before, after, options, owned=True)
            return Answer(200, written.obj, unknown + written.warnings)

        return _again_at_conflicts(applied)

    def _apply_first(
        self, path: ObjectPath, config: JsonObject, options: WriteOptions, unknown: tuple[str, ...]
    ) -> Answer:
        """Create what is applied, owned by its manager."""
        if path.subresource:
            raise not_found(path.kind, path.name)
        owned = first_applied(config, options.manager)
        written = self.create(path.kind, owned, namespace=path.namespace, options=options)
        return Answer(201, written.obj, unknown + written.warnings)

    def _get(self, path: ObjectPath) -> JsonObject:
        try:
            return self.cluster.get(path.kind.resource, path.name, namespace=path.namespace)
        except NotFound:
            raise not_found(path.kind, path.name) from None

    def _require_namespace(self, kind: ServedKind, namespace: str) -> None:
        """Refuse what would be in a namespace that does not exist."""
        if not kind.resource.namespaced:
            return
        try:
            self.cluster.get(NAMESPACES, namespace)
        except NotFound:
            details: JsonObject = {"name": namespace, "kind": "namespaces"}
            text = f'namespaces "{namespace}" not found'
            raise RequestRefused(404, text, details=details) from None


def _again_at_conflicts(write: Callable[[], Answer]) -> Answer:
    """Write again where somebody else has written meanwhile, as the API server does with patches."""
    for _ in range(_MOST_TRIES):
        try:
            return write()
        except Conflict as error:
            if error.fields:
                raise
    return write()


def _check_uid(path: ObjectPath, before: JsonObject, after: JsonObject) -> None:
    """Check that a replacement is for the object that is there, and not for one of its name before it."""
    resource = path.kind.resource
    uid, present = metadata_of(after).get("uid"), metadata_of(before).get("uid")
    version = metadata_of(after).get("resourceVersion")
    if uid and uid != present and version == metadata_of(before).get("resourceVersion"):
        key = f"/registry/{resource.group}/{resource.plural}/{path.namespace}/{path.name}"
        why = (
            f"StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: "
            f"Precondition failed: UID in precondition: {uid}, UID in object meta: {present}"
        )
        raise conflict(path.kind, path.name, why)


def _unversioned(path: ObjectPath, error: FieldError) -> RequestRefused:
    """Return that an update names no version; here the API server names the resource, and not the kind."""
    refused = invalid(path.kind, path.name, [error])
    text = refused.message.replace(f"{path.kind.resource.kind}.", f"{path.kind.resource.plural}.", 1)
    return RequestRefused(422, text, details={**(refused.details or {}), "kind": path.kind.resource.plural})


def _patch_body(body: bytes) -> JsonObject:
    try:
        found: JsonObject = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise RequestRefused(400, f"error decoding patch: {error}") from error
    return found


def _operations(body: bytes) -> tuple[PatchOp, ...]:
    """Return the operations of a JSON patch. Raises RequestRefused."""
    try:
        wire = msgspec.json.decode(body, type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise RequestRefused(400, f"error decoding patch: {error}") from error
    try:
        return tuple(
            PatchOp(
                Op(each["op"]),
                each["path"],
                each.get("value", msgspec.UNSET),
                each.get("from", msgspec.UNSET),
            )
            for each in wire
        )
    except (KeyError, ValueError) as error:
        raise RequestRefused(422, PATCH_REFUSED, details={}) from error


def _finalizers(metadata: JsonObject) -> list[object]:
    listed = metadata.get("finalizers")
    return [*listed] if isinstance(listed, list) else []
