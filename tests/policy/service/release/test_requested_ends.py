"""A Workflow that is stopped, terminated or deleted while it waits ends at once, without a slot."""

from datetime import timedelta
from typing import Final

import pytest

from policy.cluster.errors import Unavailable
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.quota.accounts import Account, Root
from policy.service.release.release_sender import FIRST_DELAY
from policy.service.release.requested_ends import MOST_AT_ONCE
from policy.service.tracking.tracker import LIVE
from tests.policy.service.world import (
    Call,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    labels_of,
    part,
    quota,
    snapshot_of,
    submit,
)

POLICIES: Final = snapshot_of(quota("etl", "q", workflows=1))


@pytest.fixture
def leader(spy: Spy, clock: Clock) -> Leader:
    """A namespace where one runs and three wait; all positions are shown."""
    leader = Leader(spy, POLICIES, clock)
    for name in ("runs", "first", "second", "third"):
        submit(spy, leader.snapshot, draft(name), namespace="etl")
        work(leader)
    return leader


def work(leader: Leader) -> int:
    """Make a pass a second later, when messages may be written again."""
    leader.clock.advance(timedelta(seconds=1))
    return leader.work()


def stop(leader: Leader, name: str, how: str | None = "Terminate") -> None:
    """Set spec.shutdown, as `argo terminate` and `kubectl patch` do."""
    leader.cluster.patch(WORKFLOWS, name, MergePatch({"spec": {"shutdown": how}}), namespace="etl")


def found(leader: Leader, name: str) -> JsonObject:
    """Return a Workflow as it is stored."""
    return leader.cluster.get(WORKFLOWS, name, namespace="etl")


def message(leader: Leader, name: str) -> str:
    """Return what the status of a Workflow says."""
    return str(part(found(leader, name), "status", "message"))


def reads(leader: Leader) -> list[str]:
    """Return which Workflows were read since this was asked last."""
    spy = leader.cluster
    assert isinstance(spy, Spy)
    names = [call.name for call in spy.calls if call.verb == "get" and call.plural == "workflows"]
    spy.calls.clear()
    return names


@pytest.mark.parametrize("how", ["Stop", "Terminate"])
def test_one_that_is_stopped_while_it_waits_ends_at_once(leader: Leader, how: str) -> None:
    """It takes no slot, keeps no place, and its status says what happened to it."""
    stop(leader, "first", how)
    assert work(leader) == 0
    ended = found(leader, "first")
    assert part(ended, "status", "phase") == "Failed"
    assert message(leader, "first") == (
        f"lockkeeper: it was stopped (spec.shutdown: {how}) while it waited in etl: nothing of it ran, and "
        "its exit handler did not run either"
    )
    assert labels_of(ended)[well_known.COMPLETED] == "true"
    assert well_known.INSTANCE_ID not in labels_of(ended)
    assert leader.told.ended_names == [("first", message(leader, "first"))]
    assert message(leader, "second") == "queued by lockkeeper: position 1 of 2 in etl (1/1 running)"
    assert message(leader, "third") == "queued by lockkeeper: position 2 of 2 in etl (1/1 running)"
    assert leader.view.queues["etl"].depth == 2


def test_the_slot_goes_to_the_next_one(leader: Leader) -> None:
    """What was stopped is not released when its turn would have come."""
    stop(leader, "first")
    complete(leader.cluster, "runs", namespace="etl")
    assert work(leader) == 1
    assert leader.held("etl") == {"runs": False, "first": False, "second": False, "third": True}
    assert leader.told.released_names[-1] == "second"
    account = Account("etl", "q")
    assert leader.ledgers.read(Root.of_namespace("etl")).total_usage()[account].workflows == 1


def test_one_that_is_deleted_and_kept_by_a_finalizer_ends_too(leader: Leader) -> None:
    """Argo would start it when its turn comes, for somebody who does not want it any more."""
    value: JsonObject = {"metadata": {"finalizers": ["example.com/keep"]}}
    leader.cluster.patch(WORKFLOWS, "first", MergePatch(value), namespace="etl")
    leader.cluster.delete(WORKFLOWS, "first", namespace="etl")
    work(leader)
    assert message(leader, "first") == (
        "lockkeeper: it was deleted while it waited in etl: nothing of it ran, and its exit handler did not "
        "run either"
    )
    assert leader.view.queues["etl"].depth == 2
    leader.cluster.patch(WORKFLOWS, "first", MergePatch({"metadata": {"finalizers": None}}), namespace="etl")
    assert "first" not in leader.held("etl")


def test_one_that_is_deleted_leaves_its_place(leader: Leader) -> None:
    """Positions and the total count those alone that are still there."""
    leader.cluster.delete(WORKFLOWS, "first", namespace="etl")
    work(leader)
    assert message(leader, "third") == "queued by lockkeeper: position 2 of 2 in etl (1/1 running)"
    assert message(leader, "second") == "queued by lockkeeper: position 1 of 2 in etl (1/1 running)"


