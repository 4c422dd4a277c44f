"""Workflows that bypassed admission are counted and reported, once and a few at a time, and left alone."""

from datetime import timedelta

import msgspec
import pytest

from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonValue
from policy.core.policies.governing_quotas import WEBHOOK_DELAY
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import ManagedFieldsEntry, WorkflowQuota
from policy.core.quota.accounts import Account, Root
from policy.service.release.bypass_reports import MOST_REPORTED, MOST_UNREPORTED, REPORT_EVERY
from tests.policy.core.builders import namespace_object, pool, quota, snapshot
from tests.policy.service.world import (
    NOON,
    Clock,
    Leader,
    Spy,
    complete,
    draft,
    is_held,
    submit,
)

EARLIER = "2026-11-23T11:00:00Z"


def hour_old_quota(
    namespace: str = "etl", *, created: str = EARLIER, edited: str = "", **spec: JsonValue
) -> WorkflowQuota:
    """Return a quota that the cluster has had for an hour."""
    spec.setdefault("limits", {"workflows": 1})
    made = quota("q", namespace=namespace, **spec)
    managed = (
        (ManagedFieldsEntry(edited), ManagedFieldsEntry("2026-11-23T11:59:59Z", "status")) if edited else ()
    )
    metadata = msgspec.structs.replace(made.metadata, creation_timestamp=created, managed_fields=managed)
    return msgspec.structs.replace(made, metadata=metadata)


def slip_in(spy: Spy, *names: str, namespace: str = "etl", labels: dict[str, str] | None = None) -> None:
    """Create Workflows while the webhook is away."""
    for name in names:
        spy.create(WORKFLOWS, draft(name, labels=labels), namespace=namespace)


def newly_reported(leader: Leader) -> list[str]:
    """Return which were reported in one more pass."""
    leader.work()
    return [name for name, _ in leader.told.passed]


def test_one_that_bypassed_admission_is_reported_once_and_left_alone(spy: Spy, clock: Clock) -> None:
    """It counts, so the one that queues waits for it; and it runs on."""
    leader = Leader(spy, snapshot(hour_old_quota()), clock)
    slip_in(spy, "sly")
    before = spy.get(WORKFLOWS, "sly", namespace="etl")
    submit(spy, leader.snapshot, draft("good"), namespace="etl")
    assert newly_reported(leader) == ["sly"]
    clock.advance(REPORT_EVERY)
    assert newly_reported(leader) == ["sly"]
    assert leader.view.not_admitted == {"etl": 1}
    assert leader.held("etl") == {"sly": False, "good": True}
    assert spy.get(WORKFLOWS, "sly", namespace="etl") == before
    assert leader.ledgers.read(Root.of_namespace("etl")).used[Account("etl", "q")].workflows == 1
    assert leader.told.passed[0][1] == (
        "Lockkeeper did not review it when it was created, though WorkflowQuota etl/q governs it: the "
        "webhook was unavailable or bypassed. It continues and counts as running, so the limit may be "
        "exceeded and others wait until it ends. To have it wait in the queue, delete it and create it again"
    )


def test_the_report_names_tasks_that_count_without_bound(spy: Spy, clock: Clock) -> None:
    """Its tasks are unknown, so no other whose tasks are limited starts beside it."""
    leader = Leader(spy, snapshot(hour_old_quota(limits={"tasks": 9})), clock)
    slip_in(spy, "sly")
    leader.work()
    assert "counts as running and as one whose tasks have no bound" in leader.told.passed[0][1]


@pytest.mark.parametrize("on_exceed", ["Queue", "Deny"])
def test_what_was_admitted_is_not_reported_whatever_happens_to_it(
    spy: Spy, clock: Clock, on_exceed: str
) -> None:
    """Held, released, and completed: it keeps its mark."""
    leader = Leader(spy, snapshot(hour_old_quota(onExceed=on_exceed)), clock)
    for name in ("a", "b"):
        submit(spy, leader.snapshot, draft(name), namespace="etl")
    for _ in range(3):
        assert newly_reported(leader) == []
        clock.advance(REPORT_EVERY)
    complete(spy, "a", namespace="etl")
    assert newly_reported(leader) == []
    assert leader.view.not_admitted == {}


def before_the_quota() -> Snapshot:
    """Return a quota of this moment: the Workflow may be as old."""
    return snapshot(hour_old_quota(created=NOON.strftime("%Y-%m-%dT%H:%M:%SZ")))


@pytest.mark.parametrize(
    "policies",
    [
        before_the_quota(),
        snapshot(hour_old_quota(edited=NOON.strftime("%Y-%m-%dT%H:%M:%SZ"))),
        snapshot(hour_old_quota(onExceed="Warn")),
        snapshot(hour_old_quota(selector={"matchLabels": {"tier": "gold"}})),
        snapshot(hour_old_quota(created="")),
        snapshot(hour_old_quota(created="yesterday")),
        snapshot(hour_old_quota("elsewhere")),
    ],
    ids=["younger", "edited", "warns", "others", "no time", "no such time", "elsewhere"],
)
def test_one_that_no_quota_governed_is_not_reported(spy: Spy, clock: Clock, policies: Snapshot) -> None:
    """It is older than the quota as it is, or no quota bounds it, or that is unknown."""
    leader = Leader(spy, policies, clock)
    slip_in(spy, "free")
    assert newly_reported(leader) == []
    assert leader.view.not_admitted == {}


