"""Hooks that wait for what is held until they are over, as Argo's own controller hung or did not (4.1.2).

Each Workflow of the table ran on the code of the real controller, its Pods ending in many orders; the oracle
of the random graphs has to say the same.
"""

from typing import Final

import pytest

from policy.core.lock_graph.deadlocks import TemplateDeadlock, analyse
from policy.core.objects.argo_version import DEFAULT_VERSION, ArgoVersion
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.template_keys import ObjectKind
from policy.core.policies.snapshot import Document
from tests.policy.core.builders import NAMESPACE, semaphore, template_object
from tests.policy.core.lock_graph.graphs import (
    calling,
    calling_other,
    dag,
    graph_of,
    leaf,
    mutexes,
    steps,
)
from tests.policy.core.lock_graph.interleavings import Run

ALWAYS, MAYBE, NEVER = "never ends", "may hang", "ends"
LIMITS: Final = {
    f"{NAMESPACE}/Mutex/m": 1,
    f"{NAMESPACE}/Mutex/k": 1,
    f"{NAMESPACE}/ConfigMap/limits/two": 2,
    f"{NAMESPACE}/ConfigMap/limits/three": 3,
}


def _spec(*templates: JsonObject, **more: JsonValue) -> JsonObject:
    return {"entrypoint": "main", "templates": list(templates), **more}


def _limited(name: str, key: str) -> JsonObject:
    return leaf(name, synchronization={"semaphores": [semaphore(key)]})


def _starts(status: str, *, of: str = "a", kind: str = "tasks", template: str = "tell") -> JsonObject:
    return {"told": {"expression": f'{kind}.{of}.status == "{status}"', "template": template}}


def _ends(template: str = "tell", **more: str) -> JsonObject:
    return {"exit": {"template": template, **more}}


def _found(
    spec: JsonObject,
    *documents: Document,
    kind: ObjectKind = ObjectKind.WORKFLOW,
    argo: ArgoVersion = DEFAULT_VERSION,
) -> tuple[TemplateDeadlock, ...]:
    return analyse(graph_of(spec, *documents, kind=kind), LIMITS.get, argo=argo).deadlocks


def _truth(spec: JsonObject) -> str:
    outcome = Run(spec, LIMITS, NAMESPACE, 100_000).outcome()
    return ALWAYS if not outcome.can_end else MAYBE if outcome.can_hang else NEVER


RUNNING: Final = _starts("Running")
DONE: Final = _starts("Succeeded")
ITEMS: Final[list[JsonValue]] = [1, 2]
TELL, WORK, PLAIN = leaf("tell", "m"), leaf("work", "m"), leaf("plain")
OUTER = steps("outer", [calling("work", "x")])
HOLDER = steps("outer", [calling("plain", "x")], synchronization=mutexes("m"))


def _beside(first: JsonObject, second: JsonObject) -> JsonObject:
    kind = "steps"
    one = calling("plain", "a", hooks=_starts("Running", kind=kind))
    two = calling("plain", "b", hooks=_starts("Running", of="b", kind=kind))
    return steps("main", [{**one, **first}, {**two, **second}])


