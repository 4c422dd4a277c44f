"""The connections to one API server: urllib3 makes and keeps them, and requests over open ones are sent here.

urllib3 knows of TLS, proxies and what goes wrong while connecting. Of a request over a connection that is
open already it makes some 20 objects, which took a third of a busy leader's time.
"""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import ProtocolError, ReadTimeoutError
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs

from policy.cluster.kube.http_answer import WholeAnswer, read_answer

_PIECE: Final = 1 << 16
_ALWAYS: Final = "Accept-Encoding: identity\r\n"


class ClosingSocket(ssl.SSLSocket):
    """A TLS socket that closes itself when the other side resets it before the handshake.

    `ssl` creates its socket from the plain one and then checks whether that is still connected. Where an API
    server that ends has reset it by then, this raises, and no other code can close the incomplete socket: it
    stays open until the garbage collector runs, which reports a leak.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive some bytes: this is how `ssl` checks a socket that is no longer connected."""
        try:
            return super().recv(buflen, flags)
        except ConnectionResetError:
            self.close()
            raise


class _ClosingConnection(HTTPSConnection):
    """A connection of urllib3 over a `ClosingSocket`."""

    def connect(self) -> None:
        """Connect in a context of its own, as urllib3 does: threads may not change a shared one."""
        context = create_urllib3_context(cert_reqs=resolve_cert_reqs(self.cert_reqs))
        context.sslsocket_class = ClosingSocket
        if not (self.ca_certs or self.ca_cert_dir or self.ca_cert_data):
            context.load_default_certs()
        self.ssl_context = context
        super().connect()


class ServerPool(urllib3.HTTPSConnectionPool):
    """Connections to one server."""

    ConnectionCls = _ClosingConnection

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None, *, silence: float
    ) -> WholeAnswer | None:
        """Send a request over a connection that is open, and return its answer.

        None: nothing was sent, since none is open, or since a header is not one that is sent as it is.
        `silence` is how many seconds nothing may arrive.

        Raises:
            ReadTimeoutError: it was sent, and nothing arrived for so long.
            ProtocolError: it may have been sent, and the connection or its answer broke.
        """
        if not all(each.isascii() and each.isprintable() for each in headers.values()):
            return None
        kept = self._get_conn()
        socket = kept.sock if isinstance(kept, HTTPSConnection) else None
        reusable = True
        try:
            if socket is None:
                return None
            reusable = False
            socket.settimeout(silence)
            socket.sendall(self._request(method, target, headers, body))
            answer = read_answer(lambda: socket.recv(_PIECE))
            reusable = answer.reusable
        except TimeoutError as error:
            raise ReadTimeoutError(self, target, f"Read timed out. (read timeout={silence})") from error
        except OSError as error:
            raise ProtocolError("Connection aborted.", error) from error
        else:
            return answer
        finally:
            if not reusable:
                with suppress(OSError):
                    kept.close()
            self._put_conn(kept)

    def _request(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """Return a request as it is sent."""
        host = f"[{self.host.strip('[]')}]" if ":" in self.host else self.host
        named = host if self.port == self.ConnectionCls.default_port else f"{host}:{self.port}"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        head = f"{method} {target} HTTP/1.1\r\nHost: {named}\r\n{_ALWAYS}{lines}{length}\r\n"
        return head.encode("ascii") + (body or b"")
