"""Fixtures that need a control plane; a plugin, so that several folders of tests share one."""

from collections.abc import Iterator

import pytest

from tests.e2e.building import GoIsMissingError, control_plane_binary
from tests.e2e.control_plane import ControlPlane, running


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Give a control plane, built where that is needed; skip where there is no Go to build it with."""
    try:
        binary = control_plane_binary()
    except GoIsMissingError as missing:
        pytest.skip(str(missing))
    with running(binary=binary, folder=tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane
