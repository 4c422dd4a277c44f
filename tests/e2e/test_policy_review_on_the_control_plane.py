"""Wrong policies on a real API server: what the CRDs let pass, our webhook refuses, and kubectl shows why."""

import base64
from collections.abc import Iterator
from typing import Final

import msgspec
import pytest

from policy.cluster.errors import Invalid
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import NAMESPACES, SYNCHRONIZATION_POLICIES, MergePatch
from policy.core.objects.json_patch import JsonObject
from policy.core.policy_kinds.kinds import Policy
from tests.e2e.control_plane import ControlPlane
from tests.e2e.kubectl import Kubectl
from tests.e2e.product import VALIDATING, Product, product, until
from tests.policy.cluster.conftest import field, text
from tests.policy.core.builders import cluster_lock_policy, lock_policy
from tests.policy.core.policies.test_policy_checks import WRONG_LOCKS, WRONG_QUOTAS
from tests.policy.wrong_policies import (
    CLUSTER_LOCKS,
    LOCKS,
    ONLY_HERE,
    POOL,
    REFUSED_BY_BOTH,
    RESOURCES,
    policy,
)

pytestmark = pytest.mark.e2e

NAME: Final = "lockkeeper-policies"
WEBHOOK: Final = 'admission webhook "policies.lockkeeper.dev" denied the request'
ONLY_THE_WEBHOOK: Final = (
    "changes while a Workflow runs",
    "spec.validate.keyPattern: is not a usable pattern",
    "spec.inject[0].lock.semaphore.namespace: needs validate.crossNamespace",
    "spec.inject[0].templates.resources: selects nothing beside these types",
    "spec.inject[0].when: ",
    'spec.semaphores[0].key: is the key that rule "',
    "is no schedule",
    "is no time zone",
    "is shorter than a minute",
    "is too short: use",
    "is longer than 36500d",
    "is no name of a namespace",
    "is no name of a label",
    "is the same for all Workflows that the quota selects",
    "a label that the selector keeps out",
    "spec.namespaceDefaults.limits.tasks: is no bound where members may borrow",
    "spec.borrowing.shares.a.tasks: is no bound where members may borrow",
)
"""The faults that no CRD can say; the table in docs/policies.md has them all."""


def written(struct: Policy) -> JsonObject:
    """Return the spec of a policy of the core's tests as its author wrote it."""
    spec: JsonObject = msgspec.to_builtins(struct)["spec"]
    return spec


WRONG: Final[list[JsonObject]] = [
    *(policy(kind, spec) for kind, spec, _, _ in (*REFUSED_BY_BOTH, *ONLY_HERE)),
    *(policy(wrong.kind, written(wrong)) for wrong, _, _ in WRONG_QUOTAS),
    *(policy(LOCKS, written(lock_policy("p", namespace="default", **spec))) for spec, _, _ in WRONG_LOCKS),
    *(policy(CLUSTER_LOCKS, written(cluster_lock_policy("p", **spec))) for spec, _, _ in WRONG_LOCKS),
]


def refusal(cluster: KubeCluster, obj: JsonObject) -> str:
    """Return why the API server does not take a policy, "" where it does."""
    try:
        cluster.create(RESOURCES[text(obj, "kind")], obj, dry_run=True)
    except Invalid as error:
        return error.message
    return ""


@pytest.fixture(scope="module")
def stored(kube_cluster: KubeCluster) -> Iterator[str]:
    """Give the namespace of a wrong policy that was stored before there was a webhook."""
    made = kube_cluster.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "review-"}}
    )
    namespace = text(made, "metadata", "name")
    wrong: JsonObject = {
        **policy(LOCKS, {"validate": {"keyPattern": "^[a-z"}}),
        "metadata": {"name": "old", "finalizers": ["example.com/keep"]},
    }
    kube_cluster.create(SYNCHRONIZATION_POLICIES, wrong, namespace=namespace)
    yield namespace
    kube_cluster.delete(NAMESPACES, namespace)


@pytest.fixture(scope="module")
def let_pass(kube_cluster: KubeCluster, stored: str) -> list[JsonObject]:
    """Give the wrong policies that the API server takes by itself, asked before the webhook is registered."""
    assert stored
    return [obj for obj in WRONG if not refusal(kube_cluster, obj)]


