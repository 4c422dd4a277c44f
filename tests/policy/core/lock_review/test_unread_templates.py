"""What follows for policies and Workflows where a namespace has more objects than are read."""

from datetime import UTC, datetime

import msgspec
import pytest

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Operation, Outcome, Review, Side
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.read_extent import WHOLE, Extent, LeftOut
from policy.core.objects.template_keys import ObjectKind
from policy.core.objects.well_known import COMPLETED
from policy.core.objects.workflow import TemplateObject, Workflow
from policy.core.policies.conflicts import FindingKind, all_findings
from policy.core.policies.snapshot import Document, Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import PolicyMetadata, SynchronizationPolicy, WorkflowQuota
from policy.core.policy_kinds.quota_parts import QuotaLimits, WorkflowQuotaSpec

NOW = datetime(2026, 11, 30, tzinfo=UTC)
BEYOND = LeftOut("WorkflowTemplate", "team-a", 40, 2000, "2000 objects, 4 MiB")
AT_THE_BOUND = Extent(left_out={("WorkflowTemplate", "team-a"): BEYOND})


def template(name: str, calls: str = "") -> TemplateObject:
    """Return a template, which may call one of another object."""
    step: JsonObject = {"name": "s", "templateRef": {"name": calls, "template": "main"}}
    body: JsonObject = {"name": "main", "steps": [[step]]} if calls else {"name": "main"}
    return msgspec.convert(
        {
            "kind": "WorkflowTemplate",
            "metadata": {"name": name, "namespace": "team-a"},
            "spec": {"entrypoint": "main", "templates": [body]},
        },
        TemplateObject,
    )


def quota(namespace: str) -> WorkflowQuota:
    """Return a quota of a namespace."""
    return WorkflowQuota(
        metadata=PolicyMetadata(name="q", namespace=namespace),
        spec=WorkflowQuotaSpec(limits=QuotaLimits(workflows=5)),
    )


def snapshot(extent: Extent = AT_THE_BOUND) -> Snapshot:
    """Return a snapshot in which two templates are known, one of which calls another that is not."""
    quotas = [quota("team-a"), quota("team-b")]
    documents: list[Document] = [*quotas, template("known"), template("leads-on", "hidden")]
    return take_snapshot(documents, version="1", argo=ArgoVersion(4, 1), extent=extent)


def outcome(spec: JsonObject, within: Snapshot, namespace: str = "team-a") -> list[str]:
    """Return why a create is refused, or nothing."""
    value: JsonObject = {"metadata": {"name": "w", "namespace": namespace}, "spec": spec}
    review = Review(
        uid="u",
        side=Side.MUTATE,
        operation=Operation.CREATE,
        namespace=namespace,
        user="jane",
        dry_run=False,
        workflow=msgspec.convert(value, Workflow),
        raw=msgspec.Raw(msgspec.json.encode(value)),
    )
    decision = apply_policies(review, within, NOW)
    assert all(each.code is Code.UNKNOWN_REFERENCE for each in decision.reasons)
    assert (decision.outcome is Outcome.DENIED) == bool(decision.reasons)
    return [f"{each.field}: {each.message}" for each in decision.reasons]


def calling(name: str) -> JsonObject:
    """Return the spec of a Workflow with a step that calls a template of another object."""
    step: JsonObject = {"name": "s", "templateRef": {"name": name, "template": "main"}}
    return {"entrypoint": "main", "templates": [{"name": "main", "steps": [[step]]}]}


WAYS: list[tuple[str, JsonObject]] = [
    ("spec.workflowTemplateRef", {"workflowTemplateRef": {"name": "hidden"}}),
    ("spec.workflowTemplateRef", {"workflowTemplateRef": {"name": "leads-on"}}),
    ("spec.templates[0].steps[0][0]", calling("hidden")),
    ("spec.templates[0].steps[0][0]", calling("leads-on")),
]


@pytest.mark.parametrize(("field", "spec"), WAYS)
def test_a_workflow_that_leads_to_a_template_left_out_is_refused(field: str, spec: JsonObject) -> None:
    """It could have labels, tasks and bodies that are unknown here."""
    (said,) = outcome(spec, snapshot())
    assert said.startswith(field)
    assert said.endswith(
        "leads to WorkflowTemplate hidden, which is not known: namespace team-a has more WorkflowTemplates "
        "than are read (2000 objects, 4 MiB): the oldest 2000 are known, and the newest 40 are left out. "
        "Delete WorkflowTemplates that are not needed, or ask for fewer in one namespace"
    )


