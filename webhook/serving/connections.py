"""The connections of a worker, and which is closed when there are too many: the state of one thread.

A connection is silent while its client is waited for: nothing has arrived, or not all of a request. At the
limit a silent one is closed and not the new one refused, or else a client that opens many would keep all
others out. It is one of the peer that has the most, the longest silent first. A connection on which a review
was answered is closed only where no other is left, so that connections of the API server stay open.
"""

from enum import StrEnum
from typing import Final, Generic, TypeVar

import msgspec

MOST: Final = 1000
"""Connections at once. Each needs some 40 KiB and a file descriptor."""
PER_PEER: Final = 500
"""Connections of one address: half of them, because behind a konnectivity server, a proxy or a node's address
all API servers may share one; each opens one for every review that is under way."""
Key = TypeVar("Key")


class Stage(StrEnum):
    """What a silent connection is waited for."""

    FIRST_BYTE = "first byte"
    HANDSHAKE = "handshake"
    IDLE = "idle"
    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    DRAIN = "drain"


SLOW: Final = frozenset({Stage.BODY, Stage.ANSWER, Stage.DRAIN})
"""Stages in which a connection holds a request or an answer: few may be in them."""


class _ConnectionEntry(msgspec.Struct, Generic[Key]):
    """One connection; `until` is when its time is over, where it is silent."""

    key: Key
    peer: str
    reviewed: bool = False
    stage: Stage | None = None
    until: float = 0.0


class _Peer(msgspec.Struct, Generic[Key]):
    """The connections of one address; the silent ones are in the order in which they fell silent."""

    count: int = 0
    silent: dict[Key, None] = {}
    reviewed: dict[Key, None] = {}

    def oldest(self) -> Key | None:
        """Return the longest silent one, rather without an answered review, or None."""
        return next(iter(self.silent or self.reviewed), None)


class ConnectionTable(Generic[Key]):
    """All connections of one worker."""

    def __init__(self, *, most: int = MOST, per_peer: int = PER_PEER) -> None:
        self._most = most
        self._per_peer = per_peer
        self._all: dict[Key, _ConnectionEntry[Key]] = {}
        self._peers: dict[str, _Peer[Key]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, key: Key, peer: str) -> Key | None:
        """Record a new connection; return which one is to be closed for it, if one is."""
        found = self._peers.setdefault(peer, _Peer())
        to_close: Key | None = None
        if found.count >= self._per_peer:
            to_close = found.oldest()
        elif len(self._all) >= self._most:
            to_close = self.first_to_close()
        found.count += 1
        self._all[key] = _ConnectionEntry(key, peer)
        return to_close

    def set_silent(self, key: Key, stage: Stage, until: float) -> None:
        """Record that a connection is waited for, at the longest until then."""
        entry = self._all[key]
        entry.stage, entry.until = stage, until
        queue = self._queue(entry)
        queue.pop(key, None)  # It is the latest now.
        queue[key] = None

    def stage(self, key: Key) -> Stage | None:
        """Return what a connection is waited for; None where it is busy or closed."""
        found = self._all.get(key)
        return found.stage if found is not None else None

    def set_busy(self, key: Key) -> None:
        """Record that a request of a connection is worked on."""
        entry = self._all[key]
        self._queue(entry).pop(key, None)
        entry.stage = None

    def set_reviewed(self, key: Key) -> None:
        """Record that a review was answered on a connection, while it is busy."""
        self._all[key].reviewed = True

    def remove(self, key: Key) -> bool:
        """Remove a connection; return whether it was there."""
        entry = self._all.pop(key, None)
        if entry is None:
            return False
        self._queue(entry).pop(key, None)
        peer = self._peers[entry.peer]
        peer.count -= 1
        if not peer.count:
            del self._peers[entry.peer]
        return True

    def first_to_close(self) -> Key | None:
        """Return the one that is closed first, or None where all are busy."""
        silent = [each for each in self._peers.values() if each.silent]
        if silent:
            # Of two with as many, the one without answered reviews.
            most = max(silent, key=lambda each: (len(each.silent), not each.reviewed))
            return most.oldest()
        reviewed = [each for each in self._peers.values() if each.reviewed]
        return max(reviewed, key=lambda each: len(each.reviewed)).oldest() if reviewed else None

    def overdue(self, now: float) -> list[Key]:
        """Return the silent ones whose time is over."""
        return [each.key for each in self._all.values() if each.stage is not None and each.until <= now]

    def all_silent(self) -> list[Key]:
        """Return all that are silent."""
        return [each.key for each in self._all.values() if each.stage is not None]

    def shorten_waits(self, until: float) -> None:
        """Wait for none of them longer than until then, except for what has begun."""
        for each in self._all.values():
            if each.stage not in SLOW:
                each.until = min(each.until, until)

    def _queue(self, entry: _ConnectionEntry[Key]) -> dict[Key, None]:
        peer = self._peers[entry.peer]
        return peer.reviewed if entry.reviewed else peer.silent
