"""Slots under `onExceed: Deny`: who reserves, who only looks, and who gives back."""

from datetime import timedelta
from random import Random
from typing import NoReturn

import pytest

from policy.cluster.errors import ClusterError, Conflict, Forbidden, TooManyRequests, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS
from policy.cluster.workflow_reads import StoredWorkflows
from policy.core.objects.well_known import RESERVATION
from policy.core.quota.accounts import Account, Root
from policy.core.quota.ledger import MAX_CREATES, MAX_CREATES_OF_NAME, Purpose, Reservation, with_reservations
from policy.core.values.amounts import Usage
from tests.webhook.calling import START, Webhook
from tests.webhook.oracle import Json, patch_of
from tests.webhook.reviews import UID, admission_review, encoded, lock_policy, named, quota, workflow

DENY_TWO = quota("Deny", limits={"workflows": 2})


def causes(response: Json) -> list[str]:
    """Return the codes of a denial's reasons."""
    return [each["reason"] for each in response["status"]["details"]["causes"]]


class FailingLedgers:
    """Ledgers of which every method fails."""

    def __init__(self, error: ClusterError) -> None:
        self._error = error

    def _fail(self, *_: object, **__: object) -> NoReturn:
        raise self._error

    reserve = probe = holds = cancel = _fail


def test_a_create_takes_a_slot_under_its_uid() -> None:
    """The mutating side reserves before it says yes, and the object carries the reservation's name."""
    webhook = Webhook(DENY_TWO)
    changed = webhook.mutated(workflow())
    assert changed["metadata"]["labels"] == {RESERVATION: UID}
    [reservation] = webhook.reserved().values()
    assert (reservation.id, reservation.namespace, reservation.workflow) == (UID, "team", "hello")
    assert (reservation.purpose, reservation.at) == (Purpose.CREATE, START)


def test_a_repeated_review_takes_no_second_slot() -> None:
    """The API server may call again under the same uid; that is the same create."""
    webhook = Webhook(DENY_TWO)
    assert webhook.mutated(workflow()) == webhook.mutated(workflow())
    assert list(webhook.reserved()) == [UID]


def test_a_create_beyond_the_limit_is_denied_as_argo_can_retry() -> None:
    """The third of two is refused with 403 and ResourceQuota's words, and takes nothing."""
    webhook = Webhook(DENY_TWO)
    for uid in ("one", "two"):
        assert webhook.mutate(named(uid), uid=uid)["allowed"]
    response = webhook.mutate(workflow(), uid="three")
    assert (response["allowed"], response["status"]["code"], response["status"]["reason"]) == (
        False,
        403,
        "Forbidden",
    )
    assert response["status"]["message"] == (
        "[WorkflowQuota team/builds] exceeded quota: team/builds, requested: workflows=1, used: workflows=2, "
        "limited: workflows=2. Try again when a running Workflow has ended, or ask for a higher limit"
    )
    assert causes(response) == ["ExceededQuota"]
    assert set(webhook.reserved()) == {"one", "two"}


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
def test_a_dry_run_never_touches_the_ledger(path: str) -> None:
    """`kubectl --dry-run=server` stores nothing, so it takes nothing and gives nothing back."""
    webhook = Webhook(DENY_TWO)
    marked = webhook.mutated(workflow(), uid="real")
    before = webhook.ledgers.read(Root.of_namespace("team"))
    for obj in (workflow(), marked, {**marked, "status": {"phase": "Running"}}):
        webhook.response(admission_review(obj, uid="trial", dryRun=True), path)
    assert webhook.ledgers.read(Root.of_namespace("team")) == before


def test_a_dry_run_learns_whether_there_is_capacity() -> None:
    """A dry run is answered as the real create would be, in both cases."""
    webhook = Webhook(quota("Deny", limits={"workflows": 1}))
    assert webhook.mutate(workflow(), uid="trial", dryRun=True)["allowed"]
    webhook.mutated(workflow(), uid="real")
    response = webhook.mutate(named("other"), uid="trial", dryRun=True)
    assert (response["allowed"], causes(response)) == (False, ["ExceededQuota"])


