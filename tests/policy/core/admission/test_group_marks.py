"""Keys of groups at admission: what is recorded, what is refused, and which edits may follow."""

import json
from typing import Final

import pytest

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Outcome
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document, Snapshot
from tests.policy.core.admission.task_cases import edited, stored
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    mutate,
    patched,
    quota,
    review_of,
    snapshot,
    template_object,
    texts,
    validate,
    workflow,
)

KEY: Final = "{{workflow.labels.repo}}/{{workflow.parameters.branch}}"
SOURCE: Final = "WorkflowQuota team-a/ci group branch"


def grouped(
    *others: Document, missing: str = "Ignore", key: str = KEY, selector: JsonValue = None
) -> Snapshot:
    """Return a namespace with a group, and a quota for all beside it."""
    groups: JsonValue = [{"name": "branch", "key": key, "missing": missing}]
    of_group = quota("ci", groups=groups, selector=selector or {})
    return snapshot(quota("all", limits={"workflows": 9}), of_group, *others)


def build(branch: JsonValue = "main", **labels: JsonValue) -> JsonObject:
    """Return a build of a branch of a repository; None has no branch."""
    given: JsonValue = [] if branch is None else [{"name": "branch", "value": branch}]
    return workflow({"arguments": {"parameters": given}}, labels={"repo": "shop", **labels})


def keys_of(obj: JsonObject) -> JsonValue:
    """Return the keys that are recorded of a Workflow."""
    text = texts(obj, "metadata", "annotations").get(well_known.GROUPS)
    return json.loads(text) if isinstance(text, str) else None


def test_the_key_is_recorded_whatever_the_user_claims() -> None:
    """On both sides of the webhook, and with no second change."""
    policies = grouped()
    claimed = build(branch=7)
    claimed["metadata"] = {
        "name": "a",
        "labels": {"repo": "shop"},
        "annotations": {well_known.GROUPS: '{"' + KEY + '": "other/1"}'},
    }
    assert keys_of(stored(build(branch=7), policies)) == {KEY: "shop/7"}
    assert keys_of(patched(claimed, mutate(claimed, policies).patch)) == {KEY: "shop/7"}


def test_the_template_gives_what_the_workflow_leaves_out() -> None:
    """Its arguments are the defaults of those that refer to it."""
    template = template_object("build", {"arguments": {"parameters": [{"name": "branch", "value": "dev"}]}})
    obj = workflow({"workflowTemplateRef": {"name": "build"}}, labels={"repo": "shop"})
    assert keys_of(stored(obj, grouped(template))) == {KEY: "shop/dev"}


@pytest.mark.parametrize(("branch", "labels"), [(None, {}), ("", {}), ("main", {"repo": ""})])
def test_one_that_lacks_a_part_is_in_no_group(branch: JsonValue, labels: JsonObject) -> None:
    """It counts on the other quotas alone."""
    decision = mutate(build(branch, **labels), grouped())
    assert decision.allowed
    assert keys_of(patched(build(branch, **labels), decision.patch)) is None


def test_one_that_lacks_a_part_is_refused_where_the_group_says_so() -> None:
    """Every part that it lacks is named, by the field to set."""
    decision = mutate(workflow({}), grouped(missing="Deny"))
    assert [(each.code, each.field, each.policy) for each in decision.reasons] == [
        (Code.GROUP_KEY_MISSING, "metadata.labels[repo]", SOURCE),
        (Code.GROUP_KEY_MISSING, "spec.arguments.parameters[branch]", SOURCE),
    ]
    assert decision.reasons[0].message == (
        f"is absent or empty, and a part of the key {KEY} that each Workflow needs here: give it a value"
    )
    assert mutate(build(), grouped(missing="Deny")).allowed


def test_only_those_that_the_quota_selects_need_all_parts() -> None:
    """A group counts as its quota does."""
    policies = grouped(missing="Deny", selector={"matchLabels": {"kind": "build"}})
    assert mutate(workflow({}), policies).allowed
    assert not mutate(workflow({}, labels={"kind": "build"}), policies).allowed


