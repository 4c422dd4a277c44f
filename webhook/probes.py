"""The Flask application for probes and metrics: whether this process is alive and ready.

The controller serves the same routes with metrics and reasons of its own.
"""

from collections.abc import Callable
from gzip import compress
from typing import Final, TypeAlias

from flask import Flask, Response, request

Reasons: TypeAlias = Callable[[], list[str]]
"""Returns why a process is not ready, or not alive, a sentence each; an empty list where it is."""
PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_WORTH_IT: Final = 4096
"""Bytes from which on they are compressed."""


def create_app(*, render: Callable[[], bytes], not_ready: Reasons, not_alive: Reasons = list) -> Flask:
    """Build the application.

    `render` returns the metrics, `not_ready` why no traffic may be sent here, and `not_alive` what only a new
    process can repair.
    """
    app = Flask(__name__, static_folder=None)

    @app.get("/livez")
    def livez() -> Response:
        """Answer whether the process works; that depends on nothing else, not even on the API server."""
        return _verdict(not_alive())

    @app.get("/readyz")
    def readyz() -> Response:
        """Answer whether policies are loaded, and otherwise what is missing."""
        return _verdict(not_ready())

    @app.get("/metrics")
    def show_metrics() -> Response:
        """Show the metrics of this process, compressed for who takes that: their lines are much alike.

        Whatever a scraper would rather have, it gets this one form, which all of them read.
        """
        text, headers = render(), {"Vary": "Accept-Encoding"}
        if len(text) >= _WORTH_IT and request.accept_encodings["gzip"] > 0:
            text, headers["Content-Encoding"] = compress(text, compresslevel=1), "gzip"
        return Response(text, content_type=PROMETHEUS, headers=headers)

    return app


def _verdict(reasons: list[str]) -> Response:
    text = "".join(f"{reason}\n" for reason in reasons) or "ok\n"
    return Response(text, status=503 if reasons else 200, mimetype="text/plain")
