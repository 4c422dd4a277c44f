"""The review of policies: wrong ones are refused with every reason, and nothing else ever is."""

import json
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import Policy
from policy.sources.documents import read
from tests.policy.core.builders import cluster_lock_policy, lock_policy
from tests.policy.core.policies import test_policy_checks as checks
from tests.policy.wrong_policies import (
    EVERYTHING,
    LOCKS,
    ONLY_HERE,
    POOL,
    QUOTA,
    REFUSED_BY_BOTH,
    RESOURCES,
    a_rule,
    policy,
)
from tests.webhook.calling import Webhook
from tests.webhook.oracle import Json
from tests.webhook.reviews import UID, admission_review, encoded, snapshot_of, workflow
from webhook.http_errors import NotSynced

WRONG: JsonObject = {"limits": {"workflows": -1, "tasks": -2}, "perWorkflow": {"maxTasks": 0}}
ALLOWED = {"uid": UID, "allowed": True}


def review_of(obj: Any, of: str = QUOTA, **request: Any) -> Json:
    """Return the review of a policy as the API server sends it."""
    resource = RESOURCES[of]
    named = {"group": resource.group, "version": resource.version, "kind": of}
    served = {"group": resource.group, "version": resource.version, "resource": resource.plural}
    return admission_review(
        obj,
        **{
            "kind": named,
            "requestKind": named,
            "resource": served,
            "requestResource": served,
            "namespace": "default" if resource.namespaced else "",
            **request,
        },
    )


def asked(webhook: Webhook, obj: Any, of: str = QUOTA, **request: Any) -> Json:
    """Return the response to the review of a policy."""
    return webhook.response(review_of(obj, of, **request), "/policies")


def causes(response: Json) -> dict[str, str]:
    """Return the messages of a denial by field."""
    assert not response["allowed"]
    return {each["field"]: each["message"] for each in response["status"]["details"]["causes"]}


@pytest.mark.parametrize(("kind", "spec", "where", "why"), ONLY_HERE)
def test_what_the_crd_cannot_say_is_refused_with_field_and_reason(
    kind: str, spec: JsonObject, where: str, why: str, webhook: Webhook
) -> None:
    """The API server has let these pass when it asks."""
    found = causes(asked(webhook, policy(kind, spec), kind))
    assert list(found) == [where]
    assert why in found[where]


@pytest.mark.parametrize(("kind", "spec", "where", "why"), REFUSED_BY_BOTH)
def test_what_the_crd_says_is_refused_here_too(
    kind: str, spec: JsonObject, where: str, why: str, webhook: Webhook
) -> None:
    """A cluster may still have the CRDs of another version."""
    assert why is not None
    found = causes(asked(webhook, policy(kind, spec), kind))
    assert any(path.startswith(where) for path in found), found


def written(struct: Policy) -> JsonObject:
    """Return a policy of the core's tests as the API serves it."""
    obj: JsonObject = {**msgspec.to_builtins(struct), "apiVersion": struct.api_version, "kind": struct.kind}
    return obj


@pytest.mark.parametrize(("wrong", "path", "message"), checks.WRONG_QUOTAS)
def test_every_fault_that_the_core_finds_in_a_quota_is_refused(
    wrong: Policy, path: str, message: str, webhook: Webhook
) -> None:
    """In the core's words, at its path."""
    assert causes(asked(webhook, written(wrong), wrong.kind)) == {path: message}


@pytest.mark.parametrize(("spec", "path", "message"), checks.WRONG_LOCKS)
@pytest.mark.parametrize("build", [lock_policy, cluster_lock_policy])
def test_every_fault_that_the_core_finds_in_a_lock_policy_is_refused(
    build: Any, spec: JsonObject, path: str, message: str, webhook: Webhook
) -> None:
    """Of a namespace and of the cluster."""
    wrong = build("p", **spec)
    assert causes(asked(webhook, written(wrong), wrong.kind)) == {path: message}


