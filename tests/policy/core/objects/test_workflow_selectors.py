"""Selectors of Workflows: labels as everywhere, and the names of what a Workflow refers to."""

import msgspec
import pytest

from policy.core.objects import well_known
from policy.core.objects.label_selectors import Labels
from policy.core.objects.workflow_selectors import EVERY_WORKFLOW, References, WorkflowSelector

NIGHTS = WorkflowSelector({"team": "red"}, match_references=References(cron_workflows=("nightly",)))
RED = {"team": "red"}


@pytest.mark.parametrize(
    ("labels", "matches"),
    [
        ({**RED, well_known.STARTED_BY: "CronWorkflow/nightly"}, True),
        ({**RED, well_known.STARTED_BY: "CronWorkflow/hourly"}, False),
        ({**RED, well_known.STARTED_BY: "nightly"}, False),
        ({well_known.STARTED_BY: "CronWorkflow/nightly"}, False),
        ({**RED, well_known.REFERS_TO: "WorkflowTemplate/nightly"}, False),
        (RED, False),
    ],
)
def test_every_part_must_hold(labels: Labels, matches: bool) -> None:  # noqa: FBT001
    """A reference of another kind, and a name without its kind, match nothing."""
    assert NIGHTS.matches(labels) == matches


def test_one_of_several_references_is_enough() -> None:
    """Of all kinds together."""
    one = WorkflowSelector(match_references=References(("a",), ("b",), ("c",)))
    for key, value in (
        (well_known.REFERS_TO, "WorkflowTemplate/a"),
        (well_known.REFERS_TO, "ClusterWorkflowTemplate/b"),
        (well_known.STARTED_BY, "CronWorkflow/c"),
    ):
        assert one.matches({key: value})
    assert not one.matches({well_known.REFERS_TO: "ClusterWorkflowTemplate/a"})


def test_only_the_empty_selector_selects_all() -> None:
    """A selector by references alone does not, though it has no labels."""
    assert EVERY_WORKFLOW.selects_all
    assert not WorkflowSelector(match_references=References(("a",))).selects_all
    assert not NIGHTS.selects_all


def test_a_selector_says_what_a_leader_has_to_read() -> None:
    """Its labels, and what is recorded of references."""
    assert NIGHTS.keys() == ["team", *well_known.REFERENCES]
    assert WorkflowSelector({"team": "red"}).keys() == ["team"]


def test_what_names_nothing_is_a_problem() -> None:
    """It would select no Workflow for ever; names have to be names."""
    selector = msgspec.convert({"matchReferences": {}}, WorkflowSelector)
    assert [(each.path, each.message) for each in selector.problems("spec.selector")] == [
        (
            "spec.selector.matchReferences",
            (
                "names nothing, so it selects no Workflow: give one of workflowTemplates, "
                "clusterWorkflowTemplates, cronWorkflows"
            ),
        )
    ]
    empty = WorkflowSelector(match_references=References(cron_workflows=("",)))
    assert [each.path for each in empty.problems("s")] == ["s.matchReferences.cronWorkflows[0]"]
