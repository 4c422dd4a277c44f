"""The load generator: keep-alive TLS connections that post without a pause and read every answer.

It runs in a process of its own, `python -m bench.load CPU`: an Order as a line of JSON on standard input
gives a Measured as a line on standard output. Requests are built before; of an answer only status, length and
now and then the uid are looked at.
"""

import os
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from bench.processes import HOST, TICK_US, cpu_us

READ_BYTES: Final = 256 * 1024
MAX_SECONDS: Final = 30.0
"""No measurement takes longer, however slow the server is."""
SAMPLE: Final = 8
"""One answer in this many is searched for the uid of its request."""
_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length:"


class Order(msgspec.Struct, frozen=True):
    """What to measure: bodies by uid, one a connection, against whom, for how long.

    `warm_up` and then `seconds` are the times of the two phases; each lasts until `at_least` answers came.
    """

    port: int
    authority: str
    pids: tuple[int, ...]
    path: str
    bodies: dict[str, bytes]
    echoes: bool
    warm_up: float
    seconds: float
    at_least: int


class Measured(msgspec.Struct, frozen=True):
    """What came out: CPU time of the server a request, and the generator's own; waits of the client."""

    requests: int
    seconds: float
    cpu_us: float
    own_cpu_us: float
    p50_ms: float
    p99_ms: float


class WrongAnswerError(Exception):
    """A server answered something else than 200 with the uid of the request; then no figure counts."""


class Connection:
    """One connection with its one request, sent again as soon as it is answered."""

    def __init__(self, order: Order, context: ssl.SSLContext, uid: str, body: bytes) -> None:
        head = (
            f"POST {order.path} HTTP/1.1",
            f"Host: {HOST}:{order.port}",
            "User-Agent: kube-apiserver-admission",
            "Accept: application/json, */*",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}\r\n\r\n",
        )
        self._request = memoryview("\r\n".join(head).encode() + body)
        self._uid = uid.encode() if order.echoes else b""
        plain = socket.create_connection((HOST, order.port), timeout=MAX_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain, server_hostname=HOST)
        self._sent = 0
        self._answer = b""
        self._expected = 0
        self.answers = 0
        self.started = 0.0
        # gunicorn's threads wait for the request of a connection that has shaken hands: a second connection
        # before the first request, or half a request, would take a thread each until there is none left.
        self.begin()
        self.socket.setblocking(False)  # noqa: FBT003 - the name of the method says it

    def begin(self) -> bool:
        """Send the request from its start; returns whether all of it went out."""
        self._sent = 0
        self._answer = b""
        self._expected = 0
        self.started = time.perf_counter()
        return self.send()

    def send(self) -> bool:
        """Send on; returns whether all of it went out. A record is all that one call takes."""
        try:
            while self._sent < len(self._request):
                self._sent += self.socket.send(self._request[self._sent :])
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return False
        return True

    def receive(self) -> bool:
        """Read what there is; returns whether the answer is complete."""
        try:
            while True:
                read = self.socket.recv(READ_BYTES)
                if not read:
                    raise WrongAnswerError("the server closed a connection")
                self._answer += read
                if not self._expected:
                    self._expected = _total(self._answer)
                if self._expected and len(self._answer) >= self._expected:
                    self._check()
                    return True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False

    def _check(self) -> None:
        self.answers += 1
        if not self._answer.startswith(b"HTTP/1.1 200 "):
            raise WrongAnswerError(f"not 200 but {self._answer[:300]!r}")
        if self.answers % SAMPLE == 1 and self._uid not in self._answer:
            raise WrongAnswerError(f"the answer has not the uid of its request: {self._answer[:300]!r}")


def _total(answer: bytes) -> int:
    """Return the length of an answer with its head, or 0 while the head is incomplete."""
    end = answer.find(_END)
    if end < 0:
        return 0
    head = answer[:end].lower()
    at = head.find(_LENGTH)
    if at < 0:
        raise WrongAnswerError(f"an answer without a length: {answer[:300]!r}")
    return end + len(_END) + int(head[at + len(_LENGTH) :].partition(b"\r\n")[0])


class Load:
    """All connections and the loop that serves them."""

    def __init__(self, order: Order) -> None:
        context = ssl.create_default_context(cafile=order.authority)
        self._order = order
        self._selector = selectors.DefaultSelector()
        self._all = [Connection(order, context, uid, body) for uid, body in order.bodies.items()]
        for connection in self._all:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def measure(self) -> Measured:
        """Warm up, measure, and close."""
        order = self._order
        self._run(order.warm_up, order.at_least)
        server, own, since = cpu_us(order.pids), time.process_time(), time.perf_counter()
        waits = self._run(order.seconds, order.at_least)
        seconds = time.perf_counter() - since
        own, server = time.process_time() - own, cpu_us(order.pids) - server
        self._finish()
        for connection in self._all:
            connection.socket.close()
        self._selector.close()
        count = len(waits)
        waits.sort()
        return Measured(
            requests=count,
            seconds=seconds,
            cpu_us=max(server, TICK_US) / count,  # Ratios are taken of it, so it may not be nothing.
            own_cpu_us=own * 1e6 / count,
            p50_ms=waits[count // 2] * 1e3,
            p99_ms=waits[min(count - 1, count * 99 // 100)] * 1e3,
        )

    def _run(self, seconds: float, at_least: int) -> list[float]:
        """Serve the connections for a time; returns how long each answer took that came in it."""
        waits: list[float] = []
        started = now = time.perf_counter()
        while now < started + seconds or len(waits) < at_least:
            if now > started + MAX_SECONDS:
                raise WrongAnswerError(f"only {len(waits)} answers in {MAX_SECONDS:g} s")
            for connection in self._answered():
                waits.append(time.perf_counter() - connection.started)
                if not connection.begin():
                    self._watch(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            now = time.perf_counter()
        return waits

    def _finish(self) -> None:
        """Wait for the answers that are still due, so that the next measurement has the CPU for itself."""
        until = time.perf_counter() + MAX_SECONDS
        due = len(self._all)
        while due and time.perf_counter() < until:
            due -= len(list(self._answered()))

    def _answered(self) -> Iterator[Connection]:
        """Move all connections on; yields those whose answer is complete."""
        for key, events in self._selector.select(1.0):
            connection: Connection = key.data
            if events & selectors.EVENT_WRITE and connection.send():
                self._watch(connection, selectors.EVENT_READ)
            if events & selectors.EVENT_READ and connection.receive():
                yield connection

    def _watch(self, connection: Connection, events: int) -> None:
        self._selector.modify(connection.socket, events, connection)


def main() -> None:
    """Carry out orders until there are no more."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    for line in sys.stdin.buffer:
        measured = Load(msgspec.json.decode(line, type=Order)).measure()
        sys.stdout.buffer.write(msgspec.json.encode(measured) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
