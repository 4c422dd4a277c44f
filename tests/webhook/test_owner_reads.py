"""Owners are read for children and for runs of a schedule alone: the hot path stays without I/O."""

import msgspec
import pytest

from policy.cluster.errors import Unavailable
from policy.core.decision.decision import Operation, Review
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.owners import UNRELATED, Related
from policy.core.objects.workflow import OwnerReference
from tests.policy.core.admission.attempts import ARGO
from tests.policy.core.builders import decoded, quota, review, snapshot, workflow
from webhook.http_errors import LedgerUnavailable
from webhook.owner_reads import NoOwners, with_owner

CRON: JsonObject = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "CronWorkflow",
    "name": "nightly",
    "uid": "cron-1",
    "controller": True,
}
PARENT: JsonObject = {**CRON, "kind": "Workflow", "name": "parent", "uid": "uid-p"}
TIME: JsonObject = {well_known.SCHEDULED_TIME: "2026-03-01T12:00:00Z"}


class Noted:
    """Relatives that note who was asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.away = False

    def of_child(self, namespace: str, owner: OwnerReference) -> Related:
        """Note it."""
        return self._note(f"child of {namespace}/{owner.name}")

    def of_run(self, namespace: str, owner: OwnerReference) -> Related:
        """Note it."""
        return self._note(f"run of {namespace}/{owner.name}")

    def _note(self, what: str) -> Related:
        if self.away:
            raise Unavailable("nobody answers")
        self.asked.append(what)
        return Related(policy=what)


def _review(
    owners: list[JsonValue] | None, user: str = "ann", annotations: JsonObject | None = None
) -> Review:
    return review(workflow(ownerReferences=owners, annotations=annotations), user=user)


def test_owners_are_read_for_children_and_for_runs() -> None:
    """Each in its own way."""
    noted, policies = Noted(), snapshot(quota())
    child = with_owner(_review([PARENT]), policies, noted)
    assert child.related.policy == "child of team-a/parent"
    run = with_owner(_review([CRON], ARGO, annotations=TIME), policies, noted)
    assert run.related.policy == "run of team-a/nightly"


def test_the_owner_of_a_child_that_runs_again_is_read() -> None:
    """A step that retries it and waits for it would wait for its own slot; a schedule retries nothing."""
    noted, policies = Noted(), snapshot(quota())
    for owner, asked in ((PARENT, ["child of team-a/parent"]), (CRON, [])):
        again = _review([owner], ARGO, annotations=TIME)
        over = workflow(labels={well_known.COMPLETED: "true"})
        with_owner(
            msgspec.structs.replace(again, operation=Operation.UPDATE, old=decoded(over)), policies, noted
        )
        assert noted.asked == asked
        noted.asked.clear()


def test_nothing_is_read_for_others() -> None:
    """Those without an owner, of another's making, submitted by hand, updated, or under no quota."""
    noted, policies = Noted(), snapshot(quota())
    update = msgspec.structs.replace(_review([PARENT]), operation=Operation.UPDATE)
    for each in (
        _review(None),
        _review([]),
        _review([{**PARENT, "kind": "Sensor"}]),
        _review([CRON], "ann", annotations=TIME),
        _review([CRON], ARGO),
        update,
        review(None),
    ):
        assert (
            with_owner(each, policies, noted) is each
            or with_owner(each, policies, noted).related is UNRELATED
        )
    assert with_owner(_review([PARENT]), snapshot(), noted).related is UNRELATED
    assert noted.asked == []


def test_an_owner_that_cannot_be_read_is_left_to_the_failure_policy() -> None:
    """To guess would be to exempt, or to let a deadlock be."""
    noted = Noted()
    noted.away = True
    with pytest.raises(LedgerUnavailable, match="the owner could not be read: nobody answers"):
        with_owner(_review([PARENT]), snapshot(quota()), noted)


def test_without_a_cluster_no_workflow_has_an_owner() -> None:
    """As when policies come from files."""
    for each in (_review([PARENT]), _review([CRON], ARGO, annotations=TIME)):
        assert with_owner(each, snapshot(quota()), NoOwners()).related is UNRELATED
