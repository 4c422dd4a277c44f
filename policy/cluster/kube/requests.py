"""Requests to the Kubernetes API as data: the path, query, headers and body of each operation.

Building them has no effects, and sending them (`Transport`) does not depend on what they mean, so tests can
replace a server by scripted answers.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from http import HTTPMethod
from typing import Final, Protocol
from urllib.parse import quote, urlencode

import msgspec

from policy.cluster.errors import Invalid, NotFound
from policy.cluster.protocol import MergePatch, Patch, Preconditions, Resource, Selection
from policy.core.objects.json_patch import JsonObject, JsonValue

_JSON: Final = "application/json"
_METADATA: Final = f"{_JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{_JSON}"
_METADATA_LIST: Final = f"{_JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{_JSON}"
"""Servers that cannot cut objects down send them whole; the decoder drops the rest then."""
_LENIENT: Final = (("fieldValidation", "Ignore"),)
"""The API server would warn of every field that a schema does not know in a header of its own, and an answer
with more than 100 headers cannot be read here. What we write back of others' objects is unchanged."""
_NO_NAMES: Final = frozenset({"", ".", ".."})
"""As a part of a path these lead to a collection, or above it; connections take the dots out of a path."""


class KubeRequest(msgspec.Struct, frozen=True):
    """One request; `path` is escaped, and relative to the server's address."""

    method: HTTPMethod
    path: str
    query: tuple[tuple[str, str], ...] = ()
    accept: str = _JSON
    content_type: str = _JSON
    body: bytes | None = None

    @property
    def target(self) -> str:
        """The path with its query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path


class Transport(Protocol):
    """Sends requests; whatever is not a success arrives as one of the errors of `policy.cluster.errors`."""

    def send(self, request: KubeRequest) -> bytes:
        """Return the body of the answer."""
        ...

    def stream(self, request: KubeRequest, *, silence: float) -> AbstractContextManager[Iterator[bytes]]:
        """Yield the body in pieces as they arrive; `silence` is how many seconds none may arrive."""
        ...

    def close(self) -> None:
        """Break off every stream and close all connections."""
        ...


def get(resource: Resource, namespace: str, name: str) -> KubeRequest:
    """Return the request that reads one object. Raises NotFound for what is a path and no name.

    Users write the names of owners, and must not make us read a whole collection by them.
    """
    if name in _NO_NAMES:
        raise NotFound(f"{resource.plural} {name!r} not found: that is no name")
    return KubeRequest(HTTPMethod.GET, _path(resource, namespace, name))


def page(selection: Selection, *, limit: int, after: str) -> KubeRequest:
    """Return the request for one page of a list; `after` is the token of the page before, "" for the first.

    No resourceVersion is requested, which makes the list consistent: it holds every write that was answered
    before it was sent.
    """
    query = [("limit", str(limit))] if limit else []
    query += [("continue", after)] if after else []
    accept = _METADATA_LIST if selection.metadata_only else _JSON
    return KubeRequest(
        HTTPMethod.GET, _path(selection.resource, selection.namespace), _selected(selection, query), accept
    )


def watch(selection: Selection, *, since: str, seconds: int) -> KubeRequest:
    """Return the request that watches from a version for some time."""
    query = [
        ("watch", "true"),
        ("allowWatchBookmarks", "true"),
        ("resourceVersion", since),
        ("timeoutSeconds", str(seconds)),
    ]
    accept = _METADATA if selection.metadata_only else _JSON
    return KubeRequest(
        HTTPMethod.GET, _path(selection.resource, selection.namespace), _selected(selection, query), accept
    )


def create(resource: Resource, obj: JsonObject, *, namespace: str, dry_run: bool) -> KubeRequest:
    """Return the request that stores a new object. Raises Invalid without a namespace, or with a version."""
    if _metadata_field(obj, "resourceVersion"):
        # The API server answers 500 to this, which would read as an outcome that is unknown.
        raise Invalid("resourceVersion should not be set on objects to be created")
    path = _path(resource, namespace or _metadata_field(obj, "namespace"), to_one=True)
    query = (*_LENIENT, ("dryRun", "All")) if dry_run else _LENIENT
    return KubeRequest(HTTPMethod.POST, path, query, body=msgspec.json.encode(obj))


def replace(resource: Resource, obj: JsonObject) -> KubeRequest:
    """Return the request that stores an object over the one of its name. Raises Invalid without a name."""
    path = _path(resource, _metadata_field(obj, "namespace"), _name(obj))
    return KubeRequest(HTTPMethod.PUT, path, _LENIENT, body=msgspec.json.encode(obj))


def patch(
    resource: Resource, namespace: str, name: str, change: Patch, *, subresource: str = ""
) -> KubeRequest:
    """Return the request that applies a patch."""
    merge = isinstance(change, MergePatch)
    return KubeRequest(
        HTTPMethod.PATCH,
        _path(resource, namespace, name) + (f"/{quote(subresource, safe='')}" if subresource else ""),
        _LENIENT,
        content_type="application/merge-patch+json" if merge else "application/json-patch+json",
        body=msgspec.json.encode(change.value if isinstance(change, MergePatch) else change.operations),
    )


def apply(resource: Resource, obj: JsonObject, *, field_manager: str, force: bool) -> KubeRequest:
    """Return the request of a server-side apply. Raises Invalid for an object without a name."""
    return KubeRequest(
        HTTPMethod.PATCH,
        _path(resource, _metadata_field(obj, "namespace"), _name(obj)),
        (("fieldManager", field_manager), ("force", "true" if force else "false")),
        content_type="application/apply-patch+yaml",  # JSON is YAML.
        body=msgspec.json.encode(obj),
    )


def delete(resource: Resource, namespace: str, name: str, conditions: Preconditions) -> KubeRequest:
    """Return the request that deletes an object, and in the background what it owns."""
    options: JsonObject = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    wanted: JsonObject = {}
    if conditions.uid is not None:
        wanted["uid"] = conditions.uid
    if conditions.resource_version is not None:
        wanted["resourceVersion"] = conditions.resource_version
    if wanted:
        options["preconditions"] = wanted
    return KubeRequest(HTTPMethod.DELETE, _path(resource, namespace, name), body=msgspec.json.encode(options))


def _path(resource: Resource, namespace: str, name: str = "", *, to_one: bool = False) -> str:
    """Return the path of a collection, or of an object in it. Raises Invalid where the namespace is wrong."""
    parts = ["apis", resource.group] if resource.group else ["api"]
    parts.append(resource.version)
    if namespace and not resource.namespaced:
        raise Invalid(f"{resource.plural} are cluster-scoped: namespace must be empty")
    if namespace:
        parts += ["namespaces", namespace]
    elif resource.namespaced and (name or to_one):
        raise Invalid(f"{resource.plural} are namespaced: namespace is required")
    parts.append(resource.plural)
    if name:
        parts.append(name)
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _selected(selection: Selection, query: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the query of a list or watch with its selectors, where there are any.

    By name it is a field selector on the path of the collection: access control takes that for a request for
    the one object, so a role with resourceNames allows it.
    """
    selected = list(query)
    if selection.labels:
        selected.append(("labelSelector", selection.labels))
    if selection.name:
        selected.append(("fieldSelector", f"metadata.name={selection.name}"))
    return tuple(selected)


def _name(obj: JsonObject) -> str:
    """Return the name of an object. Raises Invalid where it has none."""
    name = _metadata_field(obj, "name")
    if not name:
        raise Invalid("metadata.name: name is required")
    return name


def _metadata_field(obj: JsonObject, field: str) -> str:
    """Return a string of the object's metadata, "" where there is none."""
    metadata: JsonValue = obj.get("metadata")
    found = metadata.get(field) if isinstance(metadata, dict) else None
    return found if isinstance(found, str) else ""
