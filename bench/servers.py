"""The gunicorn servers under test, one a process: `python -m bench.servers VARIANT CERTS POLICIES`.

A server tells `serving on https://...` on standard error as soon as it listens.
"""

import os
import sys
from pathlib import Path
from typing import BinaryIO, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, request

from bench.processes import HOST, NULL, OURS
from lockkeeper.certificates.loopback import loopback_certificate
from lockkeeper.process.console import print_message
from webhook.serving.server import Server, ServerSettings, bind


def null_app(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Read the body and answer a constant: what the worker itself costs."""
    body: BinaryIO = environ["wsgi.input"]
    body.read(int(environ["CONTENT_LENGTH"]))
    answer = _constant(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))])
    return [answer]


_CONSTANTS: Final[dict[str, bytes]] = {}


def _constant(path: str) -> bytes:
    found = _CONSTANTS.get(path)
    if found is None:
        found = _CONSTANTS[path] = b"0" * int(path.rpartition("/")[2])
    return found


def null_flask() -> WSGIApplication:
    """Return the same as a Flask application."""
    app = Flask("null", static_folder=None)

    @app.post("/null/<length>")
    def null(length: str) -> Response:
        request.get_data()
        return Response(_constant(length), content_type="application/json")

    return app


def _serve_gunicorn(app: WSGIApplication, certs: Path) -> None:
    listener = bind(HOST, 0)
    port = listener.getsockname()[1]
    paths, tls = loopback_certificate(certs, HOST)
    settings = ServerSettings(certificate=paths.cert, key=paths.key)
    server = Server(settings=settings, listener=listener, build=lambda: app, tls=tls)
    print_message(f"serving on https://{HOST}:{port}")
    sys.exit(server.serve())


def main() -> None:
    """Serve one variant until a signal comes."""
    variant, certs, policies = sys.argv[1:]
    if variant == OURS:
        command = [
            "lockkeeper",
            "serve",
            "--policies",
            policies,
            "--certs",
            certs,
            "--host",
            HOST,
            "--port",
            "0",
        ]
        os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606 - our own command, no shell
    _serve_gunicorn(null_app if variant == NULL else null_flask(), Path(certs))


if __name__ == "__main__":
    main()
