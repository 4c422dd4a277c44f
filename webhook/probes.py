"""The Flask application: routes for people and probes. Admission itself is `webhook.admission`.

The controller serves the same routes with metrics and reasons of its own.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from flask import Flask, Response

Reasons: TypeAlias = Callable[[], list[str]]
"""Says what speaks against something, a sentence each; nothing does where the list is empty."""
PROMETHEUS: str = "text/plain; version=0.0.4; charset=utf-8"


class Rendering(Protocol):
    """What the application needs of metrics."""

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        ...


def create_app(*, metrics: Rendering, not_ready: Reasons, not_alive: Reasons = list) -> Flask:
    """Build the application.

    `not_ready` says why nobody may be sent here; `not_alive` says what only a new process can mend.
    """
    app = Flask(__name__, static_folder=None)

    @app.get("/livez")
    def livez() -> Response:
        """Say that the process works; it depends on nothing outside of it, least of all on the API server."""
        return _verdict(not_alive())

    @app.get("/readyz")
    def readyz() -> Response:
        """Say whether policies are loaded, and otherwise what is missing."""
        return _verdict(not_ready())

    @app.get("/metrics")
    def show_metrics() -> Response:
        """Show the metrics of this process."""
        return Response(metrics.render(), content_type=PROMETHEUS)

    return app


def _verdict(reasons: list[str]) -> Response:
    text = "".join(f"{reason}\n" for reason in reasons) or "ok\n"
    return Response(text, status=503 if reasons else 200, mimetype="text/plain")
