"""A TCP proxy that passes bytes as they come: each connection goes to one address for all of its life."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, TypeAlias

from tests.patience import PATIENCE

Address: TypeAlias = tuple[str, int]
Pick = Callable[[], Address | None]
"""Chooses where a new connection goes; None when there is nowhere."""

_BACKLOG: Final = 1024
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: closing drops what is left and resets the connection."""


async def listen(host: str, port: int, pick: Pick) -> asyncio.Server:
    """Pass connections to this address on to wherever `pick` says. Raises OSError if it cannot be had."""
    return await asyncio.get_running_loop().create_server(
        lambda: Client(pick), host, port, backlog=_BACKLOG, reuse_address=True
    )


class Half(asyncio.Protocol):
    """One end of a proxied connection; what comes in here goes out at the other."""

    def __init__(self) -> None:
        self.other: Half | None = None
        self._transport: asyncio.Transport | None = None
        self._said_all = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            self.other.write(data)

    def eof_received(self) -> bool:
        """Pass on that this end says no more; the other way may stay open, so this end is not closed."""
        self._said_all = True
        if self.other is not None:
            self.other.finish()
            if self.other._said_all:
                self.close()
                self.other.close()
        return True

    def pause_writing(self) -> None:
        """Take nothing more from the other end until this one has sent what there is."""
        if self.other is not None:
            self.other.pause()

    def resume_writing(self) -> None:
        if self.other is not None:
            self.other.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            if exc is None:
                other.close()
            else:
                other.reset()

    def write(self, data: bytes) -> None:
        """Send data out of this end."""
        if self._transport is not None:
            self._transport.write(data)

    def finish(self) -> None:
        """Say that nothing more goes out of this end."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def pause(self) -> None:
        """Read nothing for a while."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close this end when all is sent."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Break this end off, so that whoever is there sees it."""
        if self._transport is not None:
            end = self._transport.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()


class Client(Half):
    """The end of a client; it is read from as soon as there is somebody to send to."""

    def __init__(self, pick: Pick) -> None:
        super().__init__()
        self._pick = pick
        self._connecting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        address = self._pick()
        if address is None:
            self.reset()
            return
        self.pause()
        self._connecting = asyncio.create_task(self._connect(address))

    async def _connect(self, address: Address) -> None:
        """Connect to the other side; where that fails the client sees what it would have seen there."""
        try:
            async with asyncio.timeout(PATIENCE):
                _, half = await asyncio.get_running_loop().create_connection(Half, *address)
        except OSError:
            self.reset()
            return
        if self._transport is None:  # The client has gone in the meantime.
            half.close()
            return
        self.other, half.other = half, self
        self.resume()
