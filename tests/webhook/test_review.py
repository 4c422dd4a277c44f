"""The path of a review: bytes in, bytes out."""

import json
from datetime import timedelta

import jsonpatch
import pytest

from policy.core.decision.decision import Decision, Side
from policy.core.policies.snapshot import Snapshot
from tests.webhook.calling import Clock, Webhook
from tests.webhook.conftest import Verify
from tests.webhook.oracle import Json, patch_of
from tests.webhook.reviews import EVERYTHING, UID, admission_review, encoded, quota, snapshot_of, workflow
from webhook.http_errors import BadRequest, OutOfTime
from webhook.review import Reviewing, review
from webhook.wire import Received

SECOND = timedelta(seconds=1)


class Record:
    """Keeps what is told of reviews."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, float]] = []

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Keep it."""
        self.told.append((received.review.uid, decision.outcome.value, seconds))


def parts(snapshot: Snapshot, clock: Clock, record: Record) -> Reviewing:
    """Return what a review depends on, with a stopwatch that always reads the same."""
    return Reviewing(
        snapshot=lambda: snapshot,
        reservations=Webhook().ledgers,
        clock=clock,
        stopwatch=lambda: 7.0,
        recorder=record,
    )


def test_a_review_is_answered_and_recorded(verify_admission_response: Verify) -> None:
    """One call gives the answer's bytes and tells the record once."""
    record, request = Record(), admission_review(workflow())
    body = review(encoded(request), Side.MUTATE, SECOND, parts(snapshot_of(), Clock(), record))
    assert verify_admission_response(body, request=request, mutating=True)["allowed"]
    assert record.told == [(UID, "ungoverned", 0.0)]


def test_a_review_takes_one_snapshot() -> None:
    """A reload in the middle of a review cannot mix two states of the policies."""
    taken: list[int] = []
    snapshot = snapshot_of(EVERYTHING)

    def current() -> Snapshot:
        taken.append(1)
        return snapshot

    webhook = Webhook(snapshot=current)
    webhook.mutate(workflow())
    assert taken == [1]


def test_a_wrong_request_is_not_recorded_as_a_review() -> None:
    """What raises is no answer."""
    record = Record()
    with pytest.raises(BadRequest):
        review(b"{}", Side.MUTATE, SECOND, parts(snapshot_of(), Clock(), record))
    assert record.told == []


def test_a_late_answer_is_not_recorded_as_a_review() -> None:
    """The API server does not hear of it, so it is no outcome."""
    record, clock = Record(), Clock()
    with pytest.raises(OutOfTime):
        review(
            encoded(admission_review(workflow())), Side.MUTATE, -SECOND, parts(snapshot_of(), clock, record)
        )
    assert record.told == []


def test_all_policies_together_make_one_patch() -> None:
    """Marks, hold, default and lock come in one answer, which a second pass leaves alone."""
    webhook = Webhook(EVERYTHING)
    changed = webhook.mutated(workflow())
    assert changed["spec"]["parallelism"] == 4
    assert changed["spec"]["templates"][0]["synchronization"] == {
        "semaphores": [{"configMapKeyRef": {"name": "locks", "key": "db"}}]
    }
    assert changed["metadata"]["labels"] == {
        "lockkeeper.dev/reservation": UID,
        "workflows.argoproj.io/controller-instanceid": "lockkeeper-hold",
    }
    assert changed["status"]["phase"] == "Pending"
    assert "patch" not in webhook.mutate(changed)
    assert webhook.validate(changed, uid="of-the-validating-call")["allowed"]


def test_a_warning_comes_with_the_mutating_answer_only() -> None:
    """A user reads each warning once."""
    webhook = Webhook(EVERYTHING)
    response = webhook.mutate(workflow())
    assert [text for text in response["warnings"] if "onExceed: Warn" in text]
    assert "warnings" not in webhook.validate(webhook.mutated(workflow()), uid="second")


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
@pytest.mark.parametrize("kind", ["Pod", "WorkflowTaskSet", "WorkflowEventBinding", "workflow", ""])
def test_other_kinds_are_allowed_and_skipped(kind: str, path: str) -> None:
    """A webhook configuration that sends too much harms nobody, whatever the objects look like."""
    webhook = Webhook(EVERYTHING)
    for group in ("", "argoproj.io"):
        for obj in (workflow(), {"metadata": {"labels": {"a": 1}}, "spec": "text"}, None, [1]):
            review = admission_review(obj, kind={"group": group, "version": "v1", "kind": kind})
            assert webhook.response(review, path) == {"uid": UID, "allowed": True}
    assert webhook.reserved() == {}


def test_workflows_of_another_group_are_skipped() -> None:
    """Other projects have Workflows too."""
    kind = {"group": "example.com", "version": "v1", "kind": "Workflow"}
    assert Webhook(EVERYTHING).mutate(workflow(), kind=kind) == {"uid": UID, "allowed": True}


