"""What the other end-to-end tests rely on: the control plane is one, and leaves nothing behind."""

import ssl
import subprocess
import sys
from http.client import HTTPSConnection
from pathlib import Path
from threading import Event
from time import monotonic
from urllib.parse import urlsplit

import msgspec
import pytest

from tests.e2e.building import wanted_version
from tests.e2e.control_plane import ControlPlane
from tests.e2e.processes import NotReadyError, Process
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e


def test_the_api_server_tells_the_version_it_was_built_for(control_plane: ControlPlane) -> None:
    """Kubectl and helm parse this version, and refuse to work without it."""
    address = urlsplit(control_plane.url)
    trust = ssl.create_default_context(cafile=str(control_plane.ca))
    connection = HTTPSConnection(address.hostname or "", address.port, timeout=PATIENCE, context=trust)
    connection.request("GET", "/version", headers={"Authorization": f"Bearer {control_plane.token}"})
    version = msgspec.json.decode(connection.getresponse().read(), type=dict[str, str])
    connection.close()
    assert version["gitVersion"] == f"v{wanted_version()}"


def test_a_process_ends_when_the_one_that_started_it_is_killed(tmp_path: Path) -> None:
    """No test run leaves an API server behind, even when it is killed half-way."""
    script = (
        "import pathlib, signal, os, sys\n"
        "from tests.e2e.processes import Process\n"
        "child = Process(['cat'], name='child', log=pathlib.Path(sys.argv[1]))\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    started = subprocess.run(  # noqa: S603 - this very Python
        [sys.executable, "-c", script, str(tmp_path / "log")],
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    left = Path(f"/proc/{int(started.stdout)}")
    deadline = monotonic() + PATIENCE
    while left.exists():
        assert monotonic() < deadline, "the child outlived the process that started it"
        Event().wait(0.05)


def test_a_process_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    """Whoever looks at the failed run sees why, without searching for files."""
    command = ["sh", "-c", "echo no such flag; exit 3"]
    with (
        Process(command, name="broken", log=tmp_path / "log") as process,
        pytest.raises(NotReadyError, match=r"broken ended with code 3; .*\nno such flag"),
    ):
        process.await_ready(lambda: False)
