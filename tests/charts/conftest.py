"""The chart as both helms render it; skipped unless asked for, because helm has to be downloaded first."""

from pathlib import Path

import pytest

from tests.charts.rendering import Chart
from tests.e2e import switch
from tests.e2e.helm import VERSIONS, Helm, HelmIsMissingError, helm_program


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    switch.configure(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked e2e in a run that did not ask for it."""
    if switch.ENABLED:
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.skip(reason="installs helm from the index: make e2e"))


@pytest.fixture(scope="session", params=VERSIONS, ids=lambda version: f"helm-{version}")
def chart(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """Give the chart as one of the helms renders it; skip where that helm cannot be had."""
    version: str = request.param
    try:
        program = helm_program(version)
    except HelmIsMissingError as missing:
        pytest.skip(str(missing))
    return Chart(helm=Helm(program=program, folder=tmp_path_factory.mktemp("helm")))
