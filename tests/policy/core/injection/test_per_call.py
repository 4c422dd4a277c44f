"""Locks that an edit in place cannot put: what is written then, by examples (tests/interpreter runs it)."""

from typing import Final

import msgspec
import pytest

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code, Decision, Outcome
from policy.core.lock_model.generated_names import generated_name
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document
from tests.policy.core.builders import (
    NOW,
    at,
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
    validate,
    workflow,
)

DB: Final = semaphore_target("db")
HELD: Final[JsonObject] = {"semaphores": [semaphore("db")]}
LOAD: Final[JsonObject] = {
    "name": "load",
    "inputs": {"parameters": [{"name": "p", "default": "1"}]},
    "container": {"image": "db:1"},
    "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/o"}}]},
}
PASSED: Final[JsonObject] = {"parameters": [{"name": "p", "value": "{{inputs.parameters.p}}"}]}
LIBRARY: Final = template_object("lib", {"templates": [LOAD]})


def _task(name: str, **parts: JsonValue) -> JsonObject:
    return {"name": name, "template": "load", **parts}


def _workflow(*tasks: JsonObject, **spec: JsonValue) -> JsonObject:
    """Return a Workflow of a DAG of these tasks and the template `load`."""
    main: JsonObject = {"name": "main", "dag": {"tasks": list(tasks)}}
    arguments: JsonObject = {"parameters": [{"name": "env", "value": "prod"}]}
    return workflow({"entrypoint": "main", "arguments": arguments, "templates": [main, LOAD], **spec})


def _policy(lock: JsonObject = DB, *, more: JsonObject | None = None, **templates: JsonValue) -> Document:
    found: JsonObject = {**rule("r", lock, **templates), **(more or {})}
    return lock_policy(semaphores=[definition("db")], inject=[found])


def _put(obj: JsonObject, *documents: Document) -> list[JsonObject]:
    """Return the templates after injection, which the validating side finds right."""
    policies = snapshot(*documents)
    decision = mutate(obj, policies)
    assert decision.reasons == ()
    changed = patched(msgspec.json.decode(msgspec.json.encode(obj)), decision.patch)
    assert validate(changed, policies).outcome is Outcome.ALLOWED
    templates = at(changed, "spec", "templates")
    assert isinstance(templates, list)
    return [each for each in templates if isinstance(each, dict)]


def _refused(obj: JsonObject, *documents: Document) -> Decision:
    decision = mutate(obj, snapshot(*documents))
    assert decision.patch == ()
    return decision


def test_callers_that_a_rule_selects_get_a_copy_and_the_others_the_original() -> None:
    """Strategy Clone by Auto: nothing but the name that the task runs has changed for it."""
    main, load, copy = _put(_workflow(_task("load-a"), _task("b")), _policy(tasks=["load-*"]))
    name = generated_name("load", "copy", "team-a/ConfigMap/limits/db")
    assert at(main, "dag", "tasks") == [{"name": "load-a", "template": name}, _task("b")]
    assert load == LOAD
    assert copy == {**LOAD, "name": name, "synchronization": HELD}


def test_where_all_callers_need_the_lock_there_is_no_copy() -> None:
    """The template itself is edited, for `tasks` and for strategy Clone."""
    for policy in (_policy(tasks=["*"]), _policy(names=["load"], more={"strategy": "Clone"})):
        assert _put(_workflow(_task("a"), _task("b")), policy)[1:] == [{**LOAD, "synchronization": HELD}]


def test_a_template_of_another_object_gets_a_dag_around_it() -> None:
    """Inputs go in, outputs come out, and the lock is held meanwhile."""
    ref: JsonObject = {"name": "lib", "template": "load"}
    call: JsonObject = {
        "name": "a",
        "templateRef": ref,
        "arguments": {"parameters": [{"name": "p", "value": "2"}]},
    }
    main, _, wrapper = _put(_workflow(call), _policy(images=["db:*"], types=["container"]), LIBRARY)
    name = str(wrapper["name"])
    assert at(main, "dag", "tasks", 0) == {"name": "a", "template": name, "arguments": call["arguments"]}
    assert wrapper == {
        "name": name,
        "inputs": LOAD["inputs"],
        "outputs": {
            "parameters": [{"name": "o", "valueFrom": {"parameter": "{{tasks.base.outputs.parameters.o}}"}}]
        },
        "dag": {"tasks": [{"name": "base", "templateRef": ref, "arguments": PASSED}]},
        "synchronization": HELD,
    }


def test_a_dag_around_a_template_is_exempt_from_the_retries_of_the_workflow() -> None:
    """Attempts would multiply (argo-verified V.7)."""
    policy = _policy(names=["load"], more={"strategy": "Wrapper"})
    obj = _workflow(_task("a"), retryStrategy={"limit": 2})
    assert _put(obj, policy)[-1]["retryStrategy"] == {"limit": "0"}
    assert "retryStrategy" not in _put(_workflow(_task("a")), policy)[-1]


