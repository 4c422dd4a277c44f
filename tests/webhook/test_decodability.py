"""Types at admission: the validating side refuses what Argo cannot decode, of every kind, where it is new."""

from typing import Any, Final

import pytest

from policy.core.decision.decision import Side
from tests.webhook.calling import START, Webhook
from tests.webhook.oracle import Json
from tests.webhook.reviews import admission_review, encoded, lock_policy, quota, snapshot_of, workflow
from webhook import wire
from webhook.review import CONSEQUENCES, MAX_TYPE_WARNINGS, decide_without_ledger

DURATION: Final = "spec.templates[0].suspend.duration"
KINDS: Final = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")


def waiting(duration: object, **spec: Any) -> Json:
    """Return a Workflow that is suspended for a while."""
    return workflow(templates=[{"name": "main", "suspend": {"duration": duration}}], **spec)


def as_kind(kind: str, spec: Json) -> Json:
    """Return an object of one of the kinds with the spec of a Workflow."""
    wrapped = {"schedules": ["* * * * *"], "workflowSpec": spec} if kind == "CronWorkflow" else spec
    return {**workflow(), "kind": kind, "spec": wrapped}


def reviewed(kind: str) -> Json:
    """Return the kind as a request names it."""
    return {"group": "argoproj.io", "version": "v1alpha1", "kind": kind}


def causes(response: Json) -> list[tuple[str, str]]:
    """Return the fields that a denial names, with what it says of each."""
    assert not response["allowed"]
    assert response["status"]["code"] == 422
    found = response["status"]["details"]["causes"]
    assert {cause["reason"] for cause in found} == {"WrongType"}
    return [(cause["field"], cause["message"]) for cause in found]


def test_what_would_stop_argo_is_refused_where_no_policy_applies() -> None:
    """One such Workflow stops the controller for everybody. The mutating side leaves it to the other."""
    assert Webhook().mutate(waiting(5))["allowed"]
    response = Webhook().validate(waiting(5))
    assert causes(response) == [
        (
            DURATION,
            (
                'is the number 5, Argo reads a string: write "5". '
                "Argo cannot decode such a Workflow, and its controller would stop for everybody"
            ),
        )
    ]
    assert response["status"]["message"].startswith(f"{DURATION}: is the number 5")


def test_what_is_held_was_looked_at_by_the_side_that_holds_it() -> None:
    """The other side may be away, and a Workflow with our marks is let go without being read."""
    webhook = Webhook(quota("Queue", limits={"workflows": 1}))
    assert webhook.mutate(waiting("5"))["allowed"]
    assert [field for field, _ in causes(webhook.mutate(waiting(5)))] == [DURATION]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_every_kind_is_looked_at_when_it_is_stored(kind: str, operation: str) -> None:
    """And the message says what would come of it."""
    right, wrong = (as_kind(kind, waiting(value)["spec"]) for value in ("5", 5))
    asked = {
        "kind": reviewed(kind),
        "operation": operation,
        "oldObject": right if operation == "UPDATE" else None,
    }
    assert Webhook().validate(right, **asked)["allowed"]
    [(field, message)] = causes(Webhook().validate(wrong, **asked))
    assert field == (DURATION.replace("spec", "spec.workflowSpec", 1) if kind == "CronWorkflow" else DURATION)
    assert message.endswith(CONSEQUENCES[next(each for each in CONSEQUENCES if each == kind)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["/mutate", "/validate"])
def test_a_field_that_we_read_ourselves_is_reported_in_the_same_words_by_both_sides(
    kind: str, side: str
) -> None:
    """Nothing can be decided about such an object, so that the mutating side looks as well."""
    wrong = as_kind(kind, workflow(parallelism="2", onExit=[])["spec"])
    response = Webhook().response(admission_review(wrong, kind=reviewed(kind)), side)
    above = "spec.workflowSpec" if kind == "CronWorkflow" else "spec"
    assert {field for field, _ in causes(response)} == {f"{above}.parallelism", f"{above}.onExit"}


def test_what_was_stored_before_stops_no_update_but_what_is_new_does() -> None:
    """Else nobody could mend such a Workflow step by step, or stop it."""
    stored, worse = waiting(5, parallelism=1), waiting(5, parallelism=2, hostNetwork="yes")
    assert Webhook().validate(waiting(5), operation="UPDATE", oldObject=stored)["allowed"]
    response = Webhook().validate(worse, operation="UPDATE", oldObject=stored)
    assert [field for field, _ in causes(response)] == ["spec.hostNetwork"]


def test_a_field_that_only_we_read_is_refused_as_well() -> None:
    """Argo drops a lock on a task, but nothing could be decided about an object that we cannot read."""
    tasks = [{"name": "a", "template": "main", "synchronization": 5}]
    response = Webhook().mutate(workflow(templates=[{"name": "main", "dag": {"tasks": tasks}}]))
    assert [field for field, _ in causes(response)] == ["spec.templates[0].dag.tasks[0].synchronization"]


def test_all_type_errors_are_reported_and_what_would_come_of_them_once() -> None:
    """The sentence is long, and the list may be as well."""
    response = Webhook().validate(waiting(5, hostNetwork="yes", nodeSelector=[]))
    told = causes(response)
    assert [field for field, _ in told] == [DURATION, "spec.hostNetwork", "spec.nodeSelector"]
    assert response["status"]["message"].count("stop for everybody") == 1


def test_what_policies_say_is_reported_as_well() -> None:
    """An author mends everything in one go."""
    policy = lock_policy(validate={"requireDefined": True})
    lock = {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "db"}}]}
    response = Webhook(policy).validate(waiting(5, synchronization=lock))
    reasons = [cause["reason"] for cause in response["status"]["details"]["causes"]]
    assert reasons == ["WrongType", "LockUndefined"]


