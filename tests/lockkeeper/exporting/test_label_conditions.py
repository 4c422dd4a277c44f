"""Label selectors of policies that look at edits are conditions in CEL."""

import pytest

from lockkeeper.exporting.label_conditions import label_condition
from policy.core.objects.label_selectors import LabelSelector, Operator, Requirement


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        (Requirement("k", Operator.IN, ("a", "b")), '] in ["a", "b"])'),
        (Requirement("k", Operator.NOT_IN, ("a",)), '(!("k" in '),
        (Requirement("k", Operator.EXISTS), '("k" in '),
        (Requirement("k", Operator.DOES_NOT_EXIST), '(!("k" in '),
    ],
)
def test_each_operator_is_said(requirement: Requirement, expected: str) -> None:
    """Labels of what a CronWorkflow creates count for it."""
    said = label_condition(LabelSelector(match_expressions=(requirement,)))
    assert expected in said
    assert "object.spec.workflowMetadata.labels" in said


def test_labels_that_are_given_have_to_be_there() -> None:
    """All of them, with their values."""
    said = label_condition(LabelSelector({"a": "1", "b": "2"}))
    assert said.startswith('("a" in ')
    assert '["a"] in ["1"]) && ("b" in ' in said
    assert said.endswith('["b"] in ["2"])')
