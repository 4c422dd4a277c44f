"""The leader reads the queues of locks, reports deadlocks, and touches waiters that Argo overlooks."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from random import Random
from threading import Event, Thread

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from policy.cluster.errors import ClusterError, Forbidden
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import EVENTS, WORKFLOWS, MergePatch, Resource
from policy.core.lock_queues.touches import OVERLOOKED_AFTER, Why
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.snapshot import Document
from policy.service.locks.lock_metrics import LockMetrics
from policy.service.locks.lock_traces import EVERYWHERE, MOST_SCOPES, scopes
from policy.service.locks.lock_watch import REPORTED_AFTER, LockWatch, limit_of
from tests.policy.cluster.conftest import field, text
from tests.policy.core.builders import (
    cluster_lock_policy,
    config_map,
    lock_policy,
    namespace_object,
    snapshot,
)
from tests.policy.core.lock_graph.running import NAMESPACE, mutex, node, running, semaphore
from tests.policy.service.world import PATIENCE, Clock

DB = semaphore("db")
OTHER = semaphore("gpu", "team-b")


class Notes:
    """Takes note of what is counted."""

    def __init__(self) -> None:
        self.touches: list[Why] = []
        self.deadlocks = 0

    def touched(self, why: Why) -> None:
        self.touches.append(why)

    def deadlocked(self) -> None:
        self.deadlocks += 1


class DenyingCluster(MemoryCluster):
    """A cluster that may refuse events."""

    refuses = False

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        if self.refuses and resource == EVENTS:
            raise Forbidden("no events")
        return super().create(resource, obj, namespace=namespace, dry_run=dry_run)


class Term:
    """A leader's watch over policies that the test sets; the test calls its passes."""

    def __init__(self, cluster: DenyingCluster, clock: Clock) -> None:
        self.cluster = cluster
        self.clock = clock
        self.seconds = 10.0
        self.notes = Notes()
        self.troubles: list[str] = []
        self.documents: tuple[Document, ...] = (lock_policy(), config_map(db="1"))
        self.watch = LockWatch(
            cluster=cluster,
            snapshot=lambda: snapshot(*self.documents),
            clock=clock,
            stopwatch=lambda: self.seconds,
            recorder=self.notes,
            trouble=self._note,
            me="leader-1",
        )

    def known(self) -> int:
        """Return how many Workflows have a record."""
        return sum(map(len, self.watch.traces._traced.values()))

    def look(self, until: Callable[[], bool]) -> None:
        """Make passes until a condition is met; every change of a Workflow is an event to wait for."""
        waited = Event()
        for _ in range(int(PATIENCE * 100)):
            self.watch.run_pass()
            if until():
                return
            waited.wait(0.01)
        pytest.fail(f"it does not come to be so: {self.watch.view}")

    def end(self) -> None:
        """End the watch and all that follows Workflows for it, as a term does."""
        self.watch.stop()
        self.watch.run()

    def waiters(self) -> dict[str, list[str]]:
        """Return the waiters of each lock."""
        return {each.lock: [one.workflow.name for one in each.waiters] for each in self.watch.view.queues}

    def _note(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")


@pytest.fixture
def term(clock: Clock) -> Iterator[Term]:
    """Give a watch over team-a, with Workflows to come."""
    cluster = DenyingCluster(clock=clock, rng=Random(5))
    made = Term(cluster, clock)
    yield made
    made.end()
    cluster.close()


def add(term: Term, *workflows: JsonObject) -> None:
    """Create Workflows."""
    for each in workflows:
        term.cluster.create(WORKFLOWS, each)


def patch(term: Term, name: str, **change: JsonValue) -> None:
    """Change a Workflow."""
    term.cluster.patch(WORKFLOWS, name, MergePatch({**change}), namespace=NAMESPACE)


def waits(name: str, lock: str = DB, *, namespace: str = NAMESPACE, created: float = 0) -> JsonObject:
    """Return a Workflow whose task waits for a lock."""
    nodes = {"n": node(phase="Pending", waiting=lock)}
    return running(name, nodes=nodes, namespace=namespace, created=created)


def knot(name: str = "knot") -> JsonObject:
    """Return a Workflow that waits for itself."""
    return running(name, holds={DB: [""]}, nodes={"n": node(phase="Pending", waiting=DB)})


def events(term: Term) -> list[JsonObject]:
    """Return the events that were made."""
    return list(term.cluster.list(EVENTS).items)


def test_queues_follow_what_workflows_say(term: Term) -> None:
    """Those that are there, those that come, those that change, end, and go."""
    add(term, running("holder", holds={DB: ["n"]}, nodes={"n": node()}), waits("first"))
    term.look(lambda: term.waiters() == {DB: ["first"]})
    add(term, waits("second"))
    term.look(lambda: term.waiters() == {DB: ["first", "second"]})
    patch(term, "first", status={"nodes": {"n": {"phase": "Running", "synchronizationStatus": None}}})
    term.look(lambda: term.waiters() == {DB: ["second"]})
    patch(term, "holder", metadata={"labels": {well_known.COMPLETED: "true"}})
    term.look(lambda: [len(each.holders) for each in term.watch.view.queues] == [0])
    term.cluster.delete(WORKFLOWS, "second", namespace=NAMESPACE)
    term.look(lambda: term.waiters() == {})
    assert term.troubles == []


def test_what_does_not_fit_is_as_if_it_used_no_lock(term: Term) -> None:
    """Whatever is in a status that Argo did not write, the watch continues."""
    add(term, waits("odd"), waits("even"))
    term.look(lambda: term.waiters() == {DB: ["even", "odd"]})
    patch(term, "odd", status={"nodes": {"n": {"startedAt": "2026-03-01T12:00:00"}}})
    term.look(lambda: term.waiters() == {DB: ["even"]})
    patch(term, "odd", status={"nodes": {"n": {"startedAt": "9999-12-31T23:59:59Z"}}})
    patch(term, "odd", status={"startedAt": "9999-12-31T23:59:59Z"}, spec={"activeDeadlineSeconds": 1 << 60})
    term.look(lambda: term.waiters() == {DB: ["even", "odd"]})
    assert term.troubles == []


def test_only_namespaces_with_policies_of_locks_are_read(term: Term) -> None:
    """A Workflow may have a MB; of many namespaces all are read at once."""
    add(term, waits("mine"), waits("theirs", OTHER, namespace="team-b"))
    term.look(lambda: term.waiters() == {DB: ["mine"]})
    assert term.watch.traces.watched() == {NAMESPACE}
    term.documents = (*term.documents, cluster_lock_policy(), namespace_object("team-b"))
    term.look(lambda: sorted(term.waiters()) == [DB, OTHER])
    term.documents = (*term.documents, *(namespace_object(f"n{i}") for i in range(MOST_SCOPES)))
    term.look(lambda: term.watch.traces.watched() == {EVERYWHERE})
    assert sorted(term.waiters()) == [DB, OTHER]
    assert scopes(["a", "b"]) == {"a", "b"}


def test_a_workflow_that_waits_for_itself_is_reported_once_that_has_lasted(term: Term) -> None:
    """As an event on it, which `kubectl describe` shows; a metric, and the view."""
    add(term, knot())
    term.look(lambda: bool(term.watch.view.queues))
    assert (term.watch.view.deadlocks, events(term)) == ((), [])
    term.seconds += REPORTED_AFTER
    term.watch.run_pass()
    (event,) = events(term)
    assert (event["reason"], event["type"]) == ("LockDeadlock", "Warning")
    assert text(event, "note").startswith(f"waits for ever for {DB}, which only itself holds.")
    assert field(event, "regarding", "name") == "knot"
    assert field(event, "metadata", "namespace") == NAMESPACE
    term.seconds += 60
    term.watch.run_pass()
    assert len(events(term)) == 1
    assert term.notes.deadlocks == 1
    assert [each.workflow.name for each in term.watch.view.deadlocks] == ["knot"]
    patch(term, "knot", metadata={"labels": {well_known.COMPLETED: "true"}})
    term.look(lambda: term.watch.view.deadlocks == ())


def test_who_waits_for_a_poisoned_lock_is_told_once(term: Term) -> None:
    """Argo names no way out, so the event does; the metric is there until it is over."""
    registry = CollectorRegistry()
    metrics = LockMetrics(registry=registry)
    metrics.show(lambda: term.watch.view)
    said = f"lock {DB} is in a poisoned state: no limit; manual intervention required"
    add(term, running("lost", phase="Pending", message=said))
    term.look(lambda: bool(term.watch.view.queues))
    term.watch.run_pass()
    (event,) = events(term)
    assert (event["reason"], event["type"]) == ("LockPoisoned", "Warning")
    assert text(event, "note").startswith(f"{DB} is poisoned: Argo's controller gives it to nobody")
    line = 'lockkeeper_lock_poisoned{lock="ConfigMap/limits/db",workflow_namespace="team-a"} 1.0'
    assert line in generate_latest(registry).decode().splitlines()
    patch(term, "lost", status={"phase": "Running", "message": None})
    term.look(lambda: not term.watch.view.queues)
    assert "lockkeeper_lock_poisoned{" not in generate_latest(registry).decode()
    assert (len(events(term)), term.troubles) == (1, [])


def test_the_next_leader_does_not_tell_it_again(term: Term, clock: Clock) -> None:
    """The event has a name of its own; one that could not be made is made later."""
    add(term, knot())
    term.cluster.refuses = True
    term.look(lambda: bool(term.watch.view.queues))
    term.seconds += REPORTED_AFTER
    term.watch.run_pass()
    assert term.troubles == ["telling that team-a/knot is in a deadlock: no events"]
    term.cluster.refuses = False
    term.watch.run_pass()
    following = Term(term.cluster, clock)
    following.look(lambda: bool(following.watch.view.queues))
    following.seconds += REPORTED_AFTER
    following.watch.run_pass()
    assert len(events(term)) == 1
    assert (following.notes.deadlocks, following.troubles) == (0, [])
    following.end()


def test_a_head_that_argo_overlooks_is_touched_after_a_raise(term: Term) -> None:
    """By one annotation of ours, once; that changes the object, so Argo processes it."""
    holder = running("holder", holds={DB: ["n"]}, nodes={"n": node()})
    add(term, holder, waits("overlooked", created=1))
    term.look(lambda: term.waiters() == {DB: ["overlooked"]})
    term.clock.advance(timedelta(minutes=5))
    term.watch.run_pass()
    assert term.notes.touches == []
    term.documents = (lock_policy(), config_map(db="2"))
    term.watch.run_pass()
    term.clock.advance(OVERLOOKED_AFTER)
    term.watch.run_pass()
    term.watch.run_pass()
    assert term.notes.touches == [Why.FREE]
    touched = term.cluster.get(WORKFLOWS, "overlooked", namespace=NAMESPACE)
    assert field(touched, "metadata", "annotations", well_known.TOUCHED) == "2026-11-23T12:05:03Z"
    assert term.troubles == []


def test_a_lock_is_in_use_while_a_workflow_holds_wants_or_may_want_it(term: Term) -> None:
    """In doubt it is: where nothing was read yet, or where a template elsewhere may ask for it."""
    assert term.watch.uses(DB)
    add(term, waits("a"))
    term.look(lambda: NAMESPACE in term.watch.traces.watched() and term.known() == 1)
    assert term.watch.uses(DB)
    assert not term.watch.uses(semaphore("gpu"))
    add(term, running("away", spec={"workflowTemplateRef": {"name": "x"}}))
    term.look(lambda: term.known() == 2)
    assert term.watch.uses(semaphore("gpu"))
    for name in ("a", "away"):
        term.cluster.delete(WORKFLOWS, name, namespace=NAMESPACE)
    term.look(lambda: term.known() == 0)
    assert not term.watch.uses(DB)


def test_a_namespace_whose_locks_are_requested_is_watched(term: Term) -> None:
    """Its policy was deleted, and its keys stay until no Workflow uses them."""
    term.look(lambda: term.watch.traces.watched() == {NAMESPACE})
    assert term.watch.uses(OTHER)
    term.look(lambda: "team-b" in term.watch.traces.watched())
    assert not term.watch.uses(OTHER)


def test_limits_are_those_that_argo_reads() -> None:
    """From the ConfigMap as it is, not from the policy; of a database lock none is known."""
    view = snapshot(config_map(db="3", bad="x"))
    found = [limit_of(lock, view) for lock in (DB, semaphore("bad"), semaphore("no"), mutex("m"))]
    assert found == [3, None, None, 1]
    assert limit_of("team-a/Database/db", view) is None


def test_it_runs_until_it_is_stopped(term: Term) -> None:
    """As a work of the leader's term; a wake causes a pass."""
    add(term, waits("a"))
    thread = Thread(target=term.watch.run, daemon=True)
    thread.start()
    waited = Event()
    for _ in range(int(PATIENCE * 20)):
        if term.waiters() == {DB: ["a"]}:
            break
        waited.wait(0.05)
    assert term.waiters() == {DB: ["a"]}
    term.watch.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_metrics_show_what_was_seen_last_and_no_more(term: Term) -> None:
    """A lock that no Workflow uses has no series."""
    registry = CollectorRegistry()
    metrics = LockMetrics(registry=registry)
    metrics.show(lambda: term.watch.view)
    add(term, knot(), waits("behind"))
    term.look(
        lambda: term.waiters() == {DB: ["knot", "behind"]} or term.waiters() == {DB: ["behind", "knot"]}
    )
    term.seconds += REPORTED_AFTER
    term.watch.run_pass()
    shown = generate_latest(registry).decode().splitlines()
    labels = '{lock="ConfigMap/limits/db",workflow_namespace="team-a"}'
    for line in (
        f"lockkeeper_lock_limit{labels} 1.0",
        f"lockkeeper_lock_holders{labels} 1.0",
        f"lockkeeper_lock_waiters{labels} 2.0",
        "lockkeeper_locks 1.0",
        "lockkeeper_lock_deadlocks_now 1.0",
        'lockkeeper_lock_deadlocked_workflows{workflow_namespace="team-a"} 2.0',
    ):
        assert line in shown
    metrics.touched(Why.FREE)
    assert 'lockkeeper_lock_touches_total{reason="free"} 1.0' in generate_latest(registry).decode()
    term.documents = ()
    term.look(lambda: term.watch.view.queues == ())
    assert "lockkeeper_lock_waiters{" not in generate_latest(registry).decode()
