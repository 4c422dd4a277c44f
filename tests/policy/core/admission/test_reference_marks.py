"""Quotas that select by what a Workflow refers to: what is recorded, who is believed, what may be edited."""

from typing import Final

import msgspec
import pytest

from policy.cluster.memory.patching import merge
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Decision, Outcome, Side
from policy.core.lock_review.siblings import manifest, wanted_siblings
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import TemplateObject
from policy.core.policies.snapshot import Snapshot
from tests.policy.core.admission.attempts import ARGO, SERVER, update
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    at,
    lock_policy,
    patched,
    quota,
    review,
    snapshot,
    template_object,
    workflow,
)

MAIN: Final[JsonObject] = {
    "entrypoint": "main",
    "templates": [{"name": "main", "container": {"image": "etl"}}],
}
NIGHTLY: Final[JsonObject] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "CronWorkflow",
    "name": "nightly",
    "uid": "cron-1",
    "controller": True,
}


def selecting(**references: JsonValue) -> Snapshot:
    """Return a namespace with a quota that selects by these references, and three templates."""
    return snapshot(
        quota(selector={"matchReferences": references}, limits={"workflows": 1}),
        template_object("etl", MAIN),
        template_object("report", MAIN),
        template_object("etl", MAIN, kind="ClusterWorkflowTemplate", namespace=None),
    )


def referring(name: str, *, cluster: bool = False, **metadata: JsonValue) -> JsonObject:
    """Return a Workflow of a template."""
    ref: JsonObject = {"name": name, "clusterScope": True} if cluster else {"name": name}
    return workflow({"workflowTemplateRef": ref}, **metadata)


def by(user: str, obj: JsonObject, policies: Snapshot, side: Side = Side.MUTATE) -> Decision:
    """Return what is decided about a create by a user."""
    return apply_policies(review(obj, side, user=user), policies, NOW)


def decided_by(policies: Snapshot, old: JsonObject, new: JsonObject, side: Side, *, user: str) -> Decision:
    """Return what is decided about an update by a user."""
    return apply_policies(update(old, new, side, user=user, uid="update-1"), policies, NOW)


def recorded(obj: JsonObject, policies: Snapshot, user: str = "ann") -> dict[str, JsonValue]:
    """Return what the mutating side records, which the validating side accepts as it is."""
    decision = by(user, obj, policies)
    changed = patched(obj, decision.patch)
    assert by(user, changed, policies, Side.VALIDATE).allowed
    annotations = at(changed, "metadata", "annotations") or {}
    assert isinstance(annotations, dict)
    return {key: value for key, value in annotations.items() if key in well_known.REFERENCES}


def test_a_quota_governs_those_that_refer_to_its_template_and_no_others() -> None:
    """A template of the cluster is another one, though it has the same name."""
    policies = selecting(workflowTemplates=["etl"])
    assert recorded(referring("etl"), policies) == {well_known.REFERS_TO: "WorkflowTemplate/etl"}
    assert by("ann", referring("etl"), policies).outcome is Outcome.QUEUED
    for other in (referring("report"), referring("etl", cluster=True), workflow(MAIN)):
        assert by("ann", other, policies).outcome is Outcome.UNGOVERNED


def test_a_quota_governs_those_that_refer_to_its_cluster_template() -> None:
    """And none of the namespace's own."""
    policies = selecting(clusterWorkflowTemplates=["etl"])
    found = recorded(referring("etl", cluster=True), policies)
    assert found == {well_known.REFERS_TO: "ClusterWorkflowTemplate/etl"}
    assert by("ann", referring("etl"), policies).outcome is Outcome.UNGOVERNED


@pytest.mark.parametrize("user", [ARGO, SERVER])
def test_a_run_of_a_cron_workflow_is_believed_of_argos_accounts(user: str) -> None:
    """Its controller starts them by schedule, argo-server submits them from it."""
    run = workflow(MAIN, ownerReferences=[NIGHTLY])
    policies = selecting(cronWorkflows=["nightly"])
    assert recorded(run, policies, user) == {well_known.STARTED_BY: "CronWorkflow/nightly"}
    assert by(user, run, policies).outcome is Outcome.QUEUED


@pytest.mark.parametrize(
    "claims",
    [
        {"ownerReferences": [NIGHTLY]},
        {"labels": {well_known.CRON_WORKFLOW: "nightly"}},
        {"labels": {well_known.STARTED_BY: "nightly"}},
        {"annotations": {well_known.STARTED_BY: "CronWorkflow/nightly"}},
        {"annotations": {well_known.REFERS_TO: "WorkflowTemplate/etl"}},
    ],
)
def test_nobody_else_uses_up_a_quota_by_what_he_claims(claims: JsonObject) -> None:
    """Owner references, labels and annotations are anybody's to write; a forged record is taken away."""
    policies = selecting(cronWorkflows=["nightly"], workflowTemplates=["etl"])
    obj = workflow(MAIN, **claims)
    decision = by("mallory", obj, policies)
    assert decision.outcome is Outcome.UNGOVERNED
    assert at(patched(obj, decision.patch), "metadata", "annotations") in (None, {})


def test_a_claim_does_not_hide_what_a_workflow_refers_to() -> None:
    """It is overwritten."""
    forged = referring("etl", annotations={well_known.REFERS_TO: "WorkflowTemplate/report"})
    policies = selecting(workflowTemplates=["etl"])
    assert recorded(forged, policies) == {well_known.REFERS_TO: "WorkflowTemplate/etl"}


