"""Probes and metrics on a port of their own: the port of admission then answers nothing but admission."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest

from tests.patience import PATIENCE
from tests.webhook.reviews import admission_review, quota, workflow
from tests.webhook.running_server import Served
from webhook.serving.worker import WAITING_THREADS

PORT = re.compile(r"probes and metrics on port (\d+)")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server with a health port."""
    folder = tmp_path_factory.mktemp("health")
    (folder / "policies").mkdir()
    (folder / "policies" / "all.yaml").write_text(quota("Deny", limits={"workflows": 100_000}))
    options = ("--health-port", "0")
    with Served(policies=folder / "policies", certs=folder / "certs", options=options) as running:
        yield running


def health(served: Served, path: str) -> tuple[int, str]:
    """Ask the health port, as a kubelet and a Prometheus do."""
    connection = HTTPConnection("127.0.0.1", int(served.told(PORT)), timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_probes_and_metrics_are_on_the_health_port(served: Served) -> None:
    """Over plain HTTP, out of the process that answers reviews."""
    assert health(served, "/livez") == (200, "ok\n")
    assert health(served, "/readyz") == (200, "ok\n")
    with served.connected() as connection:
        assert connection.review(admission_review(workflow(), uid="counted"))["allowed"]
    counted = 'lockkeeper_reviews_total{dry_run="false",result="allowed",webhook="mutate"} 1.0'
    assert counted in health(served, "/metrics")[1]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/", "/mutated"])
def test_they_are_not_on_the_port_of_admission(served: Served, path: str) -> None:
    """Who reaches that one learns nothing of namespaces and quotas."""
    with served.connected() as connection:
        status, text = connection.send("GET", path)
    assert (status, b"health port" in text) == (404, True)


def test_admission_is_not_on_the_health_port(served: Served) -> None:
    """Its port is open to whoever reads metrics."""
    assert health(served, "/mutate")[0] == 404


def test_probes_are_answered_beside_a_crowd(served: Served) -> None:
    """A kubelet does not restart a replica because of those who fill the other port."""
    with ExitStack() as clients:
        for _ in range(2 * WAITING_THREADS):
            client = clients.enter_context(served.secure_socket(timeout=PATIENCE))
            client.sendall(
                b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                b"Content-Length: 1000\r\n\r\n{"
            )
        assert health(served, "/readyz") == (200, "ok\n")
        assert health(served, "/livez") == (200, "ok\n")
