"""What is led to a sibling runs as its template would, under exactly the locks that policies want."""

from collections import Counter

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Decision, Side
from policy.core.lock_review.siblings import wanted_siblings, with_siblings
from policy.core.objects.template_keys import TemplateKey
from policy.core.policies.snapshot import Snapshot
from tests.interpreter.asking import wanted_by
from tests.interpreter.drawing import STORED, library, policies_with, rules, workflows
from tests.interpreter.running import Interpreter, Json, Run
from tests.policy.core.builders import NOW, lock_policy, patched, review, snapshot, template_object

REFERRING: Json = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"name": "w", "namespace": "team"},
    "spec": {"workflowTemplateRef": {"name": "base"}},
}
Case = tuple[Json, Json, list[Json], str]
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a template, a library that it may use, rules, and the version of Argo."""
    argo = draw(st.sampled_from(("4.1", "4.1", "3.7")))
    return draw(workflows())["spec"], draw(library()), draw(rules()), argo


def policies_of(case: Case) -> Snapshot:
    """Return the snapshot of a case, in which siblings are made."""
    spec, lib, found, argo = case
    asked = {**policies_with(found), "match": {"referenced": "Sibling"}}
    documents = (
        lock_policy("locks", namespace="team", **asked),
        template_object(STORED, lib, namespace="team"),
        template_object("base", spec, namespace="team"),
    )
    return with_siblings(snapshot(*documents, argo=argo))


def admitted(obj: Json, policies: Snapshot, side: Side = Side.MUTATE) -> Decision:
    """Return what is decided about a Workflow."""
    return apply_policies(review(obj, side, namespace="team"), policies, NOW)


def run(spec: Json, lib: Json, luck: int, found: list[Json] | None = None) -> Run:
    """Run a spec; with rules, as if everything ran under the locks that they want."""
    obj = {**REFERRING, "spec": spec}
    stored = {("WorkflowTemplate", STORED): lib}
    if found is None:
        return Interpreter(obj, stored, luck=luck).run()
    return Interpreter(obj, stored, luck=luck, wanted=wanted_by(found, spec)).run()


@given(cases(), st.integers(0, 3))
@settings(max_examples=200, suppress_health_check=SLOW)
def test_what_is_reached_through_a_sibling_runs_under_exactly_the_locks_that_policies_want(
    case: Case, luck: int
) -> None:
    """The same leaves with the same inputs and ends; and both sides agree."""
    spec, lib, found, _ = case
    policies = policies_of(case)
    decision = admitted(REFERRING, policies)
    if not decision.allowed:
        return
    changed: Json = patched(REFERRING, decision.patch)
    validated = admitted(changed, policies, Side.VALIDATE)
    assert (validated.outcome, validated.reasons) == (decision.outcome, ())
    name = changed["spec"]["workflowTemplateRef"]["name"]
    serving = msgspec.json.decode(policies.texts[TemplateKey("team", name)])
    before, after = run(spec, lib, luck, found), run(serving, lib, luck)
    assert after.seen == before.seen
    assert [leaf.locks for leaf in after.leaves] == [leaf.locks for leaf in before.leaves]


@given(cases())
@settings(max_examples=100, suppress_health_check=SLOW)
def test_siblings_lack_nothing_and_want_no_siblings(case: Case) -> None:
    """What is made is the same, whether it was made before or not."""
    policies = policies_of(case)
    found = list(wanted_siblings(policies))
    assert all(each.exists for each in found)
    assert with_siblings(policies) == policies


def test_many_cases_are_led_to_a_sibling() -> None:
    """What is refused or lacks nothing proves nothing; a third is enough, since cases are drawn at random."""
    outcomes: Counter[str] = Counter()

    @given(cases())
    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def count(case: Case) -> None:
        decision = admitted(REFERRING, policies_of(case))
        outcomes["led" if decision.patch else "not"] += 1

    count()
    assert outcomes["led"] > outcomes["not"] // 2
