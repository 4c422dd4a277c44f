"""The commands that `run` prints work as they are pasted, from every folder."""

import json
import shlex
from pathlib import Path

import pytest

from lockkeeper.embedded.trying_out import trying_out
from policy.core.decision.decision import Side
from webhook import wire

WORKFLOW = (
    "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: mine, namespace: shop}\nspec: {}\n"
)


def _review(text: str) -> wire.Received:
    """Return the review in the file that the second command names."""
    words = shlex.split(text.splitlines()[3])
    (file,) = [Path(each[1:]) for each in words if each.startswith("@")]
    assert file.is_absolute()
    return wire.decode(file.read_bytes(), Side.MUTATE)


@pytest.mark.parametrize("name", ["certs", "my certs"])
def test_the_first_workflow_is_sent_for_review(tmp_path: Path, name: str) -> None:
    """With paths that need no folder of ours, blanks in them or not."""
    folder = tmp_path / name
    folder.mkdir()
    (tmp_path / "w.yaml").write_text(WORKFLOW)
    text = trying_out(
        folder=folder,
        authority=folder / "ca.crt",
        url="https://127.0.0.1:1",
        workflows=tmp_path / "w.yaml",
        namespace="default",
    )
    assert shlex.split(text.splitlines()[2])[3] == str(folder / "ca.crt")
    review = _review(text).review
    assert (review.namespace, review.workflow is not None) == ("shop", True)
    assert "base64 -d" in text


def test_without_workflows_a_small_one_is_sent(tmp_path: Path) -> None:
    """In the namespace of `-n`."""
    text = trying_out(
        folder=tmp_path, authority=tmp_path / "ca.crt", url="https://[::1]:1", workflows=None, namespace="etl"
    )
    assert _review(text).review.namespace == "etl"
    assert json.loads((tmp_path / "review.json").read_bytes())["kind"] == "AdmissionReview"
