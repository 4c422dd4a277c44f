"""The controller's port for probes and metrics: a small HTTP server in threads of its own.

It is the standard library's WSGI server. gunicorn, which serves the webhook, forks its workers and takes the
signals of the process, but what is served here is in the memory of this one; Werkzeug's server is, by its own
documentation, one for development, and there is no third among our requirements. What the standard library's
lacks is here: a bound on connections, on the size of a request and on its time, and a stop that finishes
answers.
"""

from collections.abc import Callable
from io import BufferedReader, RawIOBase
from socket import SHUT_RDWR, socket
from socketserver import BaseServer, ThreadingMixIn
from ssl import SSLContext
from sys import exc_info
from threading import Lock, Thread
from time import monotonic
from typing import Any, Final, TypeAlias
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import WSGIApplication

import msgspec

Bug: TypeAlias = Callable[[BaseException], None]
_Connection: TypeAlias = socket | tuple[bytes, socket]
"""What socketserver calls a request; with TCP it is the socket."""
_Address: TypeAlias = Any
"""What socketserver calls the address of a client; its form depends on the family."""
_POLL_SECONDS: Final = 0.1
"""How soon the server sees that it has to stop."""


class PortLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client may take.

    `connections`: a kubelet, a Prometheus or two and some people; each costs a thread while it lasts.
    `request`: bytes of the request line and all headers. `seconds`: from the connection to the end of its
    request, and again for the answer.
    """

    connections: int = 16
    request: int = 16 * 1024
    seconds: float = 5.0


class HealthPort:
    """Serves an application on a socket that listens already, until it is stopped.

    `bug` is called for errors of the server itself; those of a connection are the client's fault. With `tls`
    connections are encrypted, each by the context of now.
    """

    def __init__(
        self,
        *,
        app: WSGIApplication,
        listener: socket,
        bug: Bug,
        limits: PortLimits | None = None,
        tls: Callable[[], SSLContext] | None = None,
    ) -> None:
        self._server = _Server(app=app, listener=listener, bug=bug, limits=limits or PortLimits(), tls=tls)
        self._thread = Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="health-port", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections, and return when those that are open have had their answers.

        That lasts no longer than the time limits of one client.
        """
        if self._thread.ident is not None:  # Otherwise it was never started.
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Incoming(RawIOBase):
    """The bytes of one connection: so many and no more, and all of them in time."""

    def __init__(self, connection: socket, limits: PortLimits) -> None:
        super().__init__()
        self._connection = connection
        self._left = limits.request
        self._deadline = monotonic() + limits.seconds

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # io passes it a memoryview
        """Fill the buffer with what has arrived. Raises OSError at a limit, without an answer."""
        seconds = self._deadline - monotonic()
        if seconds <= 0:
            raise TimeoutError("the request did not arrive in time")
        if self._left <= 0:
            raise ConnectionAbortedError("the request is too large")
        self._connection.settimeout(seconds)
        count = self._connection.recv_into(buffer[: self._left])
        self._left -= count
        return count


class _Handler(WSGIRequestHandler):
    """Serves one connection, which carries one request."""

    server: "_Server"

    def setup(self) -> None:
        """Put the bounded stream in the place of the socket's own."""
        super().setup()
        self.rfile.close()
        self.rfile = BufferedReader(_Incoming(self.connection, self.server.limits))

    def parse_request(self) -> bool:
        """Parse the request; what is read by then is all of it, so the time for the answer begins."""
        parsed = super().parse_request()
        self.connection.settimeout(self.server.limits.seconds)
        return parsed

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name is the standard library's
        """Log nothing: a kubelet probes every few seconds."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, on a socket that is bound already."""

    def __init__(
        self,
        *,
        app: WSGIApplication,
        listener: socket,
        bug: Bug,
        limits: PortLimits,
        tls: Callable[[], SSLContext] | None,
    ) -> None:
        # Not TCPServer's, which would open a socket of its own.
        BaseServer.__init__(self, listener.getsockname(), _Handler)
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.limits = limits
        self._bug = bug
        self._tls = tls
        self._open: dict[_Connection, _Connection] = {}
        self._open_lock = Lock()
        self.setup_environ()
        if tls is not None:
            self.base_environ["HTTPS"] = "on"  # So wsgiref tells the application the scheme of its addresses.
        self.set_app(app)

    def process_request(self, request: _Connection, client_address: object) -> None:
        """Serve a connection in a thread; where too many are open the oldest is closed.

        A request is answered in milliseconds, so the oldest is a silent client. Refusing the
        new one would let such clients keep the kubelet out, which would then restart us.
        """
        with self._open_lock:
            while len(self._open) >= self.limits.connections:
                _disconnect(self._open.pop(next(iter(self._open))))
            self._open[request] = request
        super().process_request(request, client_address)

    def finish_request(self, request: _Connection, client_address: _Address) -> None:
        """Serve a connection, in its thread; with TLS the handshake comes first, in the same time."""
        if self._tls is None or not isinstance(request, socket):
            super().finish_request(request, client_address)
            return
        request.settimeout(self.limits.seconds)
        with self._tls().wrap_socket(request, server_side=True, do_handshake_on_connect=False) as encrypted:
            with self._open_lock:
                if request not in self._open:  # It was closed just now, for others.
                    return
                self._open[request] = encrypted
            try:
                encrypted.do_handshake()
                super().finish_request(encrypted, client_address)
            finally:
                _disconnect(encrypted)

    def shutdown_request(self, request: _Connection) -> None:
        """Close a connection after its answer."""
        with self._open_lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: _Connection, client_address: object) -> None:
        """Report an error in the handling of a connection, unless the client is to blame."""
        del request, client_address
        error = exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self._bug(error)


def _disconnect(connection: _Connection) -> None:
    """End a connection under the thread that reads it; closing it is that thread's."""
    try:
        connection.shutdown(SHUT_RDWR)  # type: ignore[union-attr]  # with TCP it is a socket
    except OSError:
        return  # The client has closed it already.
