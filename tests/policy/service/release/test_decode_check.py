"""A Workflow that Argo cannot decode is never released: it would stop Argo's controller for all others."""

from datetime import timedelta

from policy.cluster.errors import Unavailable
from policy.cluster.protocol import WORKFLOWS, JsonPatch, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, Op, PatchOp
from policy.core.policies.snapshot import Snapshot
from policy.core.queue.positions import WaitReason
from policy.core.quota.accounts import Account, Root
from policy.service.release.decode_check import MOST_AT_ONCE, RETRY_AFTER
from policy.service.release.release_sender import FIRST_DELAY, LAST_DELAY
from tests.policy.core.builders import quota, snapshot
from tests.policy.service.world import Call, Clock, Leader, Spy, draft, part, submit

WRONG = 'spec.templates[0].suspend.duration: is the number 5, Argo reads a string: write "5"'
WHY = (
    f"{WRONG}. Argo cannot decode such a Workflow, and its controller would stop for everybody: correct it "
    "with kubectl edit, or delete it"
)
MENDED = JsonPatch((PatchOp(Op.REPLACE, "/spec/templates/0/suspend/duration", "5"),))
BROKEN = JsonPatch((PatchOp(Op.ADD, "/spec/templates/0/suspend", {"duration": 5}),))


def policies(workflows: int, **queue: str) -> Snapshot:
    """Return a namespace where so many run at a time."""
    return snapshot(quota("q", namespace="etl", limits={"workflows": workflows}, queue={**queue}))


def slip_in(spy: Spy, *names: str, duration: int | str = 5) -> None:
    """Create Workflows with the hold past the webhook; with a number as duration Argo cannot decode them."""
    for name in names:
        obj: JsonObject = draft(name, labels={well_known.INSTANCE_ID: well_known.HOLD_VALUE})
        obj["spec"] = {
            "entrypoint": "main",
            "templates": [{"name": "main", "suspend": {"duration": duration}}],
        }
        spy.create(WORKFLOWS, obj, namespace="etl")


def reads(spy: Spy) -> list[str]:
    """Return which Workflows were read since this was asked last."""
    found = [call.name for call in spy.calls if call.verb == "get" and call.plural == "workflows"]
    spy.calls.clear()
    return found


def test_one_that_argo_cannot_decode_stays_and_takes_no_slot(spy: Spy, clock: Clock) -> None:
    """Those behind it go, however many of that kind there are, and it says why and what to do."""
    leader = Leader(spy, policies(2), clock)
    slip_in(spy, "bad1", "bad2", "bad3")
    for name in ("a", "b", "c"):
        submit(spy, leader.snapshot, draft(name), namespace="etl")
    for _ in range(3):
        leader.work()
        clock.advance(timedelta(seconds=1))
    assert leader.held("etl") == {"bad1": True, "bad2": True, "bad3": True, "a": False, "b": False, "c": True}
    assert leader.ledgers.read(Root.of_namespace("etl")).total_usage()[Account("etl", "q")].workflows == 2
    message = str(part(spy.get(WORKFLOWS, "bad1", namespace="etl"), "status", "message"))
    place = "queued by lockkeeper: position 2 of 4 in etl (2/2 running)"
    assert message == f"{place}; it is not released: {WHY}"
    told = {(name, reason) for name, reason, _ in leader.told.reasons}
    assert {(name, WaitReason.MISCONFIGURED) for name in ("bad1", "bad2", "bad3")} <= told


def test_one_that_is_right_is_released_though_it_bypassed_admission(spy: Spy, clock: Clock) -> None:
    """It is read, and goes in its turn."""
    leader = Leader(spy, policies(1), clock)
    slip_in(spy, "good", duration="5")
    assert leader.work() == 1
    assert set(reads(spy)) == {"good"}


def test_what_admission_held_is_not_read_again(spy: Spy, clock: Clock) -> None:
    """A release costs one request."""
    leader = Leader(spy, policies(1), clock)
    submit(spy, leader.snapshot, draft("a"), namespace="etl")
    assert leader.work() == 1
    assert reads(spy) == []


