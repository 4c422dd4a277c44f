"""A lock taken below itself, and locks nested in both orders, are found with the path to them."""

from typing import Final

import pytest

from policy.core.lock_graph.deadlocks import TemplateDeadlock, analyse
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.template_keys import ObjectKind
from policy.core.policies.snapshot import Document
from policy.core.values.budget import TimeSpentError
from tests.policy.core.builders import NAMESPACE, semaphore, template_object
from tests.policy.core.counting_budget import CountingBudget
from tests.policy.core.lock_graph.deadlock_trial import verdict
from tests.policy.core.lock_graph.graphs import (
    arguments,
    calling,
    calling_other,
    dag,
    graph_of,
    inputs,
    leaf,
    mutexes,
    steps,
)

TRIED: Final = 300
"""Graphs of the fast suite; `make deadlocks` tries 20,000."""
LIMITS: Final = {f"{NAMESPACE}/ConfigMap/limits/two": 2, f"{NAMESPACE}/ConfigMap/limits/unlimited": 1_000_000}


def _limit_of(name: str) -> int | None:
    return 1 if "/Mutex/" in name else LIMITS.get(name)


def _found(
    spec: JsonObject, *documents: Document, kind: ObjectKind = ObjectKind.WORKFLOW
) -> tuple[TemplateDeadlock, ...]:
    return analyse(graph_of(spec, *documents, kind=kind), _limit_of).deadlocks


def _only(spec: JsonObject, *documents: Document, kind: ObjectKind = ObjectKind.WORKFLOW) -> TemplateDeadlock:
    (found,) = _found(spec, *documents, kind=kind)
    return found


def _spec(*templates: JsonObject, **more: JsonObject | str) -> JsonObject:
    return {"entrypoint": "main", "templates": list(templates), **more}


@pytest.mark.parametrize("seed", range(TRIED))
def test_no_certain_deadlock_is_missed_and_none_is_made_up(seed: int) -> None:
    """Random graphs against every interleaving; what may hang is at least called possible."""
    found = verdict(seed)
    assert found is None or found.right, found


@pytest.mark.parametrize(
    ("loop", "name"),
    [
        ({"withItems": ["staging", "prod"]}, "prod"),
        ({"withParam": '["staging", "prod"]'}, "prod"),
        ({"withSequence": {"count": "2", "format": "zone-%d"}}, "zone-1"),
    ],
)
def test_a_loop_whose_items_are_written_down_is_judged_item_by_item(loop: JsonObject, name: str) -> None:
    """As if each was written as a call of its own."""
    call = {**calling("one", "each", arguments=arguments(env="{{item}}")), **loop}
    one = leaf("one", "deploy-{{inputs.parameters.env}}", inputs=inputs("env"))
    deadlock = _only(_spec(steps("main", [call]), one, synchronization=mutexes(f"deploy-{name}")))
    assert deadlock.certain
    assert deadlock.message == (
        f"one takes {NAMESPACE}/Mutex/deploy-{name}, which the whole Workflow above it holds: it waits for "
        f'itself for ever (the whole Workflow [lock] > entrypoint main > step "each(1:{name})" one [lock]). '
        "Take it at the Workflow (spec.synchronization) or at one, not at both"
    )


def test_the_message_shows_the_path() -> None:
    """The whole text of a lock that is taken again below its holder."""
    found = _only(_spec(dag("main", calling("load", "a"), mutexes=("db",)), leaf("load", "db")))
    assert found.certain
    assert found.pointer == "/spec/templates/1/synchronization/mutexes/0"
    assert found.message == (
        "load takes team-a/Mutex/db, which main above it holds: it waits for itself for ever "
        '(entrypoint main [lock] > task "a" load [lock]). Take it at main or at load, not at both'
    )


def test_a_lock_of_the_whole_workflow_is_held_by_exit_handlers_too() -> None:
    """Argo frees it when the Workflow has completed, exit handlers included."""
    spec = _spec(leaf("main"), leaf("bye", "db"), onExit="bye", synchronization=mutexes("db"))
    found = _only(spec)
    assert found.certain
    assert found.message == (
        "bye takes team-a/Mutex/db, which the whole Workflow above it holds: it waits for itself for ever "
        "(the whole Workflow [lock] > onExit bye [lock]). "
        "Take it at the Workflow (spec.synchronization) or at bye, not at both"
    )


