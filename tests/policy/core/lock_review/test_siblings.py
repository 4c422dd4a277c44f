"""A Workflow without templates of its own is redirected to a copy of its template that has the locks."""

from collections.abc import Sequence
from typing import Final

import msgspec
import pytest

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Decision, Operation, Outcome, Side
from policy.core.lock_model.generated_names import Sibling, is_sibling, is_sibling_name
from policy.core.lock_review.siblings import manifest, wanted_siblings, with_siblings
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import Metadata, TemplateObject
from policy.core.policies.snapshot import Document, Snapshot
from tests.policy.core.builders import (
    NOW,
    at,
    cluster_lock_policy,
    definition,
    lock_policy,
    mutate,
    namespace_object,
    patched,
    quota,
    review,
    review_of,
    rule,
    semaphore,
    semaphore_target,
    snapshot,
    template_object,
    validate,
    workflow,
)

DB: Final = semaphore_target("db")
LOCKED: Final[JsonObject] = {"semaphores": [semaphore("db")]}
LOAD: Final[JsonObject] = {"name": "load", "container": {"image": "a"}}
SPEC: Final[JsonObject] = {"entrypoint": "load", "templates": [LOAD], "arguments": {"parameters": []}}
NOTE: Final = "r: load"


def policy(name: str = "locks", *rules: JsonObject, **match: JsonValue) -> Document:
    """Return a policy that redirects to siblings."""
    return lock_policy(
        name,
        match={"referenced": "Sibling", **match},
        semaphores=[definition("db")],
        inject=list(rules) or [rule("r", DB)],
    )


def base(spec: JsonObject = SPEC, *, uid: str = "u1", **more: str) -> TemplateObject:
    """Return the template that Workflows refer to."""
    made = template_object("base", spec, **more)
    return msgspec.structs.replace(made, metadata=msgspec.structs.replace(made.metadata, uid=uid))


def stored(sibling: Sibling, **changed: JsonValue) -> TemplateObject:
    """Return a sibling as the API server has it, perhaps with another spec."""
    obj = {**manifest(sibling, "u1"), **changed}
    text = msgspec.json.encode(obj["spec"]).decode()
    return msgspec.structs.replace(msgspec.convert(obj, TemplateObject), text=text)


def wanted(*documents: Document) -> Sibling:
    """Return the one sibling that is wanted."""
    (found,) = wanted_siblings(snapshot(*documents))
    return found


def made(*documents: Document) -> tuple[Sibling, Snapshot]:
    """Return the one sibling that is wanted, and the snapshot that has it."""
    found = wanted(*documents)
    return found, snapshot(*documents, stored(found))


def ref(name: str = "base", **more: JsonValue) -> JsonObject:
    """Return a Workflow without templates of its own."""
    return workflow({"workflowTemplateRef": {"name": name, **more}})


def codes(decision: Decision) -> list[Code]:
    """Return why something is refused."""
    return [each.code for each in decision.reasons]


def admitted(obj: JsonObject, policies: Snapshot) -> JsonObject:
    """Return a Workflow as the mutating side leaves it and the validating side lets it pass."""
    decision = mutate(obj, policies)
    assert decision.reasons == ()
    changed = patched(obj, decision.patch)
    checked = validate(changed, policies)
    assert (checked.outcome, checked.reasons) == (Outcome.ALLOWED, ())
    assert mutate(changed, policies).patch == ()
    return changed


def updated(old: JsonObject, new: JsonObject, policies: Snapshot, side: Side = Side.MUTATE) -> Decision:
    """Return what is decided about an update."""
    given = review(new, side, operation=Operation.UPDATE)
    raw = msgspec.Raw(msgspec.json.encode(old))
    return apply_policies(
        msgspec.structs.replace(given, old=msgspec.json.decode(raw, type=type(given.workflow)), old_raw=raw),
        policies,
        NOW,
    )


