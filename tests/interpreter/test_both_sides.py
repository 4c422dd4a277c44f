"""What one side writes the other finds right, and Argo takes it: every kind, every rule, every strategy."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Decision, Side
from policy.core.lock_review.siblings import manifest, wanted_siblings, with_siblings
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Document, Snapshot
from tests.interpreter.drawing import STORED, policies_with, rules
from tests.interpreter.naming import KINDS, as_kind, objects, stored_library
from tests.interpreter.running import Json
from tests.interpreter.test_siblings import REFERRING
from tests.interpreter.validating import refusal
from tests.policy.core.builders import (
    NOW,
    cluster_lock_policy,
    patched,
    review,
    review_of,
    snapshot,
    template_object,
)

SLOW: Final = list(HealthCheck)
WAYS: Final = ("COPY", "tasks.base.outputs", "tasks.base.outputs.parameters[", "'locked'", "globalName")
"""Parts of the patches of a copy, a wrapper, one for names with tags, a choice, a name known everywhere."""
Case = tuple[Json, Json, list[Json], list[str], str]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw an object, a library that it may use, rules, the kinds that they are for, and Argo's version."""
    obj, lib = plain(draw(objects()))
    kinds = draw(st.sampled_from((list(KINDS), [obj["kind"]])))
    return obj, lib, draw(rules()), kinds, draw(st.sampled_from(("4.1", "4.1", "4.1", "3.7")))


def plain(value: Any) -> Any:
    """Return a value of which no part is shared with another: drawn objects share many."""
    return msgspec.json.decode(msgspec.json.encode(value))


def spec_of(obj: Json) -> Json:
    """Return the WorkflowSpec of an object of any kind."""
    spec: Json = obj["spec"].get("workflowSpec", obj["spec"])
    return spec


def policies_of(
    found: list[Json], kinds: Sequence[str], lib: Json, argo: str, *documents: Document, **more: Any
) -> Snapshot:
    """Return a snapshot with the rules for the whole cluster, and the library."""
    policy = cluster_lock_policy("locks", **policies_with(found) | {"match": {"kinds": [*kinds]}} | more)
    return snapshot(policy, template_object(STORED, lib, namespace="team"), *documents, argo=argo)


def decided(
    obj: Json, policies: Snapshot, side: Side = Side.MUTATE, old: JsonObject | None = None
) -> Decision:
    """Return what one side decides about an object of any kind."""
    if obj["kind"] == "Workflow":
        return apply_policies(review(obj, side, namespace="team"), policies, NOW)
    asked = review_of(obj, side, old=old)
    namespace = "" if obj["kind"] == "ClusterWorkflowTemplate" else "team"
    return apply_policies(msgspec.structs.replace(asked, namespace=namespace), policies, NOW)


def check_both_sides(obj: Json, policies: Snapshot) -> Json | None:
    """Check that a second pass changes nothing and that the other side agrees; return what was written."""
    decision = decided(obj, policies)
    if not decision.allowed:
        assert decision.patch == ()
        return None
    changed: Json = patched(obj, decision.patch)
    again = decided(changed, policies)
    assert (again.outcome, again.reasons, again.patch) == (decision.outcome, (), ())
    validated = decided(changed, policies, Side.VALIDATE)
    assert (validated.outcome, validated.reasons) == (decision.outcome, ())
    if obj["kind"] != "Workflow":  # The file that was written first is applied again.
        applied = decided(obj, policies, old=changed)
        assert patched(obj, applied.patch)["spec"] == changed["spec"]
    return changed


@given(cases())
@settings(max_examples=400, deadline=None, suppress_health_check=SLOW)
def test_what_one_side_writes_the_other_finds_right_and_argo_takes(case: Case) -> None:
    """Of every kind, with names that have tags, global names, artifacts and hooks."""
    obj, lib, found, kinds, argo = case
    changed = check_both_sides(obj, policies_of(found, kinds, lib, argo))
    event(f"{obj['kind']} {'refused' if changed is None else 'admitted'}")
    if changed is not None and not refusal(obj, stored_library(lib)):
        assert refusal(changed, stored_library(lib)) == "", json.dumps(changed)


@given(cases(), st.sampled_from(("Workflow", "CronWorkflow")))
@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
def test_argo_and_both_sides_take_a_sibling_and_who_is_redirected_to_it(case: Case, kind: str) -> None:
    """The template is what was drawn; a Workflow and a schedule refer to it."""
    obj, lib, found, _, argo = case
    base = template_object("base", spec_of(obj), namespace="team")
    asked = {"match": {"kinds": ["Workflow", "CronWorkflow"], "referenced": "Sibling"}}
    alone = policies_of(found, KINDS, lib, argo, base, **asked)
    policies = with_siblings(alone)
    stored = stored_library(lib) | {("WorkflowTemplate", "base"): spec_of(obj)}
    referring = as_kind({**REFERRING, "spec": {"workflowTemplateRef": {"name": "base"}}}, kind)
    taken = not refusal(referring, stored)
    for sibling in wanted_siblings(alone):
        made: Json = plain(manifest(sibling, "uid-1"))
        stored["WorkflowTemplate", sibling.name] = made["spec"]
        assert check_both_sides(made, alone) == made
        origin = {**made, "spec": stored["WorkflowTemplate", sibling.origin.name]}
        assert refusal(origin, stored) or refusal(made, stored) == ""
    changed = check_both_sides(referring, policies)
    assert changed is None or not taken or refusal(changed, stored) == ""


def test_every_way_to_write_a_lock_is_met_and_argo_takes_most_cases() -> None:
    """What is refused proves nothing, nor what is never written."""
    met: Counter[str] = Counter()

    @given(cases())
    @settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=SLOW)
    def count(case: Case) -> None:
        obj, lib, found, kinds, argo = case
        if refusal(obj, stored_library(lib)):
            return
        written = str(decided(obj, policies_of(found, kinds, lib, argo)).patch)
        met.update(["taken", obj["kind"], *(each for each in WAYS if each in written)])

    count()
    assert met["taken"] > 100
    assert all(met[each] for each in (*KINDS, *WAYS)), met
