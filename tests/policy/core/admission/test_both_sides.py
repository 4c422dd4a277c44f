"""Both webhooks agree: what the mutating side makes is accepted, and anything less is refused."""

from copy import deepcopy
from typing import Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import UNGOVERNED, Code, Decision, Outcome, Side
from policy.core.injection.inject import inject
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_checks.reference_faults import lock_faults
from policy.core.lock_checks.rulebook import Rulebook
from policy.core.lock_model.template_bodies import all_bodies
from policy.core.objects import well_known
from policy.core.objects.hold import INSTANCE_LABEL
from policy.core.objects.json_patch import JsonObject, JsonValue, Op
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.objects.workflow import WorkflowDefaults
from policy.core.policies.snapshot import Document, Snapshot
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    cluster_lock_policy,
    decoded,
    definition,
    lock_policy,
    mutate,
    patched,
    pool,
    quota,
    review,
    rule,
    snapshot,
    spec_of,
    template_object,
    texts,
    validate,
    without,
    workflow,
)
from tests.policy.core.drawing import SELECTORS, TARGETS, templates

ETL: Final[JsonObject] = {"matchLabels": {"team": "etl"}}
_label_values = {
    "team": ("etl", "web"),
    well_known.INSTANCE_ID: ("prod", well_known.HOLD_VALUE),
    well_known.RESERVATION: ("stale",),
}
_annotation_values = {
    well_known.ORIGINAL_INSTANCE_ID: ("prod", ""),
    well_known.HOLDS: ("1", "3"),
    well_known.TASKS: ("7", "x"),
    "note": ("x",),
}
_statuses: Final[tuple[JsonValue, ...]] = (
    None,
    {},
    {"startedAt": None, "finishedAt": None},
    {"phase": "Pending", "message": "queued by lockkeeper: of another"},
)


@st.composite
def _quotas(draw: st.DrawFn) -> list[Document]:
    """Draw quotas of all effects, with caps above and below each other's defaults."""
    found: list[Document] = []
    for name in "abc"[: draw(st.integers(0, 3))]:
        spec: dict[str, JsonValue] = {"onExceed": draw(st.sampled_from(("Queue", "Deny", "Warn")))}
        if draw(st.booleans()):
            spec["selector"] = ETL
        if draw(st.booleans()):
            spec["limits"] = {"workflows": draw(st.integers(0, 3))}
        if draw(st.integers(0, 3)) == 0:
            spec["limits"] = {"tasks": draw(st.integers(1, 9))}
        if draw(st.integers(0, 2)) == 0:
            spec["perWorkflow"] = {"defaultTasks": draw(st.integers(1, 5))}
        elif draw(st.booleans()):
            spec["perWorkflow"] = {"maxTasks": draw(st.integers(1, 9))}
        if draw(st.integers(0, 2)) == 0:
            above = draw(st.sampled_from(("Deny", "Lower", "Lower")))
            cap: JsonObject = {"maxPriority": draw(st.integers(-1, 2)), "onPriorityAbove": above}
            spec["perWorkflow"] = {**texts(spec, "perWorkflow"), **cap}
        if draw(st.booleans()):
            spec["perUser"] = {"workflows": 2}
        if name == "c":
            spec["namespaceDefaults"] = {"limits": {"workflows": 4}}
            found.append(pool(name, created="", **spec))
        else:
            found.append(quota(name, namespace=NAMESPACE, **spec))
    return found


@st.composite
def _lock_policies(draw: st.DrawFn) -> list[Document]:
    found: list[Document] = []
    for name in "lm"[: draw(st.integers(0, 2))]:
        chosen = draw(st.lists(st.sampled_from(TARGETS), max_size=2))
        spec: dict[str, JsonValue] = {
            "semaphores": [definition("db"), definition("gpu")],
            "inject": [
                rule(f"{target}-{n}", lock, **draw(st.sampled_from(SELECTORS)))
                for n, (target, lock) in enumerate(chosen)
            ],
        }
        if draw(st.booleans()):
            spec["match"] = {"workflows": ETL}
        if draw(st.integers(0, 3)) == 0:
            spec["validate"] = {"keyPattern": "^d"}
        found.append(
            lock_policy(name, namespace=NAMESPACE, **spec)
            if name == "l"
            else cluster_lock_policy(name, **spec)
        )
    return found