def test_the_key_may_not_change_while_the_workflow_lives() -> None:
    """By the message its author knows which field made it change."""
    policies = grouped()
    held = stored(build(), policies)
    decision = edited(held, {"metadata": {"labels": {"repo": "cart"}}}, policies)
    assert [(each.code, each.field, each.policy) for each in decision.reasons] == [
        (Code.OUT_OF_SIGHT, "metadata.labels[repo]", SOURCE)
    ]
    assert decision.reasons[0].message == (
        f"is a part of the key {KEY}, which may not change before the Workflow is over (its key shop/main "
        "would become cart/main): delete the Workflow and create it anew"
    )
    without = edited(held, {"metadata": {"labels": {"repo": None}}}, policies)
    assert "(it would have no key)" in without.reasons[0].message


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {"other": "x"}}},
        {"metadata": {"annotations": {"note": "x"}}},
        {"spec": {"arguments": {"parameters": [{"name": "branch", "value": "main"}, {"name": "b"}]}}},
    ],
)
def test_what_is_no_part_of_the_key_may_change(change: JsonObject) -> None:
    """A group does not freeze a Workflow."""
    policies = grouped()
    assert edited(stored(build(), policies), change, policies).reasons == ()


def test_the_key_of_a_group_that_does_not_select_a_workflow_may_change() -> None:
    """A label of that name has another meaning there."""
    policies = grouped(key="{{workflow.labels.repo}}", selector={"matchLabels": {"kind": "release"}})
    held = stored(build(), policies)
    assert edited(held, {"metadata": {"labels": {"repo": "cart"}}}, policies).reasons == ()


def test_the_mark_itself_is_nobodys_to_edit() -> None:
    """Who could write it could jump to another key."""
    policies = grouped()
    held = stored(build(), policies)
    change: JsonObject = {"metadata": {"annotations": {well_known.GROUPS: "{}"}}}
    assert edited(held, change, policies).outcome is Outcome.DENIED
    assert validate(held, policies).allowed


def test_without_groups_nothing_is_recorded_and_no_claim_stays() -> None:
    """Who uses no groups has no annotation of them."""
    policies = snapshot(quota("all", limits={"workflows": 9}))
    assert keys_of(stored(build(), policies)) is None
    claimed = build()
    claimed["metadata"] = {"name": "a", "annotations": {well_known.GROUPS: "{}"}}
    assert keys_of(patched(claimed, mutate(claimed, policies).patch)) is None


def cron(*, parameters: JsonValue = None, labels: JsonObject | None = None) -> JsonObject:
    """Return a CronWorkflow whose runs have these arguments and labels."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "CronWorkflow",
        "metadata": {"name": "nightly", "namespace": NAMESPACE},
        "spec": {
            "schedules": ["0 3 * * *"],
            "workflowMetadata": {"labels": labels or {"repo": "shop"}},
            "workflowSpec": {"arguments": {"parameters": parameters or []}},
        },
    }


def warned_of(obj: JsonObject, policies: Snapshot) -> tuple[str, ...]:
    """Return the warnings about a CronWorkflow."""
    decision = apply_policies(review_of(obj), policies, NOW)
    assert decision.allowed
    return decision.warnings


def test_who_writes_a_schedule_is_warned_of_runs_that_would_be_refused() -> None:
    """The schedule is stored long before its first run, and Argo alone would see the refusal."""
    (warning,) = warned_of(cron(), grouped(missing="Deny"))
    assert warning == (
        "lockkeeper: spec.workflowSpec.arguments.parameters[branch]: is absent or empty, and a part of the "
        f"key {KEY} that each Workflow needs here: give it a value, or every run is refused ({SOURCE})"
    )
    assert "spec.workflowMetadata.labels[repo]: " in "".join(
        warned_of(cron(labels={"other": "x"}), grouped(missing="Deny"))
    )


def test_of_a_schedule_whose_template_is_not_known_nothing_is_said() -> None:
    """The template may give what the schedule leaves out; where it is known, it is looked at."""
    policies, obj = grouped(missing="Deny"), cron()
    obj["spec"] = {**obj["spec"], "workflowSpec": {"workflowTemplateRef": {"name": "build"}}}  # type: ignore[dict-item]
    assert warned_of(obj, policies) == ()
    main: JsonValue = [{"name": "branch", "value": "main"}]
    gives = template_object("build", {"arguments": {"parameters": main}})
    assert warned_of(obj, grouped(gives, missing="Deny")) == ()
    assert len(warned_of(obj, grouped(template_object("build", {}), missing="Deny"))) == 1


def test_a_schedule_whose_runs_have_all_parts_is_no_matter_of_groups() -> None:
    """Nor is one that no such group selects; its own name is a part that its runs have."""
    main: JsonValue = [{"name": "branch", "value": "main"}]
    assert warned_of(cron(parameters=main), grouped(missing="Deny")) == ()
    assert warned_of(cron(), grouped()) == ()
    assert warned_of(cron(), grouped(missing="Deny", key="{{workflow.cron}}/{{user}}")) == ()
    other: JsonObject = {"matchLabels": {"kind": "build"}}
    assert warned_of(cron(), grouped(missing="Deny", selector=other)) == ()
