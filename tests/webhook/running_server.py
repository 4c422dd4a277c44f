"""A `lockkeeper serve` in a process of its own on loopback, and connections that check its certificate."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from certs.files import Paths
from tests.patience import PATIENCE
from tests.webhook.oracle import Json, verify_admission_response
from tests.webhook.reviews import encoded

_ADDRESS: Final = re.compile(r"lockkeeper: serving on https://127\.0\.0\.1:(\d+), CA certificate (.+)")


class Served:
    """The server as a context manager: ready when entered, ended by its own pid when left."""

    def __init__(
        self, *, policies: Path, certs: Path, options: tuple[str, ...] = (), module: str = "lockkeeper"
    ) -> None:
        self._command = serve_command(policies, "--certs", str(certs), *options, module=module)
        self.certs = certs
        self.port = 0
        self._heard = threading.Condition()
        self._stdout: list[str] = []
        self._stderr: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._listen, args=(self._process.stdout, self._stdout)),
            threading.Thread(target=self._listen, args=(self._process.stderr, self._stderr)),
        ]
        for reader in self._readers:
            reader.start()
        try:
            told = self._wait_for(self._stderr, lambda line: _ADDRESS.fullmatch(line) is not None)
        except BaseException:
            self._end()
            raise
        match = _ADDRESS.fullmatch(told)
        assert match is not None
        self.port = int(match[1])
        assert Path(match[2]) == Paths.within(self.certs).authority_cert
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    @property
    def stderr(self) -> list[str]:
        """What was said on standard error so far."""
        with self._heard:
            return list(self._stderr)

    def log(self, **fields: object) -> Json:
        """Return the first log line with these fields, waiting for it."""

        def fits(line: str) -> bool:
            said: Json = json.loads(line)
            return all(said.get(name) == value for name, value in fields.items())

        found: Json = json.loads(self._wait_for(self._stdout, fits))
        return found

    def told(self, pattern: re.Pattern[str]) -> str:
        """Return what the group of a pattern is in a line of standard error, waiting for it."""
        line = self._wait_for(self._stderr, lambda line: pattern.search(line) is not None)
        found = pattern.search(line)
        assert found is not None
        return found[1]

    def terminate(self) -> None:
        """Ask it to stop, as Kubernetes does."""
        self._process.send_signal(signal.SIGTERM)

    def exit_code(self) -> int:
        """Wait for its end and return its exit code."""
        return self._process.wait(PATIENCE)

    @contextmanager
    def connected(self, *, timeout: float = PATIENCE) -> Iterator["Connection"]:
        """Connect with the CA and the name checked."""
        with Connection(self.port, trusting(self.certs), timeout=timeout) as connection:
            yield connection

    def secure_socket(self, *, timeout: float = PATIENCE) -> ssl.SSLSocket:
        """Return a connected TLS socket, for requests that no client library would send."""
        plain = self.plain_socket(timeout=timeout)
        return trusting(self.certs).wrap_socket(plain, server_hostname="127.0.0.1")

    def plain_socket(self, *, timeout: float = PATIENCE) -> socket.socket:
        """Return a connected socket that said nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def _listen(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._heard:
                lines.append(line.removesuffix("\n"))
                self._heard.notify_all()

    def _wait_for(self, lines: list[str], wanted: Callable[[str], bool]) -> str:
        with self._heard:
            found = self._heard.wait_for(lambda: [line for line in lines if wanted(line)], PATIENCE)
            assert found, f"not seen; stdout: {self._stdout}, stderr: {self._stderr}"
            return found[0]

    def _end(self) -> None:
        """End the server, by force where it does not go, and whatever it started along with it."""
        if self._process.poll() is None:
            children = _children(self._process.pid)
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(PATIENCE)
                for child in children:
                    os.kill(child, signal.SIGKILL)
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class Connection:
    """One connection that stays open, as the API server's client has it."""

    def __init__(self, port: int, context: ssl.SSLContext, *, timeout: float = PATIENCE) -> None:
        self._http = HTTPSConnection("127.0.0.1", port, context=context, timeout=timeout)

    def __enter__(self) -> Self:
        self._http.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    @property
    def socket(self) -> ssl.SSLSocket | None:
        """The socket; None once the server said that it closes, another one after a reconnect."""
        found = self._http.sock
        assert found is None or isinstance(found, ssl.SSLSocket)
        return found

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        media_type: str = "application/json",
    ) -> tuple[int, bytes]:
        """Make a request and return status and body of the answer; an iterator is sent in chunks."""
        self._http.request(method, path, body, {"Content-Type": media_type}, encode_chunked=True)
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def review(self, review: Json, path: str = "/mutate") -> Json:
        """Return the verified response to a review."""
        status, body = self.send("POST", f"{path}?timeout=10s", encoded(review))
        assert status == 200, body
        return verify_admission_response(body, request=review, mutating=path == "/mutate")


def serve_command(policies: Path, *options: str, module: str = "lockkeeper") -> list[str]:
    """Return the command that serves on a free port."""
    return [sys.executable, "-m", module, "serve", "--policies", str(policies), "--port", "0", *options]


def trusting(certs: Path) -> ssl.SSLContext:
    """Return a client's context that trusts the CA of a folder and nobody else, strictly."""
    context = ssl.create_default_context(cafile=str(Paths.within(certs).authority_cert))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def _children(pid: int) -> list[int]:
    """Return the processes that a process of ours started, where the kernel tells."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []
