"""The controller's port: probes and metrics, bounded in every way, and an end that lets answers out."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import pytest

from certs.reload import ReloadingContext
from lockkeeper.certificates.loopback import ensure_folder
from lockkeeper.process.health_port import HealthPort, PortLimits
from tests.patience import PATIENCE
from webhook.metrics import Metrics
from webhook.probes import PROMETHEUS, create_app
from webhook.serving.server import bind

HASTY: Final = PortLimits(connections=4, request=2048, seconds=0.3)


def test_with_tls_only_who_speaks_it_is_answered(tmp_path: Path) -> None:
    """A handshake that is not one, or that is late, ends the connection and nothing else."""
    paths = ensure_folder(tmp_path, ("127.0.0.1",)).paths
    reloading = ReloadingContext(cert_path=paths.cert, key_path=paths.key)
    trusting = ssl.create_default_context(cafile=str(paths.authority_cert))
    listener = bind("127.0.0.1", 0)
    number = int(listener.getsockname()[1])
    bugs: list[BaseException] = []
    health = HealthPort(
        app=application(), listener=listener, bug=bugs.append, limits=HASTY, tls=reloading.current
    )
    health.start()
    try:
        with socket.create_connection(("127.0.0.1", number), PATIENCE) as plain:
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
            assert b"200 OK" not in plain.recv(1000)
        with socket.create_connection(("127.0.0.1", number), PATIENCE) as silent:
            assert is_hung_up(silent)
        for _ in range(3):
            connection = HTTPSConnection("127.0.0.1", number, timeout=PATIENCE, context=trusting)
            connection.request("GET", "/livez")
            assert connection.getresponse().read() == b"ok\n"
            connection.close()
        silent_ones = [socket.create_connection(("127.0.0.1", number), PATIENCE) for _ in range(6)]
        assert is_hung_up(silent_ones[0])
        for each in silent_ones:
            each.close()
    finally:
        health.stop()
    assert bugs == []


class Port:
    """A running port, and what its server told of itself."""

    def __init__(self, app: WSGIApplication, *, host: str, limits: PortLimits) -> None:
        listener = bind(host, 0)
        self.host = host
        self.number = int(listener.getsockname()[1])
        self.bugs: list[BaseException] = []
        self.health = HealthPort(app=app, listener=listener, bug=self.bugs.append, limits=limits)
        self.health.start()

    def get(self, path: str, method: str = "GET") -> tuple[int, str, str]:
        """Return status, content type and text of an answer."""
        connection = HTTPConnection(self.host, self.number, timeout=PATIENCE)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """Return a connection that says nothing yet."""
        return socket.create_connection((self.host, self.number), PATIENCE)


@contextmanager
def serving(
    app: WSGIApplication, *, host: str = "127.0.0.1", limits: PortLimits | None = None
) -> Iterator[Port]:
    """Serve an application; afterwards no thread of the port is left."""
    before = set(threading.enumerate())
    port = Port(app, host=host, limits=limits or PortLimits())
    try:
        yield port
    finally:
        port.health.stop()
    assert set(threading.enumerate()) <= before


def application(*, ready: bool = True, alive: bool = True) -> WSGIApplication:
    """Return the controller's application."""
    return create_app(
        render=Metrics().render,
        not_ready=lambda: [] if ready else ["policies are missing"],
        not_alive=lambda: [] if alive else ["the main loop hangs"],
    )


def is_hung_up(connection: socket.socket) -> bool:
    """Wait for the other side to end a connection without an answer."""
    connection.settimeout(PATIENCE)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_probes_and_metrics_are_answered() -> None:
    """What a kubelet and Prometheus ask."""
    with serving(application()) as port:
        assert port.get("/livez") == (200, "text/plain; charset=utf-8", "ok\n")
        assert port.get("/readyz") == (200, "text/plain; charset=utf-8", "ok\n")
        status, media_type, text = port.get("/metrics")
        assert (status, media_type) == (200, PROMETHEUS)
        assert "# TYPE lockkeeper_reviews_total counter" in text
        assert port.get("/anything")[0] == 404
        assert port.get("/livez", "POST")[0] == 405
        assert port.get("/livez", "HEAD")[::2] == (200, "")
        assert port.bugs == []


