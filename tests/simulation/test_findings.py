"""What the simulation has found in the product, and is mended: of each finding the least that shows it."""

from datetime import timedelta

import msgspec

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Decision, Operation, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow_selectors import WorkflowSelector
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Root
from tests.policy.service.world import (
    NOON,
    Clock,
    Leader,
    complete,
    draft,
    labels_of,
    member,
    memory,
    part,
    patched,
    pool,
    quota,
    review_of,
    snapshot_of,
    submit,
)
from tests.simulation.people import reactivated
from webhook.http_errors import LedgerUnavailable
from webhook.reservations import apply_ledger

QUEUES = snapshot_of(quota("etl", "q", workflows=1))
DENIES = snapshot_of(quota("etl", "q", workflows=1, on_exceed=OnExceed.DENY))


AT_ONCE = NOON + timedelta(microseconds=1)
"""The clock stands still here, so nobody may wait for anything."""


class Town:
    """A leader and webhooks over one cluster; policies are told to each by hand."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.clock = Clock()
        self.cluster: MemoryCluster = memory(self.clock)
        self.leader = Leader(self.cluster, snapshot, self.clock)
        self._calls = 0
        self.leader.work()

    def asked(self, obj: JsonObject, side: Side, snapshot: Snapshot) -> Decision:
        """Return what a webhook that goes by this snapshot answers."""
        self._calls += 1
        review = review_of(obj, namespace="etl", user="ann", uid=f"uid-{self._calls}", side=side)
        return apply_ledger(apply_policies(review, snapshot, NOON), review, self.leader.ledgers, AT_ONCE)

    def admitted(self, obj: JsonObject, snapshot: Snapshot) -> JsonObject | None:
        """Return the object as stored after both sides, None where one of them did not let it pass."""
        try:
            mutated = self.asked(obj, Side.MUTATE, snapshot)
            obj = patched(obj, mutated)
            if not mutated.allowed or not self.asked(obj, Side.VALIDATE, snapshot).allowed:
                return None
        except LedgerUnavailable:
            return None
        return self.cluster.create(WORKFLOWS, obj, namespace="etl")

    @property
    def running(self) -> int:
        """How many are not held."""
        return [*self.leader.held("etl").values()].count(False)

    @property
    def reserved(self) -> set[str]:
        """The reservations of the namespace's ledger."""
        return set(self.leader.ledgers.read(Root.of_namespace("etl")).reservations)


def test_an_edit_from_queue_to_deny_releases_nobody_over_the_limit() -> None:
    """Seen by seeds with EFFECT_EDITS: the whole queue ran at once."""
    town = Town(QUEUES)
    for name in ("a", "b", "c"):
        submit(town.cluster, QUEUES, draft(name), namespace="etl")
    town.leader.snapshot = DENIES
    town.leader.work()
    assert town.running <= 1


def test_a_create_that_newer_policies_refuse_gives_its_slot_back_at_once() -> None:
    """Seen by seeds with EFFECT_EDITS: the two sides went by policies before and after an edit."""
    town = Town(DENIES)
    obj = draft("a")
    obj = patched(obj, town.asked(obj, Side.MUTATE, DENIES))
    assert not town.asked(obj, Side.VALIDATE, QUEUES).allowed
    assert town.reserved == set()


def test_a_create_that_no_quota_governs_any_more_gives_its_slot_back_at_once() -> None:
    """Seen by seed 8624: the quota went between the two sides, and the slot came back after 90 s only."""
    town = Town(DENIES)
    nights = WorkflowSelector({"class": "night"})
    gone = snapshot_of(quota("etl", "nights", workflows=1, selector=nights))
    obj = draft("a")
    obj = patched(obj, town.asked(obj, Side.MUTATE, DENIES))
    assert len(town.reserved) == 1
    assert not town.asked(obj, Side.VALIDATE, gone).allowed
    assert town.reserved == set()


def test_nobody_gives_back_the_slot_of_another_where_no_quota_governs() -> None:
    """The label is anybody's to write: only a reservation for this very create is cancelled."""
    town = Town(DENIES)
    reserved = patched(draft("a"), town.asked(draft("a"), Side.MUTATE, DENIES))
    gone = snapshot_of(quota("etl", "nights", workflows=1, selector=WorkflowSelector({"class": "night"})))
    assert not town.asked(draft("b", labels=labels_of(reserved)), Side.VALIDATE, gone).allowed
    assert len(town.reserved) == 1


