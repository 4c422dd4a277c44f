"""Groups: so many at a time per key, who waits for a key, and whom a newer one supersedes."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from policy.cluster.errors import Unavailable
from policy.cluster.protocol import WORKFLOWS
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Code
from policy.core.decision.quota_messages import exceeded_reason
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow_selectors import WorkflowSelector
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import (
    CancelBy,
    GroupSpec,
    QueueSpec,
    QueueStrategy,
    QuotaLimits,
    StopPolicy,
    WhenBusy,
    WorkflowQuotaSpec,
)
from policy.core.queue.positions import WaitReason
from policy.core.quota.accounts import Account, Root
from policy.core.values.amounts import Usage
from policy.service.tracking.tracker import LIVE
from tests.policy.service.world import (
    NOON,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    is_held,
    member,
    name_of,
    part,
    pool,
    review_of,
    snapshot_of,
    submit,
)

KEY = "{{workflow.labels.branch}}"
MAIN = Account("ci", "q:branch", "main")


def grouped(
    when_busy: WhenBusy = WhenBusy.QUEUE,
    *,
    workflows: int | None = None,
    each: int = 1,
    cancel: CancelBy = CancelBy.TERMINATE,
    strategy: QueueStrategy = QueueStrategy.BEST_EFFORT_FIFO,
    namespace: str = "ci",
    tasks: int | None = None,
    matches: dict[str, str] | None = None,
    stop_policy: StopPolicy = StopPolicy.NONE,
    name: str = "branch",
    key: str = KEY,
) -> Snapshot:
    """Return a namespace where so many run at once, and so many of each branch."""
    group = GroupSpec(name=name, key=key, limits=QuotaLimits(each), when_busy=when_busy, cancel=cancel)
    spec = WorkflowQuotaSpec(
        selector=WorkflowSelector(match_labels=matches or {}),
        limits=QuotaLimits(workflows, tasks),
        groups=(group,),
        queue=QueueSpec(strategy=strategy),
        stop_policy=stop_policy,
    )
    return snapshot_of(WorkflowQuota(PolicyMetadata("q", namespace), spec))


def create(leader: Leader, *names: str, namespace: str = "ci") -> None:
    """Create Workflows; the part of a name before `-` is the branch, and one without it has none."""
    for name in names:
        branch, given, _ = name.partition("-")
        made = draft(name, labels={"branch": branch} if given else {})
        submit(leader.cluster, leader.snapshot, made, namespace=namespace)


def running(leader: Leader, namespace: str = "ci") -> list[str]:
    """Return the names of those that run."""
    live = leader.cluster.list(WORKFLOWS, namespace=namespace, labels=LIVE).items
    return sorted(name_of(each) for each in live if not is_held(each))


def of(leader: Leader, name: str) -> JsonObject:
    """Return a Workflow as it is stored."""
    return leader.cluster.get(WORKFLOWS, name, namespace="ci")


@pytest.fixture
def leader(spy: Spy, clock: Clock) -> Callable[[Snapshot], Leader]:
    """Return what makes a leader under some policies."""
    return lambda snapshot: Leader(spy, snapshot, clock)


def test_one_of_a_key_runs_and_others_are_in_nobodys_way(leader: Callable[[Snapshot], Leader]) -> None:
    """Each branch has its own line; one without the label is in none."""
    led = leader(grouped(workflows=4))
    create(led, "main-1", "main-2", "main-3", "dev-1", "loose")
    led.work()
    assert running(led) == ["dev-1", "loose", "main-1"]
    assert led.ledgers.read(Root.of_namespace("ci")).total_usage()[MAIN] == Usage(1, 1)
    complete(led.cluster, "main-1", namespace="ci")
    led.work()
    assert running(led) == ["dev-1", "loose", "main-2"]


@pytest.mark.parametrize("strategy", QueueStrategy)
def test_who_waits_for_a_key_blocks_no_strict_queue(
    leader: Callable[[Snapshot], Leader], strategy: QueueStrategy
) -> None:
    """The first of a strict queue is the first that does not wait for its own key."""
    led = leader(grouped(workflows=2, strategy=strategy))
    create(led, "main-1", "main-2", "dev-1", "dev-2", "test-1")
    led.work()
    assert running(led) == ["dev-1", "main-1"]
    complete(led.cluster, "dev-1", namespace="ci")
    led.work()
    assert running(led) == ["dev-2", "main-1"]
    complete(led.cluster, "main-1", namespace="ci")
    led.work()
    assert running(led) == ["dev-2", "main-2"]


def test_one_that_waits_is_told_who_has_its_key(leader: Callable[[Snapshot], Leader]) -> None:
    """The message names the group, the key and the holder."""
    led = leader(grouped(workflows=4))
    create(led, "main-1")
    led.work()
    create(led, "main-2")
    led.work()
    led.work()
    [(name, reason, text)] = [each for each in led.told.reasons if each[0] == "main-2"]
    assert (name, reason) == ("main-2", WaitReason.WAITING_FOR_GROUP)
    assert text == (
        "waits for room in WorkflowQuota ci/q group branch key main (workflows: 1 needed, 1 of 1 used): "
        "main-1 has this key; it starts when that has ended"
    )


def test_the_newest_of_those_that_wait_stays(leader: Callable[[Snapshot], Leader]) -> None:
    """The older ones fail without having run, with the name of the newest; what runs goes on."""
    led = leader(grouped(WhenBusy.KEEP_NEWEST, workflows=4))
    create(led, "main-1")
    led.work()
    create(led, "main-2", "main-3", "main-4", "dev-1")
    led.work()
    assert running(led) == ["dev-1", "main-1"]
    assert part(of(led, "main-2"), "status", "phase") == "Failed"
    assert part(of(led, "main-2"), "status", "message") == (
        "lockkeeper: superseded by main-4, which is newer and has the same key main "
        "(WorkflowQuota ci/q group branch): it never ran"
    )
    assert [name for name, _ in led.told.superseding] == ["main-2", "main-3"]
    assert not part(of(led, "main-1"), "spec", "shutdown")
    complete(led.cluster, "main-1", namespace="ci")
    led.work()
    assert running(led) == ["dev-1", "main-4"]


def test_at_once_only_the_newest_starts(leader: Callable[[Snapshot], Leader]) -> None:
    """Several of a key that come between two passes are one run and not a race."""
    led = leader(grouped(WhenBusy.KEEP_NEWEST, workflows=9))
    create(led, "main-1", "main-2", "main-3")
    led.work()
    led.work()
    assert led.told.released_names == ["main-3"]


@pytest.mark.parametrize("cancel", CancelBy)
def test_what_runs_is_asked_to_end_and_the_newcomer_starts_after_it(
    leader: Callable[[Snapshot], Leader], cancel: CancelBy
) -> None:
    """Never two of one key: the slot is free when the old one has ended."""
    led = leader(grouped(WhenBusy.CANCEL_RUNNING, workflows=9, cancel=cancel))
    create(led, "main-1", "dev-1")
    led.work()
    create(led, "main-2")
    led.work()
    led.work()
    assert part(of(led, "main-1"), "spec", "shutdown") == cancel.value
    assert not part(of(led, "dev-1"), "spec", "shutdown")
    assert running(led) == ["dev-1", "main-1"]
    assert [name for name, _ in led.told.superseding] == ["main-1"]
    complete(led.cluster, "main-1", namespace="ci")
    led.work()
    assert running(led) == ["dev-1", "main-2"]


def test_no_more_are_cancelled_than_the_newcomer_needs(leader: Callable[[Snapshot], Leader]) -> None:
    """With two at a time the older of them makes room."""
    led = leader(grouped(WhenBusy.CANCEL_RUNNING, workflows=9, each=2))
    create(led, "main-1")
    led.work()
    create(led, "main-2")
    led.work()
    assert led.told.superseding == []
    create(led, "main-3")
    led.work()
    led.work()
    assert [name for name, _ in led.told.superseding] == ["main-1"]


def test_an_end_that_fails_is_tried_again(
    leader: Callable[[Snapshot], Leader], spy: Spy, clock: Clock
) -> None:
    """An API that does not answer delays it, and nothing starts meanwhile."""
    led = leader(grouped(WhenBusy.CANCEL_RUNNING, workflows=9))
    create(led, "main-1")
    led.work()
    create(led, "main-2")
    failing = [True]

    def refuse(call: object) -> None:
        if failing and "main-1" in str(call):
            failing.pop()
            raise Unavailable("down")

    spy.before = refuse
    led.work()
    assert not part(of(led, "main-1"), "spec", "shutdown")
    clock.advance(timedelta(seconds=2))
    led.work()
    assert part(of(led, "main-1"), "spec", "shutdown") == "Terminate"


def test_a_pool_counts_a_key_over_all_of_its_namespaces(leader: Callable[[Snapshot], Leader]) -> None:
    """The same branch in two namespaces is one key."""
    shared = pool("shared", workflows=9, borrows=9)
    spec = shared.spec
    group = GroupSpec(name="branch", key=KEY, limits=QuotaLimits(1))
    grouped_pool = type(shared)(
        shared.metadata,
        type(spec)(
            namespace_selector=spec.namespace_selector,
            limits=spec.limits,
            borrowing=spec.borrowing,
            groups=(group,),
        ),
    )
    led = leader(snapshot_of(grouped_pool, member("ci", "shared"), member("cd", "shared")))
    create(led, "main-1", namespace="ci")
    create(led, "main-2", "dev-1", namespace="cd")
    led.work()
    assert (running(led, "ci"), running(led, "cd")) == (["main-1"], ["dev-1"])


def test_a_group_that_refuses_reserves_its_key_at_the_create(leader: Callable[[Snapshot], Leader]) -> None:
    """The denial names the holder; nothing of it queues."""
    led = leader(grouped(WhenBusy.REFUSE))
    led.work()
    asked = []
    for name in ("main-1", "main-2", "dev-1"):
        made = draft(name, labels={"branch": name.partition("-")[0]})
        decision = apply_policies(review_of(made, namespace="ci", user="ann", uid=name), led.snapshot, NOON)
        assert decision.reservation is not None
        asked.append(decision.reservation)
    assert led.ledgers.reserve(asked[0]) == []
    [short] = led.ledgers.reserve(asked[1])
    assert led.ledgers.reserve(asked[2]) == []
    reason = exceeded_reason(short)
    assert (reason.code, reason.policy) == (Code.GROUP_BUSY, "WorkflowQuota ci/q group branch key main")
    assert reason.message == (
        "exceeded quota: ci/q group branch key main, requested: workflows=1, used: workflows=1, "
        "limited: workflows=1. main-1 has this key: try again when that has ended"
    )


def test_the_view_has_who_waits_for_a_key(leader: Callable[[Snapshot], Leader]) -> None:
    """For the status of the quota and for metrics, by the group; others that wait are not in it."""
    busy = leader(grouped(workflows=2))
    create(busy, "main-1", "main-2", "main-3", "fix-1", "fix-2", "other-1")
    busy.work()
    assert running(busy) == ["fix-1", "main-1"]
    assert busy.view.waits.keys == {MAIN.whole: 3}


def test_one_that_can_never_start_supersedes_nobody(leader: Callable[[Snapshot], Leader]) -> None:
    """It needs more tasks than the quota ever gives: what runs would end for nothing, and what waits too."""
    busy = leader(grouped(WhenBusy.CANCEL_RUNNING, tasks=5))
    create(busy, "main-1")
    busy.work()
    wide = draft("main-9", tasks=6, labels={"branch": "main"})
    submit(busy.cluster, busy.snapshot, wide, namespace="ci")
    busy.work()
    assert running(busy) == ["main-1"]
    assert asked_to_end(busy, "main-1") is None


@pytest.mark.parametrize("matches", [{}, {"branch": "main"}], ids=["the namespace", "a part of it"])
def test_while_a_quota_is_on_hold_nobody_is_superseded(
    leader: Callable[[Snapshot], Leader], matches: dict[str, str]
) -> None:
    """Nothing starts meanwhile, and what runs goes on to its end; afterwards the newest has its way."""
    busy = leader(grouped(WhenBusy.CANCEL_RUNNING, matches=matches))
    create(busy, "main-1")
    busy.work()
    busy.snapshot = grouped(WhenBusy.CANCEL_RUNNING, matches=matches, stop_policy=StopPolicy.HOLD)
    busy.work()
    create(busy, "main-2", "main-3")
    busy.work()
    assert asked_to_end(busy, "main-1") is None
    assert is_held(of(busy, "main-2"))
    busy.snapshot = grouped(WhenBusy.CANCEL_RUNNING, matches=matches)
    busy.work()
    assert asked_to_end(busy, "main-1") == "Terminate"
    assert not is_held(of(busy, "main-2"))


def asked_to_end(leader: Leader, name: str) -> JsonValue:
    """Return how a Workflow was asked to end, None where it was not."""
    spec = part(of(leader, name), "spec")
    return spec.get("shutdown") if isinstance(spec, dict) else None


def test_a_group_with_another_name_counts_the_same_and_one_with_another_key_nobody(
    leader: Callable[[Snapshot], Leader],
) -> None:
    """Keys are recorded by their text: who was created under another one has none of the new."""
    busy = leader(grouped())
    create(busy, "main-1", "main-2")
    busy.work()
    busy.snapshot = grouped(name="renamed")
    busy.work()
    assert running(busy) == ["main-1"]
    assert busy.view.used[Account("ci", "q:renamed", "main")] == Usage(1, 1)
    busy.snapshot = grouped(name="renamed", key="{{workflow.labels.other}}")
    busy.work()
    assert running(busy) == ["main-1", "main-2"]


def test_another_way_of_a_busy_key_holds_for_those_that_wait(leader: Callable[[Snapshot], Leader]) -> None:
    """It acts when the policy changes, and not with the next Workflow."""
    busy = leader(grouped())
    create(busy, "main-1", "main-2", "main-3")
    busy.work()
    busy.snapshot = grouped(WhenBusy.CANCEL_RUNNING)
    busy.work()
    assert asked_to_end(busy, "main-1") == "Terminate"
    assert not is_held(of(busy, "main-2"))
    assert is_held(of(busy, "main-3"))
