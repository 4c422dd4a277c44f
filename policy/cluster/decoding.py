"""Objects of a cluster decoded into narrow structs."""

from collections.abc import Iterator

import msgspec

from policy.cluster.protocol import (
    Cluster,
    EventOf,
    EventType,
    ListingOf,
    Resource,
    Shape,
    Unread,
)
from policy.core.values.prepared import prepare


class _ObjectName(msgspec.Struct, frozen=True):
    """The metadata that says which object it is."""

    namespace: str = ""
    name: str = ""


class _Object(msgspec.Struct, frozen=True):
    """An object of which only that is read."""

    metadata: _ObjectName = _ObjectName()


prepare(_Object)


def shaped(raw: bytes | msgspec.Raw, shape: type[Shape]) -> Shape | Unread:
    """Return an object in a shape, or which object it is that does not fit.

    Raises:
        msgspec.DecodeError: it is no JSON object at all.
    """
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError:
        known = msgspec.json.decode(raw, type=_Object).metadata
        return Unread(known.namespace, known.name)


class Shaping:
    """A base of clusters whose `list` and `watch` give objects: it reads in a shape by way of those."""

    def list_as(
        self: Cluster,
        resource: Resource,
        shape: type[Shape],
        *,
        namespace: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> ListingOf[Shape]:
        """Return the objects in a shape. Raises Invalid for a bad selector."""
        listing = self.list(resource, namespace=namespace, labels=labels, metadata_only=metadata_only)
        items = tuple(shaped(msgspec.json.encode(item), shape) for item in listing.items)
        return ListingOf(items, listing.resource_version)

    def pages_as(
        self: Cluster, resource: Resource, shape: type[Shape], *, namespace: str = "", name: str = ""
    ) -> Iterator[ListingOf[Shape]]:
        """Yield the objects in a shape, all in one page: a reader by way of `list` has them already."""
        listing = self.list(resource, namespace=namespace, name=name)
        items = tuple(shaped(msgspec.json.encode(item), shape) for item in listing.items)
        yield ListingOf(items, listing.resource_version)

    def watch_as(
        self: Cluster,
        resource: Resource,
        shape: type[Shape],
        *,
        since: str,
        namespace: str = "",
        labels: str = "",
        metadata_only: bool = False,
        timeout: float = 60.0,
    ) -> Iterator[EventOf[Shape]]:
        """Yield every change after version `since` as `watch` does, in a shape."""
        for event in self.watch(
            resource,
            since=since,
            namespace=namespace,
            labels=labels,
            metadata_only=metadata_only,
            timeout=timeout,
        ):
            found = (
                None if event.type is EventType.BOOKMARK else shaped(msgspec.json.encode(event.object), shape)
            )
            yield EventOf(event.type, found, event.resource_version)
