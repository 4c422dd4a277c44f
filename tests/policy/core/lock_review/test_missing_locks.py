"""A template of another object that lacks a lock is told where it is called, unless the caller has it."""

from collections.abc import Sequence

import pytest

from policy.core.decision.decision import Code, Decision
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document
from tests.policy.core.builders import lock_policy, mutate, rule, snapshot, template_object, workflow
from tests.policy.core.lock_graph.graphs import calling, calling_other, dag, leaf, mutexes, steps

KINDS: Sequence[JsonValue] = ("Workflow", "WorkflowTemplate")
STORED = template_object("shared", {"templates": [leaf("load-one"), dag("outer", calling("load-one"))]})
WARNING = (
    "lockkeeper: load-one: lock team-a/Mutex/wh is not injected, the template comes from shared; "
    "it was stored before the policy; apply it again"
)


def _policy(referenced: str = "Warn", kinds: Sequence[JsonValue] = KINDS, **templates: JsonValue) -> Document:
    return lock_policy(
        match={"kinds": list(kinds), "referenced": referenced},
        inject=[rule("warehouse", {"mutex": "wh"}, **(templates or {"names": ["load-*"]}))],
    )


def _decided(*templates: JsonObject, policy: Document | None = None) -> Decision:
    spec: JsonObject = {"entrypoint": "main", "templates": list(templates)}
    return mutate(workflow(spec), snapshot(policy or _policy(), STORED))


@pytest.mark.parametrize("called", ["load-one", "outer"])
def test_a_called_template_that_was_stored_before_the_policy_is_told(called: str) -> None:
    """Its callers are not changed, so that it would run unlocked; the same below it."""
    decision = _decided(steps("main", [calling_other("shared", called)]))
    assert (decision.reasons, decision.warnings, decision.patch) == ((), (WARNING,), ())
    (reason,) = _decided(dag("main", calling_other("shared", called)), policy=_policy("Deny")).reasons
    assert (reason.code, reason.field) == (Code.LOCK_CONFLICT, "spec.templates[0].dag.tasks[0].templateRef")


def test_a_template_of_a_kind_that_no_policy_changes_is_wrapped_by_its_caller() -> None:
    """Then nothing is missing."""
    decision = _decided(dag("main", calling_other("shared", "load-one")), policy=_policy(kinds=["Workflow"]))
    assert (decision.reasons, decision.warnings) == ((), ())
    assert decision.patch != ()


def test_a_lock_that_a_caller_holds_is_not_missing() -> None:
    """Its own, one of a rule, of what calls the caller, of a task around it, or of the whole Workflow."""
    other = calling_other("shared", "load-one")
    assert _decided(dag("main", other, mutexes=("wh",))).warnings == ()
    whole = _policy(names=["main", "load-*"], types=["dag", "container"])
    assert _decided(dag("main", other), policy=whole).warnings == ()
    inner = dag("middle", other)
    assert _decided(dag("main", calling("middle"), mutexes=("wh",)), inner).warnings == ()
    inline: JsonObject = {"name": "t", "inline": {"steps": [[other]]}}
    assert _decided(dag("main", inline, mutexes=("wh",))).warnings == ()
    run: JsonObject = {"synchronization": mutexes("wh"), "templates": [dag("main", other)]}
    assert mutate(workflow(run), snapshot(_policy(), STORED)).warnings == ()
    assert _decided(dag("main", other), leaf("beside", "wh")).warnings == (WARNING,)