def test_a_workflow_is_redirected_to_the_sibling_that_has_the_locks() -> None:
    """Both sides agree, and the marks of the Workflow name its sibling and the template."""
    sibling, policies = made(policy(), base())
    decision = mutate(ref(), policies)
    assert [(each.template, each.rule) for each in decision.injected] == [("load", "r")]
    changed = admitted(ref(), policies)
    assert at(changed, "spec") == {"workflowTemplateRef": {"name": sibling.name}}
    assert at(changed, "metadata", "labels") == {well_known.SIBLING: sibling.mark}
    assert at(changed, "metadata", "annotations") == {
        well_known.SIBLING_OF: "WorkflowTemplate/base",
        well_known.INJECTED: NOTE,
    }


def test_a_sibling_is_the_template_with_the_locks() -> None:
    """Kubernetes removes it with its origin, and its name fits where Argo writes it."""
    sibling = wanted(policy(), base())
    obj = manifest(sibling, "u1")
    assert at(obj, "spec") == {**SPEC, "templates": [{**LOAD, "synchronization": LOCKED}]}
    assert at(obj, "metadata") == {
        "name": f"base-{sibling.mark}",
        "namespace": "team-a",
        "labels": {well_known.SIBLING: sibling.mark},
        "annotations": {well_known.SIBLING_OF: "WorkflowTemplate/base", well_known.INJECTED: NOTE},
        "ownerReferences": [
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "WorkflowTemplate",
                "name": "base",
                "uid": "u1",
            }
        ],
    }
    assert len(sibling.mark) == 12
    assert is_sibling_name(sibling.name)


def test_while_the_sibling_is_not_there_the_workflow_is_to_be_tried_again() -> None:
    """It is being made; a Workflow that ran without it would run without the locks."""
    policies = snapshot(policy(), base())
    for decision in (mutate(ref(), policies), validate(ref(), policies)):
        assert codes(decision) == [Code.SIBLING_AWAITED]
        assert decision.reasons[0].field == "spec.workflowTemplateRef"
        assert wanted(policy(), base()).name in decision.reasons[0].message


def test_a_workflow_that_the_mutating_side_did_not_redirect_is_refused() -> None:
    """It was away."""
    _, policies = made(policy(), base())
    assert set(codes(validate(ref(), policies))) == {Code.NOT_MUTATED}


@pytest.mark.parametrize(
    "documents",
    [
        (policy(), base(uid="u2")),
        (policy(), base({**SPEC, "entrypoint": "other"})),
        (policy("locks", rule("r", semaphore_target("gpu"), names=["load"])), base()),
        (cluster_lock_policy(match={"referenced": "Sibling"}, inject=[rule("r", {"mutex": "m"})]), base()),
    ],
)
def test_other_content_or_another_origin_has_another_name(documents: Sequence[Document]) -> None:
    """So that no sibling is ever edited."""
    first = wanted(policy(), base())
    found = list(wanted_siblings(snapshot(*documents, namespace_object("team-a"))))
    assert first.name not in [each.name for each in found]


def test_the_same_content_has_the_same_name_however_it_is_written() -> None:
    """The API server has fields in an order of its own; rules that put the same locks make no difference."""
    turned = dict(reversed(SPEC.items()))
    named = policy("locks", rule("other", DB))
    assert wanted(policy(), base()).name == wanted(named, base(turned)).name


@pytest.mark.parametrize("length", [1, 49, 50, 51, 200, 253])
def test_a_name_is_never_longer_than_a_label_may_be(length: int) -> None:
    """And it is a name for Kubernetes wherever it was cut."""
    name = ("a.-b" * 64)[: length - 1] + "c"
    template = template_object(name, SPEC)
    found = wanted(policy(), template)
    assert len(found.name) <= 63
    assert ".-lk" not in found.name
    assert "--lk" not in found.name


@pytest.mark.parametrize(
    "fake",
    [
        {"spec": SPEC},
        {
            "spec": {
                **SPEC,
                "templates": [{**LOAD, "container": {"image": "evil"}, "synchronization": LOCKED}],
            }
        },
        {"metadata": {"name": "NAME", "namespace": "team-a"}},
    ],
    ids=["without locks", "of something else", "without the label"],
)
def test_a_template_that_a_user_wrote_under_the_name_is_not_used(fake: JsonObject) -> None:
    """A user who may create templates must not get others' Workflows to run them."""
    sibling = wanted(policy(), base())
    if "metadata" in fake:
        fake = {"metadata": {"name": sibling.name, "namespace": "team-a"}}
    policies = snapshot(policy(), base(), stored(sibling, **fake))
    assert codes(mutate(ref(), policies)) == [Code.SIBLING_AWAITED]


