"""The gunicorn servers under test, one a process: `python -m bench.servers VARIANT CERTS POLICIES`.

A server tells `serving on https://...` on standard error as soon as it listens.
"""

import os
import sys
from pathlib import Path

from bench.processes import HOST, OURS
from lockkeeper.certificates.loopback import loopback_certificate
from lockkeeper.process.console import print_message
from webhook.http_errors import BadRequest
from webhook.serving.http_messages import JSON, Head, HttpAnswer
from webhook.serving.server import Server, ServerSettings, bind
from webhook.turns import Turn


class NullApplication:
    """Takes the body and answers a constant as long as the path says: what the worker itself costs."""

    def __init__(self) -> None:
        self._answers: dict[str, HttpAnswer] = {}

    def answer_head(self, _head: Head, _peer: str, _turn: Turn) -> HttpAnswer | None:
        """Want every body."""
        return None

    def answer(self, head: Head, _body: bytes, _turn: Turn) -> HttpAnswer:
        """Answer the constant."""
        found = self._answers.get(head.path)
        if found is None:
            content = b"0" * int(head.path.rpartition("/")[2])
            found = self._answers[head.path] = HttpAnswer("200 OK", content, JSON)
        return found

    def refuse(self, error: BadRequest) -> HttpAnswer:
        """Answer what the load generator never sends."""
        return HttpAnswer(error.status, error.message.encode())


def _serve_null(certs: Path) -> None:
    listener = bind(HOST, 0)
    port = listener.getsockname()[1]
    paths, tls = loopback_certificate(certs, HOST)
    settings = ServerSettings(certificate=paths.cert, key=paths.key)
    server = Server(settings=settings, listener=listener, build=NullApplication, tls=tls)
    print_message(f"serving on https://{HOST}:{port}")
    sys.exit(server.serve())


def main() -> None:
    """Serve one variant until a signal comes."""
    variant, certs, policies = sys.argv[1:]
    if variant == OURS:
        options = ("--policies", policies, "--certs", certs, "--host", HOST, "--port", "0")
        command = [sys.executable, "-m", "lockkeeper", "serve", *options]
        os.execv(sys.executable, command)  # noqa: S606 - our own command, no shell
    _serve_null(Path(certs))


if __name__ == "__main__":
    main()
