"""Conditions are kept on policies by the leader: each as it was checked, written once, whatever fails."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread

import msgspec
import pytest

from lockkeeper.assembly.cluster_policies import ClusterPolicies
from policy.cluster.errors import ClusterError, Conflict, Forbidden, NotFound, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    NAMESPACES,
    STATUS,
    WORKFLOW_QUOTAS,
    MergePatch,
    Resource,
)
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.service.status.conditions import WrittenCondition
from policy.service.status.policy_status import FIRST_DELAY, LAST_DELAY, PolicyStatusWriter
from policy.sources.last_good_objects import LastGoodObjects, Verdict
from tests.policy.cluster.conftest import field, text
from tests.policy.service.world import PATIENCE, Call, Clock, Spy
from webhook.logs import Log


class Stopwatch:
    """A stopwatch in seconds that the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Term:
    """A writer over quotas that the test fills in by hand, as a watch would."""

    def __init__(self, spy: Spy, clock: Clock) -> None:
        self.objects = LastGoodObjects(resource=WORKFLOW_QUOTAS)
        self.stopwatch = Stopwatch()
        self.troubles: list[str] = []
        self.spy = spy
        self.writer = PolicyStatusWriter(
            cluster=spy,
            verdicts=lambda: tuple(self.objects.verdicts.values()),
            findings=dict,
            clock=clock,
            stopwatch=self.stopwatch,
            trouble=self._note,
            pause=0.0,
        )

    def see(self) -> None:
        """Show the sources everything as it is."""
        self.objects.reset(self.spy.inner.list(WORKFLOW_QUOTAS).items)

    def writes(self) -> list[str]:
        """Return the names of the policies that were written in one more pass."""
        before = len(self.spy.calls)
        self.writer.run_pass()
        return [call.name for call in self.spy.calls[before:] if call.verb == "patch"]

    def _note(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")


@pytest.fixture
def term(spy: Spy, clock: Clock) -> Term:
    """Return a writer that has seen nothing yet."""
    return Term(spy, clock)


def add(cluster: MemoryCluster, name: str, workflows: JsonValue = 1) -> JsonObject:
    """Create a quota."""
    quota: JsonObject = {
        "apiVersion": WORKFLOW_QUOTAS.api_version,
        "kind": WORKFLOW_QUOTAS.kind,
        "metadata": {"name": name, "namespace": "team-a"},
        "spec": {"limits": {"workflows": workflows}},
    }
    return cluster.create(WORKFLOW_QUOTAS, quota)


def edit(cluster: MemoryCluster, name: str, workflows: JsonValue) -> JsonObject:
    """Change the limit of a quota."""
    patch = MergePatch({"spec": {"limits": {"workflows": workflows}}})
    return cluster.patch(WORKFLOW_QUOTAS, name, patch, namespace="team-a")


def stands(
    cluster: MemoryCluster, name: str, resource: Resource = WORKFLOW_QUOTAS, namespace: str = "team-a"
) -> dict[str, WrittenCondition]:
    """Return the conditions of a policy."""
    status = cluster.get(resource, name, namespace=namespace).get("status")
    listed = status.get("conditions") if isinstance(status, dict) else None
    return {each.type: each for each in msgspec.convert(listed or [], list[WrittenCondition])}


def version(cluster: MemoryCluster, name: str) -> str:
    """Return the version of a quota."""
    return text(cluster.get(WORKFLOW_QUOTAS, name, namespace="team-a"), "metadata", "resourceVersion")


def test_every_policy_gets_its_conditions_and_then_nothing_is_written(
    cluster: MemoryCluster, term: Term
) -> None:
    """Not while the watch is late, not when it shows our own write, and not in a later pass."""
    add(cluster, "good")
    add(cluster, "bad", -1)
    term.see()
    assert sorted(term.writes()) == ["bad", "good"]
    ready = {name: stands(cluster, name)["Ready"] for name in ("good", "bad")}
    assert (ready["good"].status, ready["bad"].status) == ("True", "False")
    assert "spec.limits.workflows: must be 0 or more" in ready["bad"].message
    assert term.writes() == []
    term.see()
    assert term.writes() == []
    assert term.troubles == []


def test_a_fixed_policy_is_ready_as_of_its_new_generation(cluster: MemoryCluster, term: Term) -> None:
    """And the verdict of the one before is gone."""
    add(cluster, "a", -1)
    term.see()
    term.writes()
    edit(cluster, "a", 2)
    term.see()
    assert term.writes() == ["a"]
    found = stands(cluster, "a")
    assert (found["Ready"].status, found["Ready"].observed_generation) == ("True", 2)
    assert found["Invalid"].status == "False"
    assert field(cluster.get(WORKFLOW_QUOTAS, "a", namespace="team-a"), "status", "observedGeneration") == 2


def test_a_new_leader_writes_only_what_differs(cluster: MemoryCluster, spy: Spy, clock: Clock) -> None:
    """It has checked everything itself, and most of it is written already."""
    for name in ("a", "b", "c"):
        add(cluster, name)
    first = Term(spy, clock)
    first.see()
    assert len(first.writes()) == 3
    edit(cluster, "b", -1)
    second = Term(spy, clock)
    second.see()
    assert second.writes() == ["b"]
    assert stands(cluster, "b")["Ready"].reason == "NotInForce"


def test_what_another_client_wrote_into_the_status_is_corrected(cluster: MemoryCluster, term: Term) -> None:
    """Also a condition that was taken away."""
    add(cluster, "a")
    term.see()
    term.writes()
    empty = MergePatch({"status": {"conditions": []}})
    cluster.patch(WORKFLOW_QUOTAS, "a", empty, namespace="team-a", subresource=STATUS)
    term.see()
    assert term.writes() == ["a"]
    assert set(stands(cluster, "a")) == {"Ready", "Invalid", "Conflicting"}


def test_nothing_is_written_over_what_was_not_seen(cluster: MemoryCluster, term: Term) -> None:
    """A policy that was edited meanwhile is written when its new form was checked, without a report."""
    add(cluster, "a")
    term.see()
    edited = edit(cluster, "a", -1)
    assert term.writes() == ["a"]
    assert cluster.get(WORKFLOW_QUOTAS, "a", namespace="team-a") == edited
    assert term.writes() == [], "not again before the watch has shown the edit"
    term.see()
    assert term.writes() == ["a"]
    assert stands(cluster, "a")["Ready"].status == "False"
    assert term.troubles == []


def test_a_policy_that_was_created_again_by_its_name_is_not_taken_for_the_old_one(
    cluster: MemoryCluster, term: Term
) -> None:
    """The verdict on the one that went is not written on the one that came."""
    add(cluster, "a", -1)
    term.see()
    cluster.delete(WORKFLOW_QUOTAS, "a", namespace="team-a")
    made = add(cluster, "a")
    assert term.writes() == ["a"]
    assert cluster.get(WORKFLOW_QUOTAS, "a", namespace="team-a") == made
    term.see()
    assert term.writes() == ["a"]
    assert stands(cluster, "a")["Ready"].status == "True"


def test_a_policy_that_went_is_forgotten(cluster: MemoryCluster, term: Term) -> None:
    """Its absence is no trouble, and no memory is kept of it."""
    add(cluster, "a")
    term.see()
    cluster.delete(WORKFLOW_QUOTAS, "a", namespace="team-a")
    term.writes()
    assert term.troubles == []
    term.see()
    assert term.writes() == []
    assert term.writer._delayed.next_due() is None
    assert term.writer._written == {}


@pytest.mark.parametrize("error", [Forbidden("no"), Unavailable("away"), Conflict("moved"), NotFound("gone")])
def test_one_policy_that_cannot_be_written_stops_no_other_and_is_tried_ever_more_seldom(
    cluster: MemoryCluster, term: Term, error: ClusterError
) -> None:
    """Whatever the error is; what only happens now and then is reported when it happens again."""
    for name in ("a", "bad", "z"):
        add(cluster, name)
    term.see()

    def refuse(call: Call) -> None:
        if call.name == "bad":
            raise error

    term.spy.before = refuse
    assert term.writes() == ["a", "z"]
    reported = len(term.troubles)
    assert reported == (0 if isinstance(error, Conflict | NotFound) else 1)
    delay = FIRST_DELAY
    while delay < LAST_DELAY:
        waits = term.writer.run_pass()
        assert waits == pytest.approx(delay)
        term.stopwatch.seconds += delay - 0.01
        assert len(term.troubles) == reported
        term.writer.run_pass()
        assert len(term.troubles) == reported, "tried again too early"
        term.stopwatch.seconds += 0.02
        term.writer.run_pass()
        reported += 1
        assert term.troubles[-1] == f"writing the status of WorkflowQuota team-a/bad: {error.message}"
        delay = min(LAST_DELAY, delay * 2)
    term.spy.before = lambda _: None
    term.stopwatch.seconds += LAST_DELAY
    assert term.writes() == ["bad"]
    assert term.writer.run_pass() is None


def test_a_write_whose_answer_was_lost_is_seen_to_be_done(cluster: MemoryCluster, term: Term) -> None:
    """Trying it again meets its own version, and then the watch shows that all is well."""
    add(cluster, "a")
    term.see()

    def lose(call: Call) -> None:
        if call.verb == "patch":
            raise Unavailable("the answer was lost")

    term.spy.after = lose
    assert term.writes() == ["a"]
    done = version(cluster, "a")
    term.spy.after = lambda _: None
    term.stopwatch.seconds += FIRST_DELAY
    assert term.writes() == ["a"]
    assert version(cluster, "a") == done
    term.see()
    assert term.writes() == []
    assert term.writer.run_pass() is None


def test_a_status_like_nonsense_is_replaced(cluster: MemoryCluster, term: Term) -> None:
    """Nothing in a status can stop the writer."""
    nonsenses: tuple[JsonValue, ...] = (
        5,
        [],
        "x",
        {"conditions": {"a": 1}},
        {"conditions": [None, 3, {}]},
    )
    for index, status in enumerate(nonsenses):
        add(cluster, f"q{index}")
        nonsense = MergePatch({"status": status})
        cluster.patch(WORKFLOW_QUOTAS, f"q{index}", nonsense, namespace="team-a", subresource=STATUS)
    term.see()
    assert len(term.writes()) == 5
    assert all(stands(cluster, f"q{index}")["Ready"].status == "True" for index in range(5))


class Running:
    """Policies of a cluster that are followed, and terms of the leader over them."""

    def __init__(self, spy: Spy, clock: Clock) -> None:
        self._spy, self._clock = spy, clock
        self.lines: list[bytes] = []
        self.policies = ClusterPolicies(
            cluster=spy, argo=DEFAULT_VERSION, log=Log(write=self.lines.append, clock=clock)
        )

    @contextmanager
    def leading(self) -> Iterator[PolicyStatusWriter]:
        """Lead for the length of the block."""
        writer = PolicyStatusWriter(
            cluster=self._spy,
            verdicts=self.policies.verdicts,
            findings=self.policies.findings,
            clock=self._clock,
            stopwatch=Stopwatch(),
            trouble=lambda doing, error: pytest.fail(f"{doing}: {error.message}"),
        )
        self.policies.on_verdicts(writer.wake)
        thread = Thread(target=writer.run, daemon=True)
        thread.start()
        yield writer
        writer.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def running(spy: Spy, clock: Clock) -> Iterator[Running]:
    """Follow the policies of the cluster."""
    made = Running(spy, clock)
    made.policies.start()
    assert made.policies.wait(PATIENCE)
    yield made
    made.policies.stop()


def until(cluster: MemoryCluster, resource: Resource, holds: Callable[[], bool]) -> None:
    """Wait, from change to change of a resource, until something holds."""
    since = cluster.list(resource).resource_version
    if holds():
        return
    for _ in cluster.watch(resource, since=since, timeout=PATIENCE):
        if holds():
            return
    pytest.fail("it never held")


def test_policies_checked_before_a_term_are_written_in_it(cluster: MemoryCluster, running: Running) -> None:
    """The verdicts wait in the policies for the next leader; no other replica writes."""
    add(cluster, "a")
    add(cluster, "bad", -1)
    before = version(cluster, "a")
    for verdict in _verdicts_on(running, 2):
        assert verdict.status is None
    assert version(cluster, "a") == before
    with running.leading():
        until(cluster, WORKFLOW_QUOTAS, lambda: bool(stands(cluster, "a") and stands(cluster, "bad")))
    assert stands(cluster, "bad")["Ready"].reason == "NotInForce"


def test_the_writer_ends_in_peace_and_its_own_writes_wake_it_for_nothing(
    cluster: MemoryCluster, running: Running, spy: Spy
) -> None:
    """From edit to condition and then silence: one write for each generation, and nothing compiled for it."""
    compiled: SimpleQueue[None] = SimpleQueue()
    running.policies.snapshots.on_policies(lambda: compiled.put(None))
    with running.leading():
        add(cluster, "a")
        until(cluster, WORKFLOW_QUOTAS, lambda: "Ready" in stands(cluster, "a"))
        compiled.get(timeout=PATIENCE)
        edit(cluster, "a", 7)
        until(cluster, WORKFLOW_QUOTAS, lambda: stands(cluster, "a")["Ready"].observed_generation == 2)
        compiled.get(timeout=PATIENCE)
        add(cluster, "fence")
        until(cluster, WORKFLOW_QUOTAS, lambda: "Ready" in stands(cluster, "fence"))
        compiled.get(timeout=PATIENCE)
    assert [call.name for call in spy.calls if call.verb == "patch"] == ["a", "a", "fence"]
    assert compiled.empty()


def test_conflicts_between_policies_are_written_and_taken_back(
    cluster: MemoryCluster, running: Running
) -> None:
    """The younger pool names the one that has its namespaces, until the older one is deleted."""
    namespace: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}}
    cluster.create(NAMESPACES, namespace)
    for name in ("a", "b"):
        pool: JsonObject = {
            "apiVersion": CLUSTER_WORKFLOW_QUOTAS.api_version,
            "kind": CLUSTER_WORKFLOW_QUOTAS.kind,
            "metadata": {"name": name},
            "spec": {"namespaceSelector": {}},
        }
        cluster.create(CLUSTER_WORKFLOW_QUOTAS, pool)

    def conflicting(status: str) -> bool:
        found = stands(cluster, "b", CLUSTER_WORKFLOW_QUOTAS, "").get("Conflicting")
        return found is not None and found.status == status

    with running.leading():
        until(cluster, CLUSTER_WORKFLOW_QUOTAS, lambda: conflicting("True"))
        found = stands(cluster, "b", CLUSTER_WORKFLOW_QUOTAS, "")
        assert found["Ready"].status == "True"
        assert "ClusterWorkflowQuota a is the oldest pool" in found["Conflicting"].message
        cluster.delete(CLUSTER_WORKFLOW_QUOTAS, "a")
        until(cluster, CLUSTER_WORKFLOW_QUOTAS, lambda: conflicting("False"))