def test_a_late_create_of_a_name_is_judged_without_the_others_of_it() -> None:
    """Seen by seed 3285: the referee counted a larger twin beside it, and only one of them can be there."""
    strict = snapshot_of(quota("etl", "q", tasks=3, on_exceed=OnExceed.DENY))
    lifted = snapshot_of(quota("etl", "q", tasks=9, on_exceed=OnExceed.DENY))
    town = Town(strict)
    assert town.admitted(draft("other", tasks=1), strict) is not None
    assert town.admitted(draft("twin", tasks=3), strict) is None
    assert town.admitted(draft("twin", tasks=3), lifted) is not None
    assert town.asked(draft("twin", tasks=1), Side.MUTATE, strict).allowed
    assert town.admitted(draft("third", tasks=1), strict) is None


def test_a_copied_reservation_lets_nobody_pass() -> None:
    """Seen by seeds with COPIED_MARKS: a resubmit while the mutating webhook did not answer (ADR 3)."""
    town = Town(DENIES)
    first = town.admitted(draft("a"), DENIES)
    assert first is not None
    copy = draft("b", labels=labels_of(first))
    metadata = copy["metadata"]
    assert isinstance(metadata, dict)
    metadata["annotations"] = part(first, "metadata", "annotations")
    assert not town.asked(copy, Side.VALIDATE, DENIES).allowed


def test_a_refused_create_with_a_generated_name_gives_its_slot_back_at_once() -> None:
    """Seen by seeds with GENERATED_NAMES: the slot came back after 90 s only."""
    town = Town(DENIES)
    obj = draft("")
    obj["metadata"] = {"generateName": "a-"}
    obj = patched(obj, town.asked(obj, Side.MUTATE, DENIES))
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)
    metadata.setdefault("name", "a-x7k2p")
    annotations = metadata["annotations"]
    assert isinstance(annotations, dict)
    annotations.pop(well_known.USER)  # Another webhook has taken our mark away again.
    assert not town.asked(obj, Side.VALIDATE, DENIES).allowed
    assert town.reserved == set()


def test_a_quota_that_was_gone_while_somebody_was_held_is_asked_at_the_release() -> None:
    """Seen by seeds with QUOTAS_GO: another took the slot meanwhile, and then both ran."""
    denies = quota("etl", "q", workflows=1, on_exceed=OnExceed.DENY)
    both = snapshot_of(quota("etl", "queue", workflows=5), denies)
    town = Town(both)
    assert town.admitted(draft("a"), both) is not None
    town.leader.snapshot = snapshot_of(quota("etl", "queue", workflows=0))
    town.leader.work()  # "a" waits; the quota that denies is gone, so nothing counts it there any more.
    assert town.admitted(draft("b"), DENIES) is None  # Nobody counts what runs there.
    town.leader.snapshot = both
    town.leader.work()
    assert town.running <= 1


def test_nobody_is_admitted_to_an_account_that_the_leader_has_not_counted() -> None:
    """Seen by seeds with POOLS_GO: the quota was full before and after, and its ledger another."""
    own = quota("etl", "q", workflows=1, on_exceed=OnExceed.DENY)
    pooled = snapshot_of(pool("data", workflows=9), member("etl", "data"), own)
    town = Town(pooled)
    held = town.admitted(draft("a"), pooled)
    assert held is not None
    town.leader.work()
    assert town.running == 1
    assert town.admitted(draft("b"), DENIES) is None


def test_a_retry_is_held_like_a_new_workflow() -> None:
    """It used to pass the webhook, as every update did."""
    town = Town(QUEUES)
    submit(town.cluster, QUEUES, draft("a"), namespace="etl")
    town.leader.work()
    finished = complete(town.cluster, "a", namespace="etl")
    obj = reactivated(finished)
    created = review_of(obj, namespace="etl", user="ann", uid="retry")
    old = review_of(finished, namespace="etl", user="ann", uid="before").workflow
    review = msgspec.structs.replace(created, operation=Operation.UPDATE, old=old)
    again = patched(obj, apply_policies(review, QUEUES, NOON))
    assert labels_of(again)[well_known.INSTANCE_ID] == well_known.HOLD_VALUE
    assert part(again, "metadata", "annotations", well_known.HOLDS) == "2"
