"""What was created before a quota selected by references is recorded later, and counts from then on."""

from typing import Final

import pytest

from policy.cluster.errors import Unavailable
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.identities import UPSTREAM
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow_selectors import References, WorkflowSelector
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Account, Root
from policy.service.release.reference_recorder import RETRY_SECONDS, ReferenceRecorder
from tests.policy.service.release.test_reference_quotas import referring
from tests.policy.service.world import (
    Call,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    part,
    quota,
    snapshot_of,
    submit,
)

(ARGO,) = UPSTREAM.argo_controllers
BEFORE: Final = snapshot_of(quota("etl", "all", workflows=9))
BY_REFERENCE: Final = quota(
    "etl",
    "some",
    workflows=1,
    selector=WorkflowSelector(match_references=References(("etl",), cron_workflows=("nightly",))),
)
AFTER: Final = snapshot_of(quota("etl", "all", workflows=9), BY_REFERENCE)
NIGHTLY: Final[JsonObject] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "CronWorkflow",
    "name": "nightly",
    "uid": "cron-1",
    "controller": True,
}


class Term:
    """A recorder whose stopwatch the test moves."""

    def __init__(self, spy: Spy) -> None:
        self.spy = spy
        self.snapshot: Snapshot = AFTER
        self.seconds = 0.0
        self.troubles: list[str] = []
        self.recorder = ReferenceRecorder(
            cluster=spy,
            snapshot=lambda: self.snapshot,
            stopwatch=lambda: self.seconds,
            trouble=lambda doing, _: self.troubles.append(doing),
            pause=0,
        )

    def recorded(self, name: str) -> dict[str, JsonValue]:
        """Return what is recorded of a Workflow."""
        obj = self.spy.get(WORKFLOWS, name, namespace="etl")
        annotations = part(obj, "metadata", "annotations")
        given = annotations if isinstance(annotations, dict) else {}
        return {key: value for key, value in given.items() if key in well_known.REFERENCES}

    @property
    def lists(self) -> int:
        """How often Workflows were listed since this was asked last."""
        number = sum(call.verb == "list" and call.plural == "workflows" for call in self.spy.calls)
        self.spy.calls.clear()
        return number


@pytest.fixture
def term(spy: Spy) -> Term:
    """Workflows from before the quota: of a template, of none, of a CronWorkflow, and one that is over."""
    submit(spy, BEFORE, referring("a", "etl"), namespace="etl")
    submit(spy, BEFORE, draft("none"), namespace="etl")
    run = draft("run")
    run["metadata"] = {"name": "run", "ownerReferences": [NIGHTLY]}
    submit(spy, BEFORE, run, namespace="etl", user=ARGO)
    forged = draft("forged")
    forged["metadata"] = {"name": "forged", "ownerReferences": [NIGHTLY]}
    submit(spy, BEFORE, forged, namespace="etl")
    submit(spy, BEFORE, referring("over", "etl"), namespace="etl")
    complete(spy, "over", namespace="etl")
    return Term(spy)


def test_what_they_refer_to_is_recorded_and_counts(term: Term, clock: Clock) -> None:
    """Live ones alone; a run of a CronWorkflow only where Argo has created it."""
    leader = Leader(term.spy, BEFORE, clock)
    leader.work()
    leader.snapshot = AFTER
    term.recorder.run_pass()
    assert term.recorded("a") == {well_known.REFERS_TO: "WorkflowTemplate/etl"}
    assert term.recorded("run") == {well_known.STARTED_BY: "CronWorkflow/nightly"}
    assert term.recorded("none") == term.recorded("forged") == term.recorded("over") == {}
    leader.work()
    used = leader.ledgers.read(Root.of_namespace("etl")).total_usage()
    assert used[Account("etl", "some")].workflows == 2


def test_they_are_read_twice_and_no_more(term: Term) -> None:
    """A webhook may have admitted some by the policies of before, until all have received the quota."""
    assert term.recorder.run_pass() == 10.0
    assert term.lists == 1
    submit(term.spy, BEFORE, referring("late", "etl"), namespace="etl")
    term.seconds = 10.0
    assert term.recorder.run_pass() is None
    assert term.recorded("late") != {}
    assert term.lists == 1
    term.seconds = 100.0
    assert term.recorder.run_pass() is None
    assert term.lists == 0


def test_where_no_quota_selects_by_references_nothing_is_read(term: Term) -> None:
    """Nor any more when the last such quota is gone; when one comes again, they are read again."""
    term.snapshot = BEFORE
    assert term.recorder.run_pass() is None
    assert term.lists == 0
    term.snapshot = AFTER
    term.recorder.run_pass()
    term.snapshot = BEFORE
    term.recorder.run_pass()
    term.snapshot = AFTER
    term.recorder.run_pass()
    assert term.lists == 2


def test_a_cluster_that_does_not_answer_is_tried_again(term: Term) -> None:
    """It is trouble, and nothing is lost."""

    def away(call: Call) -> None:
        if call.verb == "list":
            raise Unavailable("away")

    term.spy.before = away
    assert term.recorder.run_pass() == RETRY_SECONDS
    assert term.troubles == ["recording what Workflows of etl refer to"]
    term.spy.before = lambda _: None
    term.seconds = RETRY_SECONDS
    term.recorder.run_pass()
    assert term.recorded("a") != {}


def test_one_that_was_made_again_meanwhile_is_left(term: Term) -> None:
    """The patch is for the object that was read, and what is recorded already stays."""

    def replaced(call: Call) -> None:
        if call.verb == "patch" and call.name == "a":
            term.spy.before = lambda _: None
            term.spy.inner.delete(WORKFLOWS, "a", namespace="etl")
            term.spy.inner.create(WORKFLOWS, draft("a"), namespace="etl")

    value: JsonObject = {"metadata": {"annotations": {well_known.REFERS_TO: "WorkflowTemplate/report"}}}
    term.spy.patch(WORKFLOWS, "none", MergePatch(value), namespace="etl")
    term.spy.before = replaced
    term.recorder.run_pass()
    assert term.recorded("a") == {}
    assert term.troubles == []
    assert term.recorded("none") == {well_known.REFERS_TO: "WorkflowTemplate/report"}