def test_one_that_may_go_on_again_keeps_its_place(leader: Leader) -> None:
    """An empty spec.shutdown stops nothing; each version is read once."""
    stop(leader, "second", "")
    work(leader)
    assert leader.told.ended_names == []
    assert leader.view.queues["etl"].depth == 3
    reads(leader)
    work(leader)
    assert reads(leader) == []
    stop(leader, "second")
    work(leader)
    assert [name for name, _ in leader.told.ended_names] == ["second"]


def test_one_that_is_stopped_before_it_is_created_ends_too(leader: Leader) -> None:
    """Whoever sets spec.shutdown in the manifest wants that."""
    stopped = draft("stillborn")
    spec = stopped["spec"]
    assert isinstance(spec, dict)
    spec["shutdown"] = "Stop"
    submit(leader.cluster, POLICIES, stopped, namespace="etl")
    work(leader)
    assert [name for name, _ in leader.told.ended_names] == ["stillborn"]


def test_a_retry_that_is_stopped_keeps_the_record_of_its_run(leader: Leader) -> None:
    """Only what says how it ended is new."""
    value: JsonObject = {
        "metadata": {"annotations": {well_known.RETRIED: "true"}},
        "status": {"phase": "", "nodes": {"a": {"id": "a"}}},
    }
    leader.cluster.patch(WORKFLOWS, "first", MergePatch(value), namespace="etl")
    stop(leader, "first")
    work(leader)
    assert part(found(leader, "first"), "status", "nodes") == {"a": {"id": "a"}}
    assert message(leader, "first").endswith("while it waited in etl: it did not run again")


def test_a_new_leader_sees_what_was_stopped_while_nobody_led(spy: Spy, clock: Clock) -> None:
    """It is in the list: nothing has to be remembered."""
    first = Leader(spy, POLICIES, clock)
    for name in ("runs", "waits"):
        submit(spy, first.snapshot, draft(name), namespace="etl")
        first.work()
    stop(first, "waits")
    second = Leader(spy, POLICIES, clock)
    second.work()
    assert [name for name, _ in second.told.ended_names] == ["waits"]


def test_one_that_runs_is_argos_to_end(leader: Leader) -> None:
    """It has its slot until Argo says that it is over."""
    stop(leader, "runs")
    reads(leader)
    work(leader)
    assert reads(leader) == []
    assert leader.told.ended_names == []


def test_one_that_argo_cannot_decode_is_not_ended(spy: Spy, clock: Clock) -> None:
    """Argo would read it even as a completed one: it stays held, as before."""
    leader = Leader(spy, POLICIES, clock)
    bad = draft("bad", labels={well_known.INSTANCE_ID: well_known.HOLD_VALUE})
    bad["spec"] = {"shutdown": "Stop", "templates": [{"name": "main", "suspend": {"duration": 5}}]}
    spy.create(WORKFLOWS, bad, namespace="etl")
    for _ in range(2):
        work(leader)
    assert leader.held("etl") == {"bad": True}


def test_many_are_ended_a_part_at_a_time(spy: Spy, clock: Clock) -> None:
    """Releases do not wait for all of them."""
    leader = Leader(spy, POLICIES, clock)
    names = [f"w{number:02}" for number in range(MOST_AT_ONCE + 5)]
    submit(spy, leader.snapshot, draft("runs"), namespace="etl")
    leader.work()
    for name in names:
        submit(spy, leader.snapshot, draft(name), namespace="etl")
    leader.work()
    for name in names:
        stop(leader, name)
    leader.work()
    assert len(leader.told.ended_names) == MOST_AT_ONCE
    assert leader.release_pass.next_event() == clock()
    leader.work()
    assert len(leader.told.ended_names) == MOST_AT_ONCE + 5
    assert leader.view.queues.get("etl") is None


def test_what_cannot_be_ended_now_is_ended_later(leader: Leader) -> None:
    """While the API server is away it stays in the queue."""
    spy = leader.cluster
    assert isinstance(spy, Spy)

    def away(call: Call) -> None:
        if call.verb == "get" and call.plural == "workflows":
            raise Unavailable("away")

    stop(leader, "first")
    spy.before = away
    work(leader)
    assert [name for name, _ in leader.told.failures] == ["first"]
    spy.before = lambda _: None
    assert leader.release_pass.next_event() == leader.clock() + FIRST_DELAY
    work(leader)
    assert [name for name, _ in leader.told.ended_names] == ["first"]


def test_what_was_let_go_meanwhile_is_left_to_argo(leader: Leader) -> None:
    """The patch that ends it tests the version that was read."""
    spy = leader.cluster
    assert isinstance(spy, Spy)
    stop(leader, "first")

    def released(call: Call) -> None:
        if call.verb == "patch" and call.name == "first":
            spy.before = lambda _: None
            value: JsonObject = {"metadata": {"labels": {well_known.INSTANCE_ID: None}}}
            spy.inner.patch(WORKFLOWS, "first", MergePatch(value), namespace="etl")

    spy.before = released
    work(leader)
    assert leader.told.ended_names == []
    assert leader.held("etl")["first"] is False
    assert len(spy.list(WORKFLOWS, labels=LIVE).items) == 4
