"""Queues of locks, and which waits never end: found where they are certain, and nowhere else."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from policy.core.lock_queues.live_workflow import LockHold, LockWait, Traced
from policy.core.lock_queues.lock_queues import LockQueue, live_deadlocks, lock_queues, poisoned_text
from policy.core.objects.json_patch import JsonObject
from tests.policy.core.lock_graph.running import BEGIN, mutex, node, running, semaphore, traced

DB = semaphore("db")
GPU = semaphore("gpu")


def look(*workflows: JsonObject, limits: Mapping[str, int] | None = None) -> tuple[LockQueue, ...]:
    """Return the queues of Workflows; a lock has the limit 1 unless it is given."""
    return lock_queues([traced(each) for each in workflows], lambda lock: (limits or {}).get(lock, 1))


def waiting(lock: str, at: float = 0) -> JsonObject:
    """Return a node that waits."""
    return node(phase="Pending", waiting=lock, at=at)


def test_waiters_are_in_the_order_in_which_argo_gives_them_the_lock() -> None:
    """Priority, then age."""
    (queue,) = look(
        running("holder", holds={DB: ["n"]}, nodes={"n": node()}),
        running("young", created=9, nodes={"n": waiting(DB, 9)}),
        running("old", created=1, nodes={"n": waiting(DB, 20)}),
        running("urgent", created=30, spec={"priority": 5}, waits=DB),
    )
    assert (queue.lock, queue.limit, queue.free) == (DB, 1, 0)
    assert [each.workflow.name for each in queue.waiters] == ["urgent", "old", "young"]
    assert [each.workflow.name for each in queue.holders] == ["holder"]
    assert queue.oldest is not None
    assert (queue.oldest - BEGIN).total_seconds() == 9
    assert not live_deadlocks([queue])


def test_tasks_that_wait_for_their_siblings_are_no_deadlock() -> None:
    """Only waits below the holder block it; many tasks under one semaphore are the usual case."""
    nodes = {"d": node("DAG", "Running", "a", "b"), "a": node(), "b": waiting(DB)}
    assert not live_deadlocks(look(running(holds={DB: ["a"]}, nodes=nodes)))


def test_a_workflow_that_waits_for_itself_is_one() -> None:
    """Workflow level and template level; a DAG and its task; with a free slot it is none."""
    whole = running("knot", holds={DB: [""]}, nodes={"n": waiting(DB)})
    (found,) = live_deadlocks(look(whole))
    assert (found.workflow.name, found.locks) == ("knot", (DB,))
    assert found.text == (
        f"waits for ever for {DB}, which only itself holds. Terminate it (argo terminate knot), and take one "
        "of the locks away or ask for all of them in one place"
    )
    nodes = {"d": node("DAG", "Running", "n"), "n": waiting(mutex("m"))}
    assert live_deadlocks(look(running(holds={mutex("m"): ["d"]}, nodes=nodes)))
    assert not live_deadlocks(look(whole, limits={DB: 2}))


def test_a_circle_of_two_is_one_and_names_the_other() -> None:
    """Each holds what the other waits for; other waiters of these locks wait for ever too."""
    one = running("one", holds={DB: ["d"]}, nodes={"d": node("DAG", "Running", "n"), "n": waiting(GPU)})
    two = running("two", holds={GPU: ["d"]}, nodes={"d": node("DAG", "Running", "n"), "n": waiting(DB)})
    behind = running("behind", waits=DB)
    found = live_deadlocks(look(one, two, behind))
    assert [each.workflow.name for each in found] == ["behind", "one", "two"]
    assert f"{GPU}, which team-a/two will not give back: it waits too" in found[1].text
    assert not live_deadlocks(look(one, two, limits={DB: 2}))


def test_a_holder_that_is_active_ends_the_wait() -> None:
    """Also where it is one of several."""
    stuck = running("stuck", holds={DB: [""]}, nodes={"n": waiting(DB)})
    free = running("free", holds={DB: ["n"]}, nodes={"n": node()})
    assert not live_deadlocks(look(stuck, free, limits={DB: 2}))
    assert live_deadlocks(
        look(stuck, running("too", holds={DB: [""]}, nodes={"n": waiting(DB)}), limits={DB: 2})
    )


def test_without_a_limit_nothing_is_certain() -> None:
    """The key may have been lost, and be defined again."""
    knot = traced(running("knot", holds={DB: [""]}, nodes={"n": waiting(DB)}))
    assert not live_deadlocks(lock_queues([knot], lambda _: None))


LOCKS = ("x", "y", "z")
NODES = ("", "m", "n")
HELD = st.tuples(st.sampled_from(LOCKS), st.sampled_from(NODES), st.sets(st.sampled_from(NODES)))
WAITING = st.dictionaries(st.sampled_from(NODES), st.sampled_from(LOCKS), max_size=2)


@given(
    st.lists(st.tuples(st.lists(HELD, max_size=2), WAITING), min_size=1, max_size=4),
    st.fixed_dictionaries({lock: st.integers(1, 2) for lock in LOCKS}),
)
def test_what_is_called_stuck_is_what_can_never_be_set_free(
    drawn: list[tuple[list[tuple[str, str, set[str]]], dict[str, str]]], limits: dict[str, int]
) -> None:
    """By an oracle that lets each waiter continue that can, one after another, until none can."""
    workflows = []
    for index, (held, waits) in enumerate(drawn):
        holds = tuple(LockHold(lock, each, tuple(sorted(below & waits.keys()))) for lock, each, below in held)
        waited = tuple(LockWait(lock, each, BEGIN) for each, lock in waits.items())
        workflows.append(_record(index, holds, waited))
    found = lock_queues(workflows, limits.__getitem__)
    said = {
        (waiter.workflow.uid, waiter.waits.node)
        for queue in found
        for waiter in queue.waiters
        if waiter.stuck
    }
    assert said == _never(workflows, limits)


def _record(index: int, holds: tuple[LockHold, ...], waits: tuple[LockWait, ...]) -> Traced:
    nobody: frozenset[str] = frozenset()
    name = f"w{index}"
    return Traced("ns", name, name, BEGIN, 0, None, holds, waits, nobody, nobody, open_ended=False)


def _never(workflows: list[Traced], limits: dict[str, int]) -> set[tuple[str, str]]:
    """Return the waiters that remain when all holders that can have given their locks back."""
    waiters = {(each.uid, waits.node): waits.lock for each in workflows for waits in each.waits}
    holders = [(each.uid, held) for each in workflows for held in each.holds]
    while True:
        left = [
            (uid, held)
            for uid, held in holders
            if held.stuck_on and all((uid, below) in waiters for below in held.stuck_on)
        ]
        taken = {lock: sum(held.lock == lock for _, held in left) for lock in LOCKS}
        remaining = {unit: lock for unit, lock in waiters.items() if taken[lock] >= limits[lock]}
        if (left, remaining) == (holders, waiters):
            return set(remaining)
        holders, waiters = left, remaining


def test_a_poisoned_lock_says_what_to_do() -> None:
    """The whole sentence; a mutex has no ConfigMap."""
    said = "is in a poisoned state: no limit; manual intervention required"

    def text(lock: str) -> str:
        node_of: JsonObject = {**waiting(lock), "message": f"lock {lock} {said}"}
        (queue,) = look(running("a", nodes={"n": node_of}), limits={lock: 1})
        assert queue.poisoned == "no limit"
        return poisoned_text(queue)

    assert text(semaphore("db")) == (
        "is poisoned: Argo's controller gives it to nobody, because it could not set it up when it started "
        "(no limit); to write the ConfigMap again is not enough: see that ConfigMap team-a/limits has a "
        "number for db, then restart Argo's workflow-controller"
    )
    assert text(mutex("m")).endswith("restart Argo's workflow-controller")
    assert "ConfigMap" not in text(mutex("m"))
