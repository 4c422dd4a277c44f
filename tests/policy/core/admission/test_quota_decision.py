"""What quotas decide about a new Workflow: whether its queue accepts it, and what is reserved for it."""

from collections.abc import Mapping

import pytest

from policy.core.admission.quota_decision import (
    MAX_PREFIX_LENGTH,
    SUFFIX_LENGTH,
    by_effect,
    generated_name,
)
from policy.core.admission.tasks_and_priority import Priority, priority_of
from policy.core.decision.decision import Code, Decision, Outcome, ReservationRequest
from policy.core.decision.quota_messages import SEEN_BY_ARGO
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policies.conflicts import PolicyName
from policy.core.policies.snapshot import Document, Snapshot
from policy.core.policies.status_figures import MemberFigures, QuotaFigures, view_of
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.accounts import Account
from policy.core.quota.usage_view import UNKNOWN_USAGE, NamespaceQueue, UsageView
from policy.core.values.amounts import Usage
from policy.sources.snapshot_store import SnapshotStore
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    limits,
    mutate,
    namespace_object,
    patched,
    pool,
    quota,
    snapshot,
    spec_of,
    template_object,
    texts,
    validate,
    weight,
    workflow,
)

SOURCE = "WorkflowQuota team-a/main"
GOLD: JsonObject = {"matchLabels": {"tier": "gold"}}


def waiting(policies: Snapshot, count: int) -> Snapshot:
    """Return the policies where so many wait in the namespace."""
    return policies.with_usage(UsageView(queues={NAMESPACE: NamespaceQueue({0: count})}))


def queueing(**spec: JsonValue) -> Snapshot:
    """Return a quota that queues."""
    return snapshot(quota("main", namespace=NAMESPACE, **spec))


def refusals(decision: Decision) -> list[tuple[Code, str, str]]:
    """Return code, policy and sentence of each reason."""
    return [(each.code, each.policy, each.message) for each in decision.reasons]


def test_quotas_are_grouped_by_their_effect() -> None:
    """`by_effect` keeps the order and drops none."""
    documents = (
        quota("a", onExceed="Deny"),
        quota("b"),
        quota("c", onExceed="Warn"),
        quota("d", onExceed="Queue"),
    )
    quotas = snapshot(*documents).policies(NAMESPACE).quotas
    parted = {effect: [each.account.quota for each in found] for effect, found in by_effect(quotas).items()}
    assert parted == {OnExceed.DENY: ["a"], OnExceed.QUEUE: ["b", "d"], OnExceed.WARN: ["c"]}


@pytest.mark.parametrize(("depth", "refused"), [(0, False), (4, False), (5, True), (6, True)])
def test_a_queue_accepts_as_many_as_may_wait(depth: int, refused: bool) -> None:  # noqa: FBT001
    """One too many is refused at the create, and may be created again later."""
    policies = waiting(queueing(queue={"maxLength": 5}), depth)
    decision = mutate(workflow(), policies)
    assert decision.outcome is (Outcome.DENIED if refused else Outcome.QUEUED)
    text = (
        f"the queue of team-a is full: {depth} wait, 5 may; try again when the queue is shorter, or ask for "
        "a higher spec.queue.maxLength"
    )
    assert refusals(decision) == ([(Code.QUEUE_FULL, SOURCE, text)] if refused else [])


def test_a_queue_of_length_zero_accepts_nothing() -> None:
    """It is a way to have nothing held."""
    assert [each.code for each in mutate(workflow(), queueing(queue={"maxLength": 0})).reasons] == [
        Code.QUEUE_FULL
    ]


def test_the_length_of_other_queues_does_not_count() -> None:
    """Nor is any refused whose queue is not counted yet."""
    policies = queueing(queue={"maxLength": 5})
    elsewhere = UsageView(queues={"team-b": NamespaceQueue({0: 99})})
    for view in (elsewhere, UNKNOWN_USAGE):
        assert mutate(workflow(), policies.with_usage(view)).outcome is Outcome.QUEUED


