"""The Cluster protocol over the Kubernetes API."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random, SystemRandom
from threading import Event
from time import monotonic
from typing import Final, TypeVar

from policy.cluster.errors import Gone
from policy.cluster.kube import requests
from policy.cluster.kube.answers import (
    Page,
    PagesAs,
    decoded_event,
    decoded_event_as,
    decoded_object,
    decoded_page,
)
from policy.cluster.kube.connection import connection, connections_by_token
from policy.cluster.kube.lasting_watch import Watcher
from policy.cluster.kube.request_counts import ObservedTransport, Observer
from policy.cluster.kube.requests import Transport
from policy.cluster.protocol import (
    Listing,
    Patch,
    Preconditions,
    Resource,
    Selection,
    Shape,
    Unread,
    WatchEvent,
)
from policy.core.objects.json_patch import JsonObject

_Item = TypeVar("_Item")

PAGE_SIZE: Final = 500
"""Objects in one page of a list, as kubectl requests them; a page of Workflows is some MB."""
_LARGE_PAGE_SIZE: Final = 50
"""Objects in one page of a list of whole Workflows, each of which may have a MB."""
SMALL_PAGE_SIZE: Final = 20
"""Objects in one page of a list that is not to be in memory at once; each may have a MB and a half."""
_PAGED_ATTEMPTS: Final = 2
"""How often a list whose pages expired half-way begins again before it requests everything at once."""


def connect(kubeconfig: Path | None, *, context: str = "", observer: Observer | None = None) -> "KubeCluster":
    """Return the cluster that a kubeconfig leads to, or, with None, the one that kubectl would speak to.

    `observer` is called for every request.

    Raises:
        ClusterSettingsError: there are no such settings, or they cannot be used.
    """
    connected = connection(kubeconfig, context)
    transport: Transport = connected
    if observer is not None:
        transport = ObservedTransport(inner=transport, observer=observer, stopwatch=monotonic)
    return KubeCluster(
        transport=transport,
        rng=SystemRandom(),
        inside=connected.inside,
        context_namespace=connected.namespace,
    )


def clusters_by_token(kubeconfig: Path | None, *, context: str = "") -> Callable[[str], "KubeCluster"]:
    """Return what reaches the cluster with the token of whoever asks, and with no credentials of ours.

    Raises:
        ClusterSettingsError: as `connect` does.
    """
    connected = connections_by_token(kubeconfig, context)
    return lambda token: KubeCluster(transport=connected(token), rng=SystemRandom())


class KubeCluster:
    """A Kubernetes cluster; safe for any number of threads.

    `transport` carries the requests, `rng` spreads the attempts of broken watches to connect again; `inside`
    is whether this process runs in a Pod of it, and `context_namespace` that of the kubeconfig's context.
    """

    def __init__(
        self, *, transport: Transport, rng: Random, inside: bool = False, context_namespace: str = ""
    ) -> None:
        self.inside = inside
        self.context_namespace = context_namespace
        self._transport = transport
        self._closed = Event()
        self._watcher = Watcher(transport=transport, rng=rng, closed=self._closed)

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        """Return one object. Raises NotFound."""
        return decoded_object(self._transport.send(requests.get(resource, namespace, name)))

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """Return all objects of a namespace, consistent at one version. Raises Invalid for a bad selector."""
        selection = Selection(resource, namespace, labels, metadata_only, name)
        return self._all(selection, lambda body: decoded_page(body, selection), limit=PAGE_SIZE)

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
        timeout: float = 60.0,
    ) -> Iterator[WatchEvent[JsonObject]]:
        """Yield every change after version `since` until `timeout` seconds have passed, or `close`.

        The server counts whole seconds: a watch lasts up to one longer, and with a timeout of 0 one.

        Raises:
            Gone: `since` is older than what the server stores.
            Invalid: a bad selector.
            Unavailable: there was no connection when the time was over, nor for a while before.
        """
        selection = Selection(resource, namespace, labels, metadata_only, name)
        return self._watcher.follow(
            selection, since=since, timeout=timeout, decoded=lambda line: decoded_event(line, selection)
        )

    def list_as(self, selection: Selection, shape: type[Shape]) -> Listing[Shape | Unread]:
        """Return the selected objects in a shape; whole ones in short pages, for they are large."""
        limit = PAGE_SIZE if selection.metadata_only else _LARGE_PAGE_SIZE
        return self._all(selection, PagesAs(shape).decoded, limit=limit)

    def pages_as(self, selection: Selection, shape: type[Shape]) -> Iterator[Listing[Shape | Unread]]:
        """Yield the selected objects in a shape, page by page. Raises Gone when a page expires."""
        for page in self._pages(selection, PagesAs(shape).decoded, limit=SMALL_PAGE_SIZE):
            yield Listing(page.items, page.resource_version)

    def watch_as(
        self, selection: Selection, shape: type[Shape], *, since: str, timeout: float = 60.0
    ) -> Iterator[WatchEvent[Shape | Unread]]:
        """Yield every change as `watch` does, in a shape."""
        return self._watcher.follow(
            selection, since=since, timeout=timeout, decoded=lambda line: decoded_event_as(line, shape)
        )

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        """Store a new object and return it as stored. Raises AlreadyExists, Invalid."""
        request = requests.create(resource, obj, namespace=namespace, dry_run=dry_run)
        return decoded_object(self._transport.send(request))

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        """Store the object over the one with its name. Raises NotFound, Conflict, Invalid.

        Custom resources need a resourceVersion; some built-in kinds are replaced in any case without one.
        """
        return decoded_object(self._transport.send(requests.replace(resource, obj)))

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        """Apply a patch to an object or its subresource. Raises NotFound, Conflict, Invalid."""
        request = requests.patch(resource, namespace, name, patch, subresource=subresource)
        return decoded_object(self._transport.send(request))

    def apply(
        self, resource: Resource, obj: JsonObject, *, field_manager: str, force: bool = False
    ) -> JsonObject:
        """Apply an object on the server: create it, or set the fields that it gives and own them.

        Raises:
            Conflict: another manager owns one of the fields, and `force` is not set.
        """
        request = requests.apply(resource, obj, field_manager=field_manager, force=force)
        return decoded_object(self._transport.send(request))

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        preconditions: Preconditions | None = None,
    ) -> None:
        """Delete the object, and in the background what it owns. Raises NotFound, Conflict."""
        self._transport.send(requests.delete(resource, namespace, name, preconditions or Preconditions()))

    def close(self) -> None:
        """End every watch, and close the connections."""
        self._closed.set()
        self._transport.close()

    def _all(
        self, selection: Selection, decoded: Callable[[bytes], Page[_Item]], *, limit: int
    ) -> Listing[_Item]:
        """Return a list, read page by page; `decoded` returns the page of an answer."""
        for _ in range(_PAGED_ATTEMPTS):
            with suppress(Gone):  # Etcd compacted the version of the first page before the last one was read.
                return self._joined(selection, decoded, limit=limit)
        return self._joined(selection, decoded, limit=0)

    def _joined(
        self, selection: Selection, decoded: Callable[[bytes], Page[_Item]], *, limit: int
    ) -> Listing[_Item]:
        """Return all pages as one list. Raises Gone when they expire on the way."""
        items: list[_Item] = []
        version = ""
        for page in self._pages(selection, decoded, limit=limit):
            items.extend(page.items)
            version = page.resource_version
        return Listing(tuple(items), version)

    def _pages(
        self, selection: Selection, decoded: Callable[[bytes], Page[_Item]], *, limit: int
    ) -> Iterator[Page[_Item]]:
        """Yield the pages of a list. Raises Gone when they expire on the way."""
        after = ""
        while True:
            page = decoded(self._transport.send(requests.page(selection, limit=limit, after=after)))
            yield page
            after = page.after
            if not after:
                return
