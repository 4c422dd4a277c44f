"""A narrator and its cluster for each test."""

import pytest

from tests.lockkeeper.embedded.narrated import NarratedCluster


@pytest.fixture
def narrated() -> NarratedCluster:
    """Return a narrator and its cluster."""
    return NarratedCluster()
