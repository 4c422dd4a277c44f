"""The books of one root: what a pass counts, settles and releases, for any mix of policies and Workflows."""

from datetime import timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy.core import marks
from policy.core.amounts import ZERO, Amount, Usage
from policy.core.governing import by_effect, demands
from policy.core.holding import release_id
from policy.core.kinds import OnExceed
from policy.core.ledger import Account, Ledger, Purpose, Reservation, shortfalls
from policy.core.patches import JsonObject
from policy.core.queueing import WaitReason
from policy.core.selectors import LabelSelector
from policy.core.snapshot import Document, Snapshot
from policy.service.accounting import balance, quotas_of, waiter
from policy.service.tracker import Tracked, track
from tests.policy.service.world import NOON, member, pool, quota, snapshot_of

ROOT = "pool.data"
POOL = Account("", "data")
GOLD = LabelSelector({"tier": "gold"})


def live(
    uid: str,
    *,
    namespace: str = "a",
    held: bool = True,
    tasks: int | None = 1,
    user: str = "ann",
    priority: int = 0,
    gold: bool = False,
    reservation: str = "",
    holds: int = 1,
    arrival: int = 0,
) -> Tracked:
    """Return a live Workflow with the marks that admission gives it."""
    labels: JsonObject = {}
    if held:
        labels[marks.INSTANCE_ID] = marks.HOLD_VALUE
    if gold:
        labels["tier"] = "gold"
    if reservation:
        labels[marks.RESERVATION] = reservation
    annotations: JsonObject = {
        marks.TASKS: marks.UNBOUNDED if tasks is None else str(tasks),
        marks.PRIORITY: str(priority),
        marks.USER: user,
        marks.HOLDS: str(holds),
    }
    metadata: JsonObject = {
        "name": uid,
        "namespace": namespace,
        "uid": uid,
        "resourceVersion": "5",
        "labels": labels,
        "annotations": annotations,
        "creationTimestamp": "2026-11-23T12:00:00Z",
    }
    return msgspec.structs.replace(track({"metadata": metadata}), arrival=arrival)


def reserved(
    identity: str,
    *accounts: Account,
    weight: Usage = Usage(1, 1),  # noqa: B008 - a frozen value
    purpose: Purpose = Purpose.RELEASE,
) -> Reservation:
    """Return a reservation."""
    return Reservation(identity, "a", identity.partition(".")[0], accounts, weight, NOON, purpose)


def ledger_of(*reservations: Reservation) -> Ledger:
    """Return a ledger with these reservations and a stale count."""
    return Ledger(ROOT, 3, {POOL: Usage(99, 99)}, {each.id: each for each in reservations})


def one_pool(limit: int | None, *more: Document) -> Snapshot:
    """Return a pool of the namespaces a and b."""
    return snapshot_of(pool("data", workflows=limit), member("a", "data"), member("b", "data"), *more)


amounts = st.none() | st.integers(0, 5)
effects = st.sampled_from(OnExceed)
selectors = st.sampled_from([LabelSelector(), GOLD])
pools = st.builds(
    pool, st.just("data"), workflows=amounts, tasks=st.none() | st.integers(0, 12), on_exceed=effects
)


def quotas_in(namespace: str) -> st.SearchStrategy[list[Document]]:
    """Return up to two quotas of a namespace."""
    one = st.builds(
        quota,
        st.just(namespace),
        st.just("x"),
        workflows=amounts,
        tasks=st.none() | st.integers(0, 12),
        per_user=amounts,
        on_exceed=effects,
        selector=selectors,
    )
    return st.lists(one, max_size=2).map(
        lambda found: [
            msgspec.structs.replace(each, metadata=msgspec.structs.replace(each.metadata, name=f"q{number}"))
            for number, each in enumerate(found)
        ]
    )


