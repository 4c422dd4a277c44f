"""Templates and schedules get their locks at their own admission, where a policy names their kind."""

from collections.abc import Sequence
from typing import Final

import msgspec
import pytest

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Decision, Operation, Outcome, Side
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Snapshot
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    at,
    cluster_lock_policy,
    definition,
    lock_policy,
    mutate,
    patched,
    review_of,
    rule,
    semaphore,
    semaphore_target,
    snapshot,
    template_object,
    workflow,
)

DB: Final = semaphore_target("db")
LOAD: Final[JsonObject] = {"name": "load", "container": {"image": "db:1"}}
SPEC: Final[JsonObject] = {"entrypoint": "load", "templates": [LOAD]}
KINDS: Final = ("WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
AT: Final[dict[str, tuple[str, ...]]] = {
    "WorkflowTemplate": ("spec",),
    "ClusterWorkflowTemplate": ("spec",),
    "CronWorkflow": ("spec", "workflowSpec"),
}


def _object(kind: str, spec: JsonObject = SPEC, **metadata: JsonValue) -> JsonObject:
    """Return an object of a kind whose WorkflowSpec is this."""
    namespaced: JsonObject = {} if kind == "ClusterWorkflowTemplate" else {"namespace": NAMESPACE}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": "nightly", **namespaced, **metadata},
        "spec": {"schedules": ["@daily"], "workflowSpec": spec} if kind == "CronWorkflow" else spec,
    }


def _policies(kinds: Sequence[str] = KINDS, **spec: JsonValue) -> Snapshot:
    given: dict[str, JsonValue] = {
        "match": {"kinds": list(kinds)},
        "semaphores": [definition("db")],
        "inject": [rule("r", DB, names=["load"])],
        **spec,
    }
    return snapshot(cluster_lock_policy("all", **given))


def _decide(obj: JsonObject, policies: Snapshot, old: JsonObject | None = None) -> Decision:
    return apply_policies(review_of(obj, old=old), policies, NOW)


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_of_a_kind_that_a_policy_names_gets_its_locks(kind: str) -> None:
    """In its own WorkflowSpec, with the annotation; the second pass and the validating side find it right."""
    obj, policies = _object(kind), _policies()
    decision = _decide(obj, policies)
    assert [each.template for each in decision.injected] == ["load"]
    changed = patched(obj, decision.patch)
    block = at(changed, *AT[kind], "templates", 0, "synchronization")
    assert block == {"semaphores": [semaphore("db")]}
    assert at(changed, "metadata", "annotations") == {"lockkeeper.dev/injected": "r: load"}
    assert _decide(changed, policies).patch == ()
    validated = apply_policies(review_of(changed, Side.VALIDATE), policies, NOW)
    assert (validated.outcome, validated.reasons) == (Outcome.ALLOWED, ())


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_of_another_kind_is_left_alone(kind: str) -> None:
    """Policies apply to Workflows alone unless they name more kinds."""
    others = [each for each in KINDS if each != kind]
    for kinds in (["Workflow"], others):
        assert _decide(_object(kind), _policies(kinds)) == Decision(Outcome.UNGOVERNED)


