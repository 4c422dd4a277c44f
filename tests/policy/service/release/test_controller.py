"""The controller's loop: driven by events, prompt to stop, and alive after every error of the cluster."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from policy.cluster.errors import Gone, Unavailable
from policy.cluster.ledgers import KNOWN_FOR
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    QUOTA_LEDGERS,
    WORKFLOWS,
    MergePatch,
    Resource,
    WatchEvent,
)
from policy.core.decision.decision import ReservationRequest
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Account, Root
from policy.core.quota.demands import Demand
from policy.core.quota.ledger import RESERVATION_TTL
from policy.core.values.amounts import Amount, Limits, Usage
from policy.service.leading.fences import TERM, Deposed
from policy.service.release.controller import RETRY_AFTER
from policy.service.release.release_sender import FIRST_DELAY
from tests.policy.service.world import (
    PATIENCE,
    Call,
    Clock,
    Leader,
    Spy,
    Stage,
    complete,
    draft,
    eventually,
    is_held,
    quota,
    snapshot_of,
    submit,
)

ROOT = Root.of_namespace("etl")
ONE_AT_A_TIME = snapshot_of(quota("etl", "q", workflows=1))


@pytest.fixture
def stage(spy: Spy, clock: Clock) -> Stage:
    """Return a controller of a namespace where one Workflow runs at a time."""
    return Stage(spy, ONE_AT_A_TIME, clock)


def create(stage: Stage, name: str) -> JsonObject:
    """Create a held Workflow."""
    return submit(stage.cluster, stage.snapshots.current(), draft(name), namespace="etl")


def runs(cluster: MemoryCluster, name: str) -> Callable[[], bool]:
    """Return the condition that a Workflow was released."""
    return lambda: not is_held(cluster.get(WORKFLOWS, name, namespace="etl"))


def first(times: int, condition: Callable[[Call], bool], error: Exception) -> Callable[[Call], None]:
    """Return a hook that fails the first calls that meet the condition."""
    left = [error] * times

    def hook(call: Call) -> None:
        if left and condition(call):
            raise left.pop()

    return hook


def lists_workflows(call: Call) -> bool:
    """Return whether a call lists Workflows."""
    return call.verb == "list" and call.plural == "workflows"


def watches_workflows(call: Call) -> bool:
    """Return whether a call watches Workflows."""
    return call.verb == "watch" and call.plural == "workflows"


def test_a_new_workflow_is_released_at_once(stage: Stage, cluster: MemoryCluster) -> None:
    """An event causes a pass; none waits for the idle one."""
    with stage.running(cluster.close):
        create(stage, "a")
        assert eventually(cluster, runs(cluster, "a"))


def test_the_end_of_one_workflow_releases_the_next(stage: Stage, cluster: MemoryCluster) -> None:
    """The queue moves whenever a slot comes free, one at a time."""
    with stage.running(cluster.close):
        for name in ("a", "b", "c"):
            create(stage, name)
        for name in ("a", "b", "c"):
            assert eventually(cluster, runs(cluster, name))
            waiting = [each for each in ("a", "b", "c") if each > name]
            assert all(not runs(cluster, each)() for each in waiting)
            complete(cluster, name, namespace="etl")
    assert stage.told.released_names == ["a", "b", "c"]
    assert stage.told.troubles == []


def test_what_was_there_before_the_controller_is_released_too(stage: Stage, cluster: MemoryCluster) -> None:
    """A controller that starts takes the queue as it finds it, in its order."""
    create(stage, "a")
    create(stage, "b")
    with stage.running(cluster.close):
        assert eventually(cluster, runs(cluster, "a"))
        assert stage.told.until(lambda: [name for name, _ in stage.told.messages] == ["b"])


def test_stop_ends_the_loop_at_once(stage: Stage, cluster: MemoryCluster) -> None:
    """A rollout does not wait for an idle loop."""
    with stage.running(cluster.close) as loop:
        create(stage, "a")
        assert eventually(cluster, runs(cluster, "a"))
        stage.controller.stop()
        loop.result(PATIENCE)


def test_stop_cuts_the_wait_after_an_error_short(stage: Stage, cluster: MemoryCluster, spy: Spy) -> None:
    """A controller in trouble stops like any other."""
    spy.before = first(10**6, lists_workflows, Unavailable("down"))
    with stage.running(cluster.close) as loop:
        assert stage.told.until(lambda: bool(stage.told.troubles))
        stage.controller.stop()
        told = len(stage.told.troubles)
        loop.result(PATIENCE)
    assert len(stage.told.troubles) <= told + 1


def test_a_controller_that_was_stopped_does_nothing(stage: Stage, cluster: MemoryCluster, spy: Spy) -> None:
    """A stop before the start is not forgotten."""
    stage.controller.stop()
    with stage.running(cluster.close) as loop:
        loop.result(PATIENCE)
    assert spy.calls == []


def test_a_raised_limit_releases_at_once(stage: Stage, cluster: MemoryCluster) -> None:
    """A change of policies wakes the loop."""
    with stage.running(cluster.close):
        create(stage, "a")
        create(stage, "b")
        assert eventually(cluster, runs(cluster, "a"))
        assert stage.told.until(lambda: bool(stage.told.messages))
        assert not runs(cluster, "b")()
        stage.snapshots.put_policies(snapshot_of(quota("etl", "q", workflows=2)))
        assert eventually(cluster, runs(cluster, "b"))


def test_a_quota_for_a_namespace_that_had_none_counts_what_runs_there(
    stage: Stage, cluster: MemoryCluster
) -> None:
    """A new root is fenced and listed in the middle of the work."""
    with stage.running(cluster.close):
        cluster.create(WORKFLOWS, draft("stranger"), namespace="ml")
        policies = snapshot_of(quota("etl", "q", workflows=1), quota("ml", "q", workflows=1))
        stage.snapshots.put_policies(policies)
        submit(cluster, policies, draft("waits"), namespace="ml")
        assert stage.told.until(lambda: bool(stage.told.messages))
        assert is_held(cluster.get(WORKFLOWS, "waits", namespace="ml"))
        complete(cluster, "stranger", namespace="ml")
        assert eventually(cluster, lambda: not is_held(cluster.get(WORKFLOWS, "waits", namespace="ml")))


def test_the_view_of_usage_is_published(stage: Stage, cluster: MemoryCluster) -> None:
    """Reviews see what runs and waits without asking the cluster."""
    with stage.running(cluster.close):
        create(stage, "a")
        create(stage, "b")
        assert stage.told.until(lambda: bool(stage.told.messages))
        usage = stage.snapshots.current().usage
    assert usage.used == {Account("etl", "q"): Usage(1, 1)}
    assert usage.queues["etl"].depth == 1


def test_a_watch_that_is_gone_is_listed_again(stage: Stage, cluster: MemoryCluster, spy: Spy) -> None:
    """A watch that fell behind loses nothing: the new listing has it all."""
    spy.before = first(2, watches_workflows, Gone("too old resource version"))
    with stage.running(cluster.close):
        assert stage.told.until(lambda: bool(stage.told.troubles))
        create(stage, "a")
        assert eventually(cluster, runs(cluster, "a"))
    assert stage.told.troubles[0] == "watching Workflows: too old resource version"


class Breaking(Spy):
    """A cluster whose first watches break after one event each, which they hand out."""

    def __init__(self, inner: MemoryCluster, breaks: int) -> None:
        super().__init__(inner)
        self.breaks = breaks

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
        timeout: float = 60.0,
    ) -> Iterator[WatchEvent[JsonObject]]:
        """Break after an event, as long as there are breaks left."""
        events = super().watch(
            resource,
            since=since,
            namespace=namespace,
            name=name,
            labels=labels,
            metadata_only=metadata_only,
            timeout=timeout,
        )
        for event in events:
            yield event
            if self.breaks:
                self.breaks -= 1
                raise Gone("the log moved on")


def test_a_watch_that_breaks_in_the_middle_loses_nothing(cluster: MemoryCluster, clock: Clock) -> None:
    """Whatever happened before, in or after the break is in the new listing."""
    names = [f"w{number}" for number in range(6)]
    stage = Stage(Breaking(cluster, breaks=2), ONE_AT_A_TIME, clock)
    with stage.running(cluster.close):
        for name in names:
            create(stage, name)
        for name in names:
            assert eventually(cluster, runs(cluster, name))
            complete(cluster, name, namespace="etl")
    assert stage.told.released_names == names


def test_an_error_of_the_cluster_is_reported_and_the_pass_made_again(
    stage: Stage, cluster: MemoryCluster, spy: Spy
) -> None:
    """An API server that restarts costs a second, not the controller."""
    spy.before = first(1, lists_workflows, Unavailable("restarting"))
    with stage.running(cluster.close) as loop:
        create(stage, "a")
        assert eventually(cluster, runs(cluster, "a"))
        assert not loop.done()
    assert stage.told.troubles == ["a pass over the queues: restarting"]


def test_a_ledger_that_cannot_be_written_holds_the_release_back(
    stage: Stage, cluster: MemoryCluster, spy: Spy
) -> None:
    """Protocol rule 3: no reservation, no release; both come once the ledger answers."""
    create(stage, "a")
    order: list[str] = []

    def note(call: Call) -> None:
        if call.writes_ledger:
            order.append("ledger")
            if len(order) == 3:
                raise Unavailable("no quorum")
        elif call.releases:
            order.append("release")

    spy.before = note
    with stage.running(cluster.close):
        assert eventually(cluster, runs(cluster, "a"))
    assert order[:5] == ["ledger", "ledger", "ledger", "ledger", "release"]  # The first two are fences.
    assert stage.told.troubles == ["a pass over the queues: no quorum"]


def test_a_deposed_controller_ends(stage: Stage, cluster: MemoryCluster, clock: Clock) -> None:
    """Protocol rule 2: it stops at once, and its caller gets the reason."""
    with stage.running(cluster.close) as loop:
        create(stage, "a")
        assert eventually(cluster, runs(cluster, "a"))
        Leader(cluster, ONE_AT_A_TIME, clock).lead()
        clock.advance(KNOWN_FOR)  # For so long it may trust a ledger that it has nothing to write in.
        create(stage, "b")
        assert isinstance(loop.exception(PATIENCE), Deposed)


def test_two_controllers_in_a_row_never_let_two_run(cluster: MemoryCluster, clock: Clock) -> None:
    """The new leader takes over a queue in the middle of its work, and the old one leaves."""
    old, new = Stage(cluster, ONE_AT_A_TIME, clock), Stage(cluster, ONE_AT_A_TIME, clock)
    names = [f"w{number}" for number in range(6)]
    since = cluster.list(WORKFLOWS).resource_version
    with old.running(lambda: None) as first_loop:
        for name in names:
            create(old, name)
        assert eventually(cluster, runs(cluster, names[0]))
        with new.running(cluster.close):
            assert eventually(cluster, lambda: new.ledgers.read(ROOT).epoch == 2, QUOTA_LEDGERS)
            for name in names:
                assert eventually(cluster, runs(cluster, name))
                complete(cluster, name, namespace="etl")
            assert isinstance(first_loop.exception(PATIENCE), Deposed)
            seen = list(cluster.watch(WORKFLOWS, since=since, timeout=0))
    free: set[str] = set()
    for event in seen:
        metadata = event.object["metadata"]
        assert isinstance(metadata, dict)
        name, labels = str(metadata["name"]), metadata.get("labels") or {}
        ended = isinstance(labels, dict) and labels.get(well_known.COMPLETED) == "true"
        (free.discard if ended or is_held(event.object) else free.add)(name)
        assert len(free) <= 1


def test_a_lost_create_gives_its_slot_back_in_a_pass_that_something_else_wakes(
    cluster: MemoryCluster, clock: Clock
) -> None:
    """Time alone makes it overdue; the next pass of any reason finds it."""
    stage = Stage(cluster, snapshot_of(quota("etl", "q", workflows=1, on_exceed=OnExceed.DENY)), clock)
    demand = Demand(Account("etl", "q"), Limits(Amount(1)), "WorkflowQuota etl/q")
    request = ReservationRequest(ROOT, "lost", "etl", "w", Usage(1, 1), (demand,))
    with stage.running(cluster.close):
        counted = lambda: Account("etl", "q") in stage.ledgers.read(ROOT).used  # noqa: E731 - one condition
        assert eventually(cluster, counted, QUOTA_LEDGERS)
        stage.ledgers.reserve(request)
        clock.advance(RESERVATION_TTL + timedelta(seconds=1))
        stage.controller.wake()
        assert eventually(cluster, lambda: not stage.ledgers.holds(request), QUOTA_LEDGERS)


def test_a_failed_list_after_the_fence_is_made_up_for_before_anything_is_written(
    stage: Stage, cluster: MemoryCluster, spy: Spy
) -> None:
    """Protocol rule 1: a list from before the epoch write misses what the old leader let run meanwhile."""
    create(stage, "a")
    steps: list[str] = []
    failures = [Unavailable("restarting")]

    def note(call: Call) -> None:
        if lists_workflows(call):
            if "ledger" in steps and failures:
                raise failures.pop()
            steps.append("list")
        elif call.writes_ledger and call.name != str(TERM):
            steps.append("ledger")

    spy.before = note
    with stage.running(cluster.close):
        assert eventually(cluster, runs(cluster, "a"))
    assert steps[:4] == ["list", "ledger", "list", "ledger"]


def test_a_fence_that_fails_half_way_is_followed_by_a_list_all_the_same(
    stage: Stage, cluster: MemoryCluster, spy: Spy
) -> None:
    """Protocol rule 1, where the root that could not be fenced is gone at the second attempt."""
    create(stage, "a")
    steps: list[str] = []
    stage.snapshots.put_policies(snapshot_of(quota("etl", "q", workflows=1), quota("ml", "q", workflows=1)))

    def note(call: Call) -> None:
        if lists_workflows(call):
            steps.append("list")
        elif call.writes_ledger and call.name == "namespace.ml":
            stage.snapshots.put_policies(ONE_AT_A_TIME)
            raise Unavailable("restarting")
        elif call.writes_ledger and call.name != str(TERM):
            steps.append("ledger")

    spy.before = note
    with stage.running(cluster.close):
        assert eventually(cluster, runs(cluster, "a"))
    assert steps[:6] == ["list", "ledger", "list", "ledger", "list", "ledger"]


def test_a_release_that_failed_is_sent_again_soon(
    stage: Stage, cluster: MemoryCluster, spy: Spy, clock: Clock
) -> None:
    """A slot that is reserved and unused must not stay unused until something else happens."""
    spy.before = first(1, lambda call: call.releases, Unavailable("no answer"))
    create(stage, "a")  # Before the start, so that no event comes later.
    with stage.running(cluster.close):
        assert stage.told.until(lambda: bool(stage.told.failures))
        clock.advance(FIRST_DELAY)
        assert stage.told.until(lambda: stage.told.released_names == ["a"])


def test_a_watch_that_always_breaks_is_not_tried_without_a_pause(
    stage: Stage, cluster: MemoryCluster, spy: Spy
) -> None:
    """An API server in trouble, or a missing permission to watch, must not meet a storm of lists."""
    spy.before = first(10**6, watches_workflows, Unavailable("no watch"))
    with stage.running(cluster.close):
        stormed = stage.told.until(lambda: len(stage.told.troubles) > 20, RETRY_AFTER.total_seconds())
    assert not stormed


def test_one_scribbled_annotation_does_not_end_the_controller(stage: Stage, cluster: MemoryCluster) -> None:
    """Any user may annotate a Workflow of theirs; the queues of all others have to continue."""
    with stage.running(cluster.close) as loop:
        loop.add_done_callback(lambda _: cluster.create(WORKFLOWS, draft("end"), namespace="over"))
        cluster.create(WORKFLOWS, draft("scribbled"), namespace="ml")
        value: JsonObject = {"metadata": {"annotations": {well_known.TASKS: "9" * 5_000}}}
        cluster.patch(WORKFLOWS, "scribbled", MergePatch(value), namespace="ml")
        create(stage, "a")
        assert eventually(cluster, lambda: loop.done() or runs(cluster, "a")())
        if loop.done():
            loop.result()
        assert runs(cluster, "a")()


def test_a_deposed_controller_takes_its_watch_with_it(
    stage: Stage, cluster: MemoryCluster, clock: Clock
) -> None:
    """The process may live on as a follower; its memory must not grow with every event."""
    before = set(threading.enumerate())
    with stage.running(cluster.close) as loop:
        create(stage, "a")
        assert eventually(cluster, runs(cluster, "a"))
        Leader(cluster, ONE_AT_A_TIME, clock).lead()
        clock.advance(KNOWN_FOR)  # For so long it may trust a ledger that it has nothing to write in.
        create(stage, "b")
        assert isinstance(loop.exception(PATIENCE), Deposed)
        watchers = [each for each in set(threading.enumerate()) - before if "watch" in each.name]
        create(stage, "c")
        for each in watchers:
            each.join(PATIENCE)
        assert not any(each.is_alive() for each in watchers)