@pytest.mark.parametrize(
    ("spec", "certain"),
    [
        (_spec(leaf("main", "db"), synchronization=mutexes("db")), True),
        (_spec(leaf("main", "db"), leaf("last", "db"), onExit="last"), None),
        (_spec(dag("main", calling("x"), calling("y")), leaf("x", "db"), leaf("y", "db")), None),
        (_spec(dag("main", calling("x", when="maybe"), mutexes=("db",)), leaf("x", "db")), False),
        (_spec(dag("main", calling("x"), mutexes=("db",)), dag("x", calling("y")), leaf("y", "db")), True),
        (_spec(dag("main", calling("main", when="again"), mutexes=("db",))), False),
        (_spec(dag("main", calling("main"), mutexes=("db",))), True),
        (_spec(dag("main", calling("main", when="again"))), None),
        (
            _spec(
                dag("main", calling("x"), mutexes=("db",)),
                leaf("x"),
                leaf("y", "db"),
                hooks={"running": {"template": "y", "expression": "true"}},
            ),
            None,
        ),
        (
            _spec(
                dag("main", calling("x", hooks={"exit": {"template": "y"}}), mutexes=("db",)),
                leaf("x"),
                leaf("y", "db"),
            ),
            True,
        ),
        (
            _spec(dag("main", calling("x", onExit="y")), leaf("x", "db"), leaf("y", "db")),
            None,
        ),
        (
            _spec(
                steps("main", [calling("x")]), leaf("x"), templateDefaults={"synchronization": mutexes("d")}
            ),
            True,
        ),
        (_spec(leaf("main"), templateDefaults={"synchronization": mutexes("d")}), None),
    ],
)
def test_what_is_certain_what_is_possible_and_what_is_nothing(spec: JsonObject, certain: bool | None) -> None:  # noqa: FBT001 - a table
    """None is no deadlock."""
    found = _found(spec)
    assert [each.certain for each in found] == ([] if certain is None else [certain])


def _two(name: str, *tasks: JsonObject, key: str = "two") -> JsonObject:
    made = dag(name, *tasks) if tasks else leaf(name)
    return {**made, "synchronization": {"semaphores": [semaphore(key)]}}


def test_a_limit_above_one_is_certain_where_one_path_takes_more() -> None:
    """Two below each other fit, and hang when others hold the rest; three never fit."""
    pair = _only(_spec(_two("main", calling("b")), _two("b")))
    assert not pair.certain
    assert pair.message == (
        "b takes team-a/ConfigMap/limits/two, which main above it holds: once 2 hold it above and each waits "
        'for one more, all wait for ever (entrypoint main [lock] > task "call-b" b [lock]). '
        "Take it at main or at b, not at both"
    )
    three = _only(_spec(_two("main", calling("b")), _two("b", calling("c")), _two("c")))
    assert three.certain
    assert three.message == (
        "c takes team-a/ConfigMap/limits/two, of which main and b above it hold all 2: it waits for itself "
        'for ever (entrypoint main [lock] > task "call-b" b [lock] > task "call-c" c [lock]). '
        "Take it once on this path: at main, b or c"
    )


def test_the_path_of_a_used_up_semaphore_leads_over_all_of_its_holders() -> None:
    """Though there is a shorter way to the one that waits, and a template below it that waits as well."""
    spec = _spec(
        _two("main", calling("c"), calling("b")),
        _two("b", calling("c")),
        _two("c", calling("d")),
        _two("d"),
    )
    found = _found(spec)
    assert [(each.certain, each.message.partition(",")[0]) for each in found] == [
        (True, "c takes team-a/ConfigMap/limits/two"),
        (True, "d takes team-a/ConfigMap/limits/two"),
    ]
    assert 'main [lock] > task "call-b" b [lock] > task "call-c" c [lock])' in found[0].message


def test_a_limit_that_is_not_known_makes_a_deadlock_possible() -> None:
    """And one that is never used up makes none."""
    assert not _only(_spec(_two("main", calling("b"), key="new"), _two("b", key="new"))).certain
    assert _found(_spec(_two("main", calling("b"), key="unlimited"), _two("b", key="unlimited"))) == ()


