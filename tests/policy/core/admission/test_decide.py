"""The decision about one review: what is governed, what is patched and what is refused."""

import ast
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Final

import pytest

import policy.core
from policy.core.admission.decide import apply_policies
from policy.core.admission.quota_decision import generated_name
from policy.core.decision.decision import (
    IGNORED,
    UNGOVERNED,
    Code,
    Decision,
    Injection,
    Operation,
    Outcome,
    Reason,
    ReservationRequest,
    Side,
)
from policy.core.decision.quota_messages import SEEN_BY_ARGO, denial
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp
from policy.core.policies.governing_quotas import demands
from policy.core.policies.snapshot import Document
from policy.core.quota.accounts import Account, Root
from policy.core.quota.usage_view import UNKNOWN_USAGE, NamespaceQueue, UsageView
from policy.core.values.amounts import Usage
from tests.policy.core.builders import (
    NAMESPACE,
    NOW,
    UID,
    at,
    config_map,
    definition,
    lock_policy,
    mutate,
    namespace_object,
    patched,
    pool,
    quota,
    review,
    rule,
    semaphore,
    semaphore_target,
    snapshot,
    template_object,
    texts,
    validate,
    weight,
    workflow,
)

ETL: Final[JsonObject] = {"matchLabels": {"team": "etl"}}
LOCKS: Final = lock_policy(
    semaphores=[definition("db")], inject=[rule("r", semaphore_target("db"), names=["load*"])]
)
MAIN: Final = Account(NAMESPACE, "main")


def _with_lock(**spec: JsonValue) -> JsonObject:
    """Return a Workflow with a template that the rule of LOCKS selects."""
    return workflow({"templates": [{"name": "load", "container": {"image": "a"}}], **spec})


def _codes(decision: Decision) -> list[Code]:
    return [each.code for each in decision.reasons]


@pytest.mark.parametrize("operation", [each for each in Operation if each is not Operation.CREATE])
@pytest.mark.parametrize("side", Side)
def test_only_creates_are_reviewed(operation: Operation, side: Side) -> None:
    """Argo's controller updates all the time, and a delete is the user's decision."""
    denied_at_create = workflow({"parallelism": 99})
    policies = snapshot(quota(perWorkflow={"maxTasks": 1}))
    assert apply_policies(review(denied_at_create, side, operation=operation), policies, NOW) is IGNORED
    assert IGNORED.allowed
    assert IGNORED.patch == ()


@pytest.mark.parametrize("side", Side)
def test_other_kinds_are_ignored(side: Side) -> None:
    """Whatever the webhook configuration sends by mistake passes."""
    assert apply_policies(review(None, side), snapshot(quota()), NOW) is IGNORED


@pytest.mark.parametrize(
    "documents",
    [
        [],
        [quota(namespace="team-b")],
        [quota(selector=ETL)],
        [lock_policy(match={"workflows": ETL}, inject=[rule("r", {"mutex": "one"})])],
        [pool(namespaceSelector=ETL), namespace_object("team-b", team="etl")],
    ],
)
@pytest.mark.parametrize("side", Side)
def test_a_workflow_that_no_policy_governs_passes_unchanged(documents: list[Document], side: Side) -> None:
    """No patch and no opinion, even about a status of its own."""
    obj: JsonObject = {**_with_lock(), "status": {"phase": "Running"}}
    assert apply_policies(review(obj, side), snapshot(*documents), NOW) is UNGOVERNED
    assert UNGOVERNED.allowed


