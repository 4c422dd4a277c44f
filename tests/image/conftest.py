"""The image's files, made once; skipped unless asked for, because that downloads what goes into it."""

import os
from pathlib import Path

import pytest

from tests.e2e import switch
from tests.image.building import Image, build_once
from tests.image.confinement import why_not


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    switch.configure(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked e2e in a run that did not ask for it."""
    if switch.ENABLED:
        return
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.skip(reason="installs packages from the index: make e2e"))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Perform the steps of the Containerfile; skip where that cannot be done."""
    obstacle = why_not()
    if obstacle:
        pytest.skip(f"the image cannot be tried here: {obstacle}")
    base = tmp_path_factory.getbasetemp()
    # Workers side by side have folders of their own below one; whoever comes first makes it for all.
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "image"
    return build_once(place)