SEEN: Final[dict[str, tuple[JsonObject, str]]] = {
    "a hook while its task runs": (
        _spec(dag("main", calling("work", "a", hooks=RUNNING)), WORK, TELL),
        MAYBE,
    ),
    "a hook when its task is over": (_spec(dag("main", calling("work", "a", hooks=DONE)), WORK, TELL), MAYBE),
    "a hook while work below its task runs": (
        _spec(dag("main", calling("outer", "a", hooks=RUNNING)), OUTER, WORK, TELL),
        MAYBE,
    ),
    "a hook when work below its task is over": (
        _spec(dag("main", calling("outer", "a", hooks=DONE)), OUTER, WORK, TELL),
        NEVER,
    ),
    "a hook when steps with the lock are over": (
        _spec(dag("main", calling("outer", "a", hooks=DONE)), HOLDER, PLAIN, TELL),
        NEVER,
    ),
    "a hook while steps with the lock run": (
        _spec(dag("main", calling("outer", "a", hooks=RUNNING)), HOLDER, PLAIN, TELL),
        MAYBE,
    ),
    "a hook while items run": (
        _spec(dag("main", calling("work", "a", hooks=RUNNING, withItems=ITEMS)), WORK, TELL),
        MAYBE,
    ),
    "a hook when all items are over": (
        _spec(dag("main", calling("work", "a", hooks=DONE, withItems=ITEMS)), WORK, TELL),
        NEVER,
    ),
    "an exit hook": (_spec(dag("main", calling("work", "a", hooks=_ends())), WORK, TELL), NEVER),
    "an exit hook, and a task after it": (
        _spec(
            dag("main", calling("work", "a", hooks=_ends()), calling("work", "b", depends="a")), WORK, TELL
        ),
        NEVER,
    ),
    "hooks of two tasks": (
        _spec(
            dag(
                "main",
                calling("plain", "a", hooks=RUNNING),
                calling("plain", "b", hooks=_starts("Running", of="b")),
            ),
            PLAIN,
            TELL,
        ),
        NEVER,
    ),
    "two hooks of one task": (
        _spec(dag("main", calling("plain", "a", hooks={**RUNNING, "other": RUNNING["told"]})), PLAIN, TELL),
        NEVER,
    ),
    "a task after the one with the hook": (
        _spec(
            dag("main", calling("plain", "a", hooks=DONE), calling("work", "b", depends="a")),
            WORK,
            PLAIN,
            TELL,
        ),
        NEVER,
    ),
    "another task above which the lock is held": (
        _spec(dag("main", calling("outer", "o"), calling("plain", "a", hooks=RUNNING)), HOLDER, PLAIN, TELL),
        NEVER,
    ),
    "a hook of the Workflow": (
        _spec(
            dag("main", calling("work", "a")),
            WORK,
            TELL,
            hooks={"told": {"expression": 'workflow.status == "Running"', "template": "tell"}},
        ),
        NEVER,
    ),
    "an exit hook of items": (
        _spec(dag("main", calling("plain", "a", withItems=ITEMS, hooks=_ends())), PLAIN, TELL),
        ALWAYS,
    ),
    "an exit hook of one item": (
        _spec(dag("main", calling("plain", "a", withItems=[1], hooks=_ends())), PLAIN, TELL),
        ALWAYS,
    ),
    "the old field for it": (
        _spec(dag("main", calling("plain", "a", withItems=ITEMS, onExit="tell")), PLAIN, TELL),
        ALWAYS,
    ),
    "an exit hook of items that may not start": (
        _spec(dag("main", calling("plain", "a", withItems=ITEMS, hooks=_ends(expression="x"))), PLAIN, TELL),
        MAYBE,
    ),
    "an exit hook of items without a lock": (
        _spec(dag("main", calling("work", "a", withItems=ITEMS, hooks=_ends("plain"))), PLAIN, WORK),
        NEVER,
    ),
    "two items that use a semaphore up": (
        _spec(
            dag("main", calling("plain", "a", withItems=ITEMS, hooks=_ends())), PLAIN, _limited("tell", "two")
        ),
        MAYBE,
    ),
    "two tasks that use a semaphore up": (
        _spec(
            dag(
                "main",
                calling("plain", "a", withItems=[1], hooks=_ends()),
                calling("plain", "b", withItems=[1], hooks=_ends(), depends="a"),
            ),
            PLAIN,
            _limited("tell", "two"),
        ),
        ALWAYS,
    ),
    "a hook while its step runs": (
        _spec(steps("main", [calling("work", "a", hooks=_starts("Running", kind="steps"))]), WORK, TELL),
        NEVER,
    ),
    "a hook when its step is over": (
        _spec(steps("main", [calling("work", "a", hooks=_starts("Succeeded", kind="steps"))]), WORK, TELL),
        NEVER,
    ),
    "a hook while work below its step runs": (
        _spec(
            steps("main", [calling("outer", "a", hooks=_starts("Running", kind="steps"))]), OUTER, WORK, TELL
        ),
        NEVER,
    ),
    "an exit hook of items in steps": (
        _spec(steps("main", [calling("work", "a", withItems=ITEMS, hooks=_ends())]), WORK, TELL),
        NEVER,
    ),
    "hooks of two steps side by side": (_spec(_beside({}, {}), PLAIN, TELL), MAYBE),
    "exit hooks of two steps side by side": (
        _spec(_beside({"hooks": _ends()}, {"hooks": _ends()}), PLAIN, TELL),
        NEVER,
    ),
}


@pytest.mark.parametrize(("spec", "seen"), SEEN.values(), ids=SEEN)
def test_what_hung_in_argo_is_told_and_what_ended_is_not(spec: JsonObject, seen: str) -> None:
    """Certain where no order of Pods let it end; the oracle says the same."""
    assert _truth(spec) == seen
    said = {each.certain for each in _found(spec)}
    assert said == {ALWAYS: {True}, MAYBE: {False}, NEVER: set()}[seen]