snapshots = st.tuples(pools, quotas_in("a"), quotas_in("b")).map(
    lambda parts: snapshot_of(parts[0], member("a", "data"), member("b", "data"), *parts[1], *parts[2])
)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Ledger, list[Tracked], Snapshot]:
    """Return policies, live Workflows, and a ledger with reservations of some of them and of strangers."""
    snapshot = draw(snapshots)
    workflows = [
        live(
            f"u{number}",
            namespace=draw(st.sampled_from("ab")),
            held=draw(st.booleans()),
            tasks=draw(st.none() | st.integers(1, 6)),
            user=draw(st.sampled_from(["ann", "bob"])),
            priority=draw(st.integers(-1, 1)),
            gold=draw(st.booleans()),
            reservation=draw(st.sampled_from(["", f"c{number}"])),
            holds=draw(st.integers(1, 2)),
            arrival=number,
        )
        for number in range(draw(st.integers(0, 8)))
    ]
    reservations = []
    for each in workflows:
        if draw(st.booleans()):
            queueing = by_effect(quotas_of(each, snapshot), OnExceed.QUEUE)
            touched = tuple(demand.account for demand in demands(queueing, each.weighed.user))
            identity = f"{each.uid}.{draw(st.integers(1, 2))}"
            reservations.append(reserved(identity, *touched, weight=each.weight))
    creates = draw(st.sets(st.sampled_from(["c0", "c1", "c2", "lost"])))
    reservations += [reserved(identity, POOL, purpose=Purpose.CREATE) for identity in sorted(creates)]
    if draw(st.booleans()):
        reservations.append(reserved("gone.1", POOL))
    return ledger_of(*reservations), workflows, snapshot


@given(scene=scenes())
def test_what_a_pass_releases_fits_every_limit_that_it_touches(
    scene: tuple[Ledger, list[Tracked], Snapshot],
) -> None:
    """Used plus reserved, this pass included, stays within each limit of each released Workflow."""
    ledger, workflows, snapshot = scene
    books = balance(ledger, workflows, snapshot, NOON)
    taken = books.ledger.taken()
    for released in books.plan.released:
        assert released.uid in {each.uid for each in workflows if each.held}
        for demand in released.demands:
            assert demand.limits.admits(taken.get(demand.account, ZERO)), demand


@given(scene=scenes())
def test_whoever_still_waits_would_not_have_fitted(scene: tuple[Ledger, list[Tracked], Snapshot]) -> None:
    """A pass leaves no slot idle that somebody could have."""
    ledger, workflows, snapshot = scene
    books = balance(ledger, workflows, snapshot, NOON)
    taken = books.ledger.taken()
    for waiting in books.plan.waiting:
        assert shortfalls(taken, waiting.waiter.weight, waiting.waiter.demands)
        never = any(each.never_fits for each in waiting.short)
        assert (waiting.reason is WaitReason.EXCEEDS_MAX_QUOTA) == never


@given(scene=scenes())
def test_every_held_workflow_is_released_or_waits_or_was_reserved_already(
    scene: tuple[Ledger, list[Tracked], Snapshot],
) -> None:
    """Nobody is forgotten, and nobody is planned twice."""
    ledger, workflows, snapshot = scene
    books = balance(ledger, workflows, snapshot, NOON)
    before = {each.uid for each in workflows if release_id(each.metadata) in ledger.reservations}
    planned = [each.uid for each in books.plan.released] + [each.waiter.uid for each in books.plan.waiting]
    assert len(planned) == len(set(planned))
    assert set(planned) | before >= {each.uid for each in workflows if each.held}
    assert not set(planned) & {each.uid for each in workflows if each.held and each.uid in before}


@given(scene=scenes())
def test_a_reservation_stays_exactly_while_its_object_is_not_accounted_for(
    scene: tuple[Ledger, list[Tracked], Snapshot],
) -> None:
    """Protocol rules 4 and 5: nothing else may drop one, and nothing settled may stay."""
    ledger, workflows, snapshot = scene
    books = balance(ledger, workflows, snapshot, NOON)
    seen = {each.reservation for each in workflows}
    owed = {release_id(each.metadata) for each in workflows if each.held}
    kept = {
        each.id
        for each in ledger.reservations.values()
        if (each.id not in seen if each.purpose is Purpose.CREATE else each.id in owed)
    }
    new = {
        release_id(each.metadata)
        for each in workflows
        if each.uid in {one.uid for one in books.plan.released}
    }
    assert set(books.ledger.reservations) == kept | new
    assert not kept & new
    assert all(books.ledger.reservations[identity] == ledger.reservations[identity] for identity in kept)


