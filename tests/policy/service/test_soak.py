"""Many threads at once over one cluster: no limit is exceeded at any event, and all Workflows run in the end.

The referee knows all limits as plain numbers and reads only what the watch shows; it shares no
arithmetic with the product.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from random import Random
from threading import Barrier, Condition, Event
from time import monotonic

import msgspec
import pytest

from policy.cluster.errors import Conflict, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS, Cluster, EventType
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Side
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow_selectors import WorkflowSelector
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import RESERVATION_TTL
from policy.core.values.amounts import ZERO
from policy.service.release.release_sender import FIRST_DELAY
from tests.policy.service.world import (
    NOON,
    PATIENCE,
    Call,
    Clock,
    Spy,
    Stage,
    complete,
    draft,
    eventually,
    is_held,
    labels_of,
    member,
    memory,
    name_of,
    part,
    patched,
    pool,
    quota,
    review_of,
    snapshot_of,
    submit,
)
from webhook.reservations import apply_ledger

SUBMITTERS = 4
FAR_AWAY = NOON + timedelta(days=1)


class Row(msgspec.Struct, frozen=True):
    """One Workflow of a soak, by the numbers that the referee knows."""

    name: str
    namespace: str
    user: str
    tasks: int
    nightly: bool
    priority: int


class Bound(msgspec.Struct, frozen=True):
    """One limit: the rows under it, what they are counted apart by, and how many may run at once."""

    says: str
    covers: Callable[[Row], bool]
    most: int
    apart: Callable[[Row], str] = lambda _: ""
    tasks: bool = False


class Referee:
    """Follows every event of the cluster from the start, in order, and finds each moment above a limit."""

    def __init__(self, rows: Iterable[Row], bounds: tuple[Bound, ...]) -> None:
        self.rows = {row.name: row for row in rows}
        self._bounds = bounds
        self.changed = Condition()
        self.running: set[str] = set()
        self.ran: dict[str, int] = {}
        self.finished: set[str] = set()
        self.broken: list[str] = []
        self.most: dict[str, int] = {}

    def follow(self, cluster: Cluster, since: str, enough: Callable[[], bool]) -> bool:
        """Check every event until there were enough; False when that took too long."""
        end = monotonic() + PATIENCE
        for event in cluster.watch(WORKFLOWS, since=since, timeout=PATIENCE):
            with self.changed:
                self._fold(event.type, event.object)
                self.changed.notify_all()
                if enough():
                    return True
        with self.changed:
            return enough() and monotonic() < end

    def _fold(self, kind: EventType, obj: JsonObject) -> None:
        name = name_of(obj)
        done = kind is EventType.DELETED or labels_of(obj).get("workflows.argoproj.io/completed") == "true"
        if done:
            self.running.discard(name)
            self.finished.add(name)
        elif is_held(obj):
            if name in self.running:
                self.broken.append(f"{name} ran and is held again")
        elif name not in self.running:
            self.running.add(name)
            self.ran[name] = self.ran.get(name, 0) + 1
        self._measure()

    def _measure(self) -> None:
        for bound in self._bounds:
            sums: dict[str, int] = {}
            for row in (self.rows[name] for name in self.running):
                if bound.covers(row):
                    key = bound.apart(row)
                    sums[key] = sums.get(key, 0) + (row.tasks if bound.tasks else 1)
            peak = max(sums.values(), default=0)
            self.most[bound.says] = max(self.most.get(bound.says, 0), peak)
            if peak > bound.most:
                self.broken.append(f"{bound.says}: {peak} above {bound.most}")


def drawn_rows(seed: int, count: int) -> list[Row]:
    """Return the Workflows of a soak, the same for the same seed."""
    luck = Random(seed)
    return [
        Row(
            name=f"w{number:03}",
            namespace=luck.choice(["etl", "ml", "web"]),
            user=luck.choice(["ann", "bob", "cid"]),
            tasks=luck.randint(1, 4),
            nightly=luck.random() < 0.3,
            priority=luck.choice([0, 0, 0, 5, -5]),
        )
        for number in range(count)
    ]


def manifest(row: Row) -> JsonObject:
    """Return the Workflow of a row as its author writes it."""
    labels = {"when": "nightly"} if row.nightly else {"when": "day"}
    return draft(row.name, tasks=row.tasks, priority=row.priority, labels=labels)


def policies(on_exceed: OnExceed) -> Snapshot:
    """Return a pool of two namespaces and a namespace of its own, with limits on everything."""
    nightly = WorkflowSelector({"when": "nightly"})
    return snapshot_of(
        pool("data", workflows=5, tasks=11, on_exceed=on_exceed),
        member("etl", "data"),
        member("ml", "data"),
        quota("etl", "all", workflows=3, on_exceed=on_exceed),
        quota("ml", "each", per_user=1, on_exceed=on_exceed),
        quota("ml", "night", workflows=1, selector=nightly, on_exceed=on_exceed),
        quota("web", "web", workflows=4, tasks=9, per_user=2, on_exceed=on_exceed),
    )


def in_pool(row: Row) -> bool:
    """Return whether a row falls under the pool."""
    return row.namespace in ("etl", "ml")


def within(namespace: str) -> Callable[[Row], bool]:
    """Return the condition that a row is in a namespace."""
    return lambda row: row.namespace == namespace


BOUNDS = (
    Bound("pool data", in_pool, 5),
    Bound("tasks of pool data", in_pool, 11, tasks=True),
    Bound("etl", within("etl"), 3),
    Bound("each user in ml", within("ml"), 1, apart=lambda row: row.user),
    Bound("nightly in ml", lambda row: row.namespace == "ml" and row.nightly, 1),
    Bound("web", within("web"), 4),
    Bound("tasks of web", within("web"), 9, tasks=True),
    Bound("each user in web", within("web"), 2, apart=lambda row: row.user),
)


def spread(rows: list[Row], work: Callable[[Row], None], threads: ThreadPoolExecutor) -> list[object]:
    """Have several threads do the work on all rows, and return once they all did."""
    together = Barrier(SUBMITTERS)

    def run(mine: list[Row]) -> None:
        together.wait(PATIENCE)
        for row in mine:
            work(row)

    runs = [threads.submit(run, rows[number::SUBMITTERS]) for number in range(SUBMITTERS)]
    return [each.result(PATIENCE) for each in runs]


def finish(referee: Referee, cluster: Cluster, stop: Event, ripe: Callable[[Row], bool]) -> None:
    """Complete running Workflows in random order, until the test stops it."""
    luck = Random(5)
    while not stop.is_set():
        with referee.changed:
            running = sorted(referee.running)
        candidates = [row for row in map(referee.rows.__getitem__, running) if ripe(row)]
        if candidates:
            row = luck.choice(candidates)
            complete(cluster, row.name, namespace=row.namespace)
        with referee.changed:
            if sorted(referee.running) == running:
                referee.changed.wait(0.01)


class Outcome(msgspec.Struct):
    """The result of a soak."""

    referee: Referee
    ended: bool


def soak(
    base: MemoryCluster,
    rows: list[Row],
    create: Callable[[Row, Referee], None],
    ripe: Callable[[Row], bool],
) -> Outcome:
    """Create all rows from several threads while one finishes what runs and the referee watches."""
    referee = Referee(rows, BOUNDS)
    since = base.list(WORKFLOWS).resource_version
    stop = Event()
    with ThreadPoolExecutor(SUBMITTERS + 2) as threads:
        watching = threads.submit(referee.follow, base, since, lambda: len(referee.finished) == len(rows))
        finishing = threads.submit(finish, referee, base, stop, ripe)
        try:
            spread(rows, lambda row: create(row, referee), threads)
            ended = watching.result(PATIENCE + 1)
        finally:
            stop.set()
        finishing.result(PATIENCE)
    return Outcome(referee, ended)


def emptied(stage: Stage, base: MemoryCluster) -> bool:
    """Wait until no ledger counts or reserves anything: of the pool, of a namespace, and of the term."""

    def empty() -> bool:
        ledgers = [stage.ledgers.read(Root.parse(name_of(item))) for item in base.list(QUOTA_LEDGERS).items]
        free = all(usage == ZERO for ledger in ledgers for usage in ledger.total_usage().values())
        return len(ledgers) == 3 and free and not any(ledger.reservations for ledger in ledgers)

    return eventually(base, empty, QUOTA_LEDGERS)


def check(outcome: Outcome, rows: list[Row]) -> None:
    """Assert that limits were kept, that all ran exactly once, and that the limits were worth keeping."""
    referee = outcome.referee
    assert referee.broken == []
    assert outcome.ended, f"{len(referee.finished)} of {len(rows)} ended"
    assert referee.ran == {row.name: 1 for row in rows}
    full = [bound.says for bound in BOUNDS if referee.most[bound.says] == bound.most]
    assert len(full) >= 3, f"only {full} were ever full: the load is too light"


@pytest.mark.parametrize("seed", [1, 2])
def test_queues_keep_every_limit_at_every_event_and_run_everybody_once(seed: int) -> None:
    """150 held Workflows, four threads that create, one that finishes, one controller."""
    clock, rows = Clock(), drawn_rows(seed, 150)
    base = memory(clock, seed=seed)
    stage = Stage(base, policies(OnExceed.QUEUE), clock)

    def create(row: Row, _: Referee) -> None:
        submit(base, stage.snapshots.current(), manifest(row), namespace=row.namespace, user=row.user)

    with stage.running(base.close):
        outcome = soak(base, rows, create, lambda _: True)
        check(outcome, rows)
        assert emptied(stage, base)
    assert stage.told.troubles == []
    assert sorted(stage.told.released_names) == sorted(row.name for row in rows)


class Unruly:
    """A network that refuses some writes, and loses the answers of others, by a seed."""

    def __init__(self, seed: int, times: int) -> None:
        self._luck = Random(seed)
        self._left = times

    def __call__(self, call: Call) -> None:
        """Fail now and then; ledgers only conflict, since a lost write of theirs costs a second."""
        if self._left and (call.releases or call.writes_ledger) and self._luck.random() < 0.2:
            self._left -= 1
            raise Conflict("somebody was faster") if call.writes_ledger else Unavailable("no answer")


@pytest.mark.parametrize("lost", ["requests", "answers"])
def test_queues_keep_every_limit_on_an_unruly_network(lost: str) -> None:
    """Conflicts on ledgers, failed releases and lost answers break no limit and lose no Workflow."""
    clock, rows = Clock(), drawn_rows(3, 100)
    base = memory(clock, seed=3)
    spy = Spy(base)
    unruly = Unruly(seed=4, times=60)
    if lost == "requests":
        spy.before = unruly
    else:
        spy.after = lambda call: unruly(call) if call.releases else None
    stage = Stage(spy, policies(OnExceed.QUEUE), clock)

    def create(row: Row, _: Referee) -> None:
        submit(base, stage.snapshots.current(), manifest(row), namespace=row.namespace, user=row.user)

    with stage.running(base.close):
        nudges = Event()
        with ThreadPoolExecutor(1) as nudger:
            nudger.submit(nudge, stage, clock, nudges)
            try:
                outcome = soak(base, rows, create, lambda _: True)
                check(outcome, rows)
                assert emptied(stage, base)
            finally:
                nudges.set()
    assert stage.told.failures


def nudge(stage: Stage, clock: Clock, stop: Event) -> None:
    """Let time pass, and wake the controller: a release that failed is tried again after a while."""
    while not stop.wait(0.02):
        clock.advance(FIRST_DELAY)
        stage.controller.wake()


def test_quotas_that_deny_keep_every_limit_at_every_event_and_refuse_the_rest() -> None:
    """Creates go through both sides of admission and a real ledger; one that is refused is tried again."""
    clock, rows = Clock(), drawn_rows(7, 120)
    base = memory(clock, seed=7)
    stage = Stage(base, policies(OnExceed.DENY), clock)
    refusals: list[str] = []

    def attempt(row: Row, number: int) -> bool:
        """Return whether the Workflow was admitted and stored."""
        obj, snapshot = manifest(row), stage.snapshots.current()
        asked = review_of(
            obj, namespace=row.namespace, user=row.user, uid=f"{row.name}-{number}", side=Side.MUTATE
        )
        mutated = apply_ledger(apply_policies(asked, snapshot, NOON), asked, stage.ledgers, FAR_AWAY)
        if not mutated.allowed:
            refusals.extend(reason.message for reason in mutated.reasons)
            return False
        changed = patched(obj, mutated)
        spoilt = number == 0 and row.name.endswith("5")
        if spoilt:  # Another webhook takes our mark away: the validating side has to give the slot back.
            annotations = part(changed, "metadata", "annotations")
            assert isinstance(annotations, dict)
            annotations.pop("lockkeeper.dev/user")
        final = review_of(
            changed, namespace=row.namespace, user=row.user, uid=f"{row.name}-{number}-v", side=Side.VALIDATE
        )
        validated = apply_ledger(apply_policies(final, snapshot, NOON), final, stage.ledgers, FAR_AWAY)
        assert validated.allowed != spoilt, validated.reasons
        if validated.allowed:
            base.create(WORKFLOWS, changed, namespace=row.namespace)
        return validated.allowed

    def create(row: Row, referee: Referee) -> None:
        end = monotonic() + PATIENCE
        number = 0
        while monotonic() < end:
            with referee.changed:
                seen = len(referee.finished)
            if attempt(row, number):
                return
            number += 1
            with referee.changed:
                if len(referee.finished) == seen:
                    referee.changed.wait(0.02)

    def counted(row: Row) -> bool:
        """Return whether it is counted: one that ends before keeps its slot (see test_release_pass)."""
        root = Root.of_namespace("web") if row.namespace == "web" else Root.of_pool("data")
        kept = stage.ledgers.read(root).reservations
        return not any(name.startswith(f"{row.name}-") for name in kept)

    with stage.running(base.close):
        outcome = soak(base, rows, create, counted)
        check(outcome, rows)
        lost = review_of(manifest(rows[0]), namespace="etl", user="ann", uid="lost")
        assert apply_ledger(
            apply_policies(lost, stage.snapshots.current(), NOON), lost, stage.ledgers, FAR_AWAY
        ).allowed
        clock.advance(RESERVATION_TTL)
        stage.controller.wake()
        assert emptied(stage, base)
    assert any("exceeded quota: " in each for each in refusals)
    assert stage.told.troubles == []


def test_the_referee_sees_a_limit_that_is_exceeded() -> None:
    """A referee that finds nothing anywhere would prove nothing."""
    base = memory()
    rows = [Row(f"w{number}", "etl", "ann", 1, nightly=False, priority=0) for number in range(4)]
    since = base.list(WORKFLOWS).resource_version
    for row in rows:
        base.create(WORKFLOWS, manifest(row), namespace="etl")
    referee = Referee(rows, BOUNDS)
    assert referee.follow(base, since, lambda: len(referee.ran) == 4)
    assert referee.broken == ["etl: 4 above 3"]
