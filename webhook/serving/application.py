"""What a server calls: an application that answers a request by its head, or with its body.

`WsgiApplication` makes one of a WSGI application that needs no body: the probes and metrics, which are
Flask's. It is called in threads only, because nothing is known of how long it takes.
"""

import io
import sys
from typing import Any, Final, Protocol
from wsgiref.types import WSGIApplication, WSGIEnvironment

from webhook.http_errors import BadRequest
from webhook.serving.http_messages import TEXT, Head, HttpAnswer
from webhook.turns import Turn

_OWN_HEADERS: Final = frozenset({"content-type", "connection"})


class Application(Protocol):
    """Answers requests. Both methods raise NotHereError where their `turn` is not one to do it in."""

    def answer_head(self, head: Head, peer: str, turn: Turn) -> HttpAnswer | None:
        """Answer a request by its head alone, whose body is not wanted; None where it is."""

    def answer(self, head: Head, body: bytes, turn: Turn) -> HttpAnswer:
        """Answer a request."""

    def refuse(self, error: BadRequest) -> HttpAnswer:
        """Answer a request whose body could not be read."""


class WsgiApplication:
    """Answers by a WSGI application, in a thread; bodies are not read."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, head: Head, peer: str, turn: Turn) -> HttpAnswer:
        """Call the application (PEP 3333)."""
        turn.may_wait()
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: object = None) -> Any:
            started.append((status, headers))
            return io.BytesIO().write

        result = self._app(_environ(head, peer), start_response)
        try:
            body = b"".join(result)
        finally:
            getattr(result, "close", lambda: None)()
        status, headers = started[-1]
        media_type = next((value for name, value in headers if name.lower() == "content-type"), TEXT)
        others = tuple(each for each in headers if each[0].lower() not in _OWN_HEADERS)
        return HttpAnswer(status, body, media_type, others)


def _environ(head: Head, peer: str) -> WSGIEnvironment:
    return {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": head.path,
        "QUERY_STRING": head.query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": peer,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
