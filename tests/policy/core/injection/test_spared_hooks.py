"""No rule puts a lock where a hook would wait for it for ever; what is not put is told."""

from typing import Final

import pytest

from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Decision
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document, Snapshot
from tests.policy.core.builders import (
    NOW,
    at,
    definition,
    lock_policy,
    mutate,
    patched,
    review_of,
    rule,
    semaphore_target,
    snapshot,
    template_object,
    validate,
    workflow,
)
from tests.policy.core.lock_graph.graphs import calling, calling_other, dag, leaf, mutexes, steps

MUTEX: Final[JsonObject] = {"mutex": "db"}
RUNNING: Final[JsonObject] = {"told": {"template": "tell", "expression": 'tasks.a.status == "Running"'}}
STRATEGIES: Final = ("Auto", "Direct", "Clone", "Wrapper")
NOT_PUT: Final = (
    'lockkeeper: tell: lock team-a/Mutex/db is not injected, as the hook "told" of the task "a" it would '
    "wait for it for ever"
)


def policies(
    names: tuple[str, ...], *documents: Document, lock: JsonObject = MUTEX, strategy: str = "Auto"
) -> Snapshot:
    """Return a policy that puts a lock on templates of these names."""
    injected: JsonObject = {**rule("db", lock, names=list(names)), "strategy": strategy}
    semaphores: list[JsonValue] = [definition(f"limit-{limit}", limit) for limit in (1, 2, 3, 9)]
    match: JsonObject = {"kinds": ["Workflow"]}
    return snapshot(lock_policy(match=match, inject=[injected], semaphores=semaphores), *documents)


def run(*templates: JsonObject, **more: JsonValue) -> JsonObject:
    """Return a Workflow of these templates."""
    return workflow({"entrypoint": "main", "templates": [*templates], **more}, namespace="team-a")


def told(decision: Decision) -> list[str]:
    """Return the warnings about locks that are not injected."""
    return [each for each in decision.warnings if "is not injected" in each]


def locked(obj: JsonObject, found: Snapshot) -> tuple[list[str], list[str]]:
    """Return the templates with a lock after admission, and what is told; both sides have to agree."""
    decision = mutate(obj, found)
    assert not decision.reasons
    changed = patched(obj, decision.patch)
    again = mutate(changed, found)
    assert again.patch == ()
    assert not validate(changed, found).reasons
    assert not any("possible deadlock" in each for each in decision.warnings), decision.warnings
    templates = at(changed, "spec", "templates")
    assert isinstance(templates, list)
    names = [str(each["name"]) for each in templates if isinstance(each, dict) and "synchronization" in each]
    return names, told(decision)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_task_gets_the_lock_and_its_hook_does_not(strategy: str) -> None:
    """With every strategy; an exit hook of the same task gets it."""
    main = dag("main", calling("work", "a", hooks=RUNNING))
    names, warned = locked(
        run(main, leaf("work"), leaf("tell")), policies(("work", "tell"), strategy=strategy)
    )
    assert len(names) == 1
    assert "work" in names[0]
    assert warned == [NOT_PUT]
    ends = dag("main", calling("work", "a", hooks={"exit": {"template": "tell"}}))
    names, warned = locked(
        run(ends, leaf("work"), leaf("tell")), policies(("work", "tell"), strategy=strategy)
    )
    assert (len(names), warned) == (2, [])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_is_below_the_task_or_below_the_hook_counts(strategy: str) -> None:
    """And inline bodies and loops."""
    found = policies(("work", "tell"), strategy=strategy)
    outer = steps("outer", [calling("work", "x")])
    deep = steps("deep", [calling("tell", "x")])
    hooks: JsonObject = {"told": {"template": "deep", "expression": "workflow.status == 'x'"}}
    inline: JsonObject = {"name": "a", "inline": steps("", [calling("work", "x")]), "hooks": hooks}
    looping = calling("outer", "a", hooks=hooks, withItems=[1, 2])
    for task in (calling("outer", "a", hooks=hooks), looping, inline):
        names, warned = locked(run(dag("main", task), outer, deep, leaf("work"), leaf("tell")), found)
        assert len(names) == 1, names
        assert "work" in names[0]
        assert warned == [NOT_PUT]