def test_branches_of_a_condition_that_all_hang_are_certain_together() -> None:
    """One of the two always runs, and either waits for the lock above."""
    tasks = [
        calling("check", when="maybe"),
        calling("x", depends="call-check.Succeeded"),
        calling("x", "other", depends="call-check.Skipped"),
    ]
    spec = _spec(dag("main", *tasks, mutexes=("db",)), leaf("check"), leaf("x", "db"))
    found = _only(spec)
    assert found.certain
    assert found.message.endswith("Whichever branch runs, one of these hangs")
    one = _spec(dag("main", *tasks[:2], mutexes=("db",)), leaf("check"), leaf("x", "db"))
    assert not _only(one).certain


def test_locks_in_both_orders_are_possible() -> None:
    """Within one object; the message names both places."""
    spec = _spec(
        steps("main", [calling("ab"), calling("ba")]),
        dag("ab", calling("b"), mutexes=("a",)),
        dag("ba", calling("a"), mutexes=("b",)),
        leaf("a", "a"),
        leaf("b", "b"),
    )
    found = _only(spec)
    assert not found.certain
    assert found.message == (
        "locks are nested in a circle, so that two that run at once may wait for each other for ever: "
        "team-a/Mutex/b is taken inside team-a/Mutex/a by b of Workflow it; "
        "team-a/Mutex/a is taken inside team-a/Mutex/b by a of Workflow it. "
        "Take them in the same order everywhere, or together in one synchronization block"
    )


def test_a_deadlock_in_a_template_of_another_object_is_found_in_what_uses_it() -> None:
    """Through templateRef and through workflowTemplateRef; the place is in the other object."""
    other = template_object("other", {"entrypoint": "x", "templates": [leaf("x", "db")]})
    spec = _spec(dag("main", calling_other("other", "x"), mutexes=("db",)))
    found = _only(spec, other)
    assert (str(found.owner), found.certain) == ("WorkflowTemplate other", True)
    run: JsonObject = {"workflowTemplateRef": {"name": "other"}, "synchronization": mutexes("db")}
    assert _only(run, other).certain


def test_equal_parameters_are_the_same_lock_whatever_their_value_will_be() -> None:
    """Passed down unchanged they are certain; two of unknown callers are not the same."""
    load = leaf("load", "{{inputs.parameters.db}}", inputs=inputs("db"))
    down = arguments(db="{{inputs.parameters.table}}")
    main = dag(
        "main",
        calling("load", arguments=down),
        inputs=inputs("table"),
        mutexes=("{{inputs.parameters.table}}",),
    )
    found = _only(_spec(main, load), kind=ObjectKind.WORKFLOW_TEMPLATE)
    assert found.certain
    assert "team-a/Mutex/{{inputs.parameters.table}}, which" in found.message
    other = dag(
        "main",
        calling("load", arguments=arguments(db="x")),
        inputs=inputs("table"),
        mutexes=("{{inputs.parameters.table}}",),
    )
    assert _found(_spec(other, load), kind=ObjectKind.WORKFLOW_TEMPLATE) == ()


def test_of_a_thousand_deadlocks_the_first_are_reported() -> None:
    """Certain ones first; the work is bounded."""
    loads = [leaf(f"l{number}", "db") for number in range(1_000)]
    spec = _spec(dag("main", *(calling(f"l{number}") for number in range(1_000)), mutexes=("db",)), *loads)
    found = _found(spec)
    assert len(found) == 20
    assert all(each.certain for each in found)


def test_of_a_long_path_the_middle_is_left_out() -> None:
    """A message stays readable, and costs no more, whatever lies between the two that take the lock."""
    between = [steps(f"t{number}", [calling(f"t{number + 1}")]) for number in range(100)]
    found = _only(_spec(dag("main", calling("t0"), mutexes=("m",)), *between, leaf("t100", "m")))
    assert found.certain
    assert "t13 > (72 more calls) > step" in found.message
    assert len(found.message) < 2_000


def test_an_analysis_ends_with_the_time_of_its_review() -> None:
    """Wherever it is: each of its parts checks the time."""
    calling_first = dag("main", calling("t0"))
    rungs = [
        dag(f"t{n}", calling(f"t{n + 1}"), calling(f"t{n + 2}", when="x"), mutexes=(f"m{n % 7}",))
        for n in range(30)
    ]
    graph = graph_of(_spec(calling_first, *rungs, leaf("t30"), leaf("t31")))
    whole = CountingBudget(1_000_000)
    analyse(graph, _limit_of, whole)
    for checks in range(0, whole.checks, whole.checks // 20):
        with pytest.raises(TimeSpentError):
            analyse(graph, _limit_of, CountingBudget(checks))