def test_a_quota_that_queues_holds_every_workflow_at_its_create() -> None:
    """Held without any I/O: marks, the foreign instance id, and a status that shows the wait."""
    obj = workflow({"parallelism": 4, "priority": 2}, labels={well_known.INSTANCE_ID: "prod", "team": "etl"})
    decision = mutate(obj, snapshot(quota(limits={"workflows": 10})))
    assert decision.outcome is Outcome.QUEUED
    assert decision.allowed
    assert decision.reservation is None
    assert decision.policies == ("WorkflowQuota team-a/main",)
    assert patched(obj, decision.patch) == {
        **obj,
        "metadata": {
            **texts(obj, "metadata"),
            "labels": {well_known.INSTANCE_ID: well_known.HOLD_VALUE, "team": "etl"},
            "annotations": {
                well_known.TASKS: "4",
                well_known.PRIORITY: "2",
                well_known.USER: "ann",
                well_known.HOLDS: "1",
                well_known.ORIGINAL_INSTANCE_ID: "prod",
            },
        },
        "status": {
            "phase": "Pending",
            "message": "queued by lockkeeper: position 1 of 1 in team-a (0/10 running)",
        },
    }


def test_a_quota_that_denies_reserves_before_it_answers() -> None:
    """The request names ledger, id, usage and every account; the object carries the id and is not held."""
    policies = snapshot(
        quota(limits={"workflows": 10}, perUser={"workflows": 1}, onExceed="Deny"),
        pool(limits={"tasks": 50}, onExceed="Deny"),
    )
    obj = workflow({"parallelism": 4})
    decision = mutate(obj, policies)
    assert decision.outcome is Outcome.ALLOWED
    assert decision.reservation == ReservationRequest(
        root=Root.of_pool("shared"),
        id=UID,
        namespace=NAMESPACE,
        workflow="build",
        requested=weight(4),
        demands=demands(policies.policies(NAMESPACE).quotas, "ann", now=NOW),
        user="ann",
    )
    changed = patched(obj, decision.patch)
    assert texts(changed, "metadata", "labels") == {well_known.RESERVATION: UID}
    assert "status" not in changed


def test_a_workflow_without_a_name_gets_one_where_a_reservation_is_made_for_it() -> None:
    """A reservation is bound to a name, and `generateName` is all there is at admission."""
    obj = workflow(name=None, generateName="build-")
    decision = mutate(obj, snapshot(quota(onExceed="Deny")))
    found = decision.reservation
    assert found is not None
    assert found.workflow.startswith("build-")
    assert found.workflow > "build-"
    assert PatchOp(Op.ADD, "/metadata/name", found.workflow) in decision.patch


def test_a_generated_name_is_cut_as_kubernetes_cuts_it() -> None:
    """The API server allows 63 characters of a name that it makes."""
    made = generated_name("a" * 70, "6c5f1c54-9a2b-4a41-8d0e-0242ac120002")
    assert made == "a" * 51 + "0242ac120002"


def test_a_quota_that_warns_lets_everything_run_and_warns_of_what_is_exceeded() -> None:
    """The text has the figures of the latest view."""
    policies = snapshot(quota(limits={"workflows": 10}, onExceed="Warn"))
    full = policies.with_usage(UsageView(used={MAIN: Usage(10)}))
    decision = mutate(workflow(), full)
    assert decision.outcome is Outcome.ALLOWED
    assert decision.warnings == (
        (
            "lockkeeper: exceeded quota: team-a/main, requested: workflows=1, used: workflows=10, "
            "limited: workflows=10; it runs all the same (onExceed: Warn)"
        ),
    )
    assert mutate(workflow(), policies).warnings == ()


def test_a_workflow_under_several_quotas_is_held_and_reserved_for() -> None:
    """One queues, one denies, one warns: each has its part, in one patch."""
    policies = snapshot(
        quota("d", onExceed="Deny"), quota("q"), quota("w", limits={"workflows": 0}, onExceed="Warn")
    )
    obj = workflow()
    decision = mutate(obj, policies)
    assert decision.outcome is Outcome.QUEUED
    assert decision.reservation is not None
    assert [each.account.quota for each in decision.reservation.demands] == ["d"]
    assert len(decision.warnings) == 1
    assert decision.policies == tuple(f"WorkflowQuota team-a/{name}" for name in "dqw")
    assert texts(patched(obj, decision.patch), "metadata", "labels") == {
        well_known.RESERVATION: UID,
        well_known.INSTANCE_ID: well_known.HOLD_VALUE,
    }


