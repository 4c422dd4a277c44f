"""Reading objects of a cluster decoded into a narrow struct; of one that does not fit, its name."""

from collections.abc import Iterator

import msgspec

from policy.cluster.protocol import Cluster, EventType, Listing, Selection, Shape, Unread, WatchEvent
from policy.core.values.prepared import prepare


class _NameOnly(msgspec.Struct, frozen=True):
    """An object of which only namespace and name are read."""

    metadata: Unread = Unread()


prepare(_NameOnly)


def shaped(raw: bytes | msgspec.Raw, shape: type[Shape]) -> Shape | Unread:
    """Return an object in a shape, or which object it is that does not fit.

    Raises:
        msgspec.DecodeError: it is no JSON object at all.
    """
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError:
        return msgspec.json.decode(raw, type=_NameOnly).metadata


class Shaping:
    """A base of clusters whose `list` and `watch` return whole objects: it decodes these again in a shape."""

    def list_as(self: Cluster, selection: Selection, shape: type[Shape]) -> Listing[Shape | Unread]:
        """Return the objects in a shape. Raises Invalid for a bad selector."""
        listing = self.list(
            selection.resource,
            namespace=selection.namespace,
            name=selection.name,
            labels=selection.labels,
            metadata_only=selection.metadata_only,
        )
        items = tuple(shaped(msgspec.json.encode(item), shape) for item in listing.items)
        return Listing(items, listing.resource_version)

    def pages_as(
        self: Cluster, selection: Selection, shape: type[Shape]
    ) -> Iterator[Listing[Shape | Unread]]:
        """Yield the objects in a shape, all in one page: `list` has them in memory already."""
        yield self.list_as(selection, shape)

    def watch_as(
        self: Cluster, selection: Selection, shape: type[Shape], *, since: str, timeout: float = 60.0
    ) -> Iterator[WatchEvent[Shape | Unread]]:
        """Yield every change after version `since` as `watch` does, in a shape."""
        for event in self.watch(
            selection.resource,
            since=since,
            namespace=selection.namespace,
            name=selection.name,
            labels=selection.labels,
            metadata_only=selection.metadata_only,
            timeout=timeout,
        ):
            bookmark = event.type is EventType.BOOKMARK
            found = Unread() if bookmark else shaped(msgspec.json.encode(event.object), shape)
            yield WatchEvent(event.type, found, event.resource_version)
