"""Every alert on promtool: it fires when it should, and is silent over restarts, new leaders and gaps."""

import re
import subprocess
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import pytest
import yaml

from tests.charts.alert_cases import CASES, HEALTHY, Case
from tests.charts.rendering import EVERYTHING, Chart
from tests.e2e.building import ROOT
from tests.e2e.prometheus import PrometheusIsMissingError, prometheus_program
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e
Groups: TypeAlias = list[dict[str, object]]
MANUAL: Final = ROOT / "docs" / "troubleshooting.md"


class Rule(msgspec.Struct, frozen=True):
    """What the tests read of an alert."""

    alert: str
    annotations: dict[str, str]


@pytest.fixture
def promtool() -> Path:
    """Give promtool; skip where there is none."""
    try:
        return prometheus_program("promtool")
    except PrometheusIsMissingError as missing:
        pytest.skip(str(missing))


@pytest.fixture
def groups(chart: Chart) -> Groups:
    """Give the groups of rules of the chart."""
    return chart.rendered(*EVERYTHING).one("PrometheusRule").read(Groups, "spec", "groups")


def alerts(groups: Groups) -> list[Rule]:
    """Return all alerts."""
    return [each for group in groups for each in msgspec.convert(group["rules"], list[Rule])]


def checked(promtool: Path, folder: Path, *arguments: str) -> str:
    """Run promtool; return what it said, which has to be that all is well."""
    command = [str(promtool), *arguments]
    done = subprocess.run(  # noqa: S603 - our own
        command, cwd=folder, capture_output=True, text=True, timeout=4 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def trial(case: Case) -> dict[str, object]:
    """Return a case as promtool takes it: the alerts that fire at each minute that it looks at."""
    series = {**HEALTHY, **case.series}
    given = [{"series": name, "values": values} for name, values in series.items() if values is not None]
    looked = [
        {
            "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{at}m",
            "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing],
        }
        for at, firing in case.fires.items()
    ]
    return {"name": case.about, "interval": "1m", "input_series": given, "promql_expr_test": looked}


def test_every_alert_fires_when_it_should_and_only_then(
    promtool: Path, groups: Groups, tmp_path: Path
) -> None:
    """All cases at once, since promtool takes a second to start."""
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}), encoding="utf-8")
    checked(promtool, tmp_path, "check", "rules", "rules.yml")
    tests = [trial(case) for case in CASES]
    body = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(body), encoding="utf-8")
    checked(promtool, tmp_path, "test", "rules", "tests.yml")


def test_every_alert_has_a_case_in_which_it_fires(groups: Groups) -> None:
    """An alert that nobody has seen may never come."""
    fired = {name for case in CASES for firing in case.fires.values() for name in firing}
    assert fired == {each.alert for each in alerts(groups)}


def test_every_alert_leads_to_a_section_that_is_there(groups: Groups) -> None:
    """Whoever is woken at night has one click."""
    titles = re.findall(r"^## (.*)$", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)
    sections = {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in titles}
    for each in alerts(groups):
        where, _, section = each.annotations["runbook_url"].partition("#")
        assert (where, section in sections) == ("docs/troubleshooting.md", True), each


def test_the_address_of_the_manual_can_be_set(chart: Chart) -> None:
    """A link in an alert opens only from where people read."""
    rendered = chart.rendered(*EVERYTHING, "metrics.prometheusRule.runbooks=https://wiki/lockkeeper")
    groups = rendered.one("PrometheusRule").read(Groups, "spec", "groups")
    found = {each.annotations["runbook_url"].partition("#")[0] for each in alerts(groups)}
    assert found == {"https://wiki/lockkeeper"}