@st.composite
def _many_templates(draw: st.DrawFn) -> tuple[JsonObject, Snapshot]:
    """Draw a Workflow of several templates, of which rules select some: what a review must distinguish."""
    chosen = draw(st.lists(st.sampled_from(TARGETS), min_size=1, max_size=2))
    rules: list[JsonValue] = [
        rule(f"{target}-{n}", lock, **draw(st.sampled_from(SELECTORS)))
        for n, (target, lock) in enumerate(chosen)
    ]
    policy = lock_policy(semaphores=[definition("db"), definition("gpu")], inject=rules)
    drawn = draw(st.lists(templates(lists=True, depth=1), min_size=2, max_size=6))
    return workflow({"templates": list(drawn)}), snapshot(policy)


@st.composite
def _policies(draw: st.DrawFn) -> tuple[Snapshot, bool]:
    """Draw a snapshot, and whether its Argo reads lists."""
    argo = draw(st.sampled_from(("4.1", "4.1", "3.7", "3.5")))
    base = template_object("base", {"parallelism": 3, "priority": draw(st.sampled_from((None, 1, 9)))})
    documents = [*draw(_quotas()), *draw(_lock_policies()), base]
    given = draw(st.sampled_from((None, None, 2)))
    defaults = WorkflowDefaults(parallelism=given, references_only=draw(st.integers(0, 3)) == 0)
    taken = msgspec.structs.replace(snapshot(*documents, argo=argo), argo_defaults=defaults)
    return taken, argo != "3.5"


@st.composite
def _map(draw: st.DrawFn, values: dict[str, tuple[str, ...]]) -> JsonValue:
    if draw(st.integers(0, 3)) == 0:
        return None
    return {key: draw(st.sampled_from(those)) for key, those in values.items() if draw(st.booleans())}


@st.composite
def _cases(draw: st.DrawFn) -> tuple[JsonObject, Snapshot]:
    """Draw a Workflow, first or resubmitted, and policies over its namespace."""
    policies, lists = draw(_policies())
    spec: JsonObject = {"templates": list(draw(st.lists(templates(lists=lists), max_size=3)))}
    if draw(st.booleans()):
        spec["parallelism"] = draw(st.sampled_from((None, 1, 4, 5, 9, 0)))
    if draw(st.booleans()):
        spec["priority"] = draw(st.integers(-3, 3))
    if draw(st.integers(0, 3)) == 0:
        named = draw(st.sampled_from(("base", "unknown")))
        spec = {**without(spec, "templates"), "workflowTemplateRef": {"name": named}}
    obj = workflow(spec)
    metadata = texts(obj, "metadata")
    for name, values in (("labels", _label_values), ("annotations", _annotation_values)):
        if draw(st.booleans()):
            metadata[name] = draw(_map(values))
    if draw(st.booleans()):
        obj["status"] = draw(st.sampled_from(_statuses))
    return obj, policies


cases = _cases()
wrong_cases = st.tuples(cases, st.sampled_from(("status", "lock"))).map(lambda drawn: _with_fault(*drawn))


def _with_fault(case: tuple[JsonObject, Snapshot], how: str) -> tuple[JsonObject, Snapshot]:
    """Return the case with a fault that any policy of the right sort refuses."""
    obj, policies = case
    if how == "status":
        return {**obj, "status": {"phase": "Running"}}, policies
    spec: JsonObject = {**texts(obj, "spec"), "synchronization": {"mutexes": [{}]}}
    return {**obj, "spec": spec}, policies


