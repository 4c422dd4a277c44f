"""What the page says where Prometheus is away, refuses, or is none."""

import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar
from urllib.parse import parse_qs

import pytest

from lockkeeper.certificates.loopback import ensure_folder
from lockkeeper.page_state.measured_history import PrometheusError, Span
from lockkeeper.page_state.prometheus_api import PrometheusApi
from tests.lockkeeper.page.opened_page import OpenedPage, tag_of, words
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import NOON, member, pool, quota


class Answering(BaseHTTPRequestHandler):
    """Answers a query by the metric of `bodies` that is in it, others with `body`; keeps what was asked."""

    body: ClassVar[bytes] = b""
    bodies: ClassVar[dict[str, bytes]] = {}
    code: ClassVar[int] = 200
    asked: ClassVar[list[dict[str, list[str]]]] = []

    def do_POST(self) -> None:
        """Answer."""
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = parse_qs(text)
        self.asked.append(asked)
        body = next((each for name, each in self.bodies.items() if name in asked["query"][0]), self.body)
        self.send_response(self.code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Log nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Return the address of a server that answers so."""
    Answering.asked.clear()
    Answering.bodies.clear()
    server = HTTPServer(("127.0.0.1", 0), Answering)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/prom/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def scene() -> Scene:
    """Return a pool with one that runs and one that waits."""
    made = Scene(pool("data", workflows=1), member("a", "data"), quota("a", "main", workflows=1))
    for name in ("r", "w"):
        made.submit(name)
    made.leader.work()
    made.publish()
    return made


def answered(*rows: tuple[dict[str, str], list[tuple[float, str]]]) -> bytes:
    """Return an answer of Prometheus."""
    result = [{"metric": metric, "values": values} for metric, values in rows]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()


def test_it_is_asked_about_what_is_shown_and_not_again_at_once(scene: Scene, url: str) -> None:
    """Four questions for a quarter of a minute, each with a bounded number of points."""
    at = NOON.timestamp()
    main = {"kind": "WorkflowQuota", "workflow_namespace": "a", "quota": "main"}
    Answering.code, Answering.body = 200, answered()
    Answering.bodies |= {
        "quota_used": answered(
            (main, [(at, "3"), (at + 180, "NaN"), (at + 360, "1")]),
            ({"kind": "WorkflowQuota", "workflow_namespace": "other", "quota": "x"}, [(at, "9")]),
        ),
        "quota_limit": answered((main, [(at, "+Inf"), (at + 360, "4")])),
        "queued_workflows": answered(({"workflow_namespace": "a"}, [(at, "7"), (at + 360, "2")])),
        "queue_oldest": answered(({"workflow_namespace": "a"}, [(at, "3700.5"), (at + 360, "60")])),
    }
    page = OpenedPage(scene, prometheus=PrometheusApi(url))
    first = page.get("/history?span=1d")
    text = words(first)
    assert "From Prometheus: the last 1d." in text
    assert (
        "a/main Now 1 running, 2 queued, limit 4, longest wait 1m; at most 3 running and 7 queued, "
        "and a wait of 1h1m40s."
    ) in text
    assert "other" not in text
    assert len(Answering.asked) == 4
    queries = [each["query"][0] for each in Answering.asked]
    assert queries[0] == (
        "max by (kind, workflow_namespace, quota) "
        '(lockkeeper_quota_used{resource="workflows",workflow_namespace=~"|a"})'
    )
    assert {each["step"][0] for each in Answering.asked} == {"720.0"}
    page.later(10)
    assert page.poll("/history?span=1d", tag_of(first)).status_code == 304
    assert len(Answering.asked) == 4
    page.later(10)
    page.get("/history?span=1d")
    assert len(Answering.asked) == 8
    assert "6h" in words(page.get("/history?span=nonsense"))


@pytest.mark.parametrize(
    ("code", "body", "sentence"),
    [
        (400, b'{"status": "error", "error": "bad_data: no such function"}', "Prometheus refuses: bad_data"),
        (200, b"<html>login</html>", "is no Prometheus (HTTP 200)"),
        (200, b" " * (5 * 1024 * 1024), "sends more than can be shown"),
        (302, b"", "is no Prometheus (HTTP 302)"),
        (503, b'{"status": "error", "error": ""}', "Prometheus refuses: HTTP 503"),
    ],
)
def test_an_error_is_one_sentence_and_what_was_seen_is_shown(
    scene: Scene, url: str, code: int, body: bytes, sentence: str
) -> None:
    """The page goes on without it."""
    Answering.code, Answering.body = code, body
    page = OpenedPage(scene, prometheus=PrometheusApi(url))
    text = words(page.get("/history"))
    assert sentence in text
    assert "What follows is what was seen here." in text
    assert "a/main Now 1 running" in text
    assert page.faults == []


def test_one_that_is_away_is_told_with_its_address(scene: Scene) -> None:
    """Nobody waits for it longer than some seconds."""
    page = OpenedPage(scene, prometheus=PrometheusApi("http://127.0.0.1:1"))
    assert "Prometheus at http://127.0.0.1:1 does not answer." in words(page.get("/history"))


def test_one_whose_certificate_nobody_knows_is_not_asked(tmp_path: Path) -> None:
    """What to do is told with it."""
    ensure_folder(tmp_path, ("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    server = HTTPServer(("127.0.0.1", 0), Answering)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.handle_request)
    thread.start()
    try:
        with pytest.raises(PrometheusError, match=r"is not trusted here; SSL_CERT_FILE names the CA"):
            PrometheusApi(f"https://localhost:{server.server_port}").series("up", NOON, NOON, 1)
    finally:
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "prometheus:9090",
        "ftp://prometheus",
        "http://",
        "http://p:9090?x=y",
        "http://p:9090?",
        "http://u:p@p:9090",
        "http://p:port",
        "http://p:70000",
        "http://[::1",
        "http://p /x",
        "http://p/\x1b[31m",
    ],
)
def test_what_is_no_address_is_refused_at_the_start(url: str) -> None:
    """A password would be seen by everybody on the machine."""
    with pytest.raises(PrometheusError):
        PrometheusApi(url)
    assert [each.length.total_seconds() for each in Span] == [3600, 21600, 86400, 604800]