def test_only_the_quotas_that_select_a_workflow_count() -> None:
    """A quota of other labels neither holds nor reserves."""
    policies = snapshot(quota("etl", selector=ETL), quota("rest", onExceed="Deny"))
    assert mutate(workflow(), policies).outcome is Outcome.ALLOWED
    assert mutate(workflow(labels={"team": "etl"}), policies).outcome is Outcome.QUEUED


def test_the_default_of_tasks_is_written_into_the_spec() -> None:
    """What Argo keeps to is what the quota counts."""
    obj = workflow()
    changed = patched(obj, mutate(obj, snapshot(quota(perWorkflow={"defaultTasks": 20}))).patch)
    assert at(changed, "spec", "parallelism") == 20
    assert texts(changed, "metadata", "annotations")[well_known.TASKS] == "20"


def test_a_workflow_behind_others_in_the_queue_is_warned_of_its_position() -> None:
    """The whole warning."""
    view = UsageView(used={MAIN: Usage(10)}, queues={NAMESPACE: NamespaceQueue({0: 11, 5: 2})})
    decision = mutate(workflow({"priority": 1}), snapshot(quota(limits={"workflows": 10})).with_usage(view))
    place = "position 3 of 14 in team-a (10/10 running)"
    assert decision.warnings == (f"lockkeeper: queued, {place}; {SEEN_BY_ARGO}",)


@pytest.mark.parametrize(
    ("view", "warned"),
    [
        (UsageView(), False),
        (UsageView(used={MAIN: Usage(9)}), False),
        (UsageView(used={MAIN: Usage(10)}), True),
        (UsageView(queues={NAMESPACE: NamespaceQueue({0: 9})}), False),
        (UsageView(queues={NAMESPACE: NamespaceQueue({0: 10})}), True),
        (UsageView(queues={"team-b": NamespaceQueue({0: 1})}), False),
    ],
)
def test_a_wait_that_is_not_foreseen_is_not_warned_of(view: UsageView, warned: bool) -> None:  # noqa: FBT001
    """With free capacity beside those ahead, which are just being released, the hold is short."""
    policies = snapshot(quota(limits={"workflows": 10})).with_usage(view)
    assert bool(mutate(workflow(), policies).warnings) == warned


def test_where_usage_is_unknown_no_figures_are_invented() -> None:
    """A webhook that no controller shares memory with names the queue; the leader writes the place."""
    policies = snapshot(quota(limits={"workflows": 10})).with_usage(UNKNOWN_USAGE)
    decision = mutate(workflow(), policies)
    assert decision.warnings == ()
    status = next(operation.value for operation in decision.patch if operation.path == "/status")
    assert status == {"phase": "Pending", "message": "queued by lockkeeper: waiting for a slot in team-a"}


def test_a_user_whose_own_limit_is_full_is_warned_of_the_wait() -> None:
    """The view has the user's account, so this wait is foreseen."""
    policies = snapshot(quota(limits={"workflows": 10}, perUser={"workflows": 1}))
    view = UsageView(used={MAIN: Usage(1), Account(NAMESPACE, "main", "ann"): Usage(1)})
    assert mutate(workflow(), policies.with_usage(view)).warnings != ()


def test_a_workflow_that_never_fits_is_warned_of_that_instead_of_a_position() -> None:
    """Queued, since the limit may be raised; but with what to change."""
    decision = mutate(workflow({"parallelism": 9}), snapshot(quota(limits={"tasks": 5})))
    assert decision.outcome is Outcome.QUEUED
    assert decision.warnings == (
        (
            "lockkeeper: queued, but it can never start: it needs tasks=9 and WorkflowQuota team-a/main "
            "allows tasks=5; set spec.parallelism to 5 or less"
        ),
    )


def test_a_refused_workflow_is_not_warned_of_its_wait() -> None:
    """It is not queued, so no position and no hint how to start; what is wrong is in the reasons."""
    decision = mutate(workflow({}), snapshot(quota(limits={"tasks": 5})))
    assert [each.code for each in decision.reasons] == [Code.UNBOUNDED_TASKS]
    assert decision.warnings == ()


