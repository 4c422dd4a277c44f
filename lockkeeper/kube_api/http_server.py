"""The HTTPS server of the API: one thread a connection, keep-alive, and watches as streams of lines."""

import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from lockkeeper.kube_api.answers import Answer, RequestRefused, refusal
from lockkeeper.kube_api.describing.discovery import SERVED_WORDS, absent_kind, described
from lockkeeper.kube_api.object_requests import ObjectRequests
from lockkeeper.kube_api.protobuf_bodies import in_json
from lockkeeper.kube_api.request_paths import object_path
from lockkeeper.kube_api.requests import ApiRequest

_MOST_BYTES: Final = 16 * 1024 * 1024
"""The largest body that is read."""
_IDLE_SECONDS: Final = 300.0
"""After so long without a request a connection ends."""
_HEALTHY: Final = ("/healthz", "/livez", "/readyz")

_OLD_SCHEMAS: Final = "/openapi/v2"
"""What kubectl checks a List by, and kinds that we do not serve; it is empty, so that kubectl passes them."""
_OLD_SCHEMAS_TYPE: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


class KubeApi:
    """Serves the API on loopback until the process ends; `bug` hears of a fault of ours."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext,
        requests: ObjectRequests,
        bug: Callable[[BaseException], object],
    ) -> None:
        def answer(request: ApiRequest) -> Answer:
            try:
                return answered(request, requests)
            except Exception as error:  # noqa: BLE001 - the user gets an answer, and we hear of it
                bug(error)
                return refusal(RequestRefused(500, f"a fault of lockkeeper run: {type(error).__name__}"))

        class Handler(_ApiHandler):
            """Handles the requests of one connection."""

            def reply_to(self, request: ApiRequest) -> Answer:
                """Return the answer."""
                return answer(request)

        self._server = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        # The handshake is the connection's own: one that never makes it would stop all others in `accept`.
        self._server.socket = tls.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        """Serve in a thread of its own."""
        Thread(target=self._server.serve_forever, name="kube-api", daemon=True).start()

    def stop(self) -> None:
        """End, and close the port."""
        self._server.shutdown()
        self._server.server_close()


def answered(request: ApiRequest, requests: ObjectRequests) -> Answer:
    """Return the answer to any request."""
    path = object_path(request.path)
    try:
        if path is None:
            return _described(request)
        return requests.answer(in_json(request), path)
    except RequestRefused as error:
        return refusal(error)


def _described(request: ApiRequest) -> Answer:
    """Return the answer about the API itself.

    Raises:
        RequestRefused: there is nothing at this path.
    """
    found = described(request.path)
    if found is not None:
        return Answer(200, found)
    if request.path.endswith("/selfsubjectaccessreviews"):
        return _may_do_all(request)
    kind = absent_kind(request.path)
    if kind:
        raise RequestRefused(404, f"lockkeeper run has no {kind}: it serves {SERVED_WORDS}", details={})
    return Answer(404, {}, text="404 page not found\n")


def _may_do_all(request: ApiRequest) -> Answer:
    """Return that the user may do what he asks about: there is no access control here."""
    review = msgspec.json.decode(in_json(request).body, type=dict)
    return Answer(201, {"metadata": {}, **review, "status": {"allowed": True}})


class _ApiHandler(BaseHTTPRequestHandler):
    """Reads requests and writes answers."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def reply_to(self, request: ApiRequest) -> Answer:
        """Return the answer to a request."""
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Log nothing: the output is the user's."""

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > _MOST_BYTES:
            self._write(
                refusal(RequestRefused(413, "the body of the request is too large", reason="TooLarge"))
            )
            self.close_connection = True
            return
        url = urlsplit(self.path)
        request = ApiRequest(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            body=self.rfile.read(length),
            accept=self.headers.get("Accept", ""),
            content_type=self.headers.get("Content-Type", ""),
            user_agent=self.headers.get("User-Agent", ""),
        )
        if url.path in _HEALTHY:
            self._send(200, b"ok", "text/plain")
            return
        if url.path == _OLD_SCHEMAS:
            self._send(200, b"", _OLD_SCHEMAS_TYPE)
            return
        answer = self.reply_to(request)
        if answer.events is None:
            self._write(answer)
        else:
            self._stream(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - names of the base class

    def _write(self, answer: Answer) -> None:
        if answer.text:
            self._send(answer.code, answer.text.encode(), "text/plain")
            return
        self._send(answer.code, msgspec.json.encode(answer.body), "application/json", answer.warnings)

    def _send(self, code: int, body: bytes, kind: str, warnings: tuple[str, ...] = ()) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for text in warnings:
            quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
            self.send_header("Warning", f'299 - "{quoted}"')
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, answer: Answer) -> None:
        """Write the events of a watch, a line each, until they end or the client is gone."""
        self.send_response(answer.code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        try:
            for event in answer.events or ():
                line = msgspec.json.encode(event) + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True