def test_in_steps_both_get_it() -> None:
    """Argo gives the lock of a step back before it looks at its hooks."""
    hooks: JsonObject = {"told": {"template": "tell", "expression": 'steps.a.status == "Running"'}}
    main = steps("main", [calling("work", "a", hooks=hooks)])
    assert locked(run(main, leaf("work"), leaf("tell")), policies(("work", "tell"))) == (["work", "tell"], [])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("field", ["hooks", "onExit"])
def test_the_exit_hook_of_items_gets_none(strategy: str, field: str) -> None:
    """Of a DAG task; of a step with items, and of a task without, it does."""
    hook: JsonObject = {field: {"exit": {"template": "tell"}} if field == "hooks" else "tell"}
    looping = calling("work", "a", withItems=[1, 2], **hook)
    found = policies(("tell",), strategy=strategy)
    names, warned = locked(run(dag("main", looping), leaf("work"), leaf("tell")), found)
    assert names == []
    why = 'as the exit hook of the task "a", which has items, it would never give it back'
    assert warned == [f"lockkeeper: tell: lock team-a/Mutex/db is not injected, {why}"]
    for main in (steps("main", [looping]), dag("main", calling("work", "a", **hook))):
        names, warned = locked(run(main, leaf("work"), leaf("tell")), found)
        assert (len(names), warned) == (1, [])


@pytest.mark.parametrize(("limit", "put"), [(1, False), (2, False), (3, True), (9, True)])
def test_a_semaphore_with_room_for_all_items_is_put(limit: int, put: bool) -> None:  # noqa: FBT001 - a table
    """Two items may keep two, and the hook of both together needs one more."""
    looping = calling("work", "a", withItems=[1, 2], onExit="tell")
    found = policies(("tell",), lock=semaphore_target(f"limit-{limit}"))
    decision = mutate(run(dag("main", looping), leaf("work"), leaf("tell")), found)
    assert bool(told(decision)) is not put
    assert bool([each for each in decision.patch if "synchronization" in each.path]) is put


def test_a_hook_with_a_lock_of_its_own_keeps_it_from_the_task() -> None:
    """The user wrote it there, so the rule does not add it to what the hook would wait for."""
    main = dag("main", calling("work", "a", hooks=RUNNING))
    spec = run(main, leaf("work"), {**leaf("tell"), "synchronization": mutexes("db")})
    names, warned = locked(spec, policies(("work",)))
    assert names == ["tell"]
    why = 'the hook "told" of the task "a" would wait for it for ever'
    assert warned == [f"lockkeeper: work: lock team-a/Mutex/db is not injected, {why}"]


def test_templates_of_other_objects_and_template_objects_are_judged_alike() -> None:
    """A hook by templateRef gets no wrapper with the lock, and a WorkflowTemplate no lock on its hook."""
    other = template_object("other", {"templates": [leaf("tell")]})
    hook = calling_other("other", "tell")["templateRef"]
    hooks: JsonObject = {"told": {"templateRef": hook, "expression": "x"}}
    main = dag("main", calling("work", "a", hooks=hooks))
    names, warned = locked(run(main, leaf("work")), policies(("work", "tell"), other, strategy="Wrapper"))
    assert names == ["work"]
    assert warned == [NOT_PUT]
    main = dag("main", calling("work", "a", hooks=RUNNING))
    stored: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "shared", "namespace": "team-a"},
        "spec": {"templates": [main, leaf("work"), leaf("tell")]},
    }
    injected = rule("db", MUTEX, names=["work", "tell"])
    found = snapshot(lock_policy(match={"kinds": ["WorkflowTemplate"]}, inject=[injected]))
    decision = apply_policies(review_of(stored), found, NOW)
    assert [each.path for each in decision.patch if each.path.endswith("synchronization")] == [
        "/spec/templates/1/synchronization"
    ]
    assert told(decision) == [NOT_PUT]
