"""A condition that most template objects cannot have is told where the rule is written."""

import pytest

from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.conflicts import FindingKind, all_findings
from policy.core.policies.rule_conditions import conditions_in_front
from tests.policy.core.builders import NAMESPACE, lock_policy, rule, semaphore_target, snapshot

WHEN = "workflow.parameters.env == 'prod'"


def _found(lock: JsonObject, when: str | None = WHEN, **match: JsonValue) -> list[str]:
    given: JsonObject = {**rule("r", lock, names=["*"]), **({} if when is None else {"when": when})}
    return [each.path for each in conditions_in_front(lock_policy(match=match, inject=[given]))]


TEMPLATES: list[JsonValue] = ["Workflow", "WorkflowTemplate"]


@pytest.mark.parametrize("lock", [{"mutex": "m"}, {"database": "d"}, semaphore_target("db", namespace="far")])
def test_a_condition_that_needs_a_choice_in_front_is_told(lock: JsonObject) -> None:
    """Of template objects and of siblings, which are template objects."""
    assert _found(lock, kinds=TEMPLATES) == ["spec.inject[0].when"]
    assert _found(lock, kinds=["Workflow"], referenced="Sibling") == ["spec.inject[0].when"]


def test_other_rules_are_fine() -> None:
    """Without a condition, of Workflows alone, or with a semaphore whose key holds it."""
    assert not _found({"mutex": "m"}, None, kinds=TEMPLATES)
    assert not _found({"mutex": "m"}, kinds=["Workflow"])
    assert not _found(semaphore_target("db"), kinds=TEMPLATES)


def test_it_stands_in_the_status_and_is_no_conflict() -> None:
    """The whole sentence."""
    inject: JsonObject = {**rule("r", {"mutex": "m"}, names=["*"]), "when": WHEN}
    policy = lock_policy(match={"kinds": ["WorkflowTemplate"]}, inject=[inject])
    (findings,) = all_findings(snapshot(policy)).values()
    assert [(each.kind, each.path) for each in findings] == [
        (FindingKind.CONDITION_IN_FRONT, "spec.inject[0].when")
    ]
    assert findings[0].message == (
        "a condition on this lock is put as a DAG in front of a template, and most templates that other "
        "objects may call (WorkflowTemplate) are refused with it. Let all who take this lock take a "
        "semaphore of limit 1 instead, in a ConfigMap of their namespace: its key holds the condition"
    )
    assert policy.metadata.namespace == NAMESPACE