def test_a_dry_run_is_validated_without_a_reservation() -> None:
    """What a dry run reserved is nothing, so the validating side may not ask for it."""
    webhook = Webhook(DENY_TWO)
    changed = webhook.mutated(workflow(), dryRun=True)
    assert webhook.validate(changed, uid="second", dryRun=True)["allowed"]
    assert webhook.reserved() == {}


def test_a_create_with_its_slot_passes_the_validating_side() -> None:
    """The validating side has a uid of its own and finds the slot by the object's label."""
    webhook = Webhook(DENY_TWO)
    changed = webhook.mutated(workflow())
    assert webhook.validate(changed, uid="of-the-validating-call") == {
        "uid": "of-the-validating-call",
        "allowed": True,
        "auditAnnotations": {"outcome": "allowed", "policies": "WorkflowQuota team/builds"},
    }


@pytest.mark.parametrize("named", ["never-reserved", "", None])
def test_a_create_without_a_slot_is_refused_by_the_validating_side(named: str | None) -> None:
    """A label that somebody wrote by hand, or none, is no slot."""
    webhook = Webhook(DENY_TWO)
    changed = webhook.mutated(workflow())
    del changed["metadata"]["labels"][RESERVATION]
    if named is not None:
        changed["metadata"]["labels"][RESERVATION] = named
    response = webhook.validate(changed, uid="second")
    assert (response["allowed"], causes(response)) == (False, ["NotMutated"])


def test_a_slot_of_another_namespace_is_no_slot() -> None:
    """The members of a pool share a ledger, but not each other's reservations."""
    webhook = Webhook(
        """
        apiVersion: lockkeeper.dev/v1alpha1
        kind: ClusterWorkflowQuota
        metadata: {name: pool}
        spec: {namespaceSelector: {}, limits: {workflows: 9}, onExceed: Deny}
        """
    )
    changed = webhook.mutated(workflow(), namespace="theirs")
    assert webhook.validate(changed, namespace="theirs", uid="a")["allowed"]
    response = webhook.validate(changed, namespace="ours", uid="b")
    assert (response["allowed"], causes(response)) == (False, ["NotMutated"])


def test_a_create_that_is_refused_after_all_gives_its_slot_back() -> None:
    """What another webhook made wrong after us is denied, and its slot is free at once."""
    webhook = Webhook(DENY_TWO)
    changed = webhook.mutated(workflow())
    changed["status"] = {"phase": "Running"}
    assert not webhook.validate(changed, uid="second")["allowed"]
    assert webhook.reserved() == {}


@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_a_forged_refusal_gives_no_slot_back_of_a_create_that_is_stored(operation: str) -> None:
    """The label is there for all to read by then; who sends it again, with what is refused, gains nothing."""
    cluster = MemoryCluster(clock=lambda: START, rng=Random(1))
    webhook = Webhook(DENY_TWO, stored=StoredWorkflows(cluster=cluster))
    changed = webhook.mutated(workflow())
    cluster.create(WORKFLOWS, changed, namespace="team")
    forged = {**changed, "status": {"phase": "Running"}}
    assert not webhook.validate(forged, uid="forged", operation=operation, oldObject=changed)["allowed"]
    assert list(webhook.reserved()) == [UID]
    named = {**changed["metadata"], "name": "another"}
    another = {**changed, "metadata": named, "status": {"phase": "Running"}}
    assert not webhook.validate(another, uid="forged-too")["allowed"]
    assert list(webhook.reserved()) == [UID]


def test_a_refused_create_of_a_taken_name_gives_its_own_slot_back() -> None:
    """What is stored under the name has a reservation of its own, and keeps it."""
    cluster = MemoryCluster(clock=lambda: START, rng=Random(1))
    webhook = Webhook(DENY_TWO, stored=StoredWorkflows(cluster=cluster))
    first = webhook.mutated(workflow(), uid="first")
    cluster.create(WORKFLOWS, first, namespace="team")
    second = webhook.mutated(workflow(), uid="second")
    assert not webhook.validate({**second, "status": {"phase": "Running"}}, uid="v")["allowed"]
    assert list(webhook.reserved()) == ["first"]


