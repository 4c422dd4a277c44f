"""Locks of another object's spec do not hold for one of its templates that is called by itself."""

from typing import Final

import pytest

from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.core.builders import (
    lock_policy,
    mutate,
    rule,
    semaphore,
    snapshot,
    template_object,
    workflow,
)
from tests.policy.core.lock_graph.graphs import calling, calling_other, dag, leaf, mutexes, steps

STOCK: Final[JsonObject] = {
    "entrypoint": "count",
    "synchronization": {**mutexes("stock"), "semaphores": [semaphore("db")]},
    "templates": [leaf("count"), leaf("locked", "stock", "other")],
}
CALL: Final = calling_other("stock", "count")


def _told(
    spec: JsonObject, stock: JsonObject = STOCK, kind: str = "WorkflowTemplate", **rules: str
) -> list[str]:
    inject: list[JsonValue] = [rule("r", {"mutex": name}, names=["never"]) for name in rules.values()]
    namespace = None if kind.startswith("Cluster") else "team-a"
    stored = template_object("stock", stock, kind=kind, namespace=namespace)
    policies = snapshot(lock_policy(inject=inject, validate={"requireDefined": False}), stored)
    decision = mutate(workflow(spec), policies)
    assert decision.reasons == ()
    return list(decision.warnings)


def _fields(*templates: JsonObject, **fields: JsonObject) -> list[str]:
    spec: JsonObject = {"entrypoint": "main", "templates": list(templates), **fields}
    return [warning.split(": ")[1] for warning in _told(spec)]


def test_the_warning_names_the_locks_and_what_to_do() -> None:
    """Argo says nothing, and runs the template unlocked."""
    (told,) = _told({"entrypoint": "main", "templates": [dag("main", CALL)]})
    assert told == (
        "lockkeeper: spec.templates[0].dag.tasks[0].templateRef: WorkflowTemplate stock has "
        "team-a/ConfigMap/limits/db, team-a/Mutex/stock at its spec, which Argo takes for runs of the whole "
        "object, and not for a template that is called by templateRef: it runs unlocked here. Write the lock "
        "into that template, or into the one that calls it"
    )


def test_every_call_by_template_ref_is_looked_at() -> None:
    """In steps, in inline templates, and in hooks of tasks and of the whole."""
    inline: JsonObject = {"name": "t", "inline": {"steps": [[CALL]]}}
    hook: JsonObject = {"exit": {"templateRef": CALL["templateRef"]}}
    found = _fields(
        steps("main", [CALL]),
        dag("other", inline, calling("main", hooks=hook)),
        hooks=hook,
    )
    assert found == [
        "spec.hooks.exit.templateRef",
        "spec.templates[0].steps[0][0].templateRef",
        "spec.templates[1].dag.tasks[1].hooks.exit.templateRef",
        "spec.templates[1].dag.tasks[0].inline.steps[0][0].templateRef",
    ]


def test_the_defaults_of_templates_are_of_whole_runs_too() -> None:
    """Argo merges those of what it runs, not of where a template stands."""
    spec: JsonObject = {"templates": [leaf("count")], "templateDefaults": {"synchronization": mutexes("d")}}
    (told,) = _told({"entrypoint": "main", "templates": [dag("main", CALL)]}, spec)
    assert "has team-a/Mutex/d at its templateDefaults" in told


def test_a_template_of_the_cluster_is_looked_at_too() -> None:
    """Its locks are those of the namespace that it runs in."""
    call = calling_other("stock", "count", cluster=True)
    (told,) = _told({"templates": [dag("main", call)]}, kind="ClusterWorkflowTemplate")
    assert "ClusterWorkflowTemplate stock has team-a/ConfigMap/limits/db, team-a/Mutex/stock at" in told


@pytest.mark.parametrize(
    "spec",
    [
        {"workflowTemplateRef": {"name": "stock"}},
        {"templates": [dag("main", calling_other("stock", "gone"))]},
        {"templates": [dag("main", calling_other("elsewhere", "count"))]},
        {"templates": [dag("main", CALL, synchronization=STOCK["synchronization"])]},
        {"templates": [dag("main", CALL)], "synchronization": STOCK["synchronization"]},
        {
            "templates": [
                dag("main", calling("mid"), synchronization=STOCK["synchronization"]),
                steps("mid", [CALL]),
            ]
        },
    ],
)
def test_where_it_holds_or_is_taken_here_nothing_is_said(spec: JsonObject) -> None:
    """By a reference to the whole, or where the caller, or one above it, takes the same locks."""
    assert [told for told in _told(spec) if "runs unlocked" in told] == []


def test_what_the_called_template_or_a_rule_takes_is_not_counted() -> None:
    """Only the rest would be lost."""
    stock: JsonObject = {**STOCK, "synchronization": mutexes("stock", "ruled")}
    spec: JsonObject = {"templates": [dag("main", calling_other("stock", "locked"))]}
    (told,) = _told(spec, stock)
    assert "has team-a/Mutex/ruled at" in told
    assert _told(spec, stock, by="ruled") == []


def test_many_calls_are_told_a_few_times() -> None:
    """They all say the same."""
    tasks = [{**CALL, "name": f"t{number}"} for number in range(50)]
    assert len(_fields(dag("main", *tasks))) == 10