def test_a_template_of_the_cluster_has_a_sibling_in_each_namespace() -> None:
    """The Workflow refers to one of its namespace then."""
    everywhere = cluster_lock_policy(
        namespaceSelector={"matchLabels": {"team": "yes"}},
        match={"referenced": "Sibling"},
        inject=[rule("r", {"mutex": "m"})],
    )
    template = base(kind="ClusterWorkflowTemplate")
    documents: tuple[Document, ...] = (
        everywhere,
        template,
        *(namespace_object(name, team=team) for name, team in (("team-a", "yes"), ("b", "yes"), ("c", "no"))),
    )
    found = list(wanted_siblings(snapshot(*documents)))
    assert [each.namespace for each in found] == ["b", "team-a"]
    policies = snapshot(*documents, *map(stored, found))
    changed = admitted(ref(clusterScope=True), policies)
    assert at(changed, "spec") == {"workflowTemplateRef": {"name": found[1].name}}
    assert at(changed, "metadata", "annotations", well_known.SIBLING_OF) == "ClusterWorkflowTemplate/base"
    again = snapshot(*documents[1:], lock_policy(match={"referenced": "Sibling"}), *map(stored, found))
    assert at(admitted(changed, again), "spec", "workflowTemplateRef") == {
        "name": "base",
        "clusterScope": True,
    }


def test_where_locks_cannot_be_put_no_sibling_is_created_and_the_message_gives_the_reason() -> None:
    """The message names the template and the place in it."""
    broken = lock_policy(match={"referenced": "Sibling"}, inject=[rule("r", DB)])
    policies = snapshot(broken, base())
    assert list(wanted_siblings(policies)) == []
    decision = mutate(ref(), policies)
    assert codes(decision) == [Code.LOCK_UNDEFINED]
    assert decision.reasons[0].field == "spec.workflowTemplateRef"
    assert decision.reasons[0].message.startswith(
        "WorkflowTemplate base spec.templates[0].synchronization: SynchronizationPolicy team-a/locks injects"
    )


def test_a_template_that_lacks_nothing_has_no_sibling() -> None:
    """And a Workflow of it is as it was."""
    locked = base({**SPEC, "templates": [{**LOAD, "synchronization": LOCKED}]})
    policies = snapshot(policy(), locked)
    assert list(wanted_siblings(policies)) == []
    assert mutate(ref(), policies).patch == ()
    assert mutate(ref("unknown"), policies).reasons == ()


def test_a_sibling_has_no_sibling() -> None:
    """Neither the one that is wanted, nor one from before."""
    sibling, policies = made(policy(), base())
    assert [each.name for each in wanted_siblings(policies)] == [sibling.name]
    edited = base({**SPEC, "entrypoint": "x"})
    left = snapshot(policy("locks", rule("r", {"mutex": "m"})), edited, stored(sibling))
    assert [each.origin.name for each in wanted_siblings(left)] == ["base"]


def test_a_workflow_that_is_submitted_again_gets_what_its_template_is_now() -> None:
    """It names the earlier sibling, which may be deleted: its own annotation names the origin."""
    old, before = made(policy(), base())
    obj = admitted(ref(), before)
    now = (policy(), base({**SPEC, "entrypoint": "load", "parallelism": 3}))
    new = wanted(*now)
    for documents in ((*now, stored(new)), (*now, stored(new), stored(old))):
        changed = admitted(obj, snapshot(*documents))
        assert at(changed, "spec", "workflowTemplateRef", "name") == new.name
        assert at(changed, "metadata", "labels", well_known.SIBLING) == new.mark
    assert codes(mutate(obj, snapshot(*now))) == [Code.SIBLING_AWAITED]