@pytest.mark.parametrize(("field", "spec"), WAYS)
def test_another_namespace_does_not_suffer_from_a_flood(field: str, spec: JsonObject) -> None:
    """What it refers to is as unknown there as ever, and nothing is refused for the bound of another."""
    assert field
    assert outcome(spec, snapshot(), "team-b") == []
    assert outcome(spec, snapshot(WHOLE)) == []


def test_what_is_known_is_allowed_at_the_bound() -> None:
    """Workflows with templates from before the flood are still admitted."""
    assert outcome({"workflowTemplateRef": {"name": "known"}}, snapshot()) == []
    assert outcome(calling("known"), snapshot()) == []


def test_the_policies_of_a_namespace_report_that_its_bound_is_reached() -> None:
    """How many are left out, and the consequence; the policies of others report nothing."""
    (found,) = all_findings(snapshot()).items()
    name, findings = found
    assert str(name) == "WorkflowQuota team-a/q"
    (finding,) = findings
    assert finding.kind is FindingKind.BOUND_REACHED
    assert str(finding) == (
        "metadata.namespace: namespace team-a has more WorkflowTemplates than are read (2000 objects, "
        "4 MiB): the oldest 2000 are known, and the newest 40 are left out; Workflows that refer to those "
        "left out are refused: delete some of them"
    )


def test_templates_of_the_cluster_left_out_are_reported_on_every_policy() -> None:
    """Any namespace may refer to them."""
    beyond = LeftOut("ClusterWorkflowTemplate", "", 1, 2000, "2000 objects, 4 MiB")
    found = all_findings(snapshot(Extent(left_out={("ClusterWorkflowTemplate", ""): beyond})))
    assert sorted(map(str, found)) == ["WorkflowQuota team-a/q", "WorkflowQuota team-b/q"]


def lock_fault(extent: Extent, namespace: str, **validate: str) -> list[str]:
    """Return the message about a lock on an unknown key."""
    policy = msgspec.convert(
        {"metadata": {"name": "p", "namespace": "team-a"}, "spec": {"validate": {**validate}}},
        SynchronizationPolicy,
    )
    within = take_snapshot([policy], version="1", argo=ArgoVersion(4, 1), extent=extent)
    semaphore: JsonObject = {"configMapKeyRef": {"name": "limits", "key": "db"}, "namespace": namespace}
    spec: JsonObject = {
        "entrypoint": "main",
        "templates": [{"name": "main", "container": {}, "synchronization": {"semaphores": [semaphore]}}],
    }
    value: JsonObject = {"metadata": {"name": "w", "namespace": "team-a"}, "spec": spec}
    review = Review(
        uid="u",
        side=Side.MUTATE,
        operation=Operation.CREATE,
        namespace="team-a",
        user="jane",
        dry_run=False,
        workflow=msgspec.convert(value, Workflow),
        raw=msgspec.Raw(msgspec.json.encode(value)),
    )
    return [f"{each.code.value}: {each.message}" for each in apply_policies(review, within, NOW).reasons]


def test_a_key_that_may_be_left_out_is_not_just_called_undefined() -> None:
    """Its author would look for a slip of the pen that is none."""
    beyond = LeftOut("ConfigMap", "team-a", 3, 900, "10000 keys, 1 MiB")
    read = Extent(config_maps=frozenset({"team-a"}), left_out={("ConfigMap", "team-a"): beyond})
    (said,) = lock_fault(read, "team-a")
    assert said.startswith("LockUndefined: ")
    assert said.endswith(
        "It may be among those left out: namespace team-a has more ConfigMaps than are read (10000 keys, "
        "1 MiB): the oldest 900 are known, and the newest 3 are left out. Delete ConfigMaps that are "
        "not needed"
    )


def test_a_lock_of_a_namespace_that_is_not_read_is_not_called_undefined() -> None:
    """It is unknown which ConfigMaps exist; for those that are read the message is as before."""
    read = Extent(config_maps=frozenset({"team-a"}))
    assert lock_fault(read, "team-b", crossNamespace="Allow") == []
    named = Extent(config_maps=frozenset({"team-a"}), named=frozenset({("team-b", "limits")}))
    (said,) = lock_fault(named, "team-b", crossNamespace="Allow")
    assert said.startswith("LockUndefined: ")


