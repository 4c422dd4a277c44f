"""Injection changes who waits for whom, and nothing else: random Workflows run with and without it.

Each thing that runs does so under exactly the locks that policies ask for, and an observer who does not see
locks sees the same run.
"""

import re
from collections import Counter

import jsonpatch
import msgspec
import pytest
from hypothesis import HealthCheck, Phase, event, find, given, settings
from hypothesis import strategies as st

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Decision, Side
from policy.core.policies.snapshot import Snapshot
from tests.interpreter.asking import wanted_by
from tests.interpreter.drawing import STORED, library, policies_with, rules, workflows
from tests.interpreter.running import Interpreter, Json, Run
from tests.policy.core.builders import NOW, lock_policy, review, snapshot, template_object

NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,127}")
Case = tuple[Json, Json, list[Json], str]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a Workflow, a library that it may use, rules, and the version of Argo."""
    argo = draw(st.sampled_from(("4.1", "4.1", "4.1", "3.7")))
    return draw(workflows()), draw(library()), draw(rules()), argo


def policies_of(case: Case) -> Snapshot:
    """Return the snapshot of a case's policy and library."""
    _, lib, found, argo = case
    policy = lock_policy("locks", namespace="team", **policies_with(found))
    return snapshot(policy, template_object(STORED, lib, namespace="team"), argo=argo)


def mutated(obj: Json, policies: Snapshot) -> Decision:
    """Return what the mutating side decides."""
    return apply_policies(review(obj, namespace="team"), policies, NOW)


def applied(obj: Json, decision: Decision) -> Json:
    """Return the object after the patch."""
    plain = msgspec.json.decode(msgspec.json.encode(obj))  # Drawn objects share parts with each other.
    changed: Json = jsonpatch.apply_patch(plain, msgspec.to_builtins(list(decision.patch)))
    return changed


def run(obj: Json, lib: Json, luck: int, found: list[Json] | None = None) -> Run:
    """Run an object; with rules, as if everything ran under the locks that they want."""
    stored = {("WorkflowTemplate", STORED): lib}
    if found is None:
        return Interpreter(obj, stored, luck=luck).run()
    return Interpreter(obj, stored, luck=luck, wanted=wanted_by(found, obj["spec"])).run()


@given(cases(), st.integers(0, 3))
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_everything_runs_as_before_and_under_exactly_the_locks_that_policies_want(
    case: Case, luck: int
) -> None:
    """The same leaves in the same order with the same inputs and ends, and the same tasks and outputs."""
    obj, lib, found, _ = case
    decision = mutated(obj, policies_of(case))
    event(decision.outcome.value)
    if not decision.allowed:
        assert decision.patch == ()
        return
    changed = applied(obj, decision)
    before, after = run(obj, lib, luck, found), run(changed, lib, luck)
    assert after.seen == before.seen
    assert [leaf.locks for leaf in after.leaves] == [leaf.locks for leaf in before.leaves]
    assert after.twice <= before.twice


@given(cases())
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_a_second_pass_changes_nothing_and_the_validating_side_agrees(case: Case) -> None:
    """The annotation included; and what is made has names that Argo takes, each once."""
    obj, policies = case[0], policies_of(case)
    decision = mutated(obj, policies)
    if not decision.allowed:
        return
    changed = applied(obj, decision)
    assert mutated(changed, policies).patch == ()
    validated = apply_policies(review(changed, Side.VALIDATE, namespace="team"), policies, NOW)
    assert (validated.outcome, validated.reasons) == (decision.outcome, ())
    names = [each["name"] for each in changed["spec"]["templates"]]
    assert len(names) == len(set(names))
    assert all(map(NAME.fullmatch, names))


@given(cases())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_what_rules_do_not_select_is_not_touched(case: Case) -> None:
    """Templates stay where they are; only calls, names and locks change in them, and new ones come last."""
    obj, policies = case[0], policies_of(case)
    decision = mutated(obj, policies)
    changed = applied(obj, decision)
    templates = obj["spec"]["templates"]
    for before, after in zip(templates, changed["spec"]["templates"], strict=False):
        for part in ("container", "script", "inputs", "outputs", "metadata", "retryStrategy"):
            assert before.get(part) == after.get(part)
    rest = {
        key: value
        for key, value in changed["spec"].items()
        if key not in {"templates", "entrypoint", "onExit"}
    }
    assert rest == {key: obj["spec"][key] for key in rest}
    if not decision.injected:
        assert changed["spec"] == obj["spec"]


@pytest.mark.parametrize(
    "made",
    ["tasks.base", "'locked'", "COPY", "unlimited", "no wrapper can be put around"],
)
def test_every_way_to_put_a_lock_is_met(made: str) -> None:
    """The properties above are not proved on edits in place alone."""

    def meets(case: Case) -> bool:
        decision = mutated(case[0], policies_of(case))
        written = f"{decision.patch} {decision.warnings} {decision.reasons}"
        return made in written

    # The first that is met is enough: to make it small would take longer than everything else here.
    assert find(cases(), meets, settings=settings(max_examples=2000, deadline=None, phases=[Phase.generate]))


def test_most_cases_are_admitted() -> None:
    """What is refused proves nothing, so it must be the lesser part."""
    outcomes: Counter[str] = Counter()

    @given(cases())
    @settings(max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def count(case: Case) -> None:
        outcomes[mutated(case[0], policies_of(case)).outcome.value] += 1

    count()
    assert outcomes["allowed"] > outcomes["denied"]