def test_a_reservation_is_given_back_where_the_types_are_wrong() -> None:
    """The mutating side had let it through."""
    webhook = Webhook(quota("Deny", limits={"workflows": 2}))
    changed = webhook.mutated(waiting(5))
    assert len(webhook.reserved()) == 1
    assert not webhook.validate(changed, uid="second")["allowed"]
    assert webhook.reserved() == {}


def test_a_field_that_argo_drops_is_warned_of() -> None:
    """A few of them, so that other warnings are still read."""
    spec = {
        f"{name}x": 1 for name in ("parallelism", "priority", "entrypoint", "suspend", "onExit", "volumes")
    }
    response = Webhook().validate(workflow(**spec))
    assert response["allowed"]
    assert len(response["warnings"]) == MAX_TYPE_WARNINGS
    assert response["warnings"][0] == (
        "lockkeeper: spec.parallelismx: is no field that Argo knows, and is dropped: "
        'did you mean "parallelism"?'
    )


def test_a_lock_that_argo_drops_is_warned_of_where_no_policy_speaks() -> None:
    """It comes before other fields, and beside wrong types."""
    lock = {"mutexes": [{"name": "db"}]}
    answered = Webhook().validate(workflow(paralelism=1, mutexes=[{}], hostNetwork=5, synchronisation=lock))
    assert [field for field, _ in causes(answered)] == ["spec.hostNetwork"]
    told = [warning.split(": ")[1] for warning in answered["warnings"]]
    assert told == ["spec.mutexes", "spec.synchronisation", "spec.paralelism"]


def test_a_lock_that_argo_drops_is_refused_where_a_policy_speaks() -> None:
    """As one on a DAG task is, of which one reason says where it belongs; what is stored stops no update."""
    webhook = Webhook(lock_policy())
    lock = {"mutexes": [{"name": "db"}]}
    task = {"name": "t", "template": "load", "synchronization": lock}
    main = {"name": "main", "dag": {"tasks": [task], "synchronization": lock}}
    refused = webhook.validate(workflow(templates=[main, {"name": "load", "container": {"image": "a"}}]))
    reasons = [(each["reason"], each["field"]) for each in refused["status"]["details"]["causes"]]
    assert reasons == [
        ("LockPlace", "spec.templates[0].dag.synchronization"),
        ("LockPlace", "spec.templates[0].dag.tasks[0].synchronization"),
    ]
    stored = workflow(mutexes=[{"name": "db"}])
    edited = workflow(mutexes=[{"name": "db"}], hostNetwork=True)
    assert webhook.validate(edited, operation="UPDATE", oldObject=stored)["allowed"]


def test_a_schedule_that_argo_never_runs_is_warned_of() -> None:
    """Argo stores it, so it is not refused; nobody would hear of it otherwise."""
    cron = {"metadata": {"name": "nightly"}, "spec": {"schedule": "0 3 * * *", "workflowSpec": {}}}
    answered = Webhook().validate(cron, kind=reviewed("CronWorkflow"))
    assert answered["allowed"] is True
    (told,) = answered["warnings"]
    assert told.startswith("lockkeeper: spec.schedule: is dropped by Argo")
    fine = {**cron, "spec": {"schedules": ["0 3 * * *"], "workflowSpec": {}}}
    assert "warnings" not in Webhook().validate(fine, kind=reviewed("CronWorkflow"))


def test_a_review_without_a_cluster_looks_at_types_on_the_mutating_side() -> None:
    """`lockkeeper review` asks one side only."""
    received = wire.decode(encoded(admission_review(waiting(5))), Side.MUTATE)
    review, fault = received.review, received.fault
    assert decide_without_ledger(review, fault, snapshot_of(), START).allowed
    assert not decide_without_ledger(review, fault, snapshot_of(), START, thorough=True).allowed


@pytest.mark.parametrize("text", [b'"\xff"', b'"\\ud800"', b"9" * 5_000])
def test_what_is_no_json_is_a_bad_request_wherever_it_stands(text: bytes) -> None:
    """In fields that nothing but the check of types reads, too."""
    body = encoded(admission_review(workflow(hostNetwork="MARK"))).replace(b'"MARK"', text)
    assert Webhook().post(body, "/validate").status in {200, 400}


def test_subresources_and_deletes_are_not_looked_at() -> None:
    """What goes is not for us to refuse, and part of an object is not the object."""
    assert Webhook().validate(waiting(5), subResource="scale")["allowed"]
    assert not Webhook().validate(waiting(5), subResource="status", operation="UPDATE")["allowed"]
    assert Webhook().validate(None, operation="DELETE", oldObject=waiting(5))["allowed"]


def test_argos_controller_writes_what_it_has_decoded() -> None:
    """Its updates are not looked at, which may be a megabyte each; what it creates from others' crons is."""
    argo = {"userInfo": {"username": "system:serviceaccount:argo:argo"}}
    assert Webhook().validate(waiting(5), operation="UPDATE", oldObject=waiting("5"), **argo)["allowed"]
    assert not Webhook().validate(waiting(5), **argo)["allowed"]
