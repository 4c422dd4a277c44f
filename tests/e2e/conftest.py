"""The end-to-end tests: skipped unless asked for, so that the fast tests neither build nor start anything."""

import pytest

from tests.e2e import switch


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker and the fixtures known."""
    switch.configure(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked e2e in a run that has no control plane."""
    if switch.ENABLED:
        return
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.skip(reason="needs a control plane: make e2e"))
