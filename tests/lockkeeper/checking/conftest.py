"""A healthy installation for each test."""

from collections.abc import Iterator

import pytest

from tests.lockkeeper.checking.installation import Installation


@pytest.fixture
def installation() -> Iterator[Installation]:
    """Return an installation."""
    made = Installation()
    yield made
    made.memory.close()
