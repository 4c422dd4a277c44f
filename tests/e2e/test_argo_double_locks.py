"""The locks of the double: semaphores and mutexes, of Workflows and of templates, as Argo 4.1.2 has them."""

from collections.abc import Iterator

import pytest

from policy.cluster.protocol import WORKFLOW_TEMPLATES, WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.argo.playing import (
    NAMESPACE,
    TASK,
    Field,
    container,
    controlled,
    json_of,
    memory,
    mutex,
    semaphore,
)
from tests.e2e.argo.shapes import Phase
from tests.e2e.product import until


@pytest.fixture
def field() -> Iterator[Field]:
    """Give an empty cluster."""
    with memory() as made:
        yield made


def test_a_workflow_waits_for_another_before_it_starts(field: Field) -> None:
    """Pending, without a start, with the text that people search for; then in order of priority."""
    lock = mutex("one")
    with controlled(field):
        field.submit("first", synchronization=lock)
        held = field.becomes("first", Phase.RUNNING)
        assert json_of(held.status.synchronization) == {
            "mutex": {"holding": [{"mutex": "team/Mutex/one", "holder": "team/first"}]}
        }
        waiting = "Waiting for team/Mutex/one lock. Lock status: 0/1"
        field.submit("second", synchronization=lock)
        second = field.becomes("second", Phase.PENDING, waiting)
        assert second.status.started_at is None
        assert json_of(second.status.synchronization) == {
            "mutex": {"waiting": [{"mutex": "team/Mutex/one", "holder": "team/first"}]}
        }
        field.submit("urgent", synchronization=lock, priority=1)
        field.becomes("urgent", Phase.PENDING, waiting)
        field.play("first", "Succeeded")
        field.becomes("urgent", Phase.RUNNING)
        field.becomes("second", Phase.PENDING, waiting)


def test_a_task_waits_for_a_semaphore(field: Field) -> None:
    """The Workflow is Running, its node is not; a higher limit wakes it."""
    field.limit(db="1")
    task = container("main", synchronization=semaphore("db"))
    name = "team/ConfigMap/limits/db"
    with controlled(field):
        field.submit("a", task)
        field.pod("a")
        field.submit("b", task)
        second = field.becomes("b", Phase.RUNNING)
        (node,) = second.status.nodes.values()
        assert (node.phase, node.message) == (Phase.PENDING, f"Waiting for {name} lock. Lock status: 0/1")
        holder = f"team/a/{field.workflow('a').node_id('a')}"
        assert json_of(second.status.synchronization) == {
            "semaphore": {"waiting": [{"semaphore": name, "holders": [holder]}]}
        }
        field.limit(db="2")
        field.play("b", "Succeeded")
        field.becomes("b", Phase.SUCCEEDED)
        field.play("a", "Succeeded")
        assert field.becomes("a", Phase.SUCCEEDED).status.synchronization is None


def test_a_higher_limit_does_not_wake_who_reaches_the_lock_by_another_template(field: Field) -> None:
    """As in Argo (argo-verified 4): it is not found by what it names itself; any change of it helps."""
    field.limit(db="1")
    spec: JsonObject = {"templates": [container("far", synchronization=semaphore("db"))]}
    field.create(WORKFLOW_TEMPLATES, "library", spec=spec)
    far: JsonObject = {"name": "x", "templateRef": {"name": "library", "template": "far"}}

    def has_come(name: str) -> bool:
        return field.workflow(name).status.synchronization is not None

    def begun() -> int:
        return sum("far" in name for name in field.pods())

    with controlled(field):
        field.submit("a", {"name": "main", "dag": {"tasks": [far]}})
        until(lambda: has_come("a"), "the first takes no lock")
        field.submit("b", {"name": "main", "dag": {"tasks": [far]}})
        until(lambda: has_come("b"), "the second does not wait")
        field.limit(db="2")
        field.submit("fence")
        field.becomes("fence", Phase.RUNNING)
        assert begun() == 1
        field.patch("b", metadata={"annotations": {"touched": "now"}})
        until(lambda: begun() == 2, "a touch does not wake it")


