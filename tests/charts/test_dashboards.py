"""The dashboards on a real Prometheus that scrapes the product: every panel has data, or says why not."""

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest

from tests.charts.prometheus_server import HONEST, PLAIN, PrometheusServer, prometheus
from tests.charts.rendering import WITHOUT_CRDS, Chart
from tests.charts.scraped_product import TEAM, ScrapedProduct
from tests.e2e.building import ROOT
from tests.e2e.prometheus import PrometheusIsMissingError

pytestmark = pytest.mark.e2e
FOLDER: Final = ROOT / "charts" / "lockkeeper" / "files" / "dashboards"
NAMES: Final = ("locks", "platform", "team", "webhook")
MAY_BE_EMPTY: Final = ("Empty", "Nothing")
"""How the description of a panel begins a sentence that says when it has no data."""
ASKED: Final[dict[str, tuple[str, ...]]] = {
    "platform": (
        *("lockkeeper_leader", "lockkeeper_leader_terms_total", "lockkeeper_decisions_total"),
        *("lockkeeper_queued_workflows", "lockkeeper_running_workflows", "lockkeeper_releases_total"),
        *("lockkeeper_queue_oldest_created_timestamp_seconds", "lockkeeper_queue_blocked_workflows"),
        *("lockkeeper_release_wait_seconds_bucket", "lockkeeper_release_latency_seconds_bucket"),
        *("lockkeeper_waited_seconds_total", "lockkeeper_release_failures_total", "lockkeeper_retries_total"),
        *("lockkeeper_quota_used", "lockkeeper_quota_limit", "lockkeeper_quota_highest_limit"),
        *("lockkeeper_quota_borrowed", "lockkeeper_quota_reserve", "lockkeeper_quota_window_open"),
        *("lockkeeper_fair_share_usage_seconds", "lockkeeper_ledger_writes_total"),
        *("lockkeeper_ledger_write_attempts_bucket", "lockkeeper_reservations_expired_total"),
        *("lockkeeper_ledger_size_bytes", "lockkeeper_reservations", "lockkeeper_not_admitted_workflows"),
        *("lockkeeper_policies", "lockkeeper_policies_invalid", "lockkeeper_api_requests_total"),
        *("lockkeeper_api_request_duration_seconds_bucket", "lockkeeper_build_info"),
        *("process_resident_memory_bytes", "lockkeeper_lock_deadlock"),
    ),
    "team": (
        *("lockkeeper_running_workflows", "lockkeeper_queued_workflows", "lockkeeper_quota_used"),
        *("lockkeeper_queued_workflows_by_priority", "lockkeeper_queue_limit", "lockkeeper_quota_borrowed"),
        *("lockkeeper_queue_oldest_created_timestamp_seconds", "lockkeeper_queue_expected_wait_seconds"),
        *("lockkeeper_quota_users_at_limit", "lockkeeper_decisions_total", "lockkeeper_given_up_total"),
        *("lockkeeper_waited_seconds_total", "lockkeeper_releases_total", "lockkeeper_lock_holders"),
        *("lockkeeper_not_admitted_workflows", "lockkeeper_lock_deadlocked_workflows"),
        *("lockkeeper_group_keys_in_use", "lockkeeper_group_keys_at_limit"),
        *("lockkeeper_group_waiting_workflows", "lockkeeper_superseded_total"),
    ),
    "locks": (
        *("lockkeeper_lock_waiters", "lockkeeper_lock_holders", "lockkeeper_lock_limit"),
        *("lockkeeper_lock_oldest_wait_timestamp_seconds", "lockkeeper_lock_deadlocked_workflows"),
        "lockkeeper_lock_poisoned",
    ),
    "webhook": (
        *("lockkeeper_reviews_total", "lockkeeper_review_duration_seconds_bucket"),
        *("lockkeeper_denials_total", "lockkeeper_errors_total", "lockkeeper_policies_hash"),
        *("lockkeeper_certificate_expiry_timestamp_seconds", "lockkeeper_policies_loaded_timestamp_seconds"),
        *(
            "lockkeeper_ledger_writes_total",
            "lockkeeper_reviews_out_of_time_total",
            "scrape_duration_seconds",
        ),
    ),
}
"""By board, the metrics of what is wanted of it."""


class Target(msgspec.Struct, frozen=True, rename="camel"):
    """One query of a panel."""

    expr: str
    ref_id: str


