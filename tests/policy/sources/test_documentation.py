"""What docs/policies.md shows can be copied: every example is a policy without a problem."""

import re

import pytest
import yaml

from policy.core.objects.json_patch import JsonObject
from policy.sources.documents import read
from tests.conftest import ROOT

EXAMPLES = re.findall(
    r"^```yaml\n(.*?)^```", (ROOT / "docs" / "policies.md").read_text(), re.MULTILINE | re.DOTALL
)


def test_there_are_examples_of_all_that_moves() -> None:
    """Each field that a quota may have beside its limits is shown once."""
    shown = {field for text in EXAMPLES for field in yaml.safe_load(text)["spec"]}
    assert shown >= {"queue", "windows", "reserve", "borrowing", "elastic", "limits", "groups"}


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_the_documentation_has_no_problem(text: str) -> None:
    """It leaves out what is the same in all of them."""
    written: JsonObject = yaml.safe_load(text)
    whole: JsonObject = {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "WorkflowQuota",
        "metadata": {"name": "a"},
    }
    contents = read({**whole, **written})
    assert contents.problems == ()
    assert len(contents.documents) == 1