def test_an_edit_before_it_was_created_and_a_status_that_was_written_later_change_nothing(
    spy: Spy, clock: Clock
) -> None:
    """The status of a quota is written all the time."""
    leader = Leader(spy, snapshot(hour_old_quota(edited="2026-11-23T11:30:00Z")), clock)
    slip_in(spy, "sly")
    assert newly_reported(leader) == ["sly"]


def test_a_webhook_has_a_short_time_to_receive_a_quota(spy: Spy, clock: Clock) -> None:
    """What came by then was rightly let through."""
    leader = Leader(spy, before_the_quota(), clock)
    clock.advance(WEBHOOK_DELAY)
    slip_in(spy, "soon")
    assert newly_reported(leader) == []
    clock.advance(timedelta(seconds=1))
    slip_in(spy, "late")
    assert newly_reported(leader) == ["late"]


def test_what_ran_when_a_namespace_joined_a_pool_is_not_reported(spy: Spy, clock: Clock) -> None:
    """The pool is old, and its policy was not edited."""
    old = pool(created=EARLIER, limits={"workflows": 9}, namespaceSelector={"matchLabels": {"pool": "x"}})
    leader = Leader(spy, snapshot(old, namespace_object("etl")), clock)
    slip_in(spy, "free")
    assert newly_reported(leader) == []
    clock.advance(timedelta(minutes=1))
    leader.snapshot = snapshot(old, namespace_object("etl", pool="x"))
    assert newly_reported(leader) == []
    spy.patch(WORKFLOWS, "free", MergePatch({"metadata": {"labels": {"seen": "again"}}}), namespace="etl")
    assert newly_reported(leader) == []
    clock.advance(WEBHOOK_DELAY + timedelta(seconds=1))
    slip_in(spy, "sly")
    assert newly_reported(leader) == ["sly"]


def test_members_of_a_pool_are_reported_by_its_default_quota(spy: Spy, clock: Clock) -> None:
    """The default has no policy of its own: it is as old as that of the pool."""
    made = pool(created=EARLIER, onExceed="Warn", namespaceDefaults={"limits": {"workflows": 1}})
    leader = Leader(spy, snapshot(made, namespace_object("etl")), clock)
    slip_in(spy, "sly")
    assert newly_reported(leader) == ["sly"]
    assert "ClusterWorkflowQuota shared (namespaceDefaults) governs it" in leader.told.passed[0][1]


def test_one_that_is_held_without_marks_waits_its_turn_and_is_no_news(spy: Spy, clock: Clock) -> None:
    """A user put the hold there by hand; it did not start."""
    leader = Leader(spy, snapshot(hour_old_quota(limits={"workflows": 0})), clock)
    slip_in(spy, "waits", labels={well_known.INSTANCE_ID: well_known.HOLD_VALUE})
    assert newly_reported(leader) == []
    assert is_held(spy.get(WORKFLOWS, "waits", namespace="etl"))


def test_many_are_reported_a_few_each_second_and_all_are_counted(spy: Spy, clock: Clock) -> None:
    """One namespace does not delay another's reports, and of thousands only some are reported."""
    leader = Leader(spy, snapshot(hour_old_quota(), hour_old_quota("ml")), clock)
    slip_in(spy, *(f"w{number:03}" for number in range(MOST_UNREPORTED + 20)))
    slip_in(spy, "other", namespace="ml")
    found = newly_reported(leader)
    assert len(found) == MOST_REPORTED
    assert "other" in found
    assert leader.view.not_admitted == {"etl": MOST_UNREPORTED + 20, "ml": 1}
    assert len(newly_reported(leader)) == MOST_REPORTED
    assert leader.release_pass.next_event() == clock() + REPORT_EVERY
    for _ in range(MOST_UNREPORTED // MOST_REPORTED + 3):
        clock.advance(REPORT_EVERY)
        newly_reported(leader)
    names = [name for name, _ in leader.told.passed]
    assert len(names) == len(set(names)) == MOST_UNREPORTED + 1


def test_one_that_is_completed_is_neither_counted_nor_reported_any_more(spy: Spy, clock: Clock) -> None:
    """It may end while it waits to be reported."""
    leader = Leader(spy, snapshot(hour_old_quota()), clock)
    names = [f"w{number}" for number in range(MOST_REPORTED + 2)]
    slip_in(spy, *names)
    first = set(newly_reported(leader))
    for name in set(names) - first:
        complete(spy, name, namespace="etl")
    clock.advance(REPORT_EVERY)
    assert set(newly_reported(leader)) == first
    assert leader.view.not_admitted == {"etl": MOST_REPORTED}
    for name in first:
        complete(spy, name, namespace="etl")
    leader.work()
    assert leader.view.not_admitted == {}
