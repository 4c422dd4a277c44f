"""Reads of objects as the API server answers them: one, lists in pages, and watches."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from lockkeeper.kube_api.answers import Answer, RequestRefused
from lockkeeper.kube_api.core_events import CoreEvents
from lockkeeper.kube_api.list_pages import ListPage, ListPages
from lockkeeper.kube_api.object_watches import ObjectWatch
from lockkeeper.kube_api.request_paths import ObjectPath
from lockkeeper.kube_api.requests import ApiRequest, check_list_options
from lockkeeper.kube_api.selectors import Selected, selected
from lockkeeper.kube_api.tables import Include, table
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.objects.json_parts import metadata_of
from policy.core.objects.json_patch import JsonObject, JsonValue

_TABLE: Final = "Table"
_PARTIAL: Final = "PartialObjectMetadata"
_PARTIALS: Final = "PartialObjectMetadataList"
_WATCH_SECONDS: Final = 3600
_INCLUDES: Final = "must be 'Metadata', 'Object', 'None', or empty"


class ObjectReads(msgspec.Struct, frozen=True, kw_only=True):
    """Reads objects; may raise RequestRefused and ClusterError."""

    cluster: MemoryCluster | CoreEvents
    clock: Callable[[], datetime]
    pages: ListPages

    def get(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Return one object."""
        form = request.form
        obj = self.cluster.get(path.kind.resource, path.name, namespace=path.namespace)
        if form == _PARTIALS:
            raise RequestRefused(406, "you requested PartialObjectMetadataList, but the object is no list")
        return Answer(200, self._shown(form, request, path, obj))

    def list(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Return the objects that are selected, or a page of them."""
        form, limit = request.form, request.integer("limit")
        if form == _PARTIAL:
            text = "the requested object is a list (*unstructured.UnstructuredList)"
            raise RequestRefused(406, f"you requested {_PARTIAL}, but {text}")
        check_list_options(request)
        wanted = selected(request, path)
        token = request.query.get("continue", "")
        page = self.pages.after(token, limit) if token else self._first(request, path, wanted, limit)
        more = page.metadata(counted=not wanted.narrows)
        if form == _TABLE:
            shown = table(
                path.kind,
                page.items,
                page.version,
                self.clock(),
                include=_include(request),
                **more,
            )
            return Answer(200, shown)
        resource = path.kind.resource
        partial = form == _PARTIALS
        items: list[JsonValue] = [_partial(each) if partial else each for each in page.items]
        body: JsonObject = {
            "apiVersion": "meta.k8s.io/v1" if partial else resource.api_version,
            "kind": _PARTIALS if partial else f"{resource.kind}List",
            "metadata": {"resourceVersion": page.version, **more},
            "items": items,
        }
        return Answer(200, body)

    def _first(self, request: ApiRequest, path: ObjectPath, wanted: Selected, limit: int | None) -> ListPage:
        """Return the first page of what is there now."""
        version = request.query.get("resourceVersion", "")
        listing = self.cluster.list(
            path.kind.resource, namespace=wanted.namespace, name=wanted.name, labels=wanted.labels
        )
        if version and int(version) > int(listing.resource_version):
            raise _too_large(version, listing.resource_version)
        if request.query.get("resourceVersionMatch") == "Exact" and version != listing.resource_version:
            raise RequestRefused(410, "The resourceVersion for the provided list is too old.")
        items = tuple(filter(wanted.matches, listing.items))
        return self.pages.first(items, listing.resource_version, limit)

    def watch(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Return a watch; one that asks for what there is gets that first (KEP-3157, streaming lists)."""
        form = request.form
        check_list_options(request)
        seconds = request.integer("timeoutSeconds")
        wanted = selected(request, path)
        since = request.query.get("resourceVersion") or "0"
        streams = request.query.get("sendInitialEvents")
        listed: tuple[JsonObject, ...] = ()
        if streams == "true" or since == "0":
            listing = self.cluster.list(
                path.kind.resource, namespace=wanted.namespace, name=wanted.name, labels=wanted.labels
            )
            listed = () if streams == "false" else tuple(filter(wanted.matches, listing.items))
            since = listing.resource_version
        if "timeoutSeconds" not in request.query:
            seconds = _WATCH_SECONDS
        watch = ObjectWatch(
            cluster=self.cluster,
            path=path,
            wanted=wanted,
            bookmarks=request.flag("allowWatchBookmarks"),
            shown=lambda obj: self._shown(form, request, path, obj),
        )
        return Answer(200, {}, events=watch.events(listed, since, seconds or 0, streams=streams == "true"))

    def _shown(self, form: str, request: ApiRequest, path: ObjectPath, obj: JsonObject) -> JsonObject:
        """Return an object in the form that was asked for."""
        if form == _TABLE:
            return table(path.kind, [obj], _version(obj), self.clock(), include=_include(request))
        return _partial(obj) if form in (_PARTIAL, _PARTIALS) else obj


def _include(request: ApiRequest) -> Include:
    """Return what rows have beside their cells. Raises RequestRefused."""
    given = request.query.get("includeObject", "")
    try:
        return Include(given or Include.METADATA)
    except ValueError:
        text = f"includeObject: Invalid value: \"{given}\": must be 'Metadata', 'Object', 'None', or empty"
        raise RequestRefused(400, f"Unable to convert to Table as requested: {text}") from None


def _too_large(version: str, current: str) -> RequestRefused:
    cause: JsonValue = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return RequestRefused(
        504,
        f"Timeout: Too large resource version: {version}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
    )


def _partial(obj: JsonObject) -> JsonObject:
    return {"apiVersion": "meta.k8s.io/v1", "kind": _PARTIAL, "metadata": obj.get("metadata")}


def _version(obj: JsonObject) -> str:
    return str(metadata_of(obj).get("resourceVersion", ""))