def test_the_message_of_a_hook_says_who_holds_the_lock_and_what_to_do() -> None:
    """The whole text, for each of the ways to wait."""
    task = _spec(
        dag("main", calling("outer", "pack", hooks=_starts("Running", of="pack"))), OUTER, WORK, TELL
    )
    assert _found(task)[0].message == (
        'tell takes team-a/Mutex/m as the hook "told" of the task "pack", which work, below that task, may '
        "hold: Argo gives back the locks of a DAG task and of all below it only after its hooks are over, so "
        "where the hook starts while it is held, they wait for each other for ever. Take it at work or at "
        'tell, not at both, or use the exit hook of "pack", which starts after the lock is given back'
    )
    beside, _ = SEEN["hooks of two steps side by side"]
    assert _found(beside)[0].message == (
        'tell takes team-a/Mutex/m as the hook "told" of the step "a", which tell (hook "told" of the step '
        '"b") may hold: Argo gives back the locks of later steps\' hooks only after the hooks of earlier '
        "steps are over, so where the hook starts while it is held, they wait for each other for ever. Put "
        "the steps into different groups, or take the lock in one of their hooks only"
    )
    items, _ = SEEN["an exit hook of items"]
    assert _found(items)[0].message == (
        'tell takes team-a/Mutex/m as the exit hook of the task "a", which has items: Argo never gives back '
        "the lock of the last item's exit hook, and runs the hook once more for all items together; that "
        "waits for it for ever. Take no lock in this hook, loop in steps instead of a DAG, or let the task "
        "call a template of steps that has the work and the exit hook"
    )


@pytest.mark.parametrize(
    ("argo", "said"),
    [
        (ArgoVersion(3, 6), (False, "which tell may hold for another item: ")),
        (ArgoVersion(3, 7), (False, "Argo from 3.7.17 and 4.0.8 on never gives back")),
        (ArgoVersion(4, 0), (False, "Argo from 3.7.17 and 4.0.8 on never gives back")),
        (ArgoVersion(4, 1), (True, "Argo never gives back")),
        (ArgoVersion(4, 2), (True, "Argo never gives back")),
    ],
)
def test_the_exit_hook_of_items_is_judged_by_the_installed_argo(
    argo: ArgoVersion, said: tuple[bool, str]
) -> None:
    """Before 3.7.17 the hook of one item may wait for that of another, and one item alone waits for none."""
    items, _ = SEEN["an exit hook of items"]
    (found,) = _found(items, argo=argo)
    certain, text = said
    assert found.certain is certain
    assert text in found.message
    one, _ = SEEN["an exit hook of one item"]
    assert len(_found(one, argo=argo)) == (argo >= ArgoVersion(3, 7))


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ('tasks.a.status == "Succeeded"', False),
        ("tasks['a'].status == 'Failed' || tasks.a.status=='Error'", False),
        ('tasks["a"].status in ["Succeeded", "Failed"] && workflow.parameters.x == "1"', False),
        ('workflow.parameters.x == "1" and tasks.a.status == "Succeeded"', False),
        ('tasks.a.status != "Succeeded"', True),
        ('tasks.b.status == "Succeeded"', True),
        ('tasks.a.status == "Succeeded" || workflow.parameters.x == "1"', True),
        ('!(tasks.a.status == "Succeeded")', True),
        ("true", True),
    ],
)
def test_a_hook_that_starts_when_its_task_is_over_waits_for_nothing_below_it(
    expression: str,
    told: bool,  # noqa: FBT001 - a table
) -> None:
    """Every alternative of its expression has to ask for that; what cannot be read may start before."""
    hooks: JsonObject = {"told": {"expression": expression, "template": "tell"}}
    found = _found(_spec(dag("main", calling("outer", "a", hooks=hooks)), OUTER, WORK, TELL))
    assert bool(found) is told


def test_what_argo_ends_itself_holds_nothing_when_its_hook_starts() -> None:
    """A Pod that would be retried, and a suspension, give their locks back before."""
    retried: JsonObject = {"retryStrategy": {"limit": 1}}
    for more in (retried, JsonObject(suspend={})):
        work: JsonObject = {**leaf("work", "m"), **more}
        assert not _found(_spec(dag("main", calling("work", "a", hooks=DONE)), work, TELL))
        assert _found(_spec(dag("main", calling("work", "a", hooks=RUNNING)), work, TELL))
    main = dag("main", calling("work", "a", hooks=DONE))
    assert not _found(_spec(main, WORK, TELL, templateDefaults=retried))