def test_a_wrong_policy_is_logged_once_with_what_stays_in_force(
    cluster: MemoryCluster, running: Running
) -> None:
    """Also in replicas that do not lead; a status write says nothing new."""
    add(cluster, "a")
    _verdicts_on(running, 1)
    edit(cluster, "a", -1)
    with running.leading():
        until(cluster, WORKFLOW_QUOTAS, lambda: bool(stands(cluster, "a")))
        until(cluster, WORKFLOW_QUOTAS, lambda: stands(cluster, "a")["Ready"].status == "False")
        add(cluster, "fence")
        until(cluster, WORKFLOW_QUOTAS, lambda: bool(stands(cluster, "fence")))
    logged = [line for line in running.lines if b"team-a/a" in line]
    assert len(logged) == 1
    assert b"it is wrong, and generation 1 of it stays in force: spec.limits.workflows" in logged[0]


def test_a_stopped_writer_does_not_begin(cluster: MemoryCluster) -> None:
    """A term may end before its thread has begun."""
    writer = PolicyStatusWriter(
        cluster=cluster,
        verdicts=lambda: pytest.fail("it looked"),
        findings=dict,
        clock=Clock(),
        stopwatch=Stopwatch(),
        trouble=lambda doing, error: pytest.fail(f"{doing}: {error.message}"),
    )
    writer.stop()
    writer.run()


def _verdicts_on(running: Running, count: int) -> tuple[Verdict, ...]:
    """Wait until this many policies were checked."""
    enough = Event()

    def look() -> None:
        if len(running.policies.verdicts()) == count:
            enough.set()

    running.policies.on_verdicts(look)
    look()
    assert enough.wait(PATIENCE)
    return running.policies.verdicts()