def update(old: JsonObject, new: JsonObject, kind: ObjectKind, within: Snapshot) -> list[str]:
    """Return why an update of a spec is refused, or nothing."""
    metadata: JsonObject = {"name": "x", "namespace": "team-a"}
    before: JsonObject = {"kind": kind.value, "metadata": metadata, "spec": old}
    after: JsonObject = {**before, "spec": new}
    template = kind is ObjectKind.WORKFLOW_TEMPLATE
    review = Review(
        uid="u",
        side=Side.VALIDATE,
        operation=Operation.UPDATE,
        namespace="team-a",
        user="jane",
        dry_run=False,
        kind=kind,
        workflow=None if template else msgspec.convert(after, Workflow),
        old=None if template else msgspec.convert(before, Workflow),
        template=msgspec.convert(after, TemplateObject) if template else None,
        raw=msgspec.Raw(msgspec.json.encode(after)),
        old_raw=msgspec.Raw(msgspec.json.encode(before)),
    )
    return [f"{each.code.value} {each.field}" for each in apply_policies(review, within, NOW).reasons]


def locked(extent: Extent) -> Snapshot:
    """Return a snapshot in which a policy of locks applies to templates too."""
    match = {"kinds": ["Workflow", "WorkflowTemplate"]}
    policy = msgspec.convert(
        {"metadata": {"name": "p", "namespace": "team-a"}, "spec": {"match": match}}, SynchronizationPolicy
    )
    documents: list[Document] = [policy, template("known")]
    return take_snapshot(documents, version="1", argo=ArgoVersion(4, 1), extent=extent)


def test_an_edit_may_not_lead_a_workflow_that_waits_to_a_template_left_out() -> None:
    """It was admitted with another; a fault from before does not block an edit."""
    within, kind = locked(AT_THE_BOUND), ObjectKind.WORKFLOW
    known: JsonObject = {"workflowTemplateRef": {"name": "known"}}
    hidden: JsonObject = {"workflowTemplateRef": {"name": "hidden"}}
    assert update(known, hidden, kind, within) == ["UnknownReference spec.workflowTemplateRef"]
    assert update(hidden, {**hidden, "priority": 3}, kind, within) == []
    assert "UnknownReference" not in "".join(update(known, hidden, kind, locked(WHOLE)))


def test_a_template_that_others_run_may_not_be_led_to_one_left_out() -> None:
    """A waiting Workflow runs the template as it is when it starts."""
    within, kind = locked(AT_THE_BOUND), ObjectKind.WORKFLOW_TEMPLATE
    assert update(calling("known"), calling("hidden"), kind, within) == [
        "UnknownReference spec.templates[0].steps[0][0]"
    ]
    edited: JsonObject = {**calling("hidden"), "priority": 3}
    assert update(calling("hidden"), edited, kind, within) == []
    assert update(calling("known"), calling("hidden"), kind, locked(WHOLE)) == []


@pytest.mark.parametrize(("field", "spec"), WAYS)
def test_a_workflow_created_as_completed_is_not_redirected_to_a_template_left_out_and_then_run(
    field: str, spec: JsonObject
) -> None:
    """The spec of a completed Workflow is not reviewed until it is to run again."""
    began: JsonObject = {"startedAt": "2026-11-30T00:00:00Z"}
    assert retry(spec, began, snapshot()) == [f"UnknownReference {field}"]
    assert retry(spec, began, snapshot(WHOLE)) == []


@pytest.mark.parametrize("name", ["hidden", "leads-on"])
def test_a_retry_continues_with_the_stored_copy_of_a_template_that_was_left_out_since(name: str) -> None:
    """Argo does not look at the template again."""
    spec: JsonObject = {"workflowTemplateRef": {"name": name}}
    assert retry(spec, {"storedWorkflowTemplateSpec": {"entrypoint": "main"}}, snapshot()) == []


def retry(spec: JsonObject, status: JsonObject, within: Snapshot) -> list[str]:
    """Return why a Workflow with this spec and status may not be made to run again, or nothing."""
    metadata: JsonObject = {"name": "w", "namespace": "team-a"}
    after: JsonObject = {"metadata": metadata, "spec": spec, "status": status}
    before: JsonObject = {
        **after,
        "metadata": {**metadata, "labels": {COMPLETED: "true"}},
        "status": {**status, "phase": "Failed"},
    }
    review = Review(
        uid="u",
        side=Side.MUTATE,
        operation=Operation.UPDATE,
        namespace="team-a",
        user="jane",
        dry_run=False,
        workflow=msgspec.json.decode(msgspec.json.encode(after), type=Workflow),
        old=msgspec.json.decode(msgspec.json.encode(before), type=Workflow),
        raw=msgspec.Raw(msgspec.json.encode(after)),
        old_raw=msgspec.Raw(msgspec.json.encode(before)),
    )
    return [f"{each.code.value} {each.field}" for each in apply_policies(review, within, NOW).reasons]