def test_a_policy_of_a_namespace_does_not_reach_templates_of_the_cluster() -> None:
    """All namespaces use them."""
    policy = lock_policy(match={"kinds": ["WorkflowTemplate"]}, inject=[rule("r", DB)])
    assert _decide(_object("ClusterWorkflowTemplate"), snapshot(policy)).outcome is Outcome.UNGOVERNED


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_outside_of_the_spec_is_not_reviewed(kind: str) -> None:
    """Argo writes the status of schedules all the time; labels and finalizers of wrong objects stay free."""
    obj = _object(kind)
    assert _decide({**obj, "status": {"active": []}}, _policies(), old=obj).outcome is Outcome.IGNORED
    going = _object(kind, deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["example.com/a"])
    assert _decide(_object(kind), _policies(), old=going).outcome is Outcome.IGNORED


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_of_an_object_that_is_being_deleted_gets_the_locks_too(kind: str) -> None:
    """While a finalizer delays the deletion of a template, Argo creates Workflows of it."""
    deleted = "2026-01-01T00:00:00Z"
    going = _object(kind, {**SPEC, "entrypoint": "x"}, deletionTimestamp=deleted)
    changed = _decide(going, _policies(), old=_object(kind, deletionTimestamp=deleted))
    assert [each.template for each in changed.injected] == ["load"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_of_the_spec_gets_the_locks_too(kind: str) -> None:
    """A lock that an edit removes is put back."""
    changed = _decide(_object(kind), _policies(), old=_object(kind, {"templates": []}))
    assert [each.template for each in changed.injected] == ["load"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_edit_is_refused_for_what_it_brings_and_not_for_what_was_wrong(kind: str) -> None:
    """A fault from before the policy must not block an edit of the rest."""
    policies = _policies(inject=[])
    wrong = _object(kind, {"synchronization": {"mutexes": [{}]}})
    assert [each.code for each in _decide(wrong, policies).reasons] == [Code.LOCK_NAME]
    again = _object(kind, {"synchronization": {"mutexes": [{}]}, "entrypoint": "a"})
    assert _decide(again, policies, old=wrong).reasons == ()
    worse = _object(kind, {"synchronization": {"mutexes": [{}], "semaphores": [{}]}})
    (reason,) = _decide(worse, policies, old=wrong).reasons
    assert reason.field.endswith("synchronization.semaphores[0]")


def test_a_schedule_is_selected_by_the_labels_of_what_it_makes() -> None:
    """So a policy for some Workflows applies to the schedules that create them."""
    policies = _policies(
        match={"kinds": ["CronWorkflow"], "workflows": {"matchLabels": {"team": "etl"}}},
    )
    obj = _object("CronWorkflow", labels={"team": "etl"})
    assert _decide(obj, policies).outcome is Outcome.UNGOVERNED
    spec = obj["spec"]
    assert isinstance(spec, dict)
    spec["workflowMetadata"] = {"labels": {"team": "etl"}}
    assert _decide(obj, policies).injected != ()


def test_deleting_is_never_reviewed() -> None:
    """Nor is a request for a subresource."""
    obj = _object("WorkflowTemplate")
    review = review_of(obj, operation=Operation.DELETE)
    assert apply_policies(review, _policies(), NOW).outcome is Outcome.IGNORED


@pytest.mark.parametrize("referenced", ["Warn", "Deny"])
@pytest.mark.parametrize(
    ("kinds", "mend"),
    [(["CronWorkflow"], "write the lock there"), (KINDS, "it was stored before the policy; apply it again")],
)
def test_a_schedule_of_a_template_that_lacks_a_lock_is_warned_of_or_refused(
    referenced: str, kinds: Sequence[str], mend: str
) -> None:
    """It cannot have templates of its own; the message gives the fix."""
    stored = template_object("base", SPEC)
    policy = cluster_lock_policy(
        match={"kinds": list(kinds), "referenced": referenced},
        semaphores=[definition("db")],
        inject=[rule("r", DB)],
    )
    obj = _object("CronWorkflow", {"workflowTemplateRef": {"name": "base"}})
    decision = _decide(obj, snapshot(policy, stored))
    refused = referenced == "Deny"
    told = [each.message for each in decision.reasons] if refused else list(decision.warnings)
    assert bool(decision.reasons) == refused
    assert len(told) == 1
    assert told[0].endswith(mend)


def test_a_template_of_the_cluster_has_no_namespace_whatever_the_request_has() -> None:
    """`lockkeeper review` reads files, and has one namespace for all of them."""
    review = review_of(_object("ClusterWorkflowTemplate"))
    asked = msgspec.structs.replace(review, namespace=NAMESPACE)
    assert apply_policies(asked, _policies(), NOW) == apply_policies(review, _policies(), NOW)


def _nightly(kind: str, how: str) -> JsonObject:
    """Return an object in which a template holds the lock around what a rule selects."""
    step: JsonObject = {"name": "s", "template": "load"}
    calls: JsonObject = {"steps": [[step]]} if how == "steps" else {"dag": {"tasks": [step]}}
    held: JsonObject = {"name": "all", "synchronization": {"semaphores": [semaphore("db")]}, **calls}
    return _object(kind, {"entrypoint": "all", "templates": [held, LOAD]})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["steps", "dag"])
@pytest.mark.parametrize("strategy", ["Auto", "Direct", "Clone", "Wrapper"])
def test_a_template_that_holds_a_lock_around_what_wants_it_can_be_created(
    kind: str, how: str, strategy: str
) -> None:
    """What is called gets no lock there; the copy for that is not taken for one that others call."""
    policies = _policies(inject=[{**rule("r", DB, names=["load"]), "strategy": strategy}])
    obj = _nightly(kind, how)
    changed = patched(obj, _decide(obj, policies).patch)
    assert _decide(changed, policies).patch == ()
    validated = apply_policies(review_of(changed, Side.VALIDATE), policies, NOW)
    assert (validated.outcome, validated.reasons) == (Outcome.ALLOWED, ())


def _stored() -> tuple[Snapshot, str]:
    """Return a cluster with such a template as it is stored, and the name of its copy without the lock."""
    policies = _policies(("Workflow", "WorkflowTemplate"))
    obj = _nightly("WorkflowTemplate", "steps")
    spec = at(patched(obj, _decide(obj, policies).patch), "spec")
    assert isinstance(spec, dict)
    name = at(spec, "templates", 2, "name")
    assert isinstance(name, str)
    assert name.startswith("load-lk")
    policy = cluster_lock_policy(
        "all",
        match={"kinds": ["Workflow", "WorkflowTemplate"]},
        semaphores=[definition("db")],
        inject=[rule("r", DB, names=["load"])],
    )
    return snapshot(policy, template_object("nightly", spec)), name


def test_who_calls_a_copy_without_the_lock_from_elsewhere_gets_the_lock() -> None:
    """So the copy is no way around the rule."""
    policies, name = _stored()
    call: JsonObject = {"name": "s", "templateRef": {"name": "nightly", "template": name}}
    decision = mutate(
        workflow({"entrypoint": "m", "templates": [{"name": "m", "steps": [[call]]}]}), policies
    )
    assert [each.lock for each in decision.injected] == ["team-a/ConfigMap/limits/db"]
    call["templateRef"] = {"name": "nightly", "template": "load"}
    assert (
        mutate(workflow({"entrypoint": "m", "templates": [{"name": "m", "steps": [[call]]}]}), policies).patch
        == ()
    )


@pytest.mark.parametrize(
    ("field", "where"),
    [
        ("entrypoint", "spec.entrypoint"),
        ("onExit", "spec.onExit"),
        ("hooks", "spec.hooks.exit.template"),
    ],
)
def test_who_starts_a_copy_without_the_lock_is_refused(field: str, where: str) -> None:
    """A Workflow without templates has no place for the lock."""
    policies, name = _stored()
    value: JsonValue = {"exit": {"template": name}} if field == "hooks" else name
    decision = mutate(workflow({"workflowTemplateRef": {"name": "nightly"}, field: value}), policies)
    [reason] = decision.reasons
    assert (reason.code, reason.field) == (Code.LOCK_CONFLICT, where)
    assert reason.message == (
        f'"{name}" is generated from "load" for calls in its own object, with the locks that these calls '
        'need. Write "load"'
    )
    named: JsonValue = {"exit": {"template": "load"}} if field == "hooks" else "load"
    assert mutate(workflow({"workflowTemplateRef": {"name": "nightly"}, field: named}), policies).allowed
