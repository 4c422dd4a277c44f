"""A watch that lasts as long as its caller wants, over connections that break.

The API server ends every watch after a while, and so do proxies and restarts. Each event, bookmarks too,
moves the version from which the next connection continues, so nothing is missed and nothing is seen twice.
"""

from collections.abc import Callable, Iterable, Iterator
from math import ceil
from random import Random
from threading import Event
from time import monotonic
from typing import Final, TypeVar

from policy.cluster.errors import TooManyRequests, Unavailable
from policy.cluster.kube import requests
from policy.cluster.kube.requests import Transport
from policy.cluster.protocol import Selection, WatchEvent
from policy.core.values.backoff import backoff

_SILENCE: Final = 150.0
"""Seconds without even a bookmark (one a minute is usual) after which a connection counts as lost."""
_FIRST_DELAY: Final = 0.25
_LAST_DELAY: Final = 4.0
"""Seconds between two attempts to connect: the first, doubled each time up to the last.

Releases wait for the leader's watch, so an API server that is back has to be found within seconds.
"""
_ALLOWANCE: Final = 15.0
"""Seconds that the server may be late in ending a watch."""
Item = TypeVar("Item")


class Watcher:
    """Follows changes of one selection; `closed` ends every wait and every watch when it is set."""

    def __init__(self, *, transport: Transport, rng: Random, closed: Event) -> None:
        self._transport = transport
        self._rng = rng
        self._closed = closed

    def follow(
        self,
        selection: Selection,
        *,
        since: str,
        timeout: float,
        decoded: Callable[[bytes], WatchEvent[Item]],
    ) -> Iterator[WatchEvent[Item]]:
        """Yield every change after a version until the time is over; `decoded` returns the event of a line.

        Raises:
            Gone: the version is older than what the server stores.
            Unavailable: there was no connection when the time was over, nor for a while before.
            TooManyRequests: the same, because the server was too busy.
        """
        deadline = monotonic() + timeout
        version, fruitless = since, 0
        while not self._closed.is_set():
            left = deadline - monotonic()
            broken: Unavailable | TooManyRequests | None = None
            try:
                for event in self._connected(selection, version, left, decoded):
                    version, fruitless = event.resource_version, 0
                    yield event
            except (Unavailable, TooManyRequests) as error:
                broken = error
            delay = self._delay(fruitless)
            fruitless += 1
            if monotonic() + delay >= deadline:
                if broken is not None and not self._closed.is_set():
                    raise broken
                return
            # An early end without any event waits too, or a server that hangs up at once would be stormed.
            self._closed.wait(delay)

    def _connected(
        self, selection: Selection, version: str, left: float, decoded: Callable[[bytes], WatchEvent[Item]]
    ) -> Iterator[WatchEvent[Item]]:
        """Yield the events of one connection."""
        request = requests.watch(selection, since=version, seconds=max(1, ceil(left)))
        with self._transport.stream(request, silence=min(_SILENCE, max(0.0, left) + _ALLOWANCE)) as pieces:
            for line in lines(pieces):
                yield decoded(line)

    def _delay(self, fruitless: int) -> float:
        """Return the seconds to wait, drawn at random so that replicas do not reconnect all at once."""
        longest = backoff(fruitless + 1, first=_FIRST_DELAY, last=_LAST_DELAY)
        return self._rng.uniform(longest / 2, longest)


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the whole lines of a stream; a last one without an end was cut off, and is dropped."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from filter(None, whole)