@given(scene=scenes())
def test_used_is_the_number_of_live_ones_that_count(scene: tuple[Ledger, list[Tracked], Snapshot]) -> None:
    """Protocol rule 7, counted here without the product's own arithmetic."""
    ledger, workflows, snapshot = scene
    used = balance(ledger, workflows, snapshot, NOON).ledger.used
    counted = [each for each in workflows if not each.held]
    assert used.get(POOL, ZERO) == Usage(
        len(counted),
        sum(each.weighed.tasks.value or 0 for each in counted),
        sum(each.weighed.tasks.value is None for each in counted),
    )


@given(scene=scenes())
def test_a_second_pass_on_the_same_view_changes_nothing(
    scene: tuple[Ledger, list[Tracked], Snapshot],
) -> None:
    """A leader that sees nothing new writes nothing and releases nobody else."""
    ledger, workflows, snapshot = scene
    first = balance(ledger, workflows, snapshot, NOON)
    second = balance(first.ledger, workflows, snapshot, NOON + timedelta(minutes=1))
    assert second.ledger == first.ledger
    assert second.plan.released == ()
    assert [each.waiter for each in second.plan.waiting] == [each.waiter for each in first.plan.waiting]


@given(scene=scenes())
def test_a_queue_drains_when_what_runs_ends(scene: tuple[Ledger, list[Tracked], Snapshot]) -> None:
    """Passes and ends in turn let everybody run, except whom a limit can never admit."""
    _, workflows, snapshot = scene
    ledger = Ledger(ROOT)
    for _ in range(len(workflows) + 1):
        books = balance(ledger, workflows, snapshot, NOON)
        ledger = books.ledger
        released = {each.uid for each in books.plan.released}
        workflows = [each for each in workflows if each.held and each.uid not in released]
    left = balance(ledger, workflows, snapshot, NOON)
    assert left.plan.released == ()
    assert {each.reason for each in left.plan.waiting} <= {WaitReason.EXCEEDS_MAX_QUOTA}


def test_held_workflows_count_nowhere() -> None:
    """Not even on a quota that denies: the release asks it anew."""
    snapshot = snapshot_of(
        quota("a", "builds", workflows=3, on_exceed=OnExceed.DENY), quota("a", "queue", workflows=0)
    )
    used = balance(Ledger("namespace.a"), [live("u1"), live("u2", held=False)], snapshot, NOON).ledger.used
    assert used == {Account("a", "builds"): Usage(1, 1), Account("a", "queue"): Usage(1, 1)}


def test_users_are_counted_apart() -> None:
    """Each user has an account beside that of the quota."""
    snapshot = snapshot_of(quota("a", "q", per_user=1))
    workflows = [live("u1", arrival=1), live("u2", arrival=2), live("u3", user="bob", arrival=3)]
    books = balance(Ledger("namespace.a"), workflows, snapshot, NOON)
    assert [each.uid for each in books.plan.released] == ["u1", "u3"]
    assert books.ledger.taken()[Account("a", "q", "ann")] == Usage(1, 1)


def test_the_reservation_of_a_create_goes_when_its_object_is_counted() -> None:
    """Held or running, the object that carries the label takes its reservation's place."""
    snapshot = one_pool(None)
    ledger = ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE))
    held, running = (
        balance(ledger, [live("u1", held=held, reservation="c1")], snapshot, NOON).ledger
        for held in (True, False)
    )
    assert set(held.reservations) == {"u1.1"}
    assert set(running.reservations) == set()
    assert held.taken() == running.taken() == {POOL: Usage(1, 1)}


def test_the_reservation_of_a_create_stays_while_no_object_is_seen() -> None:
    """The watch may lag behind the create; only time and a consistent list may drop it."""
    ledger = ledger_of(reserved("c1", POOL, purpose=Purpose.CREATE))
    books = balance(ledger, [live("u1", held=False)], one_pool(2), NOON + timedelta(days=1))
    assert set(books.ledger.reservations) == {"c1"}
    assert books.ledger.taken()[POOL].workflows == 2


