"""The Flask application: routes for people and probes. Admission itself is `webhook.admission`."""

from collections.abc import Callable
from typing import TypeAlias

from flask import Flask, Response

from webhook.metrics import Metrics

NotReady: TypeAlias = Callable[[], list[str]]
PROMETHEUS: str = "text/plain; version=0.0.4; charset=utf-8"


def create_app(*, metrics: Metrics, not_ready: NotReady) -> Flask:
    """Build the application; `not_ready` returns the reasons why no review may be sent here, or nothing."""
    app = Flask(__name__, static_folder=None)

    @app.get("/livez")
    def livez() -> Response:
        """Say that the process answers; it depends on nothing else, least of all on the API server."""
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        """Say whether policies are loaded, and otherwise what is missing."""
        reasons = not_ready()
        text = "".join(f"{reason}\n" for reason in reasons) or "ok\n"
        return Response(text, status=503 if reasons else 200, mimetype="text/plain")

    @app.get("/metrics")
    def show_metrics() -> Response:
        """Show the metrics of this process."""
        return Response(metrics.render(), content_type=PROMETHEUS)

    return app
