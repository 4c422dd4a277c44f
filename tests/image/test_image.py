"""The image as it runs in a cluster: another user, a read-only root, no shell, an environment of its own.

Made and run without a container engine, so these stay untried: that the base can be pulled, what lies in it,
and its own interpreter, for which the one of these tests stands. Marked e2e, because it takes half a minute
and installs from the package index.
"""

import json
import re
import signal
import ssl
import subprocess
from http import HTTPStatus
from http.client import HTTPSConnection
from importlib.metadata import distributions
from pathlib import Path
from threading import Timer
from typing import Final

import msgspec
import pytest
from packaging.utils import canonicalize_name

import lockkeeper
from tests.image.building import Image
from tests.image.confinement import TEMPORARY, Confined
from tests.image.containerfile import ROOT
from tests.image.test_locks import RUNTIME, pins
from tests.lockkeeper.commands import EXAMPLES, Running
from tests.patience import PATIENCE
from tests.webhook.oracle import Json, verify_admission_response

pytestmark = pytest.mark.e2e

PREFIX: Final = "/opt/lockkeeper"
_SERVING: Final = re.compile(r"serving on https://127\.0\.0\.1:(\d+), CA certificate (\S+)")
_WRITE: Final = "import sys; open(sys.argv[1], 'w').close()"


def run(image: Image, root: Confined, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the entry point to its end."""
    return finished(image.command(*arguments, root=root))


def python(image: Image, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the image's own Python in it."""
    command = (f"{PREFIX}/bin/python", *arguments)
    return finished(image.root().command(*command, environment=image.environment, workdir=image.workdir))


def finished(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(  # noqa: S603 - our own command
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def packages(image: Image) -> Path:
    """Return the folder of installed packages."""
    (found,) = image.folder.glob("opt/lockkeeper/lib/python3*/site-packages")
    return found


def test_it_holds_the_packages_of_the_runtime_lock_and_no_other(image: Image) -> None:
    """No tool that built it is left, nor anything of the tests."""
    found = {
        canonicalize_name(each.metadata["Name"]): each.version
        for each in distributions(path=[str(packages(image))])
    }
    locked = {name: pin.version for name, pin in pins(RUNTIME).items() if pin.is_installed_here}
    assert found == {**locked, "lockkeeper": lockkeeper.__version__}


def test_every_module_is_compiled(image: Image) -> None:
    """On a read-only root bytecode could not be kept, and every start would compile anew."""
    modules = list(packages(image).rglob("*.py"))
    left = [each for each in modules if not list((each.parent / "__pycache__").glob(f"{each.stem}.*.pyc"))]
    assert modules
    assert left == []


def test_it_tells_its_commands(image: Image) -> None:
    """The entry point starts by its path, without a shell, as a user that no file knows."""
    done = run(image, image.root(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "serve" in done.stdout


def test_it_tells_its_version(image: Image) -> None:
    """The version of the wheel that was installed."""
    done = run(image, image.root(), "version")
    assert (done.returncode, done.stderr) == (0, "")
    assert lockkeeper.__version__ in done.stdout


def test_it_is_the_user_of_the_image(image: Image) -> None:
    """Neither root, nor in a group of root's."""
    done = python(image, "-c", "import os; print(os.getuid(), os.getgid(), os.getgroups(), os.getcwd())")
    assert done.stdout == "65532 65532 [] /tmp\n"


def test_its_environment_is_what_the_containerfile_sets(image: Image) -> None:
    """Nothing of the machine that runs these tests helps it."""
    done = python(image, "-c", "import json, os; print(json.dumps(dict(os.environ)))")
    seen = msgspec.json.decode(done.stdout, type=dict[str, str])
    seen.pop("LC_CTYPE", None)  # Python sets this one itself.
    assert seen == image.environment


@pytest.mark.parametrize("path", ["/x", f"{PREFIX}/x", "/etc/x"])
def test_nothing_but_tmp_can_be_written(image: Image, path: str) -> None:
    """That it gets along so is what the other tests show."""
    assert "Read-only file system" in python(image, "-c", _WRITE, path).stderr
    assert python(image, "-c", _WRITE, f"{TEMPORARY}/written").returncode == 0


def test_the_project_is_not_visible(image: Image) -> None:
    """What runs is what was installed."""
    done = python(image, "-c", "import os, sys; print(os.path.exists(sys.argv[1]))", str(ROOT))
    assert done.stdout == "False\n"


def test_it_answers_reviews_and_ends_on_the_signal(image: Image) -> None:
    """The whole program works so: certificate in /tmp, worker process, policies from a mounted folder."""
    root = image.root(policies=EXAMPLES / "policies")
    command = image.command("serve", "--policies", "/policies", "--port", "0", root=root)
    with subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        running = Running(process)
        watchdog = Timer(PATIENCE, running.end)
        watchdog.start()
        try:
            assert running.until("serving on"), running.text
            response = reviewed(running.text, root)
            running.send(signal.SIGTERM)
            assert running.wait() == 0, running.text
        finally:
            running.end()
            watchdog.cancel()
            watchdog.join()
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"


def reviewed(told: str, root: Confined) -> Json:
    """Send the example's review to the address that the command told, and return the response."""
    address = _SERVING.search(told)
    assert address is not None, told
    context = ssl.create_default_context(cafile=str(root.path(address[2])))
    connection = HTTPSConnection("127.0.0.1", int(address[1]), context=context, timeout=PATIENCE)
    body = (EXAMPLES / "review.json").read_bytes()
    try:
        connection.request("POST", "/mutate", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == HTTPStatus.OK
        return verify_admission_response(answer.read(), request=json.loads(body), mutating=True)
    finally:
        connection.close()