def test_a_refused_create_without_a_label_gives_nothing_back() -> None:
    """The validating side cancels what the object names, never what might be another create's."""
    webhook = Webhook(DENY_TWO)
    webhook.mutated(workflow(), uid="another")
    assert not webhook.validate({**workflow(), "status": {"phase": "Running"}}, uid="second")["allowed"]
    assert list(webhook.reserved()) == ["another"]


def test_a_refused_create_without_a_label_does_not_wait_for_the_ledger() -> None:
    """A denial that needs no ledger is given even while the ledger is away."""
    webhook = Webhook(DENY_TWO)
    webhook.serve_with(FailingLedgers(Unavailable("away")))
    response = webhook.validate({**workflow(), "status": {"phase": "Running"}})
    assert "ForeignStatus" in causes(response)


def test_a_denied_create_takes_no_slot() -> None:
    """Where a lock policy refuses, the quota is not charged."""
    webhook = Webhook(DENY_TWO + lock_policy())
    locked = workflow(synchronization={"semaphores": [{"configMapKeyRef": {"name": "no", "key": "such"}}]})
    response = webhook.mutate(locked)
    assert (response["allowed"], causes(response)) == (False, ["LockUndefined"])
    assert webhook.reserved() == {}


@pytest.mark.parametrize("operation", ["UPDATE", "DELETE", "CONNECT"])
def test_only_a_create_takes_a_slot(operation: str) -> None:
    """Whatever happens to a Workflow that exists is not charged again."""
    webhook = Webhook(DENY_TWO)
    assert webhook.mutate(workflow(), operation=operation) == {"uid": UID, "allowed": True}
    assert webhook.reserved() == {}


@pytest.mark.parametrize("effect", ["Queue", "Warn"])
def test_only_a_quota_that_denies_asks_the_ledger(effect: str) -> None:
    """Under the other effects a create depends on nothing that can be away."""
    webhook = Webhook(quota(effect, limits={"workflows": 1}))
    webhook.serve_with(FailingLedgers(Unavailable("away")))
    for uid in ("one", "two", "three"):
        assert webhook.mutate(workflow(), uid=uid)["allowed"]
    assert webhook.reserved() == {}


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("error", [Unavailable, TooManyRequests, Forbidden, Conflict])
def test_a_ledger_that_fails_is_a_503(path: str, dry_run: bool, error: type[ClusterError]) -> None:  # noqa: FBT001 - a case
    """Nothing is promised without the ledger: the failure policy decides, whatever went wrong there."""
    webhook = Webhook(DENY_TWO)
    marked = webhook.mutated(workflow())
    webhook.serve_with(FailingLedgers(error("it is away")))
    asks = path == "/mutate" or not dry_run
    reply = webhook.post(encoded(admission_review(marked, dryRun=dry_run)), path)
    assert reply.status == (503 if asks else 200)
    if asks:
        assert reply.body == b"the ledger namespace.team did not answer: it is away\n"


def test_the_patch_names_the_reservation_over_what_came_with_the_object() -> None:
    """Nobody can bring a reservation along: the label is always that of this request."""
    webhook = Webhook(DENY_TWO)
    obj = workflow()
    obj["metadata"]["labels"] = {RESERVATION: "stolen", "a": "b"}
    operations = patch_of(webhook.mutate(obj))
    assert {"op": "add", "path": "/metadata/labels/lockkeeper.dev~1reservation", "value": UID} in operations
    assert list(webhook.reserved()) == [UID]


def test_users_have_limits_of_their_own() -> None:
    """`perUser` counts by the name that the API server authenticated."""
    webhook = Webhook(quota("Deny", perUser={"workflows": 1}))
    assert webhook.mutate(workflow(), uid="1", userInfo={"username": "ada"})["allowed"]
    assert not webhook.mutate(named("other"), uid="2", userInfo={"username": "ada"})["allowed"]
    assert webhook.mutate(workflow(), uid="3", userInfo={"username": "ben"})["allowed"]


def test_a_slot_stays_reserved_while_the_clock_continues() -> None:
    """The webhook itself never forgets a reservation; only the controller may."""
    webhook = Webhook(quota("Deny", limits={"workflows": 1}))
    webhook.mutated(workflow(), uid="one")
    webhook.clock.move(timedelta(minutes=10))
    assert not webhook.mutate(named("other"), uid="two")["allowed"]


