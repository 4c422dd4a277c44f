"""A small HTTP(S) server that the tests of the podrunner run in Pods; it needs the standard library alone.

Arguments: address, port, and, for HTTPS, certificate and key. What it answers on which path stands below.
"""

import json
import os
import signal
import socket
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
READY = Path("/settings/ready")
ALIVE = Path("/settings/alive")


class Handler(BaseHTTPRequestHandler):
    """Answers with JSON, or with 503 where a settings file says `no`."""

    def do_GET(self) -> None:
        """Answer one request."""
        address = urllib.parse.urlsplit(self.path)
        asked = dict(urllib.parse.parse_qsl(address.query))
        match address.path:
            case "/readyz":
                self.answer("ready", status=503 if says_no(READY) else 200)
            case "/livez":
                self.answer("alive", status=503 if says_no(ALIVE) else 200)
            case "/file":
                self.answer(read(asked["path"]))
            case "/write":
                self.answer(write(asked["path"]))
            case "/ask":
                self.answer(ask(asked["path"]))
            case "/get":
                self.answer(get(asked["url"]))
            case "/slow":
                say("slow begins")
                Event().wait(float(asked["seconds"]))
                self.answer("slow ends")
            case _:
                status = Path("/proc/self/status").read_text()
                self.answer(
                    {
                        "host": socket.gethostname(),
                        "pid": os.getpid(),
                        "user": os.getuid(),
                        "groups": os.getgroups(),
                        "status": dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line),
                        "environment": dict(os.environ),
                        "version": os.environ.get("VERSION", ""),
                    }
                )

    def answer(self, what: object, *, status: int = 200) -> None:
        """Send JSON."""
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing about requests."""


class Server(ThreadingHTTPServer):
    """Waits for the requests that it has begun when it ends."""

    daemon_threads = False


def say(what: str) -> None:
    """Write a line of the log."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def says_no(setting: Path) -> bool:
    """Tell whether a settings file forbids something."""
    return setting.exists() and setting.read_text() == "no"


def read(path: str) -> str:
    """Return what a file holds, or why it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError as error:
        return f"{type(error).__name__}: {error.strerror}"


def write(path: str) -> str:
    """Write to a file; return `written`, or why it could not be."""
    try:
        Path(path).write_text("written")
    except OSError as error:
        return f"{type(error).__name__}: {error.strerror}"
    return "written"


def ask(path: str) -> int:
    """Ask the API server as any client in a cluster does; return the status."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    token = (ACCOUNT / "token").read_text()
    request = urllib.request.Request(
        f"https://{host}:{port}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, context=trust, timeout=10) as answer:  # noqa: S310 - https as above
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def get(url: str) -> str:
    """Return what another server answers, or why it does not."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - what the test asks for
            return str(answer.read().decode())
    except OSError as error:
        return str(error)


def main() -> None:
    """Serve until SIGTERM, and then until the requests that have begun are answered."""
    host, port, *pair = sys.argv[1:]
    server = Server((host, int(port)), Handler)
    if pair:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    signal.signal(signal.SIGTERM, lambda *_: Thread(target=server.shutdown).start())
    say("serving")
    server.serve_forever()
    say("terminating")
    server.server_close()
    say("terminated")


if __name__ == "__main__":
    main()
