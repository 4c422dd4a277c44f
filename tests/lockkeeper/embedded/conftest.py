"""A narrator and its cluster for each test."""

import pytest

from tests.lockkeeper.embedded.narrated import Scene


@pytest.fixture
def scene() -> Scene:
    """Return a narrator and its cluster."""
    return Scene()