@pytest.mark.parametrize("side", Side)
def test_a_new_workflow_with_a_status_is_refused(side: Side) -> None:
    """Argo would run the templates that are stored there, past every lock."""
    obj: JsonObject = {**workflow(), "status": {"storedWorkflowTemplateSpec": {"templates": []}}}
    decision = apply_policies(review(obj, side), snapshot(lock_policy()), NOW)
    assert decision.reasons == (
        Reason(
            Code.FOREIGN_STATUS,
            "status",
            "a new Workflow may not bring a status: Argo runs the templates stored there. Leave it out "
            "(argo resubmit without --memoized does)",
            "SynchronizationPolicy team-a/locks",
        ),
    )
    assert decision.patch == ()


def test_null_times_of_a_go_client_are_replaced_by_the_wait() -> None:
    """They are no status."""
    obj: JsonObject = {**workflow(), "status": {"startedAt": None, "finishedAt": None}}
    decision = mutate(obj, snapshot(quota()))
    assert decision.outcome is Outcome.QUEUED
    assert at(patched(obj, decision.patch), "status", "phase") == "Pending"


@pytest.mark.parametrize("side", Side)
def test_all_reasons_of_quotas_and_locks_are_in_one_decision(side: Side) -> None:
    """Status, tasks and locks: one answer, so that one correction is enough."""
    policies = snapshot(
        quota(perWorkflow={"maxTasks": 5}, onExceed="Deny"),
        lock_policy(
            semaphores=[definition("db")],
            inject=[rule("r", semaphore_target("gone"), names=["save"])],
            validate={"singular": "Deny"},
        ),
    )
    obj = workflow(
        {
            "parallelism": 9,
            "synchronization": {"semaphores": [semaphore("dbx")]},
            "templates": [
                {"name": "load", "container": {"image": "a"}, "synchronization": {"mutex": {"name": "m"}}},
                {"name": "save", "container": {"image": "a"}},
            ],
        }
    )
    decision = apply_policies(review({**obj, "status": {"phase": "Running"}}, side), policies, NOW)
    assert decision.outcome is Outcome.DENIED
    assert not decision.allowed
    assert _codes(decision) == [
        Code.FOREIGN_STATUS,
        Code.TASKS_ABOVE_CAP,
        Code.LOCK_UNDEFINED,
        Code.LOCK_FORM,
        Code.LOCK_UNDEFINED,
    ]
    assert decision.patch == ()
    assert decision.injected == ()
    assert decision.policies == ("WorkflowQuota team-a/main", "SynchronizationPolicy team-a/locks")
    assert decision.reservation is not None  # So that one made for the same create can be given back.
    assert denial(decision.reasons).count("\n") == 4


def test_locks_are_injected_and_named_in_the_decision() -> None:
    """Lock policies alone neither mark nor hold."""
    obj = _with_lock()
    decision = mutate(obj, snapshot(LOCKS))
    assert decision.outcome is Outcome.ALLOWED
    assert decision.injected == (
        Injection("load", "team-a/ConfigMap/limits/db", "r", "SynchronizationPolicy team-a/locks"),
    )
    changed = patched(obj, decision.patch)
    assert at(changed, "spec", "templates", 0, "synchronization") == {"semaphores": [semaphore("db")]}
    assert at(changed, "metadata") == {
        **texts(obj, "metadata"),
        "annotations": {"lockkeeper.dev/injected": "r: load"},
    }


def test_a_selected_template_gets_its_lock_wherever_it_is_in_the_list() -> None:
    """Templates that concern no lock are passed over, at the first review and when they are remembered."""
    policies = snapshot(LOCKS)
    plain: JsonObject = {"name": "save", "container": {"image": "a"}}
    load: JsonObject = {"name": "load", "container": {"image": "a"}}
    caller: JsonObject = {"name": "main", "steps": [[{"name": "s", "inline": load}]]}
    bodies: list[JsonObject] = [plain, load, caller, {"name": "s", "suspend": {}}]
    for _ in range(2):
        for order in permutations(bodies):
            decision = mutate(workflow({"templates": list(order)}), policies)
            assert [each.path for each in decision.patch[:-1]] == [
                f"/spec/templates/{index}{where}/synchronization"
                for index, each in enumerate(order)
                for where in {"load": [""], "main": ["/steps/0/0/inline"]}.get(str(each["name"]), [])
            ]
            assert decision.patch[-1].path == "/metadata/annotations"


