"""Letting Workflows go: each failure is paid by the Workflow that failed, and a wait may have an end."""

from datetime import timedelta

import pytest

from policy.cluster.errors import Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Account, Root
from policy.service.release.release_sender import FIRST_DELAY, LAST_DELAY, MOST_GIVEN_UP
from tests.policy.core.builders import quota, snapshot
from tests.policy.service.world import (
    NOON,
    Call,
    Clock,
    Leader,
    Spy,
    draft,
    is_held,
    labels_of,
    part,
    submit,
)

WAIT = timedelta(minutes=10)


def policies(workflows: int, **queue: str) -> Snapshot:
    """Return a namespace where so many run at a time, with these rules of its queue."""
    return snapshot(quota("q", namespace="etl", limits={"workflows": workflows}, queue={**queue}))


def leader_of(spy: Spy, clock: Clock, workflows: int, *names: str, **queue: str) -> Leader:
    """Return a leader of that namespace, with held Workflows in it."""
    leader = Leader(spy, policies(workflows, **queue), clock)
    for name in names:
        submit(spy, leader.snapshot, draft(name), namespace="etl")
    return leader


def refuse(spy: Spy, *names: str) -> None:
    """Let every patch of these Workflows fail."""

    def hook(call: Call) -> None:
        if call.verb == "patch" and call.name in names:
            raise Unavailable("no answer")

    spy.before = hook


def test_a_workflow_that_cannot_be_released_delays_no_other(spy: Spy, clock: Clock) -> None:
    """The others are released in the same pass, and it is not tried again at once."""
    leader = leader_of(spy, clock, 3, "a", "b", "c")
    refuse(spy, "b")
    assert leader.work() == 2
    assert leader.held("etl") == {"a": False, "b": True, "c": False}
    assert len(leader.release_pass._sender._delays) == 1
    assert leader.work() == 0
    assert [name for name, _ in leader.told.failures] == ["b"]


def test_it_is_tried_again_after_a_while_that_grows(spy: Spy, clock: Clock) -> None:
    """The first second, then twice as long each time, up to a minute."""
    leader = leader_of(spy, clock, 1, "a")
    refuse(spy, "a")
    leader.work()
    waits = []
    for _ in range(8):
        due = leader.release_pass._sender.next_try()
        assert due is not None
        waits.append(due - clock())
        clock.advance(waits[-1] - timedelta(milliseconds=1))
        leader.work()
        clock.advance(timedelta(milliseconds=1))
        leader.work()
    assert waits == [min(LAST_DELAY, FIRST_DELAY * 2**number) for number in range(8)]
    assert len(leader.told.failures) == 9


def test_once_it_is_answered_nothing_is_owed(spy: Spy, clock: Clock) -> None:
    """The delay of the next failure is the first one again."""
    leader = leader_of(spy, clock, 1, "a")
    refuse(spy, "a")
    leader.work()
    refuse(spy)
    clock.advance(FIRST_DELAY)
    assert leader.work() == 1
    assert len(leader.release_pass._sender._delays) == 0
    assert leader.release_pass._sender.next_try() is None


def test_one_that_is_deleted_is_owed_no_more(spy: Spy, clock: Clock) -> None:
    """Its slot goes to the next."""
    leader = leader_of(spy, clock, 1, "a", "b")
    refuse(spy, "a")
    leader.work()
    spy.delete(WORKFLOWS, "a", namespace="etl")
    assert leader.work() == 1
    assert len(leader.release_pass._sender._delays) == 0
    assert leader.held("etl") == {"b": False}


def test_a_workflow_that_has_waited_for_too_long_fails_for_good(spy: Spy, clock: Clock) -> None:
    """It says why and what to do, is complete, and belongs to Argo's clean-up again."""
    leader = leader_of(spy, clock, 1, "a", "b", maxWait="10m")
    leader.work()
    assert leader.held("etl") == {"a": False, "b": True}
    clock.advance(WAIT - timedelta(seconds=1))
    leader.work()
    assert leader.told.given_up == []
    clock.advance(timedelta(seconds=1))
    leader.work()
    message = (
        "lockkeeper: it waited 10m in etl and did not start: spec.queue.maxWait is 10m. "
        "Submit it again, or ask for a higher limit"
    )
    assert leader.told.given_up == [("b", message)]
    ended = spy.get(WORKFLOWS, "b", namespace="etl")
    assert not is_held(ended)
    assert labels_of(ended)[well_known.COMPLETED] == "true"
    assert labels_of(ended)[well_known.PHASE] == "Failed"
    assert part(ended, "status", "phase") == "Failed"
    assert part(ended, "status", "message") == message
    assert part(ended, "status", "finishedAt") == "2026-11-23T12:10:00Z"
    leader.work()
    assert leader.view.queues == {}
    assert leader.ledgers.read(Root.of_namespace("etl")).total_usage()[Account("etl", "q")].workflows == 1