def test_a_condition_on_a_semaphore_is_written_in_its_key() -> None:
    """The template stays as it is otherwise (argo-verified V.8a)."""
    when: JsonObject = {"when": "{{workflow.parameters.env}} == prod"}
    key = "{{= workflow.parameters.env == 'prod' ? 'db' : 'db-unlimited'}}"
    load = _put(_workflow(_task("a")), _policy(names=["load"], more=when))[1]
    assert load == {**LOAD, "synchronization": {"semaphores": [semaphore(key)]}}


def test_a_condition_on_a_mutex_is_a_choice_of_two_tasks() -> None:
    """As argo-verified V.8b has it; it takes the template's name, so that no caller changes."""
    when: JsonObject = {"when": "{{workflow.parameters.env}} == prod"}
    main, free, locked, choice = _put(
        _workflow(_task("a")), _policy({"mutex": "m"}, more=when, names=["load"])
    )
    assert at(main, "dag", "tasks") == [_task("a")]
    assert free == {**LOAD, "name": free["name"]}
    assert locked == {**LOAD, "name": locked["name"], "synchronization": {"mutexes": [{"name": "m"}]}}
    value = (
        "tasks.locked.status == 'Succeeded' ? tasks.locked.outputs.parameters['o'] : "
        "tasks.free.outputs.parameters['o']"
    )
    assert choice == {
        "name": "load",
        "inputs": LOAD["inputs"],
        "outputs": {"parameters": [{"name": "o", "valueFrom": {"expression": value}}]},
        "dag": {
            "tasks": [
                {
                    "name": "locked",
                    "template": locked["name"],
                    "when": "{{= workflow.parameters.env == 'prod' }}",
                    "arguments": PASSED,
                },
                {
                    "name": "free",
                    "template": free["name"],
                    "when": "{{= !(workflow.parameters.env == 'prod') }}",
                    "arguments": PASSED,
                },
            ]
        },
    }


def test_a_condition_over_a_parameter_that_is_not_there_takes_the_lock_always() -> None:
    """Argo would end the Workflow, for it could not evaluate it."""
    when: JsonObject = {"when": "{{workflow.parameters.other}} == prod"}
    load = _put(_workflow(_task("a")), _policy(names=["load"], more=when))[1]
    assert load["synchronization"] == HELD


def test_what_runs_under_the_lock_already_is_left_alone() -> None:
    """Taking it again would wait for itself; other callers get a copy with it."""
    outer: JsonObject = {"name": "outer", "synchronization": HELD, "dag": {"tasks": [_task("x")]}}
    obj = _workflow(_task("a"), {"name": "b", "template": "outer"})
    templates = at(obj, "spec", "templates")
    assert isinstance(templates, list)
    templates.append(outer)
    main, load, same, copy = _put(obj, _policy(names=["load"]))
    assert (load, same) == (LOAD, outer)
    assert at(main, "dag", "tasks", 0, "template") == copy["name"]


def test_a_direct_rule_for_some_callers_is_refused() -> None:
    """The template in place is everybody's."""
    (reason,) = _refused(
        _workflow(_task("load-a"), _task("b")), _policy(tasks=["load-*"], more={"strategy": "Direct"})
    ).reasons
    assert (reason.code, reason.field) == (Code.LOCK_CONFLICT, "spec.templates[1].synchronization")
    assert reason.message == (
        "needs the lock team-a/ConfigMap/limits/db, but it has callers that must stay unlocked; strategy "
        "Direct locks them all"
    )


def test_more_templates_than_argo_takes_are_refused() -> None:
    """Its full CRD allows two hundred."""
    obj = _workflow(_task("load-a"), _task("b"))
    templates = at(obj, "spec", "templates")
    assert isinstance(templates, list)
    templates += [{"name": f"t{number}", "suspend": {}} for number in range(198)]
    (reason,) = _refused(obj, _policy(tasks=["load-*"])).reasons
    assert (reason.code, reason.field) == (Code.LOCK_CONFLICT, "spec.templates")
    assert reason.message.startswith("would have 201 templates with those that hold locks; Argo takes 200.")


def test_a_template_of_the_same_name_is_not_overwritten() -> None:
    """A template of that name that does not hold the lock is a user's own."""
    name = generated_name("load", "copy", "team-a/ConfigMap/limits/db")
    obj = _workflow(_task("load-a"), _task("b"))
    templates = at(obj, "spec", "templates")
    assert isinstance(templates, list)
    templates.append({"name": name, "suspend": {}})
    (reason,) = _refused(obj, _policy(tasks=["load-*"])).reasons
    assert f'the name "{name}" of the template that would hold it is taken' in reason.message