@pytest.mark.parametrize(
    ("env", "lock"), [("prod", "team/ConfigMap/limits/db"), ("dev", "team/ConfigMap/limits/unlimited")]
)
@pytest.mark.parametrize("whole", [True, False])
def test_the_key_of_a_lock_may_be_worked_out(field: Field, env: str, lock: str, *, whole: bool) -> None:
    """By an expression, on both levels: so a lock is taken on a condition (argo-verified 8)."""
    field.limit(db="1", unlimited="1000")
    block = semaphore("{{= workflow.parameters.env == 'prod' ? 'db' : 'unlimited'}}")
    arguments: JsonObject = {"parameters": [{"name": "env", "value": env}]}
    with controlled(field):
        if whole:
            field.submit("a", arguments=arguments, synchronization=block)
        else:
            field.submit("a", container("main", synchronization=block), arguments=arguments)
        field.pod("a")
        until(lambda: field.workflow("a").status.synchronization is not None, "it takes no lock")
    held = field.workflow("a").status.synchronization
    assert held is not None
    assert held.semaphore is not None
    assert [each.semaphore for each in held.semaphore.holding] == [lock]


@pytest.mark.parametrize("limit", ["0", " 5", "x", "", "1_0"])
def test_a_limit_that_is_none_ends_the_workflow(field: Field, limit: str) -> None:
    """Argo looks at limits only when it runs, and so do we test what is let through."""
    field.limit(bad=limit)
    why = "failed to initialize semaphore team/ConfigMap/limits/bad with limit"
    with controlled(field, finish_after=TASK):
        field.submit("whole", synchronization=semaphore("bad"))
        field.becomes("whole", Phase.FAILED, f"Failed to acquire the synchronization lock. {why}")
        field.submit("task", container("main", synchronization=semaphore("bad")))
        field.becomes("task", Phase.ERROR, f"error in entry template execution: {why}")


def test_a_negative_limit_ends_it_with_an_error(field: Field) -> None:
    """On both levels."""
    field.limit(less="-1")
    with controlled(field, finish_after=TASK):
        field.submit("whole", synchronization=semaphore("less"))
        field.becomes("whole", Phase.ERROR, "semaphore: n < 0")
        field.submit("task", container("main", synchronization=semaphore("less")))
        field.becomes("task", Phase.ERROR, "semaphore: n < 0")


def test_a_limit_that_cannot_be_read_any_more_stays_in_force(field: Field) -> None:
    """For holders, waiters and newcomers, while Argo runs; at its next start the lock is poisoned."""
    lock = semaphore("db")
    name = "team/ConfigMap/limits/db"
    field.limit(db="1")
    with controlled(field):
        field.submit("holder", synchronization=lock)
        field.becomes("holder", Phase.RUNNING)
        field.limit(db="x")
        field.submit("waiter", synchronization=lock)
        field.becomes("waiter", Phase.PENDING, f"Waiting for {name} lock. Lock status: 0/1")
        field.play("holder", "Succeeded")
        field.becomes("waiter", Phase.RUNNING)
    with controlled(field):
        field.submit("late", synchronization=lock)
        until(
            lambda: field.workflow("late").status.message.startswith(f"lock {name} is in a poisoned"), "none"
        )
        field.limit(db="1")
        field.play("waiter", "Succeeded")
    with controlled(field):
        field.becomes("waiter", Phase.SUCCEEDED)
        field.becomes("late", Phase.RUNNING)


@pytest.mark.parametrize("strategy", ["Terminate", "Stop"])
def test_one_that_is_stopped_while_it_waits_ends_with_its_lock(field: Field, strategy: str) -> None:
    """Of 4.1.2: terminated at once, stopped when it gets the lock of the whole Workflow."""
    waiting = "Waiting for team/Mutex/x lock. Lock status: 0/1"
    with controlled(field):
        field.submit("holder", synchronization=mutex("x"))
        field.becomes("holder", Phase.RUNNING)
        field.submit("waiter", synchronization=mutex("x"), priority=1)
        field.becomes("waiter", Phase.PENDING, waiting)
        field.patch("waiter", spec={"shutdown": strategy})
        if strategy == "Stop":
            field.submit("behind", synchronization=mutex("x"))
            field.becomes("behind", Phase.PENDING, waiting)
            assert field.workflow("waiter").status.phase is Phase.PENDING
            field.play("holder", "Succeeded")
        field.becomes("waiter", Phase.FAILED, f"Stopped with strategy '{strategy}'")


def test_a_limit_that_is_lost_makes_waiters_wait(field: Field) -> None:
    """They do not fail, and go on when it is back."""
    field.limit(db="1")
    with controlled(field):
        field.submit("holder", synchronization=semaphore("db"))
        field.becomes("holder", Phase.RUNNING)
        field.limit(db="0")
        field.submit("waiter", synchronization=semaphore("db"))
        field.becomes("waiter", Phase.PENDING, "Failed to get semaphore limit for team/ConfigMap/limits/db")
        field.limit(db="2")
        field.becomes("waiter", Phase.RUNNING)


