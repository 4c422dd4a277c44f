"""Alerts and scrapes: they name what is really there."""

import re
from typing import Final

import msgspec
import pytest

from tests.charts.rendering import EVERYTHING, WITHOUT_CRDS, Chart
from tests.e2e.building import ROOT

pytestmark = pytest.mark.e2e

DOCUMENTED: Final = (ROOT / "docs" / "metrics.md", ROOT / "docs" / "certificates.md")
OF_THE_API_SERVER: Final = {
    "apiserver_admission_webhook_rejection_count",
    "apiserver_admission_webhook_fail_open_count",
}
"""k8s.io/apiserver/pkg/admission/metrics; it counts there the calls that never came."""
WORDS: Final = frozenset(
    {"max", "min", "sum", "count", "group", "rate", "increase", "by", "on", "or", "and", "unless", "e"}
    | {"time", "vector", "max_over_time", "present_over_time", "count_values", "label_replace"}
)
"""Of PromQL; the last is that of a number."""


class Alert(msgspec.Struct, frozen=True, rename={"for_": "for"}):
    """One alert."""

    alert: str
    expr: str
    labels: dict[str, str]
    annotations: dict[str, str]
    for_: str = ""


@pytest.fixture
def alerts(chart: Chart) -> dict[str, Alert]:
    """Give all alerts by name."""
    rule = chart.rendered(*EVERYTHING).one("PrometheusRule")
    (group,) = rule.read(tuple[dict[str, object], ...], "spec", "groups")
    found = msgspec.convert(group["rules"], tuple[Alert, ...])
    return {each.alert: each for each in found}


def names(expression: str) -> set[str]:
    """Return the names of the series in an expression."""
    bare = re.sub(r"by \([^)]*\)|\{[^}]*\}|\[[^\]]*\]|offset \w+|\"[^\"]*\"", "", expression)
    return set(re.findall(r"[a-z_]+", bare)) - WORDS


def test_alerts_ask_for_metrics_that_exist(alerts: dict[str, Alert]) -> None:
    """An alert on a name that was misspelt never fires."""
    documented = "".join(path.read_text(encoding="utf-8") for path in DOCUMENTED)
    known = set(re.findall(r"^\| `(lockkeeper_[a-z_]+)`", documented, re.MULTILINE))
    known |= {f"{each}_{part}" for each in known for part in ("bucket", "count")}
    asked = {name: names(each.expr) for name, each in alerts.items()}
    assert all(asked.values())
    assert {name: series - known - OF_THE_API_SERVER for name, series in asked.items()} == {
        name: set() for name in alerts
    }


def test_there_is_an_alert_for_each_way_to_fail_unseen(alerts: dict[str, Alert]) -> None:
    """Each names in a sentence what happened, says where to look, and leads to the manual."""
    critical = {name for name, each in alerts.items() if each.labels["severity"] == "critical"}
    assert critical == {
        "LockkeeperNoLeader",
        "LockkeeperTwoLeaders",
        "LockkeeperWebhookIsAway",
        "LockkeeperRefusesUnasked",
        "LockkeeperCertificateEnds",
    }
    for each in alerts.values():
        assert each.annotations.keys() == {"summary", "description", "runbook_url"}
        assert each.annotations["summary"].endswith(".")


def test_our_own_series_are_those_of_the_release(alerts: dict[str, Alert]) -> None:
    """Two releases do not raise each other's alarms."""
    for each in alerts.values():
        selected = re.findall(r"lockkeeper_[a-z_]+(\{[^}]*\})?", each.expr)
        assert all(selector.startswith('{namespace="traffic"') for selector in selected), each.alert


def test_monitoring_is_not_there_unless_asked_for(chart: Chart) -> None:
    """Without the operator's kinds an install would fail."""
    rendered = chart.rendered(WITHOUT_CRDS)
    assert rendered.all("ServiceMonitor", "PrometheusRule", "NetworkPolicy") == []


def test_the_way_in_can_be_narrowed(chart: Chart) -> None:
    """The webhook's port stays open to all by default: the API server is no Pod."""
    peer = {"podSelector": {"matchLabels": {"app": "prometheus"}}}
    values = msgspec.json.encode({"networkPolicy": {"metricsFrom": [peer]}}).decode()
    rendered = chart.rendered(*EVERYTHING, values=values)
    into = {
        component: rendered.one("NetworkPolicy", f"lockkeeper-{component}").body["spec"]
        for component in ("webhook", "controller")
    }
    assert isinstance(into["webhook"], dict)
    assert isinstance(into["controller"], dict)
    assert into["webhook"]["ingress"] == [
        {"ports": [{"port": "webhook", "protocol": "TCP"}]},
        {"ports": [{"port": "health", "protocol": "TCP"}], "from": [peer]},
    ]
    assert into["controller"]["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}], "from": [peer]}]


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("http://prometheus:9090", 9090),
        ("http://prometheus", 80),
        ("https://metrics.example/prom", 443),
        ("https://[fd00::9]:9443/", 9443),
    ],
)
def test_the_page_is_let_out_to_the_prometheus_that_it_asks(chart: Chart, address: str, port: int) -> None:
    """And nobody else is."""
    rendered = chart.rendered(*EVERYTHING, f"page.prometheus={address}")
    ways = {}
    for component in ("webhook", "controller", "page"):
        spec = rendered.one("NetworkPolicy", f"lockkeeper-{component}").body["spec"]
        assert isinstance(spec, dict)
        ways[component] = spec["egress"]
    assert ways["page"] == [
        *msgspec.convert(ways["controller"], list[object]),
        {"ports": [{"port": port, "protocol": "TCP"}]},
    ]
    assert ways["webhook"] == ways["controller"]
