"""The leader counts and releases by what Workflows refer to, from metadata alone, after a restart too."""

from typing import Final

from policy.cluster.protocol import WORKFLOWS
from policy.core.admission.decide import apply_policies
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow_selectors import References, WorkflowSelector
from policy.core.quota.accounts import Account, Root
from tests.policy.service.world import (
    NOON,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    labels_of,
    patched,
    quota,
    review_of,
    snapshot_of,
    submit,
)

BY_TEMPLATE: Final = WorkflowSelector(match_references=References(workflow_templates=("etl",)))
ONE: Final = snapshot_of(quota("etl", "one", workflows=1, selector=BY_TEMPLATE))


def referring(name: str, template: str) -> JsonObject:
    """Return a Workflow of a template."""
    obj = draft(name)
    obj["spec"] = {"workflowTemplateRef": {"name": template}, "parallelism": 1}
    return obj


def test_those_of_one_template_wait_for_each_other_and_for_no_others(spy: Spy, clock: Clock) -> None:
    """Others are not even held."""
    leader = Leader(spy, ONE, clock)
    for name, template in (("a", "etl"), ("b", "etl"), ("c", "report")):
        submit(spy, ONE, referring(name, template), namespace="etl")
        leader.work()
    assert leader.held("etl") == {"a": False, "b": True, "c": False}
    assert leader.view.queues["etl"].depth == 1
    complete(spy, "a", namespace="etl")
    assert leader.work() == 1
    assert leader.held("etl")["b"] is False


def test_a_new_leader_counts_the_same(spy: Spy, clock: Clock) -> None:
    """It lists metadata, and everything is there."""
    first = Leader(spy, ONE, clock)
    for name in ("a", "b"):
        submit(spy, ONE, referring(name, "etl"), namespace="etl")
        first.work()
    spy.calls.clear()
    second = Leader(spy, ONE, clock)
    assert second.work() == 0
    used = second.ledgers.read(Root.of_namespace("etl")).total_usage()
    assert used[Account("etl", "one")].workflows == 1
    assert not [call for call in spy.calls if call.verb == "get" and call.plural == WORKFLOWS.plural]


def test_a_quota_that_selects_by_references_later_finds_those_that_were_recorded(
    spy: Spy, clock: Clock
) -> None:
    """Where another quota of the namespace selects by references already."""
    leader = Leader(spy, ONE, clock)
    submit(spy, ONE, referring("a", "etl"), namespace="etl")
    leader.work()
    wider = WorkflowSelector(match_references=References(workflow_templates=("etl", "report")))
    leader.snapshot = snapshot_of(
        quota("etl", "one", workflows=1, selector=BY_TEMPLATE),
        quota("etl", "two", workflows=5, selector=wider),
    )
    leader.work()
    used = leader.ledgers.read(Root.of_namespace("etl")).total_usage()
    assert used[Account("etl", "two")].workflows == 1


def test_what_is_recorded_is_no_label_of_the_object(spy: Spy) -> None:
    """It may be longer than a label; nobody selects objects by it."""
    review = review_of(referring("a", "etl"), namespace="etl", user="ann", uid="u")
    stored = patched(referring("a", "etl"), apply_policies(review, ONE, NOON))
    assert set(labels_of(stored)) == {"workflows.argoproj.io/controller-instanceid"}
    assert spy is not None
