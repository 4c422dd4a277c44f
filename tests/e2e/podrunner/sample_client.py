"""Asks the sample server through its Service, once or all the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from threading import Event, Thread

import msgspec

from policy.core.values.prepared import prepare
from tests.e2e.product import until
from tests.patience import PATIENCE


class Facts(msgspec.Struct, frozen=True):
    """What the server tells of itself."""

    host: str
    pid: int
    user: int
    groups: tuple[int, ...]
    status: dict[str, str]
    environment: dict[str, str]
    version: str


prepare(Facts)


class Client:
    """Makes each request over a connection of its own, as every new client of a Service does."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of an answer. Raises OSError or HTTPException where there is none."""
        connection = HTTPConnection(*self._address, timeout=PATIENCE)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def said(self, path: str) -> str:
        """Return a text that the server answers."""
        return msgspec.json.decode(self.get(path)[1], type=str)

    def number(self, path: str) -> int:
        """Return a number that the server answers."""
        return msgspec.json.decode(self.get(path)[1], type=int)

    def facts(self) -> Facts:
        """Return what the server tells of itself."""
        return msgspec.json.decode(self.get("/")[1], type=Facts)


class Stream:
    """A constant stream of requests from a few threads; what went wrong stands in `failures`."""

    def __init__(self, client: Client, *, threads: int = 4) -> None:
        self.hosts: list[str] = []
        self.failures: list[str] = []
        self._client = client
        self._ended = Event()
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(threads)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keep it up while the block lasts; it has begun with the block."""
        for thread in self._threads:
            thread.start()
        try:
            until(lambda: bool(self.hosts or self.failures), "no request has come back")
            yield
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join(PATIENCE)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.hosts.append(self._client.facts().host)
            except (OSError, HTTPException, msgspec.MsgspecError) as error:
                self.failures.append(repr(error))
            self._ended.wait(0.002)