@pytest.mark.parametrize(
    "text",
    [
        "{metadata: {name: a}, spec: {limts: {}}}",
        "{metadata: {name: a}, spec: [1]}",
        "{metadata: {name: a}}",
        "{metadata: {name: 5}, spec: {}}",
        "{metadata: [], spec: {}}",
        "{spec: {}}",
        "{metadata: {name: A_B}, spec: {}}",
        "{metadata: {name: a}, spec: {limits: {workflows: 'many'}}, stauts: {}}",
    ],
)
def test_whatever_is_a_problem_in_a_file_is_one_here(text: str, webhook: Webhook) -> None:
    """One reader for both, so that they cannot disagree."""
    obj = {**yaml.safe_load(text), "apiVersion": RESOURCES[QUOTA].api_version, "kind": QUOTA}
    expected = {each.path: each.message for each in read(obj).problems}
    assert expected
    assert causes(asked(webhook, obj, name="a")) == expected


def test_a_denial_has_every_reason_and_is_not_worth_trying_again(webhook: Webhook) -> None:
    """422 with the object named, as the API server itself answers where CEL refuses."""
    response = asked(webhook, policy(QUOTA, WRONG, "etl"))
    status = response["status"]
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["message"].splitlines() == [
        "spec.limits.workflows: must be 0 or more, or Unlimited; got -1",
        "spec.limits.tasks: must be 0 or more, or Unlimited; got -2",
        "spec.perWorkflow.maxTasks: must be 1 or more (Argo starts no task at 0); got 0",
    ]
    details = status["details"]
    assert (details["name"], details["group"], details["kind"]) == ("etl", "lockkeeper.dev", QUOTA)
    assert {each["reason"] for each in details["causes"]} == {"WrongPolicy"}


@pytest.mark.parametrize("kind", list(RESOURCES))
@pytest.mark.parametrize("operation", ["CREATE", "UPDATE"])
def test_a_policy_that_is_right_is_allowed(kind: str, operation: str, webhook: Webhook) -> None:
    """All four kinds, with what the API server adds before it asks."""
    spec: JsonObject = {"namespaceSelector": EVERYTHING} if kind.startswith("Cluster") else {}
    obj: Json = policy(kind, spec)
    obj["metadata"] |= {
        "uid": "u",
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
    }
    old = {**obj, "spec": {"other": 1}} if operation == "UPDATE" else None
    response = asked(webhook, obj, kind, operation=operation, oldObject=old)
    assert response["allowed"], response


def test_an_update_of_anything_but_the_spec_is_always_allowed(webhook: Webhook) -> None:
    """A wrong policy that was stored before must not hold its finalizers and labels fast."""
    old: Json = policy(QUOTA, WRONG)
    new: Json = {**old, "metadata": {**old["metadata"], "labels": {"a": "b"}, "finalizers": []}}
    assert asked(webhook, new, operation="UPDATE", oldObject=old) == ALLOWED
    assert not asked(
        webhook, {**new, "spec": {**WRONG, "onExceed": "Deny"}}, operation="UPDATE", oldObject=old
    )["allowed"]


def test_an_object_that_is_being_deleted_is_always_allowed(webhook: Webhook) -> None:
    """Whatever happens to it, it goes."""
    old: Json = policy(QUOTA, {})
    new: Json = {
        **old,
        "spec": WRONG,
        "metadata": {**old["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"},
    }
    assert asked(webhook, new, operation="UPDATE", oldObject=old) == ALLOWED


def test_a_name_that_is_still_to_be_made_is_no_fault(webhook: Webhook) -> None:
    """`kubectl create` of an object with generateName."""
    obj: Json = policy(QUOTA, {})
    obj["metadata"] = {"generateName": "etl-", "namespace": "default"}
    assert asked(webhook, obj, name="")["allowed"]


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "DELETE", "oldObject": policy(QUOTA, WRONG)},
        {"operation": "CONNECT"},
        {"subResource": "status"},
        {"kind": {"group": "lockkeeper.dev", "version": "v1alpha1", "kind": "QuotaLedger"}},
        {"kind": {"group": "example.com", "version": "v1alpha1", "kind": QUOTA}},
        {"kind": {"group": "argoproj.io", "version": "v1alpha1", "kind": "Workflow"}},
    ],
)
def test_what_is_not_the_wish_for_a_policy_is_none_of_its_business(request_: Json, webhook: Webhook) -> None:
    """A webhook configuration that sends too much harms nobody."""
    assert asked(webhook, policy(QUOTA, WRONG), **request_) == ALLOWED