def test_a_workflow_that_is_submitted_again_goes_back_to_a_template_that_lacks_nothing_now() -> None:
    """The marks go with it."""
    old, before = made(policy(), base())
    obj = admitted(ref(), before)
    warns = lock_policy(semaphores=[definition("db")], inject=[rule("r", DB)])
    changed = admitted(obj, snapshot(warns, base(), stored(old)))
    assert at(changed, "spec", "workflowTemplateRef") == {"name": "base"}
    assert at(changed, "metadata", "labels") == {}
    assert at(changed, "metadata", "annotations") == {}


def test_a_sibling_whose_origin_was_deleted_is_refused_to_workflows_whose_locks_it_lacks() -> None:
    """There is nothing to make another one of."""
    old = wanted(policy(), base())
    more = policy("locks", rule("r", DB), rule("s", {"mutex": "m"}))
    assert codes(mutate(ref(old.name), snapshot(more, stored(old)))) == [Code.LOCK_CONFLICT]
    assert mutate(ref(old.name), snapshot(policy(), stored(old))).reasons == ()


def test_applying_the_same_file_again_changes_nothing() -> None:
    """He sets the reference back to the origin; the Workflow stays where it is, even at an older sibling."""
    _, before = made(policy(), base())
    obj = admitted(ref(), before)
    applied: JsonObject = {**obj, "spec": {"workflowTemplateRef": {"name": "base"}, "priority": 3}}
    edited = base({**SPEC, "parallelism": 3})
    for policies in (before, snapshot(policy(), edited), snapshot(base())):
        decision = updated(obj, applied, policies)
        assert decision.reasons == ()
        assert at(patched(applied, decision.patch), "spec") == {**at_spec(obj), "priority": 3}
        assert codes(updated(obj, applied, policies, Side.VALIDATE)) == [Code.NOT_MUTATED]


def at_spec(obj: JsonObject) -> JsonObject:
    """Return the spec of an object."""
    spec = obj["spec"]
    assert isinstance(spec, dict)
    return spec


def test_a_workflow_that_is_not_completed_is_not_redirected_to_another_template_that_lacks_locks() -> None:
    """Nor may its marks be changed."""
    _, policies = made(policy(), base())
    obj = admitted(ref(), policies)
    other = snapshot(policy(), base(), template_object("other", SPEC))
    moved: JsonObject = {**obj, "spec": {"workflowTemplateRef": {"name": "other"}}}
    assert codes(updated(obj, moved, other)) == [Code.LOCK_DROPPED]
    unmarked: JsonObject = {**obj, "metadata": {"name": "build", "namespace": "team-a"}}
    assert Code.GUARDED_MARK in codes(updated(obj, unmarked, policies))


def test_a_workflow_that_runs_again_continues_with_its_sibling() -> None:
    """Argo stores what it runs in the status; another template now would change a running Workflow."""
    old, before = made(policy(), base())
    obj = admitted(ref(), before)
    over: JsonObject = {
        **obj,
        "metadata": {
            **at_metadata(obj),
            "labels": {well_known.SIBLING: old.mark, well_known.COMPLETED: "true"},
        },
        "status": {"phase": "Failed"},
    }
    again: JsonObject = {**obj, "status": {"phase": ""}}
    edited = (policy(), base({**SPEC, "parallelism": 3}))
    assert updated(over, again, snapshot(*edited, stored(old))).patch == ()
    assert codes(updated(over, again, snapshot(*edited))) == [Code.SIBLING_AWAITED]


def test_a_completed_workflow_may_name_the_origin_again_and_a_retry_redirects_it_again() -> None:
    """Applying the same file again sets the reference back; without effect until the Workflow runs again."""
    sibling, policies = made(policy(), base())
    obj = admitted(ref(), policies)
    labels: JsonObject = {well_known.SIBLING: sibling.mark, well_known.COMPLETED: "true"}
    over: JsonObject = {
        **obj,
        "metadata": {**at_metadata(obj), "labels": labels},
        "status": {"phase": "Failed"},
    }
    applied: JsonObject = {**over, "spec": ref()["spec"]}
    assert updated(over, applied, policies).patch == ()
    again: JsonObject = {**applied, "metadata": at_metadata(obj), "status": {"phase": ""}}
    led = patched(again, updated(applied, again, policies).patch)
    assert at(led, "spec", "workflowTemplateRef") == {"name": sibling.name}


