"""Since when and why Workflows wait, for metrics."""

from datetime import timedelta

from policy.core.queue.positions import WaitReason
from policy.core.queue.waits import all_waits, waits_in
from policy.core.quota.usage_view import Waits
from tests.policy.core.builders import NOW, limits
from tests.policy.core.queue.queue_fixtures import bound, planner, waiter


def test_every_waiter_has_its_reason_and_every_queue_its_oldest() -> None:
    """Those that stand aside count too: they are in the queue for whoever looks."""
    queue, full = planner(), bound("main", limits(0))
    for uid in ("a", "b"):
        queue.add(waiter(uid, full))
    queue.add(waiter("broken", fault="the policy is broken"))
    found = waits_in(queue)
    assert found.reasons == {WaitReason.EXCEEDS_MAX_QUOTA: 2, WaitReason.MISCONFIGURED: 1}
    created = [each.created for each in queue.pending.waiters()]
    assert found.oldest == {"team-a": min(created)}


def test_all_reasons_are_there_where_nothing_waits() -> None:
    """A series that comes and goes has no history."""
    found = all_waits(())
    assert found.oldest == {}
    assert found.reasons == {each.value: 0 for each in WaitReason}


def test_those_of_several_roots_are_put_together() -> None:
    """A namespace is in one root alone."""
    later = NOW + timedelta(minutes=1)
    one, other = Waits({"a": NOW}, {"WaitingForQuota": 2}), Waits({"b": later}, {"WaitingForQuota": 3})
    found = all_waits((one, other))
    assert (found.oldest, found.reasons["WaitingForQuota"]) == ({"a": NOW, "b": later}, 5)