def test_a_lock_that_a_referenced_template_lacks_is_warned_of() -> None:
    """A Workflow with a reference cannot carry templates (G); one that holds the lock already is fine."""
    unlocked: JsonObject = {"templates": [{"name": "load", "container": {"image": "a"}}]}
    locked = patched(_with_lock(), mutate(_with_lock(), snapshot(LOCKS)).patch)["spec"]
    assert isinstance(locked, dict)
    obj = workflow({"workflowTemplateRef": {"name": "base"}})
    decision = mutate(obj, snapshot(LOCKS, template_object("base", unlocked)))
    assert decision.outcome is Outcome.ALLOWED
    assert decision.patch == ()
    assert decision.warnings == (
        (
            "lockkeeper: load: lock team-a/ConfigMap/limits/db is not injected, the template comes from "
            "base; write the lock there"
        ),
    )
    assert mutate(obj, snapshot(LOCKS, template_object("base", locked))).warnings == ()
    assert mutate(obj, snapshot(LOCKS)).warnings == ()


def test_the_validating_side_refuses_what_the_mutating_side_did_not_change() -> None:
    """A mutating webhook that was away is noticed: one reason for each mark and lock that is missing."""
    policies = snapshot(quota(perWorkflow={"defaultTasks": 2}, onExceed="Deny"), LOCKS)
    decision = validate(_with_lock(), policies)
    assert decision.outcome is Outcome.DENIED
    assert set(_codes(decision)) == {Code.NOT_MUTATED}
    assert [each.field for each in decision.reasons] == [
        "spec.templates[0].synchronization",
        "metadata.labels",
        "metadata.annotations",
        "spec.parallelism",
    ]
    assert decision.reasons[0].message == (
        "is not as Lockkeeper's mutating webhook leaves it: the webhook was away, or another one changed it "
        "back. Try again"
    )


def test_the_validating_side_takes_the_reservation_that_the_object_carries() -> None:
    """The API server gives each webhook call a uid of its own; the ledger knows which ids are real."""
    policies = snapshot(quota(onExceed="Deny"))
    made = patched(workflow(), mutate(workflow(), policies, uid="first").patch)
    decision = validate(made, policies, uid="second")
    assert decision.outcome is Outcome.ALLOWED
    assert decision.reservation is not None
    assert decision.reservation.id == "first"


def test_the_mutating_side_overwrites_a_reservation_that_the_object_brings() -> None:
    """`argo resubmit` copies labels; another Workflow's slot is not this one's (rule 8)."""
    policies = snapshot(quota(onExceed="Deny"))
    obj = workflow(labels={well_known.RESERVATION: "stolen"})
    decision = mutate(obj, policies)
    assert decision.reservation is not None
    assert decision.reservation.id == UID
    assert texts(patched(obj, decision.patch), "metadata", "labels")[well_known.RESERVATION] == UID


def test_the_validating_side_repeats_no_warnings() -> None:
    """Both sides' warnings reach the user, who should read them once."""
    policies = snapshot(quota(limits={"workflows": 0}, onExceed="Warn"))
    made = patched(workflow(), mutate(workflow(), policies).patch)
    assert mutate(workflow(), policies).warnings != ()
    assert validate(made, policies).warnings == ()


@pytest.mark.parametrize("effect", ["Queue", "Deny", "Warn"])
@pytest.mark.parametrize("side", Side)
def test_a_dry_run_is_decided_like_a_real_request(effect: str, side: Side) -> None:
    """What a dry run promises is what the create gets; only the ledger is not asked for a slot."""
    policies = snapshot(quota(onExceed=effect, limits={"workflows": 0}), LOCKS)
    obj = _with_lock()
    dry = apply_policies(review(obj, side, dry_run=True), policies, NOW)
    assert dry == apply_policies(review(obj, side), policies, NOW)


