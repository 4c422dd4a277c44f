"""The routes for probes and people."""

from gzip import decompress

import pytest
from werkzeug.test import Client

from tests.webhook.calling import Webhook
from tests.webhook.reviews import workflow
from webhook.metrics import Metrics
from webhook.probes import PROMETHEUS, create_app


def client(*not_ready: str) -> Client:
    """Return a client of the application, which lacks these things."""
    return Client(create_app(render=Metrics().render, not_ready=lambda: list(not_ready)))


@pytest.mark.parametrize("missing", [(), ("shutting down",)])
def test_the_process_is_alive_whatever_is_missing(missing: tuple[str, ...]) -> None:
    """Liveness depends on nothing else: a restart would not bring a policy or an API server back."""
    answer = client(*missing).get("/livez")
    assert (answer.status_code, answer.text, answer.mimetype) == (200, "ok\n", "text/plain")


def test_a_fault_that_only_a_new_process_can_correct_ends_the_life_of_this_one() -> None:
    """The controller's liveness knows more than that it answers; whoever looks reads why."""
    app = create_app(render=Metrics().render, not_ready=list, not_alive=lambda: ["the main loop hangs"])
    answer = Client(app).get("/livez")
    assert (answer.status_code, answer.text) == (503, "the main loop hangs\n")


def test_the_process_is_ready_when_nothing_is_missing() -> None:
    """Readiness lets reviews come."""
    answer = client().get("/readyz")
    assert (answer.status_code, answer.text) == (200, "ok\n")


def test_what_is_missing_is_listed_line_by_line() -> None:
    """Somebody who asks why no reviews come reads every reason."""
    answer = client("no policies", "shutting down").get("/readyz")
    assert (answer.status_code, answer.text) == (503, "no policies\nshutting down\n")


def test_metrics_are_text_for_prometheus() -> None:
    """The scrape has the content type and the names that Prometheus expects."""
    answer = client().get("/metrics")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, PROMETHEUS)
    assert "# TYPE lockkeeper_reviews_total counter" in answer.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_take_no_post(path: str) -> None:
    """The routes for people only show."""
    assert client().post(path).status_code == 405


@pytest.mark.parametrize("path", ["/", "/mutate", "/static/x", "/healthz"])
def test_nothing_else_is_served(path: str) -> None:
    """There is no page, no file and no review behind Flask."""
    assert client().get(path).status_code == 404


def test_both_applications_answer_under_one_door(webhook: Webhook) -> None:
    """Reviews and probes are reached by their paths."""
    webhook.mutate(workflow())
    assert webhook.call("GET", "/livez").body == b"ok\n"
    webhook.not_ready.append("shutting down")
    assert webhook.call("GET", "/readyz").status == 503
    assert b"lockkeeper_reviews_total" in webhook.call("GET", "/metrics").body


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "text/plain;version=0.0.4",
        "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
        "application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0;q=0.6,*/*;q=0.2",
    ],
)
def test_every_scraper_gets_the_one_form_that_all_read(accept: str) -> None:
    """The client library answers a wish for OpenMetrics 2 with what Prometheus then refuses."""
    answer = client().get("/metrics", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == PROMETHEUS
    assert "# EOF" not in answer.text


@pytest.mark.parametrize(("wanted", "is_packed"), [("gzip", True), ("gzip;q=0", False), ("identity", False)])
def test_metrics_are_compressed_for_who_takes_that(wanted: str, *, is_packed: bool) -> None:
    """Of many namespaces they are megabytes of lines that are much alike."""
    answer = client().get("/metrics", headers={"Accept-Encoding": wanted})
    assert (answer.headers.get("Content-Encoding") == "gzip") == is_packed
    text = decompress(answer.data) if is_packed else answer.data
    assert text.startswith(b"# HELP lockkeeper_")
    assert not is_packed or len(answer.data) < len(text) / 4
