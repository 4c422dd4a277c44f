"""Reads, writes and watches of objects, as the API server answers them."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
import yaml

from lockkeeper.kube_api.answers import Answer, RequestRefused, of_cluster
from lockkeeper.kube_api.request_paths import ObjectPath
from lockkeeper.kube_api.tables import table
from policy.cluster.errors import ClusterError, NotFound
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.memory.patching import apply_patch
from policy.cluster.protocol import (
    NAMESPACES,
    EventType,
    JsonPatch,
    MergePatch,
    Patch,
    Preconditions,
    Resource,
)
from policy.core.objects.json_patch import JsonObject, Op, PatchOp
from policy.core.objects.workflow import Read
from policy.core.values.prepared import prepare

_TABLE: Final = "as=Table"
_METADATA: Final = "as=PartialObjectMetadata"
_APPLY: Final = "application/apply-patch+yaml"
_JSON_PATCH: Final = "application/json-patch+json"
_MERGES: Final = ("application/merge-patch+json", "application/strategic-merge-patch+json")
_PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_WATCH_SECONDS: Final = 3600.0


class ApiRequest(msgspec.Struct, frozen=True):
    """One request: what is sent in headers, query and body."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes = b""
    accept: str = ""
    content_type: str = ""

    @property
    def dry_run(self) -> bool:
        """Whether nothing is to be stored."""
        return "dryRun" in self.query


class _Preconditions(Read, frozen=True):
    """What must still hold for a delete to happen."""

    uid: str | None = None
    resource_version: str | None = None


class _DeleteOptions(Read, frozen=True):
    """The body of a delete."""

    preconditions: _Preconditions = _Preconditions()


prepare(_DeleteOptions)


