"""Targets as people write them, in the forms that kubectl takes."""

import pytest

from lockkeeper.actions.targets import ActionTarget, TargetKind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x", TargetKind.WORKFLOW),
        ("workflow/x", TargetKind.WORKFLOW),
        ("wf/x", TargetKind.WORKFLOW),
        ("quota/x", TargetKind.QUOTA),
        ("workflowquotas/x", TargetKind.QUOTA),
        ("wfq/x", TargetKind.QUOTA),
        ("Pool/x", TargetKind.POOL),
        ("clusterworkflowquota/x", TargetKind.POOL),
    ],
)
def test_a_target_is_read_in_each_usual_form(text: str, kind: TargetKind) -> None:
    """Short names are those of the kinds in the cluster."""
    assert ActionTarget.parse(text) == ActionTarget(kind, "x")


@pytest.mark.parametrize("text", ["", "quota/", "pod/x"])
def test_what_is_no_target_is_told_with_what_to_write(text: str) -> None:
    """There are three kinds."""
    with pytest.raises(ValueError, match="write NAME or workflow/NAME, quota/NAME or pool/NAME"):
        ActionTarget.parse(text)