def test_the_next_pass_is_due_when_a_wait_is_over(spy: Spy, clock: Clock) -> None:
    """Nothing else has to happen in a quiet namespace."""
    leader = leader_of(spy, clock, 0, "a", maxWait="10s")
    leader.work()
    assert leader.release_pass.next_event() == NOON + timedelta(seconds=10)


def test_one_that_fits_in_the_last_pass_runs(spy: Spy, clock: Clock) -> None:
    """A pass releases before it gives up."""
    leader = leader_of(spy, clock, 0, "a", maxWait="10m")
    leader.work()
    clock.advance(WAIT)
    leader.snapshot = policies(1, maxWait="10m")
    assert leader.work() == 1
    assert leader.told.given_up == []
    assert leader.held("etl") == {"a": False}


def test_giving_up_that_fails_is_reported_and_tried_again(spy: Spy, clock: Clock) -> None:
    """Like a release: after a while."""
    leader = leader_of(spy, clock, 0, "a", maxWait="10m")
    leader.work()
    clock.advance(WAIT)
    refuse(spy, "a")
    leader.work()
    assert ([name for name, _ in leader.told.failures], leader.told.given_up) == (["a"], [])
    refuse(spy)
    leader.work()
    assert leader.told.given_up == []
    clock.advance(FIRST_DELAY)
    leader.work()
    assert [name for name, _ in leader.told.given_up] == ["a"]


def test_many_are_given_up_a_part_at_a_time(spy: Spy, clock: Clock) -> None:
    """The next release must not wait for a whole queue to be failed."""
    names = [f"w{number:02}" for number in range(MOST_GIVEN_UP + 5)]
    leader = leader_of(spy, clock, 0, *names, maxWait="10m")
    leader.work()
    clock.advance(WAIT)
    leader.work()
    assert len(leader.told.given_up) == MOST_GIVEN_UP
    leader.work()
    assert sorted(name for name, _ in leader.told.given_up) == names


def test_one_that_ran_before_keeps_the_record_of_what_it_did(spy: Spy, clock: Clock) -> None:
    """`argo retry` may go on from there later."""
    leader = leader_of(spy, clock, 0, "a", maxWait="10m")
    nodes: JsonObject = {"a-1": {"phase": "Succeeded"}}
    value: JsonObject = {
        "metadata": {"annotations": {well_known.RETRIED: "true"}},
        "status": {"phase": "Running", "nodes": nodes},
    }
    spy.patch(WORKFLOWS, "a", MergePatch(value), namespace="etl")
    leader.work()
    clock.advance(WAIT)
    leader.work()
    ended = spy.get(WORKFLOWS, "a", namespace="etl")
    assert part(ended, "status", "nodes") == nodes
    assert part(ended, "status", "phase") == "Failed"
    assert well_known.RETRIED not in str(ended)


@pytest.mark.parametrize("workflows", [0, 1])
def test_a_leader_that_is_stopped_fails_no_workflow(spy: Spy, clock: Clock, workflows: int) -> None:
    """The next leader does."""
    leader = leader_of(spy, clock, workflows, "a", maxWait="10m")
    leader.lead()
    clock.advance(WAIT)
    leader.release_pass.run_pass(leader.tracker, stopping=lambda: True)
    assert leader.told.given_up == []
    assert leader.held("etl") == {"a": True}


def test_a_long_wait_of_one_that_a_new_leader_finds_is_over_too(
    cluster: MemoryCluster, spy: Spy, clock: Clock
) -> None:
    """It counts from the create, whichever replica led meanwhile."""
    leader_of(spy, clock, 0, "a", maxWait="10m").work()
    clock.advance(WAIT)
    heir = Leader(cluster, policies(0, maxWait="10m"), clock)
    heir.work()
    assert [name for name, _ in heir.told.given_up] == ["a"]