class Writes(Protocol):
    """How objects are written: through admission, then into the cluster. Raises RequestRefused, ClusterError.

    Each returns the stored object and the warnings of admission.
    """

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str, dry_run: bool
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Create an object."""
        ...

    def replace(
        self, resource: Resource, before: JsonObject, after: JsonObject, *, dry_run: bool
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Replace an object that was read."""
        ...

    def apply(
        self, resource: Resource, obj: JsonObject, *, namespace: str, field_manager: str, force: bool
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Create an object, or set the fields that are given and own them."""
        ...


class ObjectRequests(msgspec.Struct, frozen=True, kw_only=True):
    """Answers requests about objects of the kinds that are served."""

    cluster: MemoryCluster
    writes: Writes
    clock: Callable[[], datetime]

    def answer(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Return the answer.

        Raises:
            RequestRefused: it is refused.
        """
        try:
            return self._answer(request, path)
        except ClusterError as error:
            raise of_cluster(error, path.kind, path.name) from error

    def _answer(self, request: ApiRequest, path: ObjectPath) -> Answer:
        require_json(request)
        match request.method, bool(path.name):
            case "GET", False:
                return (
                    self._watched(request, path)
                    if request.query.get("watch")
                    else self._listed(request, path)
                )
            case "GET", True:
                return self._got(request, path)
            case "POST", False:
                return self._created(request, path)
            case "PUT", True:
                return self._replaced(path, _object(request.body), dry_run=request.dry_run)
            case "PATCH", True:
                return self._patched(request, path)
            case "DELETE", True:
                return self._deleted(request, path)
            case _:
                raise RequestRefused(405, f"the server does not allow {request.method} on {request.path}")

    # Reads.

    def _listed(self, request: ApiRequest, path: ObjectPath) -> Answer:
        name, namespace = _field_selector(request, path)
        listing = self.cluster.list(
            path.kind.resource, namespace=namespace, name=name, labels=request.query.get("labelSelector", "")
        )
        if _TABLE in request.accept:
            return Answer(200, table(path.kind, listing.items, listing.resource_version, self.clock()))
        resource = path.kind.resource
        items = [_partial(each) if _METADATA in request.accept else each for each in listing.items]
        kind = "PartialObjectMetadataList" if _METADATA in request.accept else f"{resource.kind}List"
        api_version = "meta.k8s.io/v1" if _METADATA in request.accept else resource.api_version
        metadata: JsonObject = {"resourceVersion": listing.resource_version}
        return Answer(200, {"apiVersion": api_version, "kind": kind, "metadata": metadata, "items": [*items]})

    def _got(self, request: ApiRequest, path: ObjectPath) -> Answer:
        obj = self.cluster.get(path.kind.resource, path.name, namespace=path.namespace)
        if _TABLE in request.accept:
            return Answer(200, table(path.kind, [obj], _version(obj), self.clock()))
        return Answer(200, _partial(obj) if _METADATA in request.accept else obj)

    def _watched(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Return a watch; one that asks for what there is gets that first (KEP-3157, streaming lists)."""
        name, namespace = _field_selector(request, path)
        resource, labels = path.kind.resource, request.query.get("labelSelector", "")
        since = request.query.get("resourceVersion") or "0"
        listed: tuple[JsonObject, ...] = ()
        streams = request.query.get("sendInitialEvents") == "true"
        if streams or since == "0":
            listing = self.cluster.list(resource, namespace=namespace, name=name, labels=labels)
            since, listed = listing.resource_version, listing.items if streams else ()
        watch = self.cluster.watch(
            resource,
            since=since,
            namespace=namespace,
            name=name,
            labels=labels,
            timeout=float(request.query.get("timeoutSeconds") or _WATCH_SECONDS),
        )

        def events() -> Iterator[JsonObject]:
            for obj in listed:
                yield {"type": str(EventType.ADDED), "object": self._shown(request, path, obj)}
            if streams:
                yield {"type": str(EventType.BOOKMARK), "object": _listed_bookmark(path, since)}
            for event in watch:
                if event.type is not EventType.BOOKMARK:
                    yield {"type": str(event.type), "object": self._shown(request, path, event.object)}

        return Answer(200, {}, events=events())

    def _shown(self, request: ApiRequest, path: ObjectPath, obj: JsonObject) -> JsonObject:
        """Return an object of a watch in the form that was asked for."""
        if _TABLE in request.accept:
            return table(path.kind, [obj], _version(obj), self.clock())
        return _partial(obj) if _METADATA in request.accept else obj

    # Writes.

    def _created(self, request: ApiRequest, path: ObjectPath) -> Answer:
        obj = _object(request.body)
        self._require_namespace(path)
        stored, warnings = self.writes.create(
            path.kind.resource, obj, namespace=path.namespace, dry_run=request.dry_run
        )
        return Answer(201, stored, warnings)

    def _replaced(self, path: ObjectPath, obj: JsonObject, *, dry_run: bool) -> Answer:
        resource = path.kind.resource
        before = self.cluster.get(resource, path.name, namespace=path.namespace)
        if path.subresource:
            self._status(path, MergePatch({"status": None}))
            return Answer(200, self._status(path, MergePatch({"status": obj.get("status")})))
        stored, warnings = self.writes.replace(resource, before, obj, dry_run=dry_run)
        return Answer(200, stored, warnings)

    def _status(self, path: ObjectPath, patch: Patch) -> JsonObject:
        return self.cluster.patch(
            path.kind.resource, path.name, patch, namespace=path.namespace, subresource=path.subresource
        )

    def _patched(self, request: ApiRequest, path: ObjectPath) -> Answer:
        kind = request.content_type.partition(";")[0].strip()
        if kind == _APPLY:
            return self._applied(request, path)
        if kind in _MERGES:
            patch: Patch = MergePatch(_object(request.body))
        elif kind == _JSON_PATCH:
            patch = JsonPatch(_operations(request.body))
        else:
            raise RequestRefused(415, f"the body of the request was in an unknown format: {kind}")
        if path.subresource:
            return Answer(200, self._status(path, patch))
        before = self.cluster.get(path.kind.resource, path.name, namespace=path.namespace)
        after = apply_patch(before, patch)
        _require_same(before, after, path)
        return self._replaced(path, after, dry_run=request.dry_run)

    def _applied(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Apply by the server: fields that are given are set and owned."""
        obj = yaml.safe_load(request.body)
        if not isinstance(obj, dict):
            raise RequestRefused(400, "the body of the request is no object")
        self._require_namespace(path)
        stored, warnings = self.writes.apply(
            path.kind.resource,
            obj,
            namespace=path.namespace,
            field_manager=request.query.get("fieldManager", ""),
            force=request.query.get("force") == "true",
        )
        return Answer(200, stored, warnings)

    def _deleted(self, request: ApiRequest, path: ObjectPath) -> Answer:
        resource = path.kind.resource
        obj = self.cluster.get(resource, path.name, namespace=path.namespace)
        if not request.dry_run:
            wanted = (
                msgspec.json.decode(request.body, type=_DeleteOptions) if request.body else _DeleteOptions()
            )
            preconditions = Preconditions(wanted.preconditions.uid, wanted.preconditions.resource_version)
            self.cluster.delete(resource, path.name, namespace=path.namespace, preconditions=preconditions)
        metadata = obj["metadata"]
        uid = metadata.get("uid") if isinstance(metadata, dict) else ""
        details: JsonObject = {
            "name": path.name,
            "group": resource.group,
            "kind": resource.plural,
            "uid": uid,
        }
        body: JsonObject = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return Answer(200, {**body, "details": details})

    def _require_namespace(self, path: ObjectPath) -> None:
        """Refuse what would be in a namespace that does not exist."""
        if path.kind.resource.namespaced:
            try:
                self.cluster.get(NAMESPACES, path.namespace)
            except NotFound:
                raise RequestRefused(404, f'namespaces "{path.namespace}" not found') from None


def require_json(request: ApiRequest) -> None:
    """Refuse a body that is no JSON or YAML, such as that of `kubectl create namespace`."""
    if request.content_type.startswith(_PROTOBUF):
        raise RequestRefused(
            415, "lockkeeper run reads JSON and YAML alone: use a file instead, as in kubectl create -f FILE"
        )


def _require_same(before: JsonObject, after: JsonObject, path: ObjectPath) -> None:
    """Refuse a patch that changes which object it is; a replacement of another object is a conflict."""
    old, new = before.get("metadata"), after.get("metadata")
    for key in ("name", "namespace", "uid"):
        had = old.get(key) if isinstance(old, dict) else None
        has = new.get(key, had) if isinstance(new, dict) else had
        if has != had:
            kind = path.kind.resource.kind
            raise RequestRefused(422, f'{kind} "{path.name}" is invalid: metadata.{key}: field is immutable')


def _operations(body: bytes) -> tuple[PatchOp, ...]:
    """Return the operations of a JSON patch.

    Raises:
        RequestRefused: it is none.
    """
    try:
        wire = msgspec.json.decode(body, type=list[dict[str, Any]])
        return tuple(
            PatchOp(
                Op(each["op"]),
                each["path"],
                each.get("value", msgspec.UNSET),
                each.get("from", msgspec.UNSET),
            )
            for each in wire
        )
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise RequestRefused(400, f"error decoding patch: {error}") from error


def _field_selector(request: ApiRequest, path: ObjectPath) -> tuple[str, str]:
    """Return the name and the namespace that a list or a watch is bound to."""
    name, namespace = "", path.namespace
    for term in filter(None, request.query.get("fieldSelector", "").split(",")):
        key, _, value = term.partition("=")
        if key == "metadata.name":
            name = value.lstrip("=")
        elif key == "metadata.namespace":
            namespace = value.lstrip("=")
        else:
            raise RequestRefused(400, f"field label not supported: {key}")
    return name, namespace


def _object(body: bytes) -> JsonObject:
    """Return the object in a body.

    Raises:
        RequestRefused: there is none.
    """
    try:
        found: JsonObject = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise RequestRefused(400, f"the object provided is unrecognized: {error}") from error
    return found


def _listed_bookmark(path: ObjectPath, version: str) -> JsonObject:
    """Return the bookmark that ends what there is at the beginning of a watch."""
    resource = path.kind.resource
    annotations: JsonObject = {"k8s.io/initial-events-end": "true"}
    metadata: JsonObject = {"resourceVersion": version, "annotations": annotations}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _partial(obj: JsonObject) -> JsonObject:
    return {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": obj.get("metadata")}


def _version(obj: JsonObject) -> str:
    metadata = obj.get("metadata")
    return str(metadata.get("resourceVersion", "")) if isinstance(metadata, dict) else ""