@pytest.mark.parametrize("selector", [{}, {"selector": GOLD}], ids=["all", "gold"])
def test_a_queue_that_drains_accepts_nothing(selector: JsonObject) -> None:
    """Also where the quota speaks of some of them only, and of those alone."""
    policies = queueing(stopPolicy="HoldAndDrain", **selector)
    decision = mutate(workflow(labels={"tier": "gold"}), policies)
    text = (
        f"team-a is on hold by {SOURCE} (HoldAndDrain): nothing starts, and nothing new may queue until "
        "its spec.stopPolicy is None"
    )
    assert refusals(decision) == [(Code.QUEUE_FULL, SOURCE, text)]
    others = mutate(workflow(), policies)
    assert others.allowed is bool(selector)


def test_a_queue_on_hold_still_accepts_workflows() -> None:
    """They wait until the hold ends."""
    assert mutate(workflow(), queueing(stopPolicy="Hold")).outcome is Outcome.QUEUED


def test_a_workflow_without_a_quota_that_queues_joins_no_queue() -> None:
    """A queue that is full is none of its business."""
    for effect in ("Deny", "Warn"):
        policies = waiting(queueing(onExceed=effect, queue={"maxLength": 0}), 3)
        assert mutate(workflow(), policies).outcome is Outcome.ALLOWED


TEMPLATE = template_object("base", {"priority": 7})
REF: JsonObject = {"workflowTemplateRef": {"name": "base"}}


@pytest.mark.parametrize(
    ("spec", "documents", "priority"),
    [
        ({}, [], 0),
        ({"priority": 3}, [], 3),
        (REF, [TEMPLATE], 7),
        ({**REF, "priority": 3}, [TEMPLATE], 3),
        ({**REF, "priority": 0}, [TEMPLATE], 0),
        (REF, [], 0),
        (REF, [template_object("base", {})], 0),
    ],
)
def test_the_priority_is_that_of_the_template_where_the_workflow_has_none(
    spec: JsonObject, documents: list[Document], priority: int
) -> None:
    """It is written on the object, because the queue sees metadata only."""
    policies = snapshot(quota(), *documents)
    quotas = policies.policies(NAMESPACE).quotas
    assert priority_of(spec_of(spec), NAMESPACE, quotas, policies) == Priority(priority)
    obj = workflow({"entrypoint": "main", **spec})
    annotations = texts(patched(obj, mutate(obj, policies).patch), "metadata", "annotations")
    assert annotations[well_known.PRIORITY] == str(priority)


def test_a_generated_name_is_cut_as_the_api_server_cuts_it() -> None:
    """63 characters at most, however long the prefix is."""
    uid = "12345678-90ab-cdef-1234-567890abcdef"
    assert generated_name("build-", uid) == "build-567890abcdef"
    assert generated_name("x" * 99, uid) == "x" * MAX_PREFIX_LENGTH + "567890abcdef"
    assert len(generated_name("x" * 99, uid)) == MAX_PREFIX_LENGTH + SUFFIX_LENGTH == 63


def requested(policies: Snapshot, **spec: JsonValue) -> ReservationRequest:
    """Return what is to be reserved for a Workflow."""
    found = mutate(workflow({"entrypoint": "main", **spec}), policies).reservation
    assert found is not None
    return found


def test_what_is_reserved_for_higher_priorities_is_no_part_of_what_is_requested() -> None:
    """The limit that must hold is smaller for a priority that is not above the level."""
    policies = snapshot(
        quota(limits={"workflows": 10}, onExceed="Deny", reserve=[{"abovePriority": 5, "workflows": 3}])
    )
    assert requested(policies).demands[0].limits == limits(7)
    assert requested(policies, priority=6).demands[0].limits == limits(10)