def test_labels_and_references_of_a_selector_must_both_hold() -> None:
    """As all parts of a selector."""
    selector: JsonObject = {
        "matchLabels": {"team": "red"},
        "matchReferences": {"workflowTemplates": ["etl"]},
    }
    policies = snapshot(quota(selector=selector, limits={"workflows": 1}), template_object("etl", MAIN))
    assert by("ann", referring("etl"), policies).outcome is Outcome.UNGOVERNED
    red = referring("etl", labels={"team": "red"})
    assert by("ann", red, policies).outcome is Outcome.QUEUED


def test_where_no_quota_selects_by_references_nothing_is_recorded() -> None:
    """Who does not use it pays nothing for it."""
    policies = snapshot(quota(limits={"workflows": 1}), template_object("etl", MAIN))
    assert recorded(referring("etl"), policies) == {}


def test_a_reference_to_a_sibling_counts_as_one_to_its_origin() -> None:
    """The mutating side points the Workflow to a copy of its template that has the locks."""
    rules: JsonObject = {"name": "load", "templates": {"names": ["main"]}, "lock": {"mutex": "loads"}}
    documents = (
        lock_policy(match={"referenced": "Sibling"}, inject=[rules]),
        quota(selector={"matchReferences": {"workflowTemplates": ["etl"]}}, limits={"workflows": 1}),
        template_object("etl", MAIN),
    )
    (sibling,) = wanted_siblings(snapshot(*documents))
    made = manifest(sibling, "uid")
    text = msgspec.json.encode(made["spec"]).decode()
    stored = msgspec.structs.replace(msgspec.convert(made, TemplateObject), text=text)
    policies = snapshot(*documents, stored)
    redirected = patched(referring("etl"), by("ann", referring("etl"), policies).patch)
    assert at(redirected, "spec", "workflowTemplateRef", "name") == sibling.name
    assert recorded(referring("etl"), policies) == {well_known.REFERS_TO: "WorkflowTemplate/etl"}
    assert recorded(referring(sibling.name), policies) == {well_known.REFERS_TO: "WorkflowTemplate/etl"}


def held(policies: Snapshot) -> JsonObject:
    """Return a Workflow of the template `etl` that waits."""
    obj = referring("etl")
    return patched(obj, by("ann", obj, policies).patch)


@pytest.mark.parametrize("side", [Side.MUTATE, Side.VALIDATE])
def test_no_edit_of_the_reference_leaves_the_quota(side: Side) -> None:
    """The Workflow was admitted under it, and waits or counts there until it is over."""
    policies = selecting(workflowTemplates=["etl"])
    old = held(policies)
    new = merge(old, {"spec": {"workflowTemplateRef": {"name": "report"}}})
    decision = decided_by(policies, old, new, side, user="ann")
    assert [(each.code, each.field) for each in decision.reasons] == [
        (Code.OUT_OF_SIGHT, "spec.workflowTemplateRef")
    ]


def test_an_edit_between_templates_of_one_quota_is_recorded() -> None:
    """What a later policy selects by is what it refers to then."""
    policies = selecting(workflowTemplates=["etl", "report"])
    old = held(policies)
    new = merge(old, {"spec": {"workflowTemplateRef": {"name": "report"}}})
    changed = patched(new, decided_by(policies, old, new, Side.MUTATE, user="ann").patch)
    assert at(changed, "metadata", "annotations", well_known.REFERS_TO) == "WorkflowTemplate/report"
    assert decided_by(policies, old, changed, Side.VALIDATE, user="ann").allowed
    assert not decided_by(policies, old, new, Side.VALIDATE, user="ann").allowed


def test_an_edit_of_something_else_is_not_refused_where_nothing_is_recorded_yet() -> None:
    """A Workflow from before the quota waits by its new priority, though the quota selects its template."""
    old = referring("etl")
    held_before = snapshot(quota("all", limits={"workflows": 1}), template_object("etl", MAIN))
    old = patched(old, by("ann", old, held_before).patch)
    policies = selecting(workflowTemplates=["etl"])
    new = merge(old, {"spec": {"priority": 7}})
    changed = patched(new, decided_by(policies, old, new, Side.MUTATE, user="ann").patch)
    assert decided_by(policies, old, changed, Side.VALIDATE, user="ann").allowed


def test_nobody_edits_the_record() -> None:
    """It is a mark of ours like the others."""
    policies = selecting(workflowTemplates=["etl"])
    old = held(policies)
    new = merge(old, {"metadata": {"annotations": {well_known.REFERS_TO: None}}})
    decision = decided_by(policies, old, new, Side.VALIDATE, user="ann")
    assert Code.GUARDED_MARK in {each.code for each in decision.reasons}


def test_a_retry_stays_the_run_of_its_cron_workflow() -> None:
    """Whoever sends it: what was recorded at the create counts."""
    policies = selecting(cronWorkflows=["nightly"])
    run = workflow(MAIN, ownerReferences=[NIGHTLY])
    started = patched(run, by(ARGO, run, policies).patch)
    over = merge(
        started,
        {
            "metadata": {"labels": {well_known.COMPLETED: "true", well_known.INSTANCE_ID: None}},
            "status": {"phase": "Failed", "message": None},
        },
    )
    again = merge(over, {"metadata": {"labels": {well_known.COMPLETED: None}}, "status": {"phase": ""}})
    decision = decided_by(policies, over, again, Side.MUTATE, user="ann")
    assert decision.outcome is Outcome.QUEUED
    kept = at(patched(again, decision.patch), "metadata", "annotations", well_known.STARTED_BY)
    assert kept == "CronWorkflow/nightly"


def test_a_namespace_knows_whether_it_selects_by_references() -> None:
    """Computed once for each set of policies."""
    assert selecting(workflowTemplates=["etl"]).policies(NAMESPACE).by_reference
    assert not snapshot(quota(limits={"workflows": 1})).policies(NAMESPACE).by_reference