def test_a_workflow_is_not_checked_here_nor_a_policy_there(webhook: Webhook) -> None:
    """Each route has its own business."""
    assert webhook.response(admission_review(workflow()), "/policies") == ALLOWED
    assert webhook.response(review_of(policy(QUOTA, WRONG)), "/mutate") == ALLOWED


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"{",
        b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}',
        encoded(review_of(None)),
        encoded(review_of(5)),
        encoded(review_of(None, operation="UPDATE")),
        encoded(review_of(policy(QUOTA, {}), uid="")),
        encoded({**review_of(policy(QUOTA, {})), "apiVersion": "admission.k8s.io/v2"}),
        encoded(review_of(policy(QUOTA, {}))).replace(b'"spec": {}', b'"spec": ' + b"[" * 5000 + b"]" * 5000),
    ],
)
def test_what_is_no_review_of_a_policy_is_a_bad_request(body: bytes, webhook: Webhook) -> None:
    """400 with the reason, and a line in the log; "allow" is never guessed."""
    reply = webhook.post(body, "/policies")
    assert (reply.status, reply.headers["content-type"].startswith("text/plain")) == (400, True)
    assert webhook.logged()[-1]["event"] == "refused"


def test_the_version_of_the_request_is_echoed(webhook: Webhook) -> None:
    """Also to API servers that speak v1beta1."""
    for version in ("admission.k8s.io/v1", "admission.k8s.io/v1beta1"):
        reply = webhook.post(encoded(review_of(policy(QUOTA, {}), version=version)), "/policies")
        assert json.loads(reply.body)["apiVersion"] == version


def test_a_late_answer_is_a_time_out(webhook: Webhook) -> None:
    """The API server has stopped waiting, and its failure policy decides."""
    times = iter([0.0, 9.0])
    webhook.app._parts = msgspec.structs.replace(webhook.app._parts, monotonic=lambda: next(times))
    assert webhook.post(encoded(review_of(policy(QUOTA, {}))), "/policies?timeout=5s").status == 504
    assert webhook.decisions == []


def test_reviews_of_policies_are_counted_and_logged_apart(webhook: Webhook) -> None:
    """As those of Workflows are, under a name of their own."""
    asked(webhook, policy(QUOTA, {}))
    asked(webhook, policy(QUOTA, WRONG, "etl"), dryRun=True)
    assert (
        webhook.metric("lockkeeper_reviews_total", webhook="policies", result="allowed", dry_run="false") == 1
    )
    assert (
        webhook.metric("lockkeeper_reviews_total", webhook="policies", result="denied", dry_run="true") == 1
    )
    assert webhook.metric("lockkeeper_denials_total", reason="WrongPolicy") == 3
    assert webhook.metric("lockkeeper_review_duration_seconds_count", webhook="policies") == 2
    line = webhook.logged()[-1]
    assert (line["event"], line["webhook"], line["kind"], line["namespace"], line["name"]) == (
        "review",
        "policies",
        QUOTA,
        "default",
        "etl",
    )
    assert (line["outcome"], line["codes"]) == ("denied", ["WrongPolicy"])


OLDER = """---
apiVersion: v1
kind: Namespace
metadata: {name: team-a}
---
apiVersion: lockkeeper.dev/v1alpha1
kind: ClusterWorkflowQuota
metadata: {name: older, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {namespaceSelector: {}}
"""