class Panel(msgspec.Struct, frozen=True, rename="camel"):
    """What the tests look at of a panel."""

    id: int
    title: str
    type: str
    description: str
    targets: tuple[Target, ...]
    grid_pos: dict[str, int]

    @property
    def explains(self) -> bool:
        """Whether it says when it has no data."""
        return any(word in self.description for word in MAY_BE_EMPTY)


class Dashboard(msgspec.Struct, frozen=True):
    """What the tests look at of a dashboard."""

    uid: str
    title: str
    panels: tuple[Panel, ...]


def dashboard(name: str) -> Dashboard:
    """Return a dashboard of the chart."""
    text = (FOLDER / f"lockkeeper-{name}.json").read_bytes()
    return msgspec.json.decode(text, type=Dashboard)


def asked(expression: str, installation: str = PLAIN) -> str:
    """Return a query as Grafana sends it, with its variables filled in."""
    return expression.replace("$installation", installation).replace("$workflow_namespace", TEAM)


@pytest.fixture(scope="module")
def product() -> Iterator[ScrapedProduct]:
    """Give the product."""
    with ScrapedProduct() as started:
        yield started


@pytest.fixture(scope="module")
def server(product: ScrapedProduct, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """Give a Prometheus that has seen: two that run and two that wait, a release, denials and a deadlock."""
    try:
        with prometheus(tmp_path_factory.mktemp("prometheus"), product.ports()) as started:
            started.await_value("sum(up)", 8, "not every process is scraped")
            for name in ("a", "b", "c", "d", "h"):
                assert product.create(name, TEAM)
            assert product.create("e", "ml")
            assert not product.create("f", "full")
            product.tie_a_knot()
            queued = "sum(lockkeeper_queued_workflows)"  # Of both ways, here and below.
            started.await_value(queued, 6, "the queue is not seen")
            product.complete("a", TEAM)
            started.await_value(queued, 4, "the release is not seen")
            product.complete("b", TEAM)
            released = "count(increase(lockkeeper_releases_total[1m]) > 0)"
            started.await_value(released, 2, "the second release is not seen")
            assert not product.create("g", "full")
            denied = 'count(increase(lockkeeper_decisions_total{result="denied"}[1m]) > 0)'
            started.await_value(denied, 2, "the second denial is not seen")
            started.await_value("sum(lockkeeper_lock_deadlocks_now)", 2, "no deadlock is seen")
            oldest = "count(lockkeeper_queue_oldest_created_timestamp_seconds)"
            started.await_value(oldest, 2, "nobody says who waits longest")
            yield started
    except PrometheusIsMissingError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_has_data_or_says_why_not(server: PrometheusServer, name: str) -> None:
    """Each query as Grafana sends it; a query that is wrong is an error of Prometheus."""
    empty = [
        (panel.title, target.expr)
        for panel in dashboard(name).panels
        for target in panel.targets
        if not server.rows(asked(target.expr)) and not panel.explains
    ]
    assert empty == []


def test_most_panels_have_data(server: PrometheusServer) -> None:
    """An excuse is no reason to be misspelt."""
    panels = [(name, panel) for name in NAMES for panel in dashboard(name).panels]
    empty = {
        (name, panel.title)
        for name, panel in panels
        if not any(server.rows(asked(target.expr)) for target in panel.targets)
    }
    assert empty <= {
        ("locks", "Poisoned locks"),
        ("locks", "Free, with others waiting"),
        ("platform", "API latency p99"),
        ("platform", "Past the webhook"),
        ("platform", "Fair share: who used most"),
        ("platform", "Largest ledgers"),
        ("platform", "Reservations that are not settled"),
        ("platform", "Quotas above 90 %"),
        ("platform", "Mean wait by namespace, last hour"),
        ("team", "Expected wait of a newcomer"),
        ("team", "Mean wait, last hour"),
        ("team", "My pool: how full"),
        ("team", "Time with a queue, last day"),
        ("team", "Borrowed beyond the share"),
        ("team", "Locks"),
        ("webhook", "Days to the end of certificates"),
        ("webhook", "The API server had no answer"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_query_gives_the_same_with_honor_labels_and_without(server: PrometheusServer, name: str) -> None:
    """No label of ours is one that Prometheus gives to targets, so no team is merged into another."""
    for panel in dashboard(name).panels:
        for target in panel.targets:
            plain, honest = (
                {
                    frozenset(
                        (key, value) for key, value in row.metric.items() if key not in {"namespace", "job"}
                    )
                    for row in server.rows(asked(target.expr, way))
                }
                for way in (PLAIN, HONEST)
            )
            assert plain == honest, (panel.title, target.expr)
    assert server.rows('{__name__=~"lockkeeper_.*",exported_namespace!=""}') == []


def test_figures_are_those_of_the_cluster_and_counted_once(server: PrometheusServer) -> None:
    """Two controllers and two webhooks are scraped; the quota has its window's limit."""

    def figure(name: str, **labels: str) -> float | None:
        chosen = ",".join(f'{key}="{value}"' for key, value in labels.items())
        return server.value(f'sum(lockkeeper_{name}{{namespace="{PLAIN}",{chosen}}})')

    assert figure("running_workflows", workflow_namespace=TEAM) == 2
    assert figure("queued_workflows", workflow_namespace=TEAM) == 1
    own = {"workflow_namespace": TEAM, "quota": "own", "resource": "workflows"}
    assert (figure("quota_used", **own), figure("quota_limit", **own)) == (2, 2)
    share = {"workflow_namespace": "ml", "quota": "data", "resource": "workflows"}
    assert (figure("quota_used", **share), figure("quota_limit", **share)) == (1, 3)
    assert figure("decisions_total", workflow_namespace="full", result="denied") == 2
    assert figure("leader") == 1


def test_every_metric_is_documented_and_every_documented_one_is_there(server: PrometheusServer) -> None:
    """Those that are shown only at times are named here; the rest are counted or shown from the start."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(lockkeeper_[a-z_]+)`", text, re.MULTILINE))
    rows = server.rows('group by (__name__) ({__name__=~"lockkeeper_.*"})')
    shown = {re.sub("_(bucket|sum|count)$", "", row.metric["__name__"]) for row in rows}
    assert shown <= documented
    assert documented - shown <= {
        "lockkeeper_objects_left_out",
        "lockkeeper_not_admitted_workflows",
        "lockkeeper_lock_poisoned",
        "lockkeeper_queue_expected_wait_seconds",
        "lockkeeper_fair_share_usage_seconds",
        "lockkeeper_ledger_size_bytes",
        "lockkeeper_reservations",
        "lockkeeper_caller_path_changes_total",
    }


def test_the_figures_stay_over_a_change_of_the_lead(
    server: PrometheusServer, product: ScrapedProduct
) -> None:
    """The last of the tests of it: what it starts has to end with it, and so all does."""
    queued = f'sum(lockkeeper_queued_workflows{{namespace="{PLAIN}"}})'
    before = server.value(queued)
    product.change_the_lead()
    second = product.ports()["controller"][1]
    leader = f'lockkeeper_leader{{namespace="{PLAIN}",instance="127.0.0.1:{second}"}}'
    server.await_value(leader, 1, "the other does not lead")
    server.await_value(queued, before, "its queue is another")
    assert server.value(f'sum(lockkeeper_leader{{namespace="{PLAIN}"}})') == 1
    product.end()


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_one_that_grafana_takes(name: str) -> None:
    """Numbers of panels are there once, no two panels are in one place, and each has a description."""
    found = dashboard(name)
    assert found.uid == f"lockkeeper-{name}"
    assert len({panel.id for panel in found.panels}) == len(found.panels)
    places = [
        (panel.grid_pos["x"] + x, panel.grid_pos["y"] + y)
        for panel in found.panels
        for x in range(panel.grid_pos["w"])
        for y in range(panel.grid_pos["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24
    assert all(panel.description.endswith(".") for panel in found.panels)


def test_the_chart_brings_them_for_the_sidecar(chart: Chart) -> None:
    """As they are in the files; off by default."""
    assert chart.rendered(WITHOUT_CRDS).all("ConfigMap") == []
    found = chart.rendered(WITHOUT_CRDS, "metrics.dashboards.enabled=true").all("ConfigMap")
    assert {each.metadata.name for each in found} == {f"lockkeeper-{name}" for name in NAMES}
    for each in found:
        assert each.metadata.labels["grafana_dashboard"] == "1"
        ((file, text),) = each.read(dict[str, str], "data").items()
        assert json.loads(text) == json.loads((FOLDER / file).read_text(encoding="utf-8"))


def test_the_boards_answer_what_is_asked_of_them() -> None:
    """Each question has the metric that a panel of that board asks: none is lost when a board is changed."""
    missing = [
        (name, metric)
        for name, metrics in ASKED.items()
        for metric in metrics
        if not any(metric in target.expr for panel in dashboard(name).panels for target in panel.targets)
    ]
    assert missing == []
