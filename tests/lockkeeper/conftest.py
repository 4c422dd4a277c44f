"""The command, with a folder of its own for temporary files."""

from pathlib import Path

import pytest

from tests.lockkeeper.commands import Lockkeeper


@pytest.fixture
def lockkeeper(tmp_path: Path) -> Lockkeeper:
    """Return the command."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    return Lockkeeper(temporary)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Lockkeeper:
    """Return the command for results that several tests of a module look at."""
    return Lockkeeper(tmp_path_factory.mktemp("shared"))
