"""TLS connections of which nothing is left open when the other side resets them before the handshake.

`ssl` makes its socket out of the plain one and then looks whether that is still connected. Where an API
server that dies has reset it by then, the look raises, and nobody has a hand on the half-made socket to close
it: it stays open until the collector comes, which calls that a leak.
"""

import ssl
from typing import Final

import urllib3
from urllib3.connection import HTTPSConnection
from urllib3.util.ssl_ import create_urllib3_context, resolve_cert_reqs


class ClosingSocket(ssl.SSLSocket):
    """A TLS socket that closes itself when it was reset, after which nothing can come of it."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive some bytes; it is how `ssl` looks at a socket that is connected no more."""
        try:
            return super().recv(buflen, flags)
        except ConnectionResetError:
            self.close()
            raise


class _Connection(HTTPSConnection):
    """A connection as urllib3 makes it, over a socket of ours."""

    def connect(self) -> None:
        """Connect in a context of its own, as without us: threads may not change a shared one."""
        context = create_urllib3_context(cert_reqs=resolve_cert_reqs(self.cert_reqs))
        context.sslsocket_class = ClosingSocket
        if not (self.ca_certs or self.ca_cert_dir or self.ca_cert_data):
            context.load_default_certs()
        self.ssl_context = context
        super().connect()


class _Pool(urllib3.HTTPSConnectionPool):
    """Connections to one server."""

    ConnectionCls = _Connection


_USUAL: Final = urllib3.HTTPSConnectionPool


def use(manager: urllib3.PoolManager) -> None:
    """Let a pool make such connections; one through a SOCKS proxy keeps those of its own."""
    if manager.pool_classes_by_scheme["https"] is _USUAL:
        manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": _Pool}
