"""Requests about objects: which of them reads, writes or deletes, and what none may do."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from lockkeeper.kube_api.answers import Answer, RequestRefused, not_found, of_cluster
from lockkeeper.kube_api.core_events import CoreEvents
from lockkeeper.kube_api.list_pages import ListPages
from lockkeeper.kube_api.object_deletes import ObjectDeletes
from lockkeeper.kube_api.object_reads import ObjectReads
from lockkeeper.kube_api.object_writes import ObjectWrites, WriteAdmission
from lockkeeper.kube_api.request_paths import ObjectPath
from lockkeeper.kube_api.requests import ApiRequest
from policy.cluster.errors import ClusterError
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.objects.json_parts import map_at
from policy.sources.yaml_positions import parse

_NOT_ALLOWED: Final = "the server does not allow this method on the requested resource"
_MISSING: Final = "404 page not found\n"


class ObjectRequests:
    """Answers requests about objects of the kinds that are served."""

    def __init__(
        self, *, cluster: MemoryCluster, admission: WriteAdmission, clock: Callable[[], datetime]
    ) -> None:
        self._reads = ObjectReads(cluster=cluster, clock=clock, pages=ListPages())
        self._core_events = ObjectReads(cluster=CoreEvents(cluster), clock=clock, pages=ListPages())
        self._deletes = ObjectDeletes(cluster=cluster)
        self.writes = ObjectWrites(cluster=cluster, admission=admission)

    def answer(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Return the answer.

        Raises:
            RequestRefused: it is refused.
        """
        try:
            return self._answer(request, path)
        except ClusterError as error:
            raise of_cluster(error, path.kind, path.name or _name_in(request)) from error

    def _answer(self, request: ApiRequest, path: ObjectPath) -> Answer:
        if path.subresource and not path.has_subresource:
            raise not_found(path.kind, path.name)
        if path.kind.read_only:
            return self._of_events(request, path)
        if path.name or path.subresource:
            return self._of_one(request, path)
        return self._of_many(request, path)

    def _of_events(self, request: ApiRequest, path: ObjectPath) -> Answer:
        """Read events by the names of the core group; they are written by their own."""
        if request.method != "GET":
            raise RequestRefused(405, _NOT_ALLOWED, details={})
        reads = self._core_events
        if path.name:
            return reads.get(request, path)
        return reads.watch(request, path) if request.watches else reads.list(request, path)

    def _of_one(self, request: ApiRequest, path: ObjectPath) -> Answer:
        match request.method:
            case "GET":
                return self._reads.get(request, path)
            case "PUT":
                return self.writes.replace(request, path)
            case "PATCH":
                return self.writes.patch(request, path)
            case "DELETE" if not path.subresource:
                return self._deletes.one(request, path)
            case "POST" if not path.subresource and not path.kind.built_in:
                return self.writes.post(request, path)
            case _:
                raise RequestRefused(405, _NOT_ALLOWED, details={})

    def _of_many(self, request: ApiRequest, path: ObjectPath) -> Answer:
        nowhere = path.kind.resource.namespaced and not path.namespace
        match request.method:
            case "GET":
                return (
                    self._reads.watch(request, path) if request.watches else self._reads.list(request, path)
                )
            case _ if nowhere:
                return Answer(404, {}, text=_MISSING)
            case "POST":
                return self.writes.post(request, path)
            case "DELETE":
                return self._deletes.many(request, path, self._reads.list)
            case "PUT" | "PATCH" if not path.kind.built_in:
                raise RequestRefused(400, "name must be provided")
            case _:
                raise RequestRefused(405, _NOT_ALLOWED, details={})


def _name_in(request: ApiRequest) -> str:
    """Return the name in the body of a create, for what is said of it."""
    documents = parse(request.body).documents
    return str(map_at(documents[0].value, "metadata").get("name") or "") if documents else ""
