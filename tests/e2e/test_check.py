"""`lockkeeper check` against the product on a real API server, and the least rights that it needs."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Final

import msgspec
import pytest

from certs.authority import create_authority
from lockkeeper.checking.checks import check_installation
from lockkeeper.checking.gatherer import Gatherer
from lockkeeper.checking.results import Check, CheckResult, State
from lockkeeper.checking.tls_probe import probe
from lockkeeper.process.console import utc_now
from lockkeeper.process.kubernetes_objects import MUTATING
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.protocol import JsonPatch, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp
from tests.e2e.building import ROOT
from tests.e2e.control_plane import ControlPlane
from tests.e2e.kubectl import Kubectl
from tests.e2e.product import LEASE_NAMESPACE, Product, product, until
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e
RELEASE: Final = "lockkeeper"
RBAC: Final = "rbac.authorization.k8s.io"
ROLE: Final = Resource(RBAC, "v1", "roles", "Role")
ROLE_BINDING: Final = Resource(RBAC, "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLE: Final = Resource(RBAC, "v1", "clusterroles", "ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDING: Final = Resource(
    RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
ACCOUNT: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
ACCOUNT_NAME: Final = "checker"


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """One rule of a role."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    resource_names: tuple[str, ...] = ()


REGISTRATION: Final = "admissionregistration.k8s.io"
EVERYWHERE: Final = (
    Rule(("lockkeeper.dev",), ("workflowquotas",), ("list",)),
    Rule(("lockkeeper.dev",), ("clusterworkflowquotas",), ("list",)),
    Rule(("lockkeeper.dev",), ("synchronizationpolicies",), ("list",)),
    Rule(("lockkeeper.dev",), ("clustersynchronizationpolicies",), ("list",)),
    Rule(("lockkeeper.dev",), ("quotaledgers",), ("list",)),
    Rule((REGISTRATION,), ("mutatingwebhookconfigurations",), ("get",), (RELEASE,)),
    Rule((REGISTRATION,), ("validatingwebhookconfigurations",), ("get",), (RELEASE,)),
    Rule((REGISTRATION,), ("mutatingwebhookconfigurations",), ("list",)),
    Rule(("apiextensions.k8s.io",), ("customresourcedefinitions",), ("get",), ("workflows.argoproj.io",)),
)
"""The rights that a check needs in the whole cluster, one resource a rule."""
IN_ITS_NAMESPACE: Final = (
    Rule(("argoproj.io",), ("workflows",), ("list",)),
    Rule(("coordination.k8s.io",), ("leases",), ("get",), (f"{RELEASE}-controller",)),
)
"""Those in the release's namespace. Where webhooks are registered by a Service, `get` of it comes to them."""