def pool_that(**spec: JsonValue) -> Snapshot:
    """Return a pool that denies, with one member that has a share."""
    spec.setdefault("limits", {"workflows": 10})
    made = pool("shared", created="", onExceed="Deny", **spec)
    own = quota("share", namespace=NAMESPACE, limits={"workflows": 4}, onExceed="Deny")
    return snapshot(made, own, namespace_object(NAMESPACE), namespace_object("team-b"))


def test_of_a_pool_that_borrows_capacity_in_the_tree_is_requested() -> None:
    """The share is no limit of its own; what the member uses has an account."""
    found = requested(pool_that(borrowing={}))
    assert found.share is not None
    assert found.share.account.namespace == NAMESPACE
    bounds = {each.account: each.limits for each in found.demands}
    assert bounds == {Account(NAMESPACE, "share"): limits(), Account("", "shared"): limits(10)}
    assert found.accounts == (*bounds, Account.share("shared", NAMESPACE))


def test_of_a_pool_that_does_not_borrow_each_limit_is_requested_by_itself() -> None:
    """No tree is there."""
    found = requested(pool_that())
    assert (found.share, found.nodes) == (None, None)
    assert [each.limits for each in found.demands] == [limits(4), limits(10)]


def test_what_nodes_allow_is_requested_with_what_is_withheld_of_it() -> None:
    """The ledger has how much that is; a reserve is withheld of it all the same."""
    elastic: JsonObject = {"workflowsPerNode": 2, "min": {"workflows": 3}}
    policies = pool_that(elastic=elastic, reserve=[{"abovePriority": 5, "workflows": 2}])
    low, high = requested(policies).nodes, requested(policies, priority=6).nodes
    assert low is not None
    assert high is not None
    assert (low.account, low.lowest) == (Account("", "shared"), limits(3))
    assert (low.withheld, high.withheld) == (Usage(2), Usage(0))


def test_the_ledger_receives_the_user() -> None:
    """Should a quota that bounds users come into force before the object is seen."""
    assert requested(pool_that()).user == "ann"


def test_a_reservation_that_an_object_carries_is_looked_up_also_where_no_quota_denies() -> None:
    """The quota that denied may have been changed between both sides of admission."""
    obj = workflow(labels={well_known.RESERVATION: "claimed"})
    found = validate(obj, queueing()).reservation
    assert found is not None
    assert (found.id, found.demands) == ("claimed", ())
    assert mutate(workflow(), queueing()).reservation is None


def test_an_open_window_counts_in_the_request_and_the_message() -> None:
    """The decision is made with the limits of its time."""
    window: JsonObject = {
        "name": "noon",
        "schedule": "0 12 * * *",
        "duration": "1h",
        "limits": {"workflows": 1},
    }
    policies = snapshot(quota(limits={"workflows": 10}, windows=[window]))
    usage: Mapping[Account, Usage] = {Account(NAMESPACE, "main"): weight(1)}
    decision = mutate(workflow({"parallelism": 1}), policies.with_usage(UsageView(used=usage)))
    assert decision.warnings == (
        f"lockkeeper: queued, position 1 of 1 in team-a (1/1 running); {SEEN_BY_ARGO}",
    )


def view_of_status(running: int, queued: int) -> UsageView:
    """Return the view of a webhook, which reads the status of the quota and nothing else."""
    return view_of({PolicyName("WorkflowQuota", NAMESPACE, "main"): QuotaFigures(running, queued)})


def test_by_the_figures_of_a_status_a_position_is_reported_as_approximate() -> None:
    """They are some seconds old, so the number that runs now is not shown; the leader writes the rest."""
    policies = snapshot(quota(limits={"workflows": 10})).with_usage(view_of_status(10, 13))
    decision = mutate(workflow(), policies)
    assert decision.warnings == (f"lockkeeper: queued, about position 14 of 14 in team-a; {SEEN_BY_ARGO}",)
    status = next(operation.value for operation in decision.patch if operation.path == "/status")
    message = "queued by lockkeeper: about position 14 of 14 in team-a"
    assert status == {"phase": "Pending", "message": message}


