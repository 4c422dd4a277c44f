"""Which Kubernetes the control plane of the tests is; building it is not tried here, it takes minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.building import (
    MODULE,
    ROOT,
    SKIPPED,
    UnknownKubernetesError,
    control_plane_binary,
    wanted_version,
)


@pytest.mark.parametrize(
    ("environment", "version"),
    [
        ({}, "1.36.3"),
        ({"LOCKKEEPER_KUBERNETES": ""}, "1.36.3"),
        ({"LOCKKEEPER_KUBERNETES": "1.34"}, "1.34.4"),
        ({"LOCKKEEPER_KUBERNETES": "1.37"}, "1.37.2"),
    ],
)
def test_a_variable_names_the_version(environment: dict[str, str], version: str) -> None:
    """A minor is named, and its patch release is fixed here, so that a red run can be repeated."""
    assert wanted_version(environment) == version


def test_a_version_that_is_not_built_is_named_with_those_that_are() -> None:
    """Whoever mistypes it does not look for the cause in Go."""
    with pytest.raises(UnknownKubernetesError, match=r"=1\.33 is none of 1\.34, 1\.35, 1\.36, 1\.37"):
        control_plane_binary({"LOCKKEEPER_KUBERNETES": "1.33"})


def test_without_go_it_says_so_in_one_line(tmp_path: Path) -> None:
    """Whoever has none sees why nothing was tried, and `make e2e` goes on from the exit code."""
    copied = tmp_path / "tests" / "e2e"
    copied.mkdir(parents=True)
    for path in (MODULE.with_name("building.py"), MODULE.with_name("made_once.py")):
        (copied / path.name).write_bytes(path.read_bytes())
    (copied / MODULE.name).symlink_to(MODULE)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tests.e2e.building"],
        cwd=tmp_path,
        env={**os.environ, "PATH": "", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = "skipped: the control plane of these tests is built with Go, and there is no `go` on the PATH\n"
    assert (done.returncode, done.stdout, done.stderr) == (SKIPPED, said, "")
    assert f"SKIPPED := {SKIPPED}\n" in (ROOT / "Makefile").read_text()