def test_hooks_and_tasks_in_inline_and_foreign_templates_count() -> None:
    """And locks deep below the hook, or of templateDefaults."""
    inline: JsonObject = {"name": "a", "inline": {**leaf("x", "m")}, "hooks": RUNNING}
    assert _found(_spec(dag("main", inline), TELL))
    other = template_object("other", {"templates": [TELL, OUTER, WORK]})
    hook: JsonObject = {"templateRef": {"name": "other", "template": "outer"}, "expression": "x"}
    foreign = _spec(dag("main", calling("work", "a", hooks={"told": hook})), WORK)
    (found,) = _found(foreign, other)
    assert str(found.owner) == "WorkflowTemplate other"
    assert 'work takes team-a/Mutex/m below the hook "told" of the task "a"' in found.message
    task: JsonObject = {**calling_other("other", "outer"), "name": "a", "hooks": RUNNING}
    assert _found(_spec(dag("main", task), TELL), other)
    everywhere = _spec(
        dag("main", calling("plain", "a", hooks=RUNNING), synchronization={"mutexes": [{"name": "k"}]}),
        PLAIN,
        leaf("tell"),
        templateDefaults={"synchronization": mutexes("m")},
    )
    assert any("as the hook" in each.message for each in _found(everywhere))


def test_a_hook_and_its_task_in_other_orders_than_elsewhere_may_wait_for_each_other() -> None:
    """The task holds one lock while its hook waits for the other, and another template nests them so."""
    spec = _spec(
        dag("main", calling("work", "a", hooks=_starts("Running", template="k")), calling("other", "b")),
        WORK,
        leaf("k", "k"),
        steps("other", [calling("work", "x")], synchronization=mutexes("k")),
    )
    assert _truth(spec) == MAYBE
    (found,) = _found(spec)
    assert found.message.startswith("locks are nested in a circle")


def test_a_semaphore_counts_what_paths_and_items_keep_together() -> None:
    """One holder above, and one kept below it, leave none of two; of three one is left."""
    inner = dag("inner", calling("plain", "a", withItems=[1], hooks=_ends()))

    def spec(key: str) -> JsonObject:
        holds: JsonObject = {"semaphores": [semaphore(key)]}
        return _spec(
            dag("main", calling("inner"), synchronization=holds), inner, PLAIN, _limited("tell", key)
        )

    assert _truth(spec("two")) == ALWAYS
    assert any(each.certain for each in _found(spec("two")))
    assert _truth(spec("three")) == NEVER
    assert not any(each.certain for each in _found(spec("three")))


def test_templates_for_others_keep_locks_each_by_itself() -> None:
    """Two of one object do not add up: nobody has to run both."""
    loop = calling("plain", "a", withItems=[1], hooks=_ends())
    spec: JsonObject = {"templates": [dag("one", loop), dag("two", loop), PLAIN, _limited("tell", "two")]}
    assert {each.certain for each in _found(spec, kind=ObjectKind.WORKFLOW_TEMPLATE)} == {False}
    loops: JsonObject = {"templates": [dag("one", loop), PLAIN, TELL]}
    assert {each.certain for each in _found(loops, kind=ObjectKind.WORKFLOW_TEMPLATE)} == {True}


def test_the_old_field_takes_the_place_of_the_exit_hook() -> None:
    """Argo runs onExit alone where both are there, of a call and of the whole Workflow."""
    hidden: JsonObject = {"onExit": "plain", "hooks": _ends()}
    for spec in (
        _spec(dag("main", calling("plain", "a", withItems=ITEMS, **hidden)), PLAIN, TELL),
        _spec(PLAIN, {**TELL, "name": "tell"}, synchronization=mutexes("m"), **hidden)
        | {"entrypoint": "plain"},
    ):
        assert _truth(spec) == NEVER
        assert not _found(spec)


def test_a_task_in_an_inline_dag_of_a_step_is_called_a_task() -> None:
    """Its pointer leads through the steps."""
    inline = dag("", calling("plain", "a", withItems=ITEMS, hooks=_ends()))
    (found,) = _found(_spec(steps("main", [{"name": "s", "inline": inline}]), PLAIN, TELL))
    assert 'as the exit hook of the task "a", which has items' in found.message


def test_two_locks_of_one_hook_are_no_circle() -> None:
    """Each is told by itself."""
    both = leaf("tell", "m", "k")
    found = _found(_spec(dag("main", calling("plain", "a", withItems=ITEMS, hooks=_ends())), PLAIN, both))
    assert [each.certain for each in found] == [True, True]
    assert not any("circle" in each.message for each in found)
