"""What all tests share: how hypothesis searches, and where real Argo manifests are."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# Time limits on single examples only report a busy machine. In CI the examples are the same at every run, so
# that a red build is about the change it stands on; on a laptop they differ, so that the search goes on.
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("laptop", deadline=None, max_examples=100)
settings.load_profile("ci" if os.environ.get("CI") else "laptop")


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