@pytest.mark.parametrize("version", ["v1alpha1", "v1", "v2"])
def test_every_version_of_a_workflow_is_checked(version: str) -> None:
    """A new API version of Argo is no way past the limits."""
    kind = {"group": "argoproj.io", "version": version, "kind": "Workflow"}
    assert "patch" in Webhook(EVERYTHING).mutate(workflow(), kind=kind)


@pytest.mark.parametrize("path", ["/mutate", "/validate"])
@pytest.mark.parametrize("operation", ["UPDATE", "DELETE", "CONNECT"])
@pytest.mark.parametrize("obj", [None, workflow()])
def test_operations_other_than_create_are_ignored(path: str, operation: str, obj: Json | None) -> None:
    """The controller writes its Workflows all the time, and what exists cannot be checked again."""
    review = admission_review(obj, operation=operation, oldObject=workflow())
    assert Webhook(EVERYTHING).response(review, path) == {"uid": UID, "allowed": True}


@pytest.mark.parametrize("sub_resource", ["status", "scale", "anything"])
@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_subresources_are_ignored(sub_resource: str, operation: str) -> None:
    """Part of an object is not the object."""
    response = Webhook(EVERYTHING).mutate(workflow(), subResource=sub_resource, operation=operation)
    assert response == {"uid": UID, "allowed": True}


def test_an_empty_subresource_is_none() -> None:
    """API servers leave the field out or send it empty; both mean the object itself."""
    assert "patch" in Webhook(EVERYTHING).mutate(workflow(), subResource="")


@pytest.mark.parametrize(
    "metadata",
    [
        {"generateName": "hello-"},
        {"generateName": "hello-", "name": ""},
        {"name": "", "labels": None, "annotations": None},
        {},
        {"labels": {}, "annotations": {}, "ownerReferences": None, "managedFields": []},
    ],
)
def test_a_create_needs_no_name(metadata: Json) -> None:
    """With generateName the object has no name yet; it is governed all the same."""
    webhook = Webhook(EVERYTHING)
    changed = webhook.mutated({**workflow(), "metadata": metadata}, name="")
    assert changed["metadata"]["annotations"]["lockkeeper.dev/tasks"] == "4"
    [reservation] = webhook.reserved().values()
    assert reservation.workflow == changed["metadata"].get("name", "")
    assert reservation.workflow.startswith(metadata.get("generateName", ""))
    assert webhook.logged()[0]["name"] == metadata.get("generateName", "")


@pytest.mark.parametrize("scope", ["WorkflowTemplate", "ClusterWorkflowTemplate"])
def test_the_parallelism_of_a_referenced_template_counts(scope: str) -> None:
    """A Workflow with a workflowTemplateRef keeps its template's bound, whoever edits that later."""
    template = f"""---
        apiVersion: argoproj.io/v1alpha1
        kind: {scope}
        metadata: {{name: etl, namespace: team}}
        spec: {{parallelism: 7, templates: [{{name: load, container: {{image: db}}}}]}}
        """
    webhook = Webhook(EVERYTHING + template)
    reference = {"name": "etl", "clusterScope": scope.startswith("Cluster")}
    obj = {**workflow(), "spec": {"workflowTemplateRef": reference}}
    changed = webhook.mutated(obj)
    assert changed["metadata"]["annotations"]["lockkeeper.dev/tasks"] == "7"
    assert changed["spec"] == {**obj["spec"], "parallelism": 7}
    assert any(
        "load: lock team/ConfigMap/locks/db is not injected" in text for text in webhook.decisions[0].warnings
    )


def test_an_unknown_template_gets_the_default() -> None:
    """A reference that nobody knows is bounded by what the policy says."""
    obj = {**workflow(), "spec": {"workflowTemplateRef": {"name": "unknown"}}}
    assert Webhook(EVERYTHING).mutated(obj)["spec"] == {**obj["spec"], "parallelism": 4}


def test_many_templates_are_checked_each_for_itself() -> None:
    """Every template of a list gets its own lock, those that hold it already nothing."""
    lock = {"configMapKeyRef": {"name": "locks", "key": "db"}}
    templates: list[Json] = [
        {"name": "main", "steps": [[{"name": "one", "template": "plain"}]]},
        {"name": "plain", "container": {"image": "a"}},
        {"name": "locked", "script": {"image": "a"}, "synchronization": {"semaphores": [lock]}},
        {"name": "other", "http": {"url": "x"}, "synchronization": {"mutexes": [{"name": "m"}]}},
    ]
    changed = Webhook(EVERYTHING).mutated(workflow(templates=templates))["spec"]["templates"]
    assert [each.get("synchronization") for each in changed] == [
        None,
        {"semaphores": [lock]},
        {"semaphores": [lock]},
        {"mutexes": [{"name": "m"}], "semaphores": [lock]},
    ]