def test_one_that_is_fixed_is_released(spy: Spy, clock: Clock) -> None:
    """Nothing else has to happen: the edit is seen."""
    leader = Leader(spy, policies(1), clock)
    slip_in(spy, "bad")
    assert leader.work() == 0
    spy.patch(WORKFLOWS, "bad", MENDED, namespace="etl")
    assert leader.work() == 1
    assert leader.held("etl") == {"bad": False}


def test_each_version_is_read_once(spy: Spy, clock: Clock) -> None:
    """What was read in it stays so; what we write into its status makes one more."""
    leader = Leader(spy, policies(1), clock)
    slip_in(spy, "bad")
    for _ in range(3):
        leader.work()
        clock.advance(timedelta(seconds=1))
    reads(spy)
    for _ in range(3):
        leader.work()
        clock.advance(timedelta(seconds=1))
    assert reads(spy) == []


def test_many_are_read_a_part_at_a_time(spy: Spy, clock: Clock) -> None:
    """Releases do not wait for all of them, and those that were not read yet wait."""
    leader = Leader(spy, policies(MOST_AT_ONCE + 5), clock)
    slip_in(spy, *(f"w{number:02}" for number in range(MOST_AT_ONCE + 5)), duration="5")
    assert leader.work() == MOST_AT_ONCE
    assert leader.release_pass.next_event() == clock()
    assert leader.work() == 5


def test_one_that_cannot_be_read_waits_and_is_read_later(spy: Spy, clock: Clock) -> None:
    """While the API server is away, no Workflow is released unchecked."""
    leader = Leader(spy, policies(1), clock)
    slip_in(spy, "good", duration="5")

    def away(call: Call) -> None:
        if call.verb == "get" and call.plural == "workflows":
            raise Unavailable("away")

    spy.before = away
    assert leader.work() == 0
    assert [name for name, _ in leader.told.failures] == ["good"]
    assert leader.release_pass.next_event() == clock() + RETRY_AFTER
    spy.before = lambda _: None
    assert leader.work() == 0
    clock.advance(RETRY_AFTER)
    assert leader.work() == 1


def test_one_that_is_deleted_is_forgotten(spy: Spy, clock: Clock) -> None:
    """Whether it was read by then or not."""
    leader = Leader(spy, policies(1), clock)
    slip_in(spy, "bad")
    leader.work()
    spy.delete(WORKFLOWS, "bad", namespace="etl")
    leader.work()
    assert leader.release_pass._decode_check._checked == {}
    assert leader.view.queues == {}


def test_one_that_argo_cannot_decode_is_not_given_up_either(spy: Spy, clock: Clock) -> None:
    """Argo would see it then, if only as one that has failed."""
    leader = Leader(spy, policies(1, maxWait="10m"), clock)
    slip_in(spy, "bad")
    leader.work()
    clock.advance(timedelta(minutes=11))
    leader.work()
    assert leader.told.given_up == []
    assert leader.held("etl") == {"bad": True}


def test_one_that_is_broken_while_its_release_is_on_its_way_stays_until_it_is_fixed(
    spy: Spy, clock: Clock
) -> None:
    """It was admitted and edited past the webhook; its slot was taken already, and is kept for it."""
    leader = Leader(spy, policies(1), clock)
    submit(spy, leader.snapshot, draft("a"), namespace="etl")
    leader.lead()
    spy.inner.patch(WORKFLOWS, "a", BROKEN, namespace="etl")
    assert leader.release_pass.run_pass(leader.tracker) == 0
    assert [error.message for _, error in leader.told.failures] == [WHY]
    spy.inner.patch(WORKFLOWS, "a", MergePatch({"metadata": {"labels": {"x": "y"}}}), namespace="etl")
    clock.advance(FIRST_DELAY)
    assert leader.work() == 0
    clock.advance(LAST_DELAY)
    assert leader.work() == 0
    spy.inner.patch(WORKFLOWS, "a", MENDED, namespace="etl")
    clock.advance(LAST_DELAY)
    assert leader.work() == 1
    assert leader.held("etl") == {"a": False}