def _applied(obj: JsonObject, decision: Decision) -> JsonObject:
    return patched(deepcopy(obj), decision.patch)


@given(cases)
@settings(max_examples=200)
def test_the_validating_side_accepts_what_the_mutating_side_made(case: tuple[JsonObject, Snapshot]) -> None:
    """The same outcome and reservation under another request's uid, and nothing left to patch."""
    obj, policies = case
    first = mutate(obj, policies)
    if not first.allowed:
        assert first.patch == ()
        return
    second = validate(_applied(obj, first), policies)
    assert second.outcome is first.outcome
    assert second.reasons == ()
    assert second.patch == ()
    assert second.reservation == first.reservation
    assert second.policies == first.policies


@given(cases)
@settings(max_examples=200)
def test_mutating_again_under_the_same_uid_changes_nothing(case: tuple[JsonObject, Snapshot]) -> None:
    """The API server calls a webhook again where a later one changed the object."""
    obj, policies = case
    first = mutate(obj, policies)
    if not first.allowed:
        assert mutate(obj, policies) == first
        return
    again = mutate(_applied(obj, first), policies)
    assert again.patch == ()
    assert again.outcome is first.outcome
    assert again.reservation == first.reservation


@given(wrong_cases)
@settings(max_examples=150)
def test_what_one_side_refuses_the_other_refuses_for_the_same_reasons(
    case: tuple[JsonObject, Snapshot],
) -> None:
    """A denial is about the object, not about who asks; and nothing is patched."""
    obj, policies = case
    first = mutate(obj, policies)
    assert bool(first.reasons) != first.allowed
    if not first.allowed:
        assert first.patch == ()
        assert validate(obj, policies).reasons == first.reasons


@given(cases, st.data())
@settings(max_examples=200)
def test_an_object_that_lacks_any_part_of_the_patch_is_refused(
    case: tuple[JsonObject, Snapshot], data: st.DataObject
) -> None:
    """Each operation matters: a mark, a lock, the hold, the default, the status."""
    obj, policies = case
    first = mutate(obj, policies)
    if not first.patch:
        assert validate(obj, policies).allowed == first.allowed
        return
    lost = data.draw(st.integers(0, len(first.patch) - 1), label="the operation that got lost")
    rest = [operation for index, operation in enumerate(first.patch) if index != lost]
    decision = validate(patched(deepcopy(obj), rest), policies)
    if first.patch[lost].path.endswith("lockkeeper.dev~1original-instanceid"):
        # Without the object as it was sent, the instance id that it had is unknown.
        assert decision.outcome in (Outcome.QUEUED, Outcome.DENIED)
        return
    if decision.reservation is not None and decision.reservation.id == "stale":
        # The stale reservation stayed: the ledger does not know it, and the webhook refuses for that.
        assert first.patch[lost].path.endswith("lockkeeper.dev~1reservation")
        return
    assert decision.outcome is Outcome.DENIED
    # A call of a template that was lost cannot get the lock in its place.
    alone = Code.LOCK_CONFLICT if first.patch[lost].path.endswith("/templates/-") else Code.NOT_MUTATED
    assert {each.code for each in decision.reasons} <= {Code.NOT_MUTATED, alone}


@given(cases)
@settings(max_examples=200)
def test_only_the_create_of_a_governed_workflow_gets_a_patch_and_only_from_the_mutating_side(
    case: tuple[JsonObject, Snapshot],
) -> None:
    """Who may not patch does not, who is denied is not patched, who is ungoverned loses marks and hold."""
    obj, policies = case
    assert validate(obj, policies).patch == ()
    first = mutate(obj, policies)
    if first.outcome is Outcome.DENIED:
        assert first.patch == ()
    if first.outcome is Outcome.UNGOVERNED:
        ours = [each for each in first.patch if each.op is Op.REMOVE and "lockkeeper.dev~1" in each.path]
        assert {each.path for each in first.patch if each not in ours} <= {INSTANCE_LABEL}
        assert validate(_applied(obj, first), policies) == UNGOVERNED
    if first.allowed and any("Quota " in source for source in first.policies):
        labels = texts(_applied(obj, first), "metadata", "labels")
        held = labels.get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE
        assert held == (first.outcome is Outcome.QUEUED)