def test_a_release_goes_from_the_ledger_when_the_workflow_runs_or_is_gone() -> None:
    """It is counted in the same write, or there is nothing left to count."""
    ledger = ledger_of(reserved("u1.1", POOL), reserved("u2.1", POOL))
    books = balance(ledger, [live("u1", held=False)], one_pool(5), NOON)
    assert books.ledger.reservations == {}
    assert books.ledger.used == {POOL: Usage(1, 1)}


def test_a_release_of_an_earlier_hold_is_settled() -> None:
    """Held again after a retry, a Workflow has another identity and waits its turn anew."""
    ledger = ledger_of(reserved("u1.1", POOL))
    books = balance(ledger, [live("u1", holds=2)], one_pool(0), NOON)
    assert books.ledger.reservations == {}
    assert [each.waiter.uid for each in books.plan.waiting] == ["u1"]


def test_a_release_that_is_reserved_is_not_planned_again_and_not_charged_twice() -> None:
    """Protocol rule 5: it is completed as it stands, even where the limit was lowered meanwhile."""
    ledger = ledger_of(reserved("u1.1", POOL))
    workflows = [live("u1", arrival=1), live("u2", arrival=2)]
    books = balance(ledger, workflows, one_pool(1), NOON)
    assert books.plan.released == ()
    assert [each.waiter.uid for each in books.plan.waiting] == ["u2"]
    assert books.ledger.taken()[POOL] == Usage(1, 1)
    lowered = balance(ledger, workflows, one_pool(0), NOON)
    assert set(lowered.ledger.reservations) == {"u1.1"}


def test_a_limit_lowered_below_what_runs_ends_nothing_and_releases_nothing() -> None:
    """Availability may be negative after an edit."""
    workflows = [live("r1", held=False), live("r2", held=False), live("w")]
    books = balance(Ledger(ROOT), workflows, one_pool(1), NOON)
    assert books.plan.released == ()
    assert books.ledger.used == {POOL: Usage(2, 2)}


def test_a_workflow_that_came_past_us_counts_and_blocks_a_limit_on_tasks() -> None:
    """Protocol rule 10: it is counted when seen, and nothing new starts until there is room."""
    snapshot = snapshot_of(pool("data", tasks=10), member("a", "data"))
    workflows = [live("stranger", held=False, tasks=None), live("w")]
    books = balance(Ledger(ROOT), workflows, snapshot, NOON)
    assert books.plan.released == ()
    assert books.ledger.used[POOL].task_amount == Amount(None)


def test_without_any_quota_left_everybody_held_is_released() -> None:
    """Whoever takes a policy away does not leave its queue behind."""
    books = balance(Ledger("namespace.a"), [live("u1"), live("u2")], snapshot_of(), NOON)
    assert len(books.plan.released) == 2
    assert books.ledger.used == {}
    assert books.ledger.taken() == {}


def test_the_reservation_of_a_release_names_its_workflow_and_all_accounts() -> None:
    """All accounts that a Workflow touches stand in one ledger, so one write decides."""
    snapshot = one_pool(1, quota("a", "q", workflows=1, per_user=1))
    books = balance(Ledger(ROOT), [live("u1", tasks=3)], snapshot, NOON)
    assert books.ledger.reservations == {
        "u1.1": Reservation(
            id="u1.1",
            namespace="a",
            workflow="u1",
            accounts=(Account("a", "q"), Account("a", "q", "ann"), POOL),
            weight=Usage(1, 3),
            at=NOON,
            purpose=Purpose.RELEASE,
        )
    }


def test_a_waiter_demands_a_slot_of_every_quota_that_does_not_only_warn() -> None:
    """One that denies may have queued when the Workflow was held, or have been gone meanwhile."""
    snapshot = snapshot_of(
        quota("a", "deny", workflows=1, on_exceed=OnExceed.DENY),
        quota("a", "queue", workflows=1),
        quota("a", "warn", workflows=1, on_exceed=OnExceed.WARN),
    )
    assert [each.account.quota for each in waiter(live("u1"), snapshot).demands] == ["deny", "queue"]