@pytest.fixture(scope="module")
def reviewed(
    control_plane: ControlPlane,
    kube_cluster: KubeCluster,
    let_pass: list[JsonObject],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    """Give Lockkeeper, registered for our own kinds."""
    assert let_pass
    with product(control_plane, kube_cluster, tmp_path_factory.mktemp("review")) as running:
        authority = (running.folder / "certs" / "ca.crt").read_bytes()
        webhook: JsonObject = {
            "name": "policies.lockkeeper.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 5,
            "clientConfig": {
                "url": f"https://127.0.0.1:{running.port}/policies",
                "caBundle": base64.b64encode(authority).decode(),
            },
            "rules": [
                {
                    "apiGroups": ["lockkeeper.dev"],
                    "apiVersions": ["v1alpha1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": [each.plural for each in RESOURCES.values()],
                    "scope": "*",
                }
            ],
        }
        configuration: JsonObject = {
            "apiVersion": VALIDATING.api_version,
            "kind": VALIDATING.kind,
            "metadata": {"name": NAME},
            "webhooks": [webhook],
        }
        kube_cluster.apply(VALIDATING, configuration, field_manager="tests")
        try:
            until(lambda: WEBHOOK in refusal(kube_cluster, let_pass[0]), "the webhook is not asked")
            yield running
        finally:
            kube_cluster.delete(VALIDATING, NAME)


def test_every_wrong_policy_is_refused_by_the_api_server_or_by_the_webhook(
    kube_cluster: KubeCluster, let_pass: list[JsonObject], reviewed: Product
) -> None:
    """Nothing that is wrong in a file is stored in a cluster; what only the webhook refuses is known."""
    assert reviewed.port
    said = {msgspec.json.encode(obj): refusal(kube_cluster, obj) for obj in WRONG}
    assert all(said.values()), [obj for obj, why in said.items() if not why]
    by_webhook = {obj: why for obj, why in said.items() if WEBHOOK in why}
    assert set(by_webhook) == {msgspec.json.encode(obj) for obj in let_pass}
    for why in by_webhook.values():
        assert any(fault in why for fault in ONLY_THE_WEBHOOK), why
    for fault in ONLY_THE_WEBHOOK:
        assert any(fault in why for why in by_webhook.values()), f"no test policy shows: {fault}"


def test_kubectl_shows_every_reason_with_its_field(kubectl: Kubectl, reviewed: Product) -> None:
    """The text and the exit code that an author sees, as where a CRD refuses."""
    assert reviewed.port
    semaphore: JsonObject = {"configMap": "c", "key": "k", "namespace": "elsewhere"}
    wrong = policy(
        LOCKS,
        {
            "inject": [{"name": "a", "templates": {"names": ["*"]}, "lock": {"semaphore": semaphore}}],
            "validate": {"keyPattern": "^(a"},
        },
    )
    refused = kubectl.run("create", "-f", "-", text=msgspec.json.encode(wrong).decode())
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        'The SynchronizationPolicy "a" is invalid: ',
        (
            "* spec.inject[0].lock.semaphore.namespace: needs validate.crossNamespace: Allow here; this "
            "policy refuses such locks otherwise"
        ),
        "* spec.validate.keyPattern: is not a usable pattern: missing ): ^(a",
    ]


def test_a_wrong_policy_that_was_stored_before_can_be_labelled_mended_and_deleted(
    kube_cluster: KubeCluster, stored: str, reviewed: Product
) -> None:
    """Only another wrong spec is refused; finalizers come off an object that is being deleted."""
    assert reviewed.port

    def patched(change: JsonObject) -> JsonObject:
        return kube_cluster.patch(SYNCHRONIZATION_POLICIES, "old", MergePatch(change), namespace=stored)

    patched({"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Invalid, match="is not a usable pattern"):
        patched({"spec": {"validate": {"requireDefined": False}}})
    patched({"spec": {"validate": {"keyPattern": "^[a-z]+$"}}})
    with pytest.raises(Invalid, match="is not a usable pattern"):
        patched({"spec": {"validate": {"keyPattern": "^[a-z"}}})
    kube_cluster.delete(SYNCHRONIZATION_POLICIES, "old", namespace=stored)
    assert field(patched({"metadata": {"finalizers": []}}), "metadata", "deletionTimestamp")


def test_a_policy_whose_name_is_made_by_the_api_server_is_taken(
    kube_cluster: KubeCluster, reviewed: Product
) -> None:
    """With generateName the object may have no name when it is reviewed."""
    assert reviewed.port
    obj: JsonObject = {**policy(LOCKS, {}), "metadata": {"generateName": "made-", "namespace": "default"}}
    made = kube_cluster.create(SYNCHRONIZATION_POLICIES, obj)
    kube_cluster.delete(SYNCHRONIZATION_POLICIES, text(made, "metadata", "name"), namespace="default")


def test_a_pool_that_overlaps_an_older_one_is_stored_with_a_warning(
    kube_cluster: KubeCluster, kubectl: Kubectl, stored: str, reviewed: Product
) -> None:
    """The user reads it before the line that says it was created."""
    selector: JsonObject = {"matchLabels": {"kubernetes.io/metadata.name": stored}}
    older, younger = (policy(POOL, {"namespaceSelector": selector}, f"{stored}-{age}") for age in (1, 2))
    kube_cluster.create(RESOURCES[POOL], older)
    asked = msgspec.json.encode(younger).decode()

    def warned() -> bool:
        done = kubectl.run("create", "--dry-run=server", "-f", "-", text=asked)
        assert done.returncode == 0, done.stderr
        return (
            f"Warning: lockkeeper: spec.namespaceSelector: ClusterWorkflowQuota {stored}-1 is the oldest pool"
        ) in done.stderr

    try:
        until(warned, reviewed.log_of("serve"))
    finally:
        kube_cluster.delete(RESOURCES[POOL], f"{stored}-1")


def test_all_four_kinds_are_reviewed(kube_cluster: KubeCluster, reviewed: Product) -> None:
    """A right policy of each is taken; the log has a line for each review."""
    for kind in RESOURCES:
        spec: JsonObject = {}
        if kind in (POOL, CLUSTER_LOCKS):
            spec["namespaceSelector"] = {"matchLabels": {"team": "nobody"}}
        assert refusal(kube_cluster, policy(kind, spec, "right")) == ""

    def logged() -> bool:
        log = reviewed.log_of("serve")
        return all(f'"kind":"{kind}","namespace"' in log for kind in RESOURCES)

    until(logged, "not all reviews are logged")
