"""What was last told of a name: the event of one that was given up, replaced, refused or deleted."""

from contextlib import suppress

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.protocol import EVENTS, Cluster


class _About(msgspec.Struct, frozen=True):
    name: str = ""


class _ToldAt(msgspec.Struct, frozen=True, rename="camel"):
    creation_timestamp: str = ""


class _Event(msgspec.Struct, frozen=True, rename="camel"):
    """An event as far as it is shown; `event_time` is missing in those of older programs."""

    metadata: _ToldAt = _ToldAt()
    regarding: _About = _About()
    reason: str = ""
    note: str = ""
    event_time: str | None = None
    deprecated_last_timestamp: str | None = None

    @property
    def at(self) -> str:
        """When it was last seen; texts of times are in their order."""
        return self.deprecated_last_timestamp or self.event_time or self.metadata.creation_timestamp


def last_event(cluster: Cluster, namespace: str, name: str) -> str:
    """Return reason and text of the newest event about a name; "" where there is none that may be read."""
    try:
        listing = cluster.list(EVENTS, namespace=namespace)
    except ClusterError:
        return ""
    found = []
    for each in listing.items:
        with suppress(msgspec.ValidationError):
            event = msgspec.convert(each, _Event)
            if event.regarding.name == name and event.note:
                found.append(event)
    newest = max(found, key=lambda each: each.at, default=None)
    return "" if newest is None else f"{newest.reason}: {newest.note}"
