"""The image as the chart runs it: installed by helm on a real API server, its own files in every Pod."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.acting import BUILDS, QUICK, check, create, govern
from tests.e2e.charted import RELEASE
from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed, installation
from tests.e2e.podrunner import run_settings
from tests.image.building import Image

pytestmark = pytest.mark.e2e

ENTRY_POINT: Final = "/opt/lockkeeper/bin/lockkeeper"


@pytest.fixture(scope="module")
def installed(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Install with what the Containerfile makes, run as it says."""
    built = run_settings.Image(
        entry_point=image.entry_point,
        user=image.user,
        environment=image.environment,
        workdir=image.workdir,
        layer=str(image.folder),
    )
    with installation(tmp_path_factory.mktemp("installation"), *QUICK, image=built) as installed:
        govern(installed)
        yield installed


@pytest.mark.parametrize("deployment", [WEBHOOK, CONTROLLER])
def test_the_pods_run_what_was_built(installed: Installed, deployment: str) -> None:
    """The command and its environment are the image's, not this machine's."""
    for pod in installed.pods(deployment):
        process = Path("/proc", str(pod.pid))
        assert ENTRY_POINT in (process / "cmdline").read_text().split("\0")
        assert (process / "root" / ENTRY_POINT.lstrip("/")).is_file()
    assert not Path(ENTRY_POINT).exists()


def test_it_governs(installed: Installed) -> None:
    """One Workflow passes, and the next is one too many."""
    assert create(installed, "first", BUILDS) == ""
    assert "WorkflowQuota ci/deny" in create(installed, "second", BUILDS)


def test_it_finds_itself_healthy(installed: Installed) -> None:
    """`helm test`, with the image's own command."""
    assert f"{RELEASE}-controller" in check(installed)