def test_a_workflow_that_waits_for_itself_waits_for_ever(field: Field) -> None:
    """It is holder and waiter at once, by which such a deadlock is known; terminating frees the lock."""
    lock = mutex("own")
    with controlled(field):
        field.submit("knot", container("main", synchronization=lock), synchronization=lock)
        until(lambda: bool(field.workflow("knot").status.nodes), "it does not get to its task")
        holding = {"mutex": "team/Mutex/own", "holder": "team/knot"}
        assert json_of(field.workflow("knot").status.synchronization) == {
            "mutex": {"holding": [holding], "waiting": [holding]}
        }
        field.patch("knot", spec={"shutdown": "Terminate"})
        field.becomes("knot", Phase.FAILED, "Stopped with strategy 'Terminate'")
        field.submit("next", synchronization=lock)
        field.becomes("next", Phase.RUNNING)


def test_a_lock_of_a_dag_is_held_over_all_its_tasks(field: Field) -> None:
    """So another Workflow's DAG begins after the last of them."""
    tasks: JsonObject = {"tasks": [{"name": "a", "template": "leaf"}, {"name": "b", "template": "leaf"}]}
    dag: JsonObject = {"name": "main", "dag": tasks, "synchronization": mutex("whole")}
    with controlled(field, finish_after=TASK):
        for name in ("one", "two"):
            field.submit(name, dag, container("leaf"))
        one, two = (field.becomes(name, Phase.SUCCEEDED) for name in ("one", "two"))
    first, second = (
        sorted(node.finished_at for node in each.status.nodes.values() if node.finished_at)
        for each in (one, two)
    )
    assert first[-1] <= second[0]


def test_locks_are_taken_whole_or_not_at_all(field: Field) -> None:
    """And a head that waits for one of two keeps others from the free one, as in Argo."""
    both: JsonObject = {"mutexes": [{"name": "x"}, {"name": "y"}]}
    with controlled(field):
        field.submit("a", synchronization=mutex("x"))
        field.becomes("a", Phase.RUNNING)
        field.submit("b", synchronization=both)
        field.becomes("b", Phase.PENDING, "Waiting for team/Mutex/x lock. Lock status: 0/1")
        field.submit("c", synchronization=mutex("y"))
        field.becomes("c", Phase.PENDING, "Waiting for team/Mutex/y lock. Lock status: 1/1")
        field.play("a", "Succeeded")
        field.becomes("b", Phase.RUNNING)
        field.play("b", "Succeeded")
        field.becomes("c", Phase.RUNNING)


def test_deleting_a_holder_lets_the_next_one_go(field: Field) -> None:
    """The same as holding one that runs, which takes it out of sight: its lock goes at once."""
    with controlled(field):
        for name in ("a", "b", "c"):
            field.submit(name, synchronization=mutex("x"))
        field.becomes("a", Phase.RUNNING)
        field.cluster.delete(WORKFLOWS, "a", namespace=NAMESPACE)
        field.becomes("b", Phase.RUNNING)
        field.patch("b", metadata={"labels": {well_known.INSTANCE_ID: well_known.HOLD_VALUE}})
        field.becomes("c", Phase.RUNNING)


def test_a_restart_takes_over_who_holds_what(field: Field) -> None:
    """From the status of those that run."""
    field.limit(db="1")
    task = container("main", synchronization=semaphore("db"))
    with controlled(field):
        field.submit("a", task)
        until(lambda: field.workflow("a").status.synchronization is not None, "a has no lock")
    with controlled(field):
        field.submit("aa", task, priority=5)
        waiting = field.becomes("aa", Phase.RUNNING)
        assert [node.phase for node in waiting.status.nodes.values()] == [Phase.PENDING]
        field.play("a", "Succeeded")
        field.play("aa", "Succeeded")
        field.becomes("aa", Phase.SUCCEEDED)


def test_hundreds_at_once_keep_the_limit(field: Field) -> None:
    """Every one of them ends, and never more than the limit have the lock."""
    field.limit(db="7")
    names = [f"wf-{number}" for number in range(300)]
    for name in names:
        field.submit(name, container("main", synchronization=semaphore("db")))
    seen: set[int] = set()

    def all_have_ended() -> bool:
        found = field.workflows()
        nodes = [node for each in found for node in each.status.nodes.values()]
        seen.add(sum(node.phase is Phase.RUNNING for node in nodes))
        return len(found) == len(names) and all(each.is_completed for each in found)

    with controlled(field, finish_after=TASK / 10):
        until(all_have_ended, "some never end")
    assert 1 < max(seen) <= 7