@pytest.fixture(scope="module")
def running(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """Give Lockkeeper on the control plane."""
    with product(control_plane, kube_cluster, tmp_path_factory.mktemp("product")) as started:
        yield started


def checked(plane: ControlPlane, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    where = ["--kubeconfig", str(plane.kubeconfig), "--namespace", LEASE_NAMESPACE, "--name", RELEASE]
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "lockkeeper", "check", *where, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def judged(plane: ControlPlane) -> list[CheckResult]:
    """Return what the command finds."""
    finished = checked(plane, "-o", "json")
    assert finished.stderr == ""
    found = msgspec.json.decode(finished.stdout, type=list[CheckResult])
    assert finished.returncode == int(any(each.state in ("failed", "warning") for each in found))
    return found


def states(found: list[CheckResult], check: Check) -> set[State]:
    """Return the states of one check."""
    return {each.state for each in found if each.check is check}


def test_what_works_is_ok(control_plane: ControlPlane, running: Product) -> None:
    """Kinds, registration, the certificate that is really shown, readiness and leader of a live product."""
    assert running.port
    found = judged(control_plane)
    assert State.FAILED not in {each.state for each in found}, found
    for check in (Check.KINDS, Check.CERTIFICATE, Check.READINESS, Check.LEADER, Check.FAILURE_POLICY):
        assert states(found, check) == {State.OK}, found
    table = checked(control_plane)
    assert "mutate.lockkeeper.dev is registered" in table.stdout
    assert table.stdout.splitlines()[0].startswith("ok ")


def test_another_release_is_not_there(control_plane: ControlPlane, running: Product) -> None:
    """Who mistypes a name reads what is missing, and how to give the right one."""
    assert running.port
    finished = checked(control_plane, "--name", "nobody")
    assert finished.returncode == 1
    assert "there is no MutatingWebhookConfiguration nobody" in finished.stdout
    assert "--name" in finished.stdout


def test_a_ca_bundle_that_somebody_edited_is_a_failure(
    control_plane: ControlPlane, kube_cluster: KubeCluster, running: Product
) -> None:
    """The API server would refuse the webhook's certificate now, and so does the check."""
    assert running.port
    path = "/webhooks/0/clientConfig/caBundle"
    right = _bundle(kube_cluster)
    other = base64.b64encode(create_authority(now=datetime.now(UTC)).cert_pem).decode()
    kube_cluster.patch(MUTATING, RELEASE, JsonPatch((PatchOp(Op.REPLACE, path, other),)))
    try:
        found = [each for each in judged(control_plane) if each.check is Check.CERTIFICATE]
    finally:
        kube_cluster.patch(MUTATING, RELEASE, JsonPatch((PatchOp(Op.REPLACE, path, right),)))
    assert {each.state for each in found} == {State.FAILED, State.OK}
    assert "the API server refuses the certificate" in found[0].message


def _bundle(cluster: KubeCluster) -> str:
    class Client(msgspec.Struct, rename={"bundle": "caBundle"}):
        bundle: str

    class Webhook(msgspec.Struct, rename="camel"):
        client_config: Client

    class Configuration(msgspec.Struct):
        webhooks: tuple[Webhook, ...]

    found = msgspec.convert(cluster.get(MUTATING, RELEASE), Configuration)
    return found.webhooks[0].client_config.bundle


def test_every_right_that_the_check_needs_is_needed(
    control_plane: ControlPlane,
    kube_cluster: KubeCluster,
    kubectl: Kubectl,
    running: Product,
    tmp_path: Path,
) -> None:
    """With all of them nothing is skipped; without one of them, that one is named and nothing else."""
    assert running.port
    _bind(kube_cluster)
    token = kubectl.said("create", "token", ACCOUNT_NAME, "-n", LEASE_NAMESPACE).strip()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(_kubeconfig(control_plane, token))
    cluster = connect(kubeconfig)
    try:
        until(lambda: _skipped(cluster) == [], "rights are missing")
        for index, rule in enumerate((*EVERYWHERE, *IN_ITS_NAMESPACE)):
            _grant(kube_cluster, without=index)
            wanted = (
                f"not seen, for want of the right to {rule.verbs[0]} {rule.resources[0]}.{rule.api_groups[0]}"
            )

            def named(wanted: str = wanted) -> bool:
                skipped = _skipped(cluster)
                return len(skipped) == 1 and skipped[0].startswith(wanted)

            until(named, f"{rule} makes no difference")
    finally:
        cluster.close()


def _skipped(cluster: KubeCluster) -> list[str]:
    """Return what a check with somebody's rights could not see; there is no Argo to be seen."""
    gatherer = Gatherer(
        cluster=cluster,
        namespace=LEASE_NAMESPACE,
        name=RELEASE,
        inside=False,
        probe=probe,
        clock=utc_now,
        pause=Event().wait,
    )
    found = [each for each in check_installation(gatherer.gather()) if each.check is not Check.ARGO]
    return [each.message for each in found if each.state is State.SKIPPED]


def _bind(cluster: KubeCluster) -> None:
    """Make a ServiceAccount and bind it to the roles."""
    cluster.create(ACCOUNT, _object(ACCOUNT), namespace=LEASE_NAMESPACE)
    _grant(cluster)
    subject: JsonObject = {"kind": "ServiceAccount", "name": ACCOUNT_NAME, "namespace": LEASE_NAMESPACE}
    for binding, role in ((CLUSTER_ROLE_BINDING, CLUSTER_ROLE), (ROLE_BINDING, ROLE)):
        reference: JsonObject = {"apiGroup": RBAC, "kind": role.kind, "name": ACCOUNT_NAME}
        manifest = _object(binding) | {"roleRef": reference, "subjects": [subject]}
        cluster.create(binding, manifest, namespace=LEASE_NAMESPACE if binding.namespaced else "")


def _grant(cluster: KubeCluster, *, without: int | None = None) -> None:
    """Give all rights, but for the one of a number."""
    numbered = enumerate((*EVERYWHERE, *IN_ITS_NAMESPACE))
    kept = {rule for index, rule in numbered if index != without}
    for role, rules in ((CLUSTER_ROLE, EVERYWHERE), (ROLE, IN_ITS_NAMESPACE)):
        namespace = LEASE_NAMESPACE if role.namespaced else ""
        granted: list[JsonValue] = [msgspec.to_builtins(rule) for rule in rules if rule in kept]
        manifest = _object(role, namespace) | {"rules": granted}
        cluster.apply(role, manifest, field_manager="tests", force=True)


def _object(resource: Resource, namespace: str = "") -> JsonObject:
    metadata: JsonObject = {"name": ACCOUNT_NAME}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}


def _kubeconfig(plane: ControlPlane, token: str) -> str:
    """Return the way in of whoever has a token."""
    content = json.loads(plane.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    return json.dumps(content)


def test_a_leader_that_died_is_a_failure(control_plane: ControlPlane, running: Product) -> None:
    """Killed, both of them: nobody gave the Lease up, and nobody takes it over. The last test of the file."""
    for process in running.controllers.values():
        process.kill()
        process.wait(PATIENCE)

    def noticed() -> bool:
        found = [each for each in judged(control_plane) if each.check is Check.LEADER]
        return [each.state for each in found] == [State.FAILED] and "does not renew it" in found[0].message

    until(noticed, "a dead leader is not noticed")