@given(st.one_of(cases, _many_templates()))
@settings(max_examples=200)
def test_what_is_skipped_for_speed_changes_no_decision(case: tuple[JsonObject, Snapshot]) -> None:
    """A decision has the faults and locks that a walk over every single template finds."""
    obj, policies = case
    labels = {key: str(value) for key, value in texts(obj, "metadata", "labels").items()}
    locks = policies.policies(NAMESPACE).locks
    active = locks.active(labels) if locks is not None else ()
    decision = mutate(obj, policies)
    if locks is None or not active:
        assert decision.injected == ()
        return
    spec = spec_of(texts(obj, "spec"))
    everywhere = all_bodies(spec)
    rulebook = Rulebook(locks, active)
    whole = ReviewedObject(view=locks.view(spec), raw=msgspec.Raw(msgspec.json.encode(obj)))
    wanted = inject(spec, everywhere, rulebook, whole)
    faults = (*lock_faults(spec, everywhere, rulebook), *wanted.faults)
    tasks = (Code.UNBOUNDED_TASKS, Code.TASKS_ABOVE_CAP, Code.PRIORITY_ABOVE_CAP)
    assert tuple(each for each in decision.reasons if each.code not in tasks) == faults
    if decision.allowed:
        assert decision.injected == wanted.locks
        assert decision.patch[: len(wanted.patch)] == wanted.patch
        assert set(wanted.warnings) <= set(decision.warnings)


_others: Final[tuple[JsonObject, ...]] = (
    {},
    {"entrypoint": "nowhere"},
    {"synchronization": {"mutexes": [{"name": "whole"}]}},
    {"templateDefaults": {"synchronization": {"mutexes": [{"name": "each"}]}}, "onExit": "nowhere"},
    {"arguments": {"parameters": [{"name": "image", "value": "other"}]}, "podSpecPatch": "{}"},
)
"""What else the spec of a Workflow may have beside the same templates."""


@given(cases, st.permutations(range(len(_others))))
def test_what_earlier_reviews_found_out_changes_no_decision(
    case: tuple[JsonObject, Snapshot], order: list[int]
) -> None:
    """Templates that reviews share give what they give alone, whichever of the reviews is the first."""
    obj, policies = case
    written = texts(obj, "spec").get("templates")
    spec = decoded(obj).spec
    if spec is None or not spec.templates:
        return
    shared = SharedTemplates.of(msgspec.json.encode(written), spec.templates)
    for number in (*order, *order):
        other: JsonObject = {**obj, "spec": {**texts(obj, "spec"), **_others[number]}}
        rest: JsonObject = {**other, "spec": {**texts(other, "spec"), "templates": []}}
        for side in (Side.MUTATE, Side.VALIDATE):
            alone = review(other, side)
            assert alone.workflow is not None
            assert alone.workflow.spec is not None
            its = msgspec.structs.replace(alone.workflow.spec, templates=shared)
            together = msgspec.structs.replace(
                alone,
                workflow=msgspec.structs.replace(alone.workflow, spec=its),
                rest=msgspec.Raw(msgspec.json.encode(rest)),
            )
            assert apply_policies(together, policies, NOW) == apply_policies(alone, policies, NOW)


@given(cases)
def test_a_review_leaves_its_arguments_as_they_were(case: tuple[JsonObject, Snapshot]) -> None:
    """The same review decided twice, by either side, gives equal decisions."""
    obj, policies = case
    before = deepcopy(obj)
    for side in Side:
        asked = review(obj, side)
        assert asked == review(before, side)
    assert mutate(obj, policies) == mutate(obj, policies)
    assert validate(obj, policies) == validate(obj, policies)
    assert obj == before