def at_metadata(obj: JsonObject) -> JsonObject:
    """Return the metadata of an object."""
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)
    return metadata


def test_a_workflow_that_holds_the_lock_as_a_whole_is_not_redirected() -> None:
    """In the sibling its own tasks would wait for it."""
    _, policies = made(policy(), base())
    obj = workflow({"workflowTemplateRef": {"name": "base"}, "synchronization": LOCKED})
    assert mutate(obj, policies).patch == ()


def test_a_schedule_gets_no_warning_because_its_runs_are_redirected() -> None:
    """Unless the policy does not apply to Workflows: then there is a warning."""
    cron: JsonObject = {
        **workflow(),
        "kind": "CronWorkflow",
        "spec": {"workflowSpec": {"workflowTemplateRef": {"name": "base"}}},
    }
    kinds: list[JsonValue] = ["Workflow", "CronWorkflow"]
    led = apply_policies(review_of(cron), snapshot(policy(kinds=kinds), base()), NOW)
    assert (led.reasons, led.warnings) == ((), ())
    (warning,) = apply_policies(review_of(cron), snapshot(policy(kinds=kinds[1:]), base()), NOW).warnings
    assert "is not injected" in warning
    assert list(wanted_siblings(snapshot(policy(kinds=kinds[1:]), base()))) == []


def test_labels_of_a_workflow_decide_which_sibling_it_gets() -> None:
    """There is one for each set of policies that may apply to a Workflow."""
    fast = policy("fast", rule("f", {"mutex": "fast"}), workflows={"matchLabels": {"lane": "fast"}})
    documents = (policy("all"), fast, base())
    found = list(wanted_siblings(snapshot(*documents)))
    assert len(found) == 2
    policies = snapshot(*documents, *map(stored, found))
    usual = admitted(ref(), policies)
    special = admitted(
        {**ref(), "metadata": {"name": "w", "namespace": "team-a", "labels": {"lane": "fast"}}}, policies
    )
    names = [at(each, "spec", "workflowTemplateRef", "name") for each in (usual, special)]
    assert names == [each.name for each in found]


def test_more_selectors_than_siblings_are_made_for_are_refused_plainly() -> None:
    """Each doubles the number of siblings."""
    several = [policy(f"p{number}", workflows={"matchLabels": {"lane": str(number)}}) for number in range(4)]
    policies = snapshot(*several, base())
    assert list(wanted_siblings(policies)) == []
    labelled: JsonObject = {
        **ref(),
        "metadata": {"name": "w", "namespace": "team-a", "labels": {"lane": "1"}},
    }
    (reason,) = mutate(labelled, policies).reasons
    assert reason.code is Code.LOCK_CONFLICT
    assert "4 different match.workflows" in reason.message


@pytest.mark.parametrize("spec", [{"workflowTemplateRef": {"name": "base"}}, {"templates": [LOAD]}])
def test_marks_of_a_workflow_without_a_sibling_are_removed(spec: JsonObject) -> None:
    """They would keep the sibling of another Workflow from being removed."""
    obj: JsonObject = {
        **workflow(spec),
        "metadata": {
            "name": "build",
            "namespace": "team-a",
            "labels": {well_known.SIBLING: "lk0123456789", "own": "x"},
            "annotations": {well_known.SIBLING_OF: "WorkflowTemplate/base"},
        },
    }
    changed = admitted(
        obj, snapshot(lock_policy(inject=[rule("m", {"mutex": "m"}, names=["other"])]), base())
    )
    assert at(changed, "metadata", "labels") == {"own": "x"}
    assert at(changed, "metadata", "annotations") == {}


def test_without_the_text_of_a_template_there_is_no_sibling() -> None:
    """What is not read of a template would be lost in the copy."""
    unread = msgspec.structs.replace(base(), text="")
    (reason,) = mutate(ref(), snapshot(policy(), unread)).reasons
    assert (reason.code, reason.message) == (
        Code.LOCK_CONFLICT,
        "WorkflowTemplate base lacks locks, and its text is not known",
    )