@pytest.mark.parametrize(
    ("running", "queued", "warned"),
    [(0, 0, False), (0, 2, False), (1, 1, False), (0, 3, True), (2, 1, True), (3, 0, True), (9, 0, True)],
)
def test_by_the_figures_of_a_status_a_workflow_that_fits_beside_those_ahead_is_not_warned(
    running: int,
    queued: int,
    warned: bool,  # noqa: FBT001
) -> None:
    """They count one as waiting that was released since: the second of three creates in a row starts, too."""
    policies = snapshot(quota(limits={"workflows": 3})).with_usage(view_of_status(running, queued))
    assert bool(mutate(workflow(), policies).warnings) == warned


def test_what_a_controller_saw_in_its_last_pass_is_an_estimate_too() -> None:
    """Others may have been released or deleted since; only what is stated about a namespace is exact."""
    seen = UsageView({Account(NAMESPACE, "main"): weight(1)}, {NAMESPACE: NamespaceQueue({0: 2})}, live=True)
    policies = snapshot(quota(limits={"workflows": 1})).with_usage(seen)
    assert mutate(workflow(), policies).warnings == (
        f"lockkeeper: queued, about position 3 of 3 in team-a; {SEEN_BY_ARGO}",
    )
    exact = policies.with_usage(UsageView(seen.used, seen.queues))
    assert mutate(workflow(), exact).warnings == (
        f"lockkeeper: queued, position 3 of 3 in team-a (1/1 running); {SEEN_BY_ARGO}",
    )


def test_workflows_that_joined_since_the_status_count_as_ahead() -> None:
    """The webhook takes note of them by itself, and the second behind a limit of one does wait."""
    snapshots = SnapshotStore(snapshot=snapshot(quota(limits={"workflows": 1})), clock=lambda: NOW)
    snapshots.put_usage(view_of_status(0, 0))
    warned = []
    for _ in range(3):
        warned.append(mutate(workflow(), snapshots.current()).warnings)
        snapshots.joined(NAMESPACE, 0)
    assert warned == [
        (),
        (f"lockkeeper: queued, about position 2 of 2 in team-a; {SEEN_BY_ARGO}",),
        (f"lockkeeper: queued, about position 3 of 3 in team-a; {SEEN_BY_ARGO}",),
    ]


def test_workflows_ahead_are_taken_to_use_the_same() -> None:
    """A status does not have what each of them needs; tasks are short as well as Workflows."""
    policies = snapshot(quota(limits={"tasks": 20})).with_usage(view_of_status(0, 2))
    assert mutate(workflow({"parallelism": 6}), policies).warnings == ()
    assert mutate(workflow({"parallelism": 7}), policies).warnings != ()


def test_workflows_ahead_do_not_fill_the_limit_of_one_user() -> None:
    """Their users are unknown; a user with free capacity is not warned of the others."""
    policies = snapshot(quota(limits={"workflows": 10}, perUser={"workflows": 1}))
    assert mutate(workflow(), policies.with_usage(view_of_status(0, 3))).warnings == ()


def test_workflows_ahead_fill_a_pool_that_borrows() -> None:
    """Capacity in its tree is requested with them."""
    member = MemberFigures(NAMESPACE, running=1, queued=2)
    figures = QuotaFigures(1, 2, namespaces=(member,))
    view = view_of({PolicyName("ClusterWorkflowQuota", "", "shared"): figures})
    for limit, warned in ((3, True), (4, False)):
        policies = snapshot(
            pool("shared", created="", limits={"workflows": limit}, borrowing={}), namespace_object(NAMESPACE)
        )
        assert bool(mutate(workflow(), policies.with_usage(view)).warnings) == warned
