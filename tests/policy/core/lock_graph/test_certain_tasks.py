"""Which tasks run in every run whose work succeeds: what makes a deadlock certain or only possible."""

from time import thread_time

import msgspec
import pytest

from policy.core.lock_graph.certain_tasks import DEEPEST, certain_tasks
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import Dag
from policy.core.values.budget import TimeSpentError
from tests.policy.core.counting_budget import CountingBudget


def _certain(*tasks: JsonObject, target: str | None = None) -> list[bool]:
    return certain_tasks(msgspec.convert({"tasks": list(tasks), "target": target}, Dag))


def _task(name: str, **more: JsonValue) -> JsonObject:
    return {"name": name, **more}


MAYBE = _task("maybe", when="{{inputs.parameters.x}} == 1")


def test_tasks_without_conditions_are_certain() -> None:
    """Chained ones too: all work is assumed to succeed."""
    assert _certain(_task("a"), _task("b", dependencies=["a"]), _task("c", depends="a && b")) == [True] * 3


@pytest.mark.parametrize("field", [{"when": "x == y"}, {"withParam": "[]"}, {"withSequence": {"count": "0"}}])
def test_conditions_and_loops_that_may_be_empty_make_a_task_uncertain(field: JsonObject) -> None:
    """Argo skips each of these at run time."""
    assert _certain({"name": "a", **field}) == [False]


def test_a_loop_over_written_items_is_certain() -> None:
    """An empty `withItems` is no loop for Argo: the task runs once."""
    assert _certain(_task("a", withItems=[1, 2])) == [True]


@pytest.mark.parametrize(
    ("depends", "certain"),
    [
        ("maybe", True),
        ("maybe.Succeeded", False),
        ("maybe.Succeeded || maybe.Skipped", True),
        ("maybe.Succeeded || sure", True),
        ("maybe.Succeeded && sure", False),
        ("maybe.Skipped", False),
        ("sure.Failed", False),
        ("sure.Failed || sure.Succeeded", True),
        ("sure.Errored || sure.AnySucceeded", True),
        ("!sure.Failed", True),
        ("!(sure.Failed || sure.Errored) && (maybe)", True),
        ("!maybe.Skipped", False),
        ("sure.Nonsense", False),
        ("sure &&", False),
        ("(sure", False),
        ("sure sure", False),
        ("sure & maybe", False),
        ("&& sure", False),
        ("unknown", False),
    ],
)
def test_depends_is_read_as_argo_reads_it(depends: str, certain: bool) -> None:  # noqa: FBT001 - a table
    """A plain name is satisfied by success and by being skipped; what cannot be read is uncertain."""
    assert _certain(MAYBE, _task("sure"), _task("x", depends=depends)) == [False, True, certain]


def test_what_waits_for_an_omitted_task_is_omitted_too() -> None:
    """A plain name is not satisfied by an omitted task."""
    assert _certain(_task("a"), _task("b", depends="a.Failed"), _task("c", depends="b")) == [
        True,
        False,
        False,
    ]


def test_only_wanted_tasks_are_certain_where_a_target_is_given() -> None:
    """`target` runs these tasks and what they wait for."""
    tasks = [_task("a"), _task("b", dependencies=["a"]), _task("c")]
    assert _certain(*tasks, target="b") == [True, True, False]


def test_tasks_that_wait_for_each_other_are_not_certain() -> None:
    """Argo refuses such a DAG; it must not hang us."""
    assert _certain(_task("a", depends="b.Succeeded"), _task("b", depends="a.Succeeded")) == [False, False]


def test_many_uncertain_tasks_are_not_tried_in_every_combination() -> None:
    """Two to the power of forty would take for ever."""
    names = [f"t{number}" for number in range(40)]
    tasks = [_task(name, when="x") for name in names]
    last = _task("last", depends=" && ".join(f"({name}.Succeeded || {name}.Skipped)" for name in names))
    assert _certain(*tasks, last)[-1] is False


@pytest.mark.parametrize("depth", [1, DEEPEST - 1, DEEPEST, 5_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("(", ")"), ("!!", ""), ("!(", ")")])
def test_an_expression_of_any_depth_is_read_or_counts_as_unreadable(
    opening: str, closing: str, depth: int
) -> None:
    """It is in a field of the user's, so it may not overflow the stack; what is not read may run or not."""
    found = _certain(_task("a"), _task("b", depends=opening * depth + "a" + closing * depth))
    assert found[0]
    assert found[1] in ((True, False) if depth < DEEPEST else (False,))


def test_a_long_row_of_spaces_costs_no_more_than_its_length() -> None:
    """A pattern that begins with spaces would try each of them as its beginning."""
    spaces = " " * 1_000_000
    started = thread_time()
    assert _certain(_task("a"), _task("b", depends=f"a{spaces}?")) == [True, False]
    assert thread_time() - started < 5


def test_a_dag_ends_with_the_time_of_its_review() -> None:
    """Every task checks the time."""
    tasks = [_task(f"t{number}", when="x", depends=f"t{number - 1}") for number in range(1, 1_000)]
    budget = CountingBudget(500)
    with pytest.raises(TimeSpentError, match="graph"):
        certain_tasks(msgspec.convert({"tasks": tasks}, Dag), budget)
    assert budget.checks == 501