def test_creates_of_a_taken_name_burn_no_slots() -> None:
    """One stored Workflow and many creates of its name hold one slot, and others get the rest."""
    webhook = Webhook(DENY_TWO)
    for number in range(8):
        marked = webhook.mutated(workflow(), uid=f"try-{number}")
        assert webhook.validate(marked, uid=f"validating-{number}")["allowed"]
    assert webhook.mutate(named("other"), uid="other")["allowed"]
    assert not webhook.mutate(named("third"), uid="third")["allowed"]


def test_a_refused_create_leaves_the_slot_to_another_of_its_name() -> None:
    """The first is on its way to the store; that the second is refused says nothing about it."""
    webhook = Webhook(quota("Deny", limits={"workflows": 1}))
    webhook.mutated(workflow(), uid="first")
    second = webhook.mutated(workflow(), uid="second")
    assert not webhook.validate({**second, "status": {"phase": "Running"}}, uid="v")["allowed"]
    assert list(webhook.reserved()) == ["first"]
    assert not webhook.mutate(named("other"), uid="other")["allowed"]


def test_another_users_refused_create_gives_back_nothing() -> None:
    """Whoever copies the label and the name of a create that is on its way uncovers it for nobody."""
    webhook = Webhook(DENY_TWO)
    marked = webhook.mutated(workflow(), uid="first", userInfo={"username": "ada"})
    forged = {**marked, "status": {"phase": "Running"}}
    assert not webhook.validate(forged, uid="v", userInfo={"username": "eve"})["allowed"]
    assert list(webhook.reserved()) == ["first"]
    assert not webhook.validate(forged, uid="v", userInfo={"username": "ada"})["allowed"]
    assert webhook.reserved() == {}


def test_a_label_that_names_a_release_is_worth_nothing() -> None:
    """Its id is the uid of a Workflow and a number, which its author knows."""
    webhook = Webhook(DENY_TWO)
    release = Reservation(
        "u.1", "team", "hello", (Account("team", "builds"),), Usage(1), START, Purpose.RELEASE
    )
    webhook.ledgers.update(Root.of_namespace("team"), lambda ledger: with_reservations(ledger, [release]))
    obj = workflow()
    obj["metadata"]["labels"] = {RESERVATION: "u.1"}
    assert not webhook.validate(obj, uid="v")["allowed"]
    assert not webhook.validate({**obj, "status": {"phase": "Running"}}, uid="v")["allowed"]
    assert list(webhook.reserved()) == ["u.1"]


def test_a_flood_of_creates_of_one_name_gets_a_retry_after() -> None:
    """They share a slot, but each takes a line of the ledger."""
    webhook = Webhook(DENY_TWO)
    for number in range(MAX_CREATES_OF_NAME):
        webhook.mutated(workflow(), uid=f"try-{number}")
    response = webhook.mutate(workflow(), uid="one-more")
    assert (response["allowed"], causes(response)) == (False, ["TooManyCreates"])
    assert "try again in a moment" in response["status"]["message"]
    assert len(webhook.reserved()) == MAX_CREATES_OF_NAME
    assert webhook.mutate(named("other"), uid="other")["allowed"]


def test_forged_users_make_no_ledger_large() -> None:
    """Each made-up name is an account of its own under perUser, and the ledger has a bound for all."""
    webhook = Webhook(quota("Deny", perUser={"workflows": 5}))
    accounts = tuple(Account("team", "builds", f"u{number}") for number in range(2))
    flood = [
        Reservation(f"i{n}", "team", f"w{n}", accounts, Usage(1), START, user=f"u{n}")
        for n in range(MAX_CREATES)
    ]
    webhook.ledgers.update(Root.of_namespace("team"), lambda ledger: with_reservations(ledger, flood))
    response = webhook.mutate(workflow(), uid="late", userInfo={"username": "ann"})
    assert causes(response) == ["TooManyCreates"]
    assert len(webhook.reserved()) == MAX_CREATES