def test_what_is_missing_is_reported_with_503() -> None:
    """A kubelet shows the text in its event."""
    with serving(application(ready=False, alive=False)) as port:
        assert port.get("/livez")[::2] == (503, "the main loop hangs\n")
        assert port.get("/readyz")[::2] == (503, "policies are missing\n")


def test_it_listens_on_ipv6() -> None:
    """Pods of such clusters have no other address."""
    try:
        bind("::1", 0).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with serving(application(), host="::1") as port:
        assert port.get("/livez")[0] == 200


@pytest.mark.parametrize("said", [b"", b"GET /livez HTTP/1.1\r\n", b"GET /livez HTTP/1.1\r\nHost: a\r\n"])
def test_a_client_that_stops_half_way_is_hung_up_on(said: bytes) -> None:
    """Its thread comes free when its time is over."""
    with serving(application(), limits=HASTY) as port, port.connect() as connection:
        connection.sendall(said)
        assert is_hung_up(connection)


def test_a_client_that_drips_is_hung_up_on() -> None:
    """The time is for the whole request, not for each of its bytes."""
    with (
        serving(application(), limits=HASTY) as port,
        port.connect() as connection,
        pytest.raises(OSError, match=r"Broken pipe|reset"),
    ):
        drip(connection)


def drip(connection: socket.socket) -> None:
    """Send one byte after the other."""
    for _ in looks():
        connection.sendall(b"x")


@pytest.mark.parametrize(
    "said",
    [
        b"GET /" + b"x" * 4096 + b" HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n" + b"X: " + b"y" * 4096 + b"\r\n\r\n",
        b"x" * 100_000,
    ],
    ids=["path", "headers", "nonsense"],
)
def test_a_request_that_is_too_large_is_hung_up_on(said: bytes) -> None:
    """It is not read to its end."""
    with serving(application(), limits=HASTY) as port:
        with port.connect() as connection:
            with suppress(OSError):
                connection.sendall(said)
            assert is_hung_up(connection)
        assert port.get("/livez")[0] == 200
        assert port.bugs == []


def test_silent_clients_do_not_keep_a_probe_out() -> None:
    """The oldest of them give way; else whoever opens a few connections could have us restarted."""
    limits = PortLimits(connections=4, seconds=PATIENCE)
    with serving(application(), limits=limits) as port, ExitStack() as open_ones:
        silent = [open_ones.enter_context(port.connect()) for _ in range(12)]
        assert port.get("/livez")[0] == 200
        assert all(is_hung_up(each) for each in silent[:8])
        assert any(len(handling()) <= 5 for _ in looks())
        for each in silent:
            each.close()


def handling() -> list[str]:
    """Return the threads that have a connection each."""
    return [each.name for each in threading.enumerate() if "process_request_thread" in each.name]


def looks() -> Iterator[None]:
    """Yield again and again, for as long as a test may wait for something that tells nobody."""
    pause = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        yield
        pause.wait(0.02)


def test_an_answer_that_is_being_made_is_let_out_at_the_end() -> None:
    """A scrape in the moment of a roll-out is not lost."""
    asked, go_on = threading.Event(), threading.Event()

    def slow(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        assert environ["PATH_INFO"] == "/metrics"
        asked.set()
        go_on.wait(PATIENCE)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"whole"]

    answers: list[tuple[int, str, str]] = []
    with serving(slow) as port:
        client = threading.Thread(target=lambda: answers.append(port.get("/metrics")))
        client.start()
        assert asked.wait(PATIENCE)
        ending = threading.Thread(target=port.health.stop)
        ending.start()
        assert refuses(port.connect)
        go_on.set()
        client.join(PATIENCE)
        ending.join(PATIENCE)
    assert answers == [(200, "text/plain", "whole")]


def test_after_the_end_nobody_is_let_in() -> None:
    """And to end twice, or before the start, is no error."""
    with serving(application()) as port:
        port.health.stop()
        with pytest.raises(ConnectionRefusedError):
            port.connect()
    listener = bind("127.0.0.1", 0)
    HealthPort(app=application(), listener=listener, bug=port.bugs.append).stop()
    assert listener.fileno() == -1


def refuses(connect: Callable[[], socket.socket]) -> bool:
    """Wait until nobody accepts connections any more; the kernel takes some that are never served."""
    for _ in looks():
        try:
            connect().close()
        except ConnectionError:  # Refused, or reset in the moment in which the socket is closed.
            return True
    return False