def test_single_locks_become_lists_in_a_sibling_as_at_the_admission_of_a_template() -> None:
    """Argo 4 would drop them, and run the copy without them."""
    single: JsonObject = {**LOAD, "synchronization": {"mutex": {"name": "own"}}}
    sibling = wanted(policy(), base({**SPEC, "templates": [single]}))
    assert msgspec.json.decode(sibling.text)["templates"][0]["synchronization"] == {
        "mutexes": [{"name": "own"}],
        **LOCKED,
    }


def test_marks_join_those_of_quotas() -> None:
    """Whichever of them has to make the map of labels."""
    sibling, _ = made(policy(), base())
    policies = snapshot(policy(), base(), stored(sibling), quota(limits={"workflows": 0}))
    obj = ref()
    changed = patched(obj, mutate(obj, policies).patch)
    labels = at(changed, "metadata", "labels")
    assert isinstance(labels, dict)
    assert labels[well_known.SIBLING] == sibling.mark
    assert well_known.INSTANCE_ID in labels


TEMPLATE_POLICY: Final = lock_policy(
    "strict",
    match={"kinds": ["WorkflowTemplate"]},
    inject=[rule("m", {"mutex": "m"})],
)


def test_a_sibling_that_is_wanted_passes_the_admission_of_templates_unchanged() -> None:
    """Another policy would change it there, and then its content would not match its name."""
    documents = (policy(), TEMPLATE_POLICY, base())
    obj = manifest(wanted(*documents), "u1")
    for side in Side.MUTATE, Side.VALIDATE:
        assert apply_policies(review_of(obj, side), snapshot(*documents), NOW).outcome is Outcome.IGNORED


def test_a_user_who_labels_a_template_as_a_sibling_gains_nothing() -> None:
    """Only what would be made just so is let pass."""
    documents = (policy(), TEMPLATE_POLICY, base())
    obj = manifest(wanted(*documents), "u1")
    fake = {**obj, "spec": SPEC}
    policies = snapshot(*documents)
    assert apply_policies(review_of(fake), policies, NOW).injected != ()


def test_a_sibling_is_not_edited_and_keeps_its_label() -> None:
    """Workflows that wait were admitted with it; to delete it, or to change other labels, is free."""
    documents = (policy(), base())
    obj = manifest(wanted(*documents), "u1")
    metadata = at_metadata(obj)
    going: JsonObject = {**obj, "metadata": {**metadata, "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    changed: list[tuple[JsonObject, list[str]]] = [
        ({**obj, "spec": SPEC}, ["spec"]),
        ({**obj, "metadata": {**metadata, "labels": {}}}, [f"metadata.labels[{well_known.SIBLING}]"]),
        ({**obj, "metadata": {**metadata, "labels": {well_known.SIBLING: at_mark(obj), "own": "x"}}}, []),
        (going, []),
        ({**going, "spec": SPEC}, ["spec"]),
    ]
    for edited, fields in changed:
        decision = apply_policies(review_of(edited, old=obj), snapshot(*documents), NOW)
        assert [each.field for each in decision.reasons] == fields
        assert set(codes(decision)) <= {Code.GUARDED_MARK}
        assert apply_policies(review_of(edited, old=obj), snapshot(base()), NOW).reasons == ()


def at_mark(obj: JsonObject) -> JsonValue:
    """Return the mark of a sibling."""
    return at(obj, "metadata", "labels", well_known.SIBLING)


def test_where_templates_are_files_siblings_count_as_made() -> None:
    """No controller creates them there."""
    policies = with_siblings(snapshot(policy(), base()))
    changed = admitted(ref(), policies)
    assert is_sibling_name(str(at(changed, "spec", "workflowTemplateRef", "name")))
    plain = snapshot(policy())
    assert with_siblings(plain) is plain


def test_a_label_that_is_not_the_end_of_the_name_makes_no_sibling() -> None:
    """Nor does one of another form."""
    for name, mark in (("x-lk0123456789", "lk9876543210"), ("x-lk", "lk"), ("x", "lk0123456789")):
        assert not is_sibling(Metadata(name=name, labels={well_known.SIBLING: mark}))
    assert is_sibling(Metadata(name="x-lk0123456789", labels={well_known.SIBLING: "lk0123456789"}))