@pytest.mark.parametrize("side", Side)
def test_a_decision_does_not_depend_on_when_it_is_made(side: Side) -> None:
    """Until there are windows, no time makes a difference; the same arguments give the same decision."""
    policies = snapshot(quota(limits={"workflows": 1}), LOCKS, config_map(db="0"))
    asked = review(_with_lock(), side)
    wanted = apply_policies(asked, policies, NOW)
    assert apply_policies(asked, policies, NOW + timedelta(days=400)) == wanted
    assert apply_policies(asked, policies, NOW) == wanted


def test_nothing_in_the_core_reads_a_clock_the_machine_or_chance() -> None:
    """No module imports what could, and none asks datetime for the time of day."""
    forbidden = {
        "os",
        "time",
        "random",
        "secrets",
        "threading",
        "socket",
        "subprocess",
        "pathlib",
        "uuid",
        "io",
    }
    sources = sorted(Path(policy.core.__path__[0]).rglob("*.py"))
    assert len(sources) > 20
    found: list[str] = []
    for source in sources:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name.partition(".")[0] for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [(node.module or "").partition(".")[0]]
            elif isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
                if isinstance(node.value, ast.Name) and node.value.id in {"datetime", "date", "time"}:
                    found.append(f"{source.name}:{node.lineno} {node.attr}")
            elif isinstance(node, ast.Name) and node.id in {"open", "print", "input"}:
                found.append(f"{source.name}:{node.lineno} {node.id}")
            found.extend(f"{source.name}: {name}" for name in names if name in forbidden)
    assert found == []


@pytest.mark.parametrize(
    "obj",
    [
        {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "x"}, "spec": {}},
        {"metadata": {"labels": None, "annotations": None}, "spec": {"templates": None}, "status": None},
        {"metadata": None, "spec": None},
        {},
    ],
)
def test_an_almost_empty_workflow_is_held_like_any_other(obj: JsonObject) -> None:
    """Null and absent fields are zero values, as for Go."""
    policies = snapshot(quota(perWorkflow={"defaultTasks": 2}), LOCKS)
    decision = mutate(obj, policies)
    assert decision.outcome is Outcome.QUEUED
    assert validate(patched(obj, decision.patch), policies).outcome is Outcome.QUEUED


@pytest.mark.parametrize("effect", ["Queue", "Deny"])
def test_a_quota_may_select_by_the_instance_id_of_the_controller(effect: str) -> None:
    """The usual way to part several Argo controllers; our own hold must not take the Workflow out of it."""
    by_id: JsonObject = {"matchLabels": {well_known.INSTANCE_ID: "prod"}}
    policies = snapshot(quota("by-id", selector=by_id, onExceed=effect), quota("all"))
    obj = workflow(labels={well_known.INSTANCE_ID: "prod"})
    decision = mutate(obj, policies)
    made = patched(obj, decision.patch)
    assert validate(made, policies).policies == decision.policies


@pytest.mark.parametrize(
    "policy",
    [
        quota(onExceed="Deny", limits={"workflows": 1}),
        quota(onExceed="Warn", limits={"workflows": 1}),
        lock_policy(inject=[rule("db", {"mutex": "db"})]),
    ],
)
def test_a_status_like_our_hold_is_removed_where_nothing_is_held(policy: Document) -> None:
    """Argo checks a Workflow, and creates what it needs, only while it has no phase."""
    forged: JsonObject = {"phase": "Pending", "message": "queued by lockkeeper: position 1 of 1"}
    obj = {**workflow(), "status": forged}
    policies = snapshot(policy)
    decision = mutate(obj, policies)
    made = patched(obj, decision.patch)
    assert decision.outcome is Outcome.ALLOWED
    assert "status" not in made
    assert mutate(made, policies).patch == ()
    assert validate(made, policies).allowed
    kept = list(validate({**made, "status": forged}, policies).reasons)
    assert [(each.code, each.field) for each in kept] == [(Code.NOT_MUTATED, "status")]
