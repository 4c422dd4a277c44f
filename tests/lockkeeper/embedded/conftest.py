"""A printer and its cluster for each test."""

import pytest

from tests.lockkeeper.embedded.printed import PrintedCluster


@pytest.fixture
def printed() -> PrintedCluster:
    """Return a printer and its cluster."""
    return PrintedCluster()
