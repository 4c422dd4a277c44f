"""Events about Workflows that wait: what they contain, and that they never delay a release."""

from datetime import timedelta
from threading import Thread

from policy.cluster.errors import Unavailable
from policy.cluster.protocol import EVENTS, WORKFLOWS
from policy.service.status.events import MOST_NOTE, MOST_PENDING, EventSeverity, EventWriter
from policy.service.tracking.tracked import Tracked, track
from tests.patience import PATIENCE
from tests.policy.service.world import NOON, Call, Clock, Spy, draft, memory, part


def workflow(spy: Spy, name: str) -> Tracked:
    """Return a stored Workflow as the leader tracks it."""
    return track(spy.create(WORKFLOWS, draft(name), namespace="etl"))


def written_events(spy: Spy, event_writer: EventWriter, count: int) -> list[tuple[str, str]]:
    """Run the writer until so many events are written; returns reason and type of each."""
    thread = Thread(target=event_writer.run)
    thread.start()
    since = spy.list(EVENTS).resource_version
    found = len(spy.list(EVENTS).items)
    if found < count:
        for _ in spy.watch(EVENTS, since=since, timeout=PATIENCE):
            found += 1
            if found >= count:
                break
    event_writer.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    return [(str(part(each, "reason")), str(part(each, "type"))) for each in spy.list(EVENTS).items]


def test_an_event_names_its_workflow_the_reason_and_its_reporter() -> None:
    """`kubectl describe workflow` finds it by what it regards."""
    clock = Clock()
    spy = Spy(memory(clock))
    event_writer = EventWriter(cluster=spy, clock=clock, me="controller-1")
    first = workflow(spy, "a")
    event_writer.report(first, "WaitingForQuota", "waits for room", EventSeverity.NORMAL)
    event_writer.report(first, "ExceedsMaxQuota", "x" * 5000, EventSeverity.WARNING)
    assert written_events(spy, event_writer, 2) == [
        ("WaitingForQuota", "Normal"),
        ("ExceedsMaxQuota", "Warning"),
    ]
    one, other = spy.list(EVENTS).items
    assert part(one, "regarding", "uid") == first.uid
    assert part(one, "reportingInstance") == "controller-1"
    assert part(one, "eventTime") == NOON.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert len(str(part(other, "note"))) == MOST_NOTE


def test_the_same_reported_later_is_another_event() -> None:
    """A reason that comes again is news."""
    clock = Clock()
    spy = Spy(memory(clock))
    event_writer = EventWriter(cluster=spy, clock=clock, me="me")
    first = workflow(spy, "a")
    event_writer.report(first, "OnHold", "on hold")
    event_writer.report(first, "OnHold", "on hold")
    clock.advance(timedelta(minutes=1))
    event_writer.report(first, "OnHold", "on hold")
    assert written_events(spy, event_writer, 2) == [("OnHold", "Normal")] * 2


def test_what_is_reported_once_is_not_reported_again_by_the_next_leader() -> None:
    """Its event has a name of its own, so the cluster refuses the second one."""
    clock = Clock()
    spy = Spy(memory(clock))
    first, other = workflow(spy, "a"), workflow(spy, "b")
    leader, heir = (EventWriter(cluster=spy, clock=clock, me=each) for each in ("leader", "heir"))
    leader.report(first, "NotAdmitted", "as it was", EventSeverity.WARNING, once=True)
    assert written_events(spy, leader, 1) == [("NotAdmitted", "Warning")]
    clock.advance(timedelta(minutes=1))
    heir.report(first, "NotAdmitted", "as it is", EventSeverity.WARNING, once=True)
    heir.report(other, "NotAdmitted", "as it is", EventSeverity.WARNING, once=True)
    assert written_events(spy, heir, 2) == [("NotAdmitted", "Warning")] * 2
    assert [part(each, "regarding", "name") for each in spy.list(EVENTS).items] == ["a", "b"]


def test_events_that_cannot_be_written_are_dropped() -> None:
    """Neither an API server that is away nor too many of them stop the leader."""
    clock = Clock()
    spy = Spy(memory(clock))
    event_writer = EventWriter(cluster=spy, clock=clock, me="me")
    first = workflow(spy, "a")

    def away(call: Call) -> None:
        if call.plural == "events" and call.verb == "create" and not spy.calls[-1].plural == "events":
            raise Unavailable("away")

    for number in range(MOST_PENDING + 5):
        event_writer.report(first, "Released", f"{number}")
    assert event_writer._pending.qsize() == MOST_PENDING
    spy.before = away
    thread = Thread(target=event_writer.run)
    thread.start()
    event_writer.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