@pytest.mark.parametrize("templates", [None, []])
def test_no_templates_are_no_fault_of_admission(templates: list[Json] | None) -> None:
    """Argo itself says that a Workflow without templates cannot run."""
    assert Webhook(EVERYTHING).mutate(workflow(templates=templates))["allowed"]


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param({"metadata": {"name": "a"}}, id="no spec"),
        pytest.param({"metadata": {"name": "a"}, "spec": None}, id="spec null"),
        pytest.param({"spec": {}}, id="no metadata"),
        pytest.param({"metadata": None, "spec": {}}, id="metadata null"),
    ],
)
def test_a_patch_applies_to_an_object_without_its_main_parts(obj: Json) -> None:
    """The API server mutates before it checks the schema, so even a hollow object is patched or denied."""
    webhook = Webhook(EVERYTHING)
    response = webhook.mutate(obj)
    changed: Json = jsonpatch.apply_patch(obj, patch_of(response))
    assert changed["metadata"]["labels"]
    assert isinstance(changed["spec"], dict)


def test_the_answer_has_no_patch_where_nothing_changes(webhook: Webhook) -> None:
    """No policy, no patch: the field is left out, with its type."""
    body = webhook.post(encoded(admission_review(workflow()))).body
    assert json.loads(body)["response"] == {"uid": UID, "allowed": True}


STRICT = """---
apiVersion: v1
kind: ConfigMap
metadata: {name: workflow-controller-configmap, namespace: argo}
data: {workflowRestrictions: 'templateReferencing: Strict'}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: etl, namespace: team}
spec: {parallelism: 7, entrypoint: load, templates: [{name: load, container: {image: db}}]}
"""


def test_where_argo_runs_references_alone_nothing_is_written_into_a_spec() -> None:
    """As its ConfigMap says: it would end the Workflow with an error."""
    obj = {**workflow(), "spec": {"workflowTemplateRef": {"name": "etl"}}}
    webhook = Webhook(quota("Queue", limits={"tasks": 40}, perWorkflow={"defaultTasks": 4}) + STRICT)
    changed = webhook.mutated(obj)
    assert changed["spec"] == obj["spec"]
    annotations = changed["metadata"]["annotations"]
    assert annotations["lockkeeper.dev/tasks"] == "7"
    assert annotations["lockkeeper.dev/weighed-by"] == "WorkflowTemplate/etl"


@pytest.mark.parametrize("side", [Side.MUTATE, Side.VALIDATE])
def test_where_argo_runs_references_alone_an_edit_of_a_template_is_checked(side: Side) -> None:
    """Whatever waits for its turn would run it."""
    policies = snapshot_of(quota("Queue", perWorkflow={"maxTasks": 20}) + STRICT)
    old = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "etl", "namespace": "team"},
        "spec": {"parallelism": 7, "entrypoint": "load"},
    }
    kind = {"group": "argoproj.io", "version": "v1alpha1", "kind": "WorkflowTemplate"}
    asked = admission_review(
        {**old, "spec": {"parallelism": 21, "entrypoint": "load"}},
        operation="UPDATE",
        oldObject=old,
        kind=kind,
        resource={"group": "argoproj.io", "version": "v1alpha1", "resource": "workflowtemplates"},
    )
    body = review(encoded(asked), side, SECOND, parts(policies, Clock(), Record()))
    answer = json.loads(body)["response"]
    assert not answer["allowed"]
    assert "spec.parallelism: 21 is above the cap of 20 tasks of one Workflow" in answer["status"]["message"]


@pytest.mark.parametrize("on_exceed", ["Deny", "Warn"])
def test_a_status_like_our_hold_does_not_stay(on_exceed: str) -> None:
    """Argo would start from it as if it had looked at the Workflow already."""
    obj = {**workflow(), "status": {"phase": "Pending", "message": "queued by lockkeeper: x"}}
    assert "status" not in Webhook(quota(on_exceed, limits={"workflows": 5})).mutated(obj)


def test_a_template_whose_entrypoint_does_not_exist_is_told_when_it_is_applied() -> None:
    """Once, by the validating side, which sees every object; and it is stored all the same."""
    spec = {"entrypoint": "mian", "templates": [{"name": "main", "suspend": {}}]}
    obj = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "t"},
        "spec": spec,
    }
    kind = {"group": "argoproj.io", "version": "v1alpha1", "kind": "WorkflowTemplate"}
    webhook = Webhook()
    assert webhook.mutate(obj, uid="a", kind=kind) == {"uid": "a", "allowed": True}
    answer = webhook.validate(obj, uid="b", kind=kind)
    assert answer["allowed"]
    (warning,) = answer["warnings"]
    assert warning.startswith(
        'lockkeeper: spec.entrypoint: template "mian" of WorkflowTemplate t does not exist'
    )
    assert warning.endswith('did you mean "main"?')