@pytest.mark.parametrize("referenced", ["Warn", "Deny"])
def test_what_a_template_of_another_object_calls_cannot_be_reached(referenced: str) -> None:
    """There is a warning, or a refusal, as the policy has it."""
    both: JsonObject = {"name": "both", "steps": [[{"name": "s", "template": "load"}]]}
    library = template_object("lib", {"templates": [both, LOAD]})
    policy = lock_policy(
        semaphores=[definition("db")],
        inject=[rule("r", DB, names=["load"])],
        match={"referenced": referenced},
    )
    obj = workflow(
        {
            "entrypoint": "main",
            "templates": [
                {
                    "name": "main",
                    "dag": {"tasks": [{"name": "a", "templateRef": {"name": "lib", "template": "both"}}]},
                }
            ],
        }
    )
    decision = mutate(obj, snapshot(policy, library))
    if referenced == "Warn":
        assert decision.warnings == (
            (
                "lockkeeper: load: lock team-a/ConfigMap/limits/db is not injected, the template comes from "
                "lib; write the lock there"
            ),
        )
    else:
        assert [(each.code, each.field) for each in decision.reasons] == [
            (Code.LOCK_CONFLICT, "spec.templates[0].dag.tasks[0].templateRef")
        ]


def test_a_wrapper_gives_outputs_whose_names_have_tags() -> None:
    """Argo finds no end of a tag in a tag, so an expression names them; such global names are repeated."""
    name = "file-{{inputs.parameters.p}}"
    outputs: JsonObject = {
        "parameters": [
            {"name": name, "valueFrom": {"path": "/p"}, "globalName": "{{inputs.parameters.p}}"},
            {"name": "plain", "valueFrom": {"path": "/q"}, "globalName": "known"},
        ],
        "artifacts": [{"name": name, "path": "/f", "globalName": "all-{{workflow.name}}"}],
    }
    main: JsonObject = {"name": "main", "dag": {"tasks": [_task("a")]}}
    obj = workflow({"entrypoint": "main", "templates": [main, {**LOAD, "outputs": outputs}]})
    _, _, made = _put(obj, _policy(more={"strategy": "Wrapper"}))
    assert at(made, "outputs") == {
        "parameters": [
            {
                "name": name,
                "valueFrom": {"expression": f"tasks.base.outputs.parameters['{name}']"},
                "globalName": "{{inputs.parameters.p}}",
            },
            {"name": "plain", "valueFrom": {"parameter": "{{tasks.base.outputs.parameters.plain}}"}},
        ],
        "artifacts": [
            {
                "name": name,
                "fromExpression": f"tasks.base.outputs.artifacts['{name}']",
                "globalName": "all-{{workflow.name}}",
            }
        ],
    }


def test_a_fix_for_a_template_between_the_holder_and_the_rule_works() -> None:
    """Others may start what a template object has; what is written inline only its own call does."""
    between: JsonObject = {"name": "between", "steps": [[_task("s")]]}
    policies = snapshot(
        lock_policy(
            match={"kinds": ["WorkflowTemplate"]},
            semaphores=[definition("db")],
            inject=[rule("r", DB, names=["load"])],
        )
    )

    def locked(call: JsonObject) -> Decision:
        holder: JsonObject = {"name": "all", "synchronization": HELD, "steps": [[{"name": "c", **call}]]}
        spec: JsonObject = {"templates": [holder, between, LOAD]}
        return apply_policies(review_of({**workflow(spec), "kind": "WorkflowTemplate"}), policies, NOW)

    (reason,) = locked({"template": "between"}).reasons
    assert reason.message.endswith(
        'but "between", which calls it, runs with that lock held around it, and may be started without it. '
        'Write "between" inline in the step or task that calls it where the lock is held'
    )
    assert locked({"inline": {"steps": between["steps"]}}).outcome is Outcome.ALLOWED


def test_callers_that_hold_the_lock_beside_a_call_by_a_tag_are_refused() -> None:
    """That call may run the copy without the lock, and which template it runs is known only at run time."""
    held: JsonObject = {"name": "all", "synchronization": HELD, "steps": [[_task("a")]]}
    open_: JsonObject = {"name": "any", "steps": [[_task("b", template="{{workflow.parameters.t}}")]]}
    main: JsonObject = {
        "name": "main",
        "steps": [[_task("x", template="all")], [_task("y", template="any")]],
    }
    decision = _refused(workflow({"entrypoint": "main", "templates": [main, held, open_, LOAD]}), _policy())
    [reason] = decision.reasons
    assert reason.code is Code.LOCK_CONFLICT
    assert reason.message == (
        "needs the lock team-a/ConfigMap/limits/db, but some of its callers hold it, and another call in "
        "this object names its template by a tag. Write out that name"
    )


def test_what_was_generated_before_gets_what_a_new_rule_wants() -> None:
    """The template behind a wrapper is wrapped once more, under a name that no other has."""
    first = _put(_workflow(_task("a")), _policy(more={"strategy": "Wrapper"}))
    spec: JsonObject = {"entrypoint": "main", "templates": [*first]}
    rules: list[JsonValue] = [
        {**rule("r", DB), "strategy": "Wrapper"},
        {**rule("s", {"mutex": "m"}), "strategy": "Wrapper"},
    ]
    second = _put(workflow(spec), lock_policy(semaphores=[definition("db")], inject=rules))
    names = [str(each["name"]) for each in second]
    assert len(set(names)) == len(names) == len(first) + 1
    assert [each.get("synchronization") for each in second] == [
        None,
        None,
        HELD,
        {"mutexes": [{"name": "m"}]},
    ]