def test_what_other_policies_mean_for_it_is_a_warning() -> None:
    """A certain overlap is told at once, and does not keep the policy from being stored."""
    webhook = Webhook(OLDER)
    response = asked(webhook, policy(POOL, {"namespaceSelector": EVERYTHING}), POOL)
    assert response["allowed"]
    (warning,) = response["warnings"]
    assert warning == (
        "lockkeeper: spec.namespaceSelector: ClusterWorkflowQuota older is the oldest pool that selects "
        "namespace team-a (all that this one selects), and its limits count there: select other namespaces "
        "in one of the two"
    )
    again: Json = policy(POOL, {"namespaceSelector": EVERYTHING, "onExceed": "Deny"}, "older")
    again["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    assert asked(webhook, again, POOL, operation="UPDATE", oldObject=policy(POOL, {}, "older")) == ALLOWED


def test_a_quota_that_asks_for_more_than_its_pool_gives_is_a_warning() -> None:
    """Its author hears at once what counts; one that was stored already keeps its namespace."""
    spec: Json = {"namespaceSelector": EVERYTHING, "limits": {"workflows": 9}, "borrowing": {}}
    webhook = Webhook(json.dumps(policy(POOL, spec, "data")))
    asked_for = policy(QUOTA, {"limits": {"workflows": 1000000000}})
    response = asked(webhook, asked_for)
    assert response["allowed"]
    (warning,) = response["warnings"]
    assert warning == (
        "lockkeeper: spec.limits.workflows: 1000000000 is above 9, the limit in ClusterWorkflowQuota data, "
        "and 9 counts: a quota may lower what the pool gives, and not raise it. Ask for a larger "
        "spec.borrowing.shares.default there"
    )
    assert asked(webhook, policy(QUOTA, {"limits": {"workflows": 3}})) == ALLOWED


def test_a_rule_that_would_refuse_everything_is_a_warning_too(webhook: Webhook) -> None:
    """Its author hears of it before any user does; a definition may come after it."""
    spec = a_rule(lock={"semaphore": {"configMap": "c", "key": "k"}})
    (warning,) = asked(webhook, policy(LOCKS, spec), LOCKS)["warnings"]
    assert "spec.inject[name=a]: every Workflow of namespace default that it selects is refused" in warning


def test_policies_are_checked_before_those_of_the_cluster_are_known() -> None:
    """Whether one is wrong depends on nothing else; only the warnings are missing then."""

    def unknown() -> Snapshot:
        raise NotSynced("not yet")

    webhook = Webhook(snapshot=unknown)
    assert asked(webhook, policy(POOL, {"namespaceSelector": EVERYTHING}), POOL) == ALLOWED
    assert not asked(webhook, policy(QUOTA, WRONG))["allowed"]


def test_a_review_leaves_the_snapshot_in_force_as_it_is() -> None:
    """A policy that is only asked about governs nobody."""
    snapshot = snapshot_of(OLDER)
    webhook = Webhook(snapshot=lambda: snapshot)
    before = snapshot.policies("team-a")
    asked(webhook, policy(POOL, {"namespaceSelector": EVERYTHING}), POOL)
    assert snapshot.policies("team-a") is before
    assert len(snapshot.pools) == 1


def test_a_policy_with_thousands_of_faults_is_answered_soon(webhook: Webhook) -> None:
    """Ten are shown, and not all are looked for."""
    fields = {f"limit{index}": 1 for index in range(200_000)}
    response = asked(webhook, policy(QUOTA, {"limits": fields}))  # type: ignore[dict-item] # a large one
    assert response["status"]["message"].splitlines()[-1] == "and 90 more"


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_FULL: Json = policy(
    LOCKS,
    {
        "match": {"kinds": ["Workflow"], "workflows": {"matchLabels": {"team": "etl"}}},
        "semaphores": [{"configMap": "c", "key": "k", "limit": 1}],
        "inject": [
            {
                "name": "a",
                "templates": {"names": ["a*"], "types": ["script"]},
                "lock": {"semaphore": {"configMap": "c", "key": "k"}},
            }
        ],
        "validate": {"keyPattern": "^k", "crossNamespace": "Deny"},
    },
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything in a value."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    return [path, *(found for key, one in entries for found in _paths(one, (*path, key)))]


def _replaced(value: Any, path: tuple[Any, ...], by: Any) -> Any:
    """Return a copy of a value with something else at a path."""
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _replaced(copy[path[0]], path[1:], by)
    return copy


@given(st.sampled_from([path for path in _paths(_FULL) if path[:1] == ("spec",)]), _JSON)
def test_a_policy_is_refused_exactly_where_a_file_would_be(path: tuple[Any, ...], value: Any) -> None:
    """With anything whatsoever in the place of anything: an answer, and the same one as for a file."""
    obj = _replaced(_FULL, path, value)
    response = asked(Webhook(), obj, LOCKS)
    expected = read(json.loads(json.dumps(obj))).problems
    assert response["allowed"] == (not expected)
    if expected:
        shown = {(each["field"], each["message"]) for each in response["status"]["details"]["causes"]}
        assert shown <= {(each.path, each.message) for each in expected}
