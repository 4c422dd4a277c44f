"""What all tests share: how hypothesis searches, and where real Argo manifests are."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
# Time limits on single examples, or on making them up, only report a busy machine. In CI the examples are the
# same at every run, so that a red build is about the change it stands on; on a laptop they differ, so that
# the search goes on.
_ANY_MACHINE = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", _ANY_MACHINE, derandomize=True)
settings.register_profile("laptop", _ANY_MACHINE)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    """Fail a test that leaves a thread behind: it would slow down, or meddle with, whatever comes after."""
    before = set(threading.enumerate())
    yield
    begun = [thread for thread in threading.enumerate() if thread not in before]
    for thread in begun:
        thread.join(PATIENCE)
    assert [thread.name for thread in begun if thread.is_alive()] == []


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Return the folder of Argo's own manifests (`examples/`, `crds/`), or skip where it is absent.

    They are not part of this project: `LOCKKEEPER_CORPUS` says where they are.
    """
    given = os.environ.get("LOCKKEEPER_CORPUS")
    folder = Path(given) if given else ROOT.parent / "shared" / "corpus" / "argo-4.1.2"
    if not folder.is_dir():
        pytest.skip(f"the corpus of Argo manifests is not here: no folder {folder} (set LOCKKEEPER_CORPUS)")
    return folder
