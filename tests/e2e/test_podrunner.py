"""What the podrunner gives a Pod: its account, volumes, file system, user, address and Services."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.authority import create_authority, issue_serving_pair
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.control_plane import ControlPlane
from tests.e2e.podrunner import sample
from tests.e2e.podrunner.api import SECRETS, SERVICES
from tests.e2e.podrunner.launch import (
    DEPLOYMENTS,
    Podrunner,
    await_rollout,
    podrunner,
    pods,
    service_address,
)
from tests.e2e.podrunner.pretending import EXIT_CODE, SECONDS
from tests.e2e.podrunner.run_settings import Image
from tests.e2e.podrunner.sample_client import Client
from tests.e2e.podrunner.sample_pods import SamplePods
from tests.e2e.product import until

pytestmark = pytest.mark.e2e

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")


@pytest.fixture(scope="module")
def runner(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Podrunner]:
    """Run a podrunner, with the sample's two Pods on it."""
    image = Image((sys.executable,), user=sample.USER, environment={"FROM_IMAGE": "yes"})
    with podrunner(control_plane, tmp_path_factory.mktemp("podrunner"), image) as runner:
        sample.prepare_namespace(kube_cluster)
        server = sample.deployment(replicas=2, container=sample.container())
        kube_cluster.create(DEPLOYMENTS, server, namespace=sample.NAMESPACE)
        kube_cluster.create(SERVICES, sample.service(), namespace=sample.NAMESPACE)
        await_rollout(kube_cluster, sample.NAMESPACE, sample.NAME)
        yield runner
        kube_cluster.delete(DEPLOYMENTS, sample.NAME, namespace=sample.NAMESPACE)
        kube_cluster.delete(SERVICES, sample.NAME, namespace=sample.NAMESPACE)
        until(lambda: not pods(kube_cluster, sample.NAMESPACE, sample.SELECTOR), "Pods are left")


@pytest.fixture(scope="module")
def client(kube_cluster: KubeCluster, runner: Podrunner) -> Client:
    """Give a way to the sample's Pods."""
    assert runner.pid
    return Client(service_address(kube_cluster, sample.NAMESPACE, sample.NAME, "web"))


@pytest.fixture(scope="module")
def sample_pods(kube_cluster: KubeCluster, runner: Podrunner) -> SamplePods:
    """Give a way to make Pods of one's own."""
    assert runner.pid
    return SamplePods(kube_cluster)


def test_a_deployment_rolls_out_over_both_nodes(kube_cluster: KubeCluster, client: Client) -> None:
    """The scheduler knows the nodes, every Pod has an address of its own, and connections go to both."""
    seen = pods(kube_cluster, sample.NAMESPACE, sample.SELECTOR)
    assert [pod.ready for pod in seen] == [True, True]
    assert {pod.spec.node_name for pod in seen} == {"podrunner-a", "podrunner-b"}
    assert len({pod.status.pod_ip for pod in seen}) == 2
    assert all(pod.status.pod_ip.startswith("127.1.") for pod in seen)
    names, reached = {pod.name for pod in seen}, set[str]()

    def both() -> bool:
        reached.add(client.facts().host)
        return reached == names

    until(both, "a Pod gets no connections")


def test_a_process_has_the_environment_of_its_pod_and_no_other(client: Client) -> None:
    """Nothing of the machine's environment makes a Pod work that would not in a cluster."""
    environment = client.facts().environment
    host = client.facts().host
    assert environment["SENTENCE"] == "the word is first, not $(WORD)"
    assert environment["FROM_IMAGE"] == "yes"
    assert environment["NODE"].startswith("podrunner-")
    assert environment["HOSTNAME"].startswith(f"{sample.NAME}-")
    assert host.startswith(f"{sample.NAME}-")
    assert "PYTEST_CURRENT_TEST" not in environment
    assert "LOCKKEEPER_E2E" not in environment


def test_a_process_is_the_user_that_its_pod_asks_for(client: Client) -> None:
    """It has no capability and can get none, and it is process 1, as the chart's Pods are."""
    facts = client.facts()
    assert facts.user == sample.USER
    assert facts.pid == 1
    assert facts.status["CapEff"].strip("0") == ""
    assert facts.status["CapBnd"].strip("0") == ""
    assert facts.status["NoNewPrivs"] == "1"


@pytest.mark.parametrize("path", ["/written", "/etc/written", "/run/written", "/etc/secret/written"])
def test_the_root_is_read_only(client: Client, path: str) -> None:
    """A product that writes where it may not fails here and not at its users'."""
    assert "Read-only file system" in client.said(f"/write?path={path}")


def test_a_volume_can_be_written(client: Client) -> None:
    """Only what is mounted for it takes writes."""
    assert client.said("/write?path=/tmp/written") == "written"
    assert not Path("/tmp/written").exists()  # noqa: S108 - the machine's own


def test_an_account_may_do_what_its_role_says_and_nothing_else(
    kube_cluster: KubeCluster, client: Client
) -> None:
    """The token is a real one, so a rule that the chart lacks makes a test fail."""
    allowed = f"/api/v1/namespaces/{sample.NAMESPACE}/configmaps"
    assert client.number(f"/ask?path={allowed}") == 403
    metadata: JsonObject = {"name": "reader", "namespace": sample.NAMESPACE}
    rule: JsonObject = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    role: JsonObject = {
        "apiVersion": ROLES.api_version,
        "kind": ROLES.kind,
        "metadata": metadata,
        "rules": [rule],
    }
    subject: JsonObject = {"kind": "ServiceAccount", "name": "sample", "namespace": sample.NAMESPACE}
    binding: JsonObject = {
        "apiVersion": BINDINGS.api_version,
        "kind": BINDINGS.kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": ROLES.group, "kind": ROLES.kind, "name": "reader"},
        "subjects": [subject],
    }
    kube_cluster.apply(ROLES, role, field_manager="tests")
    kube_cluster.apply(BINDINGS, binding, field_manager="tests")
    until(lambda: client.number(f"/ask?path={allowed}") == 200, "the role has no effect")
    assert client.number(f"/ask?path=/api/v1/namespaces/{sample.NAMESPACE}/secrets") == 403


def test_a_change_of_a_secret_appears_in_its_volume(kube_cluster: KubeCluster, client: Client) -> None:
    """Certificates are swapped while the product runs; the environment stays as it was at the start."""
    assert client.said("/file?path=/etc/secret/word") == "first"
    kube_cluster.apply(SECRETS, sample.secret("second"), field_manager="tests", force=True)
    try:
        took = until(lambda: client.said("/file?path=/etc/secret/word") == "second", "it is the old one")
        assert took < 5
        assert client.facts().environment["WORD"] == "first"
    finally:
        kube_cluster.apply(SECRETS, sample.secret("first"), field_manager="tests", force=True)


def test_a_service_has_its_name_and_address_in_every_pod(client: Client) -> None:
    """What calls a Service calls it there, and so does the API server with webhooks."""
    url = f"http://{sample.NAME}.{sample.NAMESPACE}.svc/livez"
    assert client.said(f"/get?url={url}") == '"alive"'


def test_a_probe_may_ask_over_https(kube_cluster: KubeCluster, sample_pods: SamplePods) -> None:
    """It looks at no certificate, as on every node; the files of a Secret are where they are mounted."""
    authority = create_authority(now=datetime.now(UTC), name="sample")
    pair = issue_serving_pair(authority, names=("sample",), now=datetime.now(UTC))
    secret: JsonObject = {
        "apiVersion": "v1",
        "kind": SECRETS.kind,
        "metadata": {"name": "pair", "namespace": sample.NAMESPACE},
        "stringData": {"tls.crt": pair.cert_pem.decode(), "tls.key": pair.key_pem.decode()},
    }
    kube_cluster.create(SECRETS, secret, namespace=sample.NAMESPACE)
    ask: JsonObject = {"path": "/readyz", "port": sample.PORT, "scheme": "HTTPS"}
    container: JsonObject = {
        **sample.container("/certs/tls.crt", "/certs/tls.key"),
        "readinessProbe": {"httpGet": ask, "periodSeconds": 1},
        "livenessProbe": None,
        "volumeMounts": [
            {"name": "script", "mountPath": "/script"},
            {"name": "certs", "mountPath": "/certs"},
        ],
    }
    volumes: list[JsonValue] = [
        {"name": "script", "configMap": {"name": "script"}},
        {
            "name": "certs",
            "secret": {
                "secretName": "pair",
                "items": [
                    {"key": "tls.crt", "path": "tls.crt"},
                    {"key": "tls.key", "path": "tls.key"},
                ],
            },
        },
    ]
    sample_pods.create("https", {"containers": [container], "volumes": volumes})
    until(lambda: sample_pods.see("https").ready, "it is not ready")
    sample_pods.delete("https")


def test_a_pod_waits_for_its_secret(
    kube_cluster: KubeCluster, sample_pods: SamplePods, runner: Podrunner
) -> None:
    """A Pod whose volume is not there yet starts when it is, without a restart."""
    name, late = "waits", "late"
    volume: JsonObject = {"name": "late", "secret": {"secretName": late}}
    container: JsonObject = {
        "name": "main",
        "image": "lockkeeper:test",
        "args": ["-c", "print(open('/late/word').read())"],
        "volumeMounts": [{"name": "late", "mountPath": "/late"}],
    }
    sample_pods.create(name, {"restartPolicy": "Never", "containers": [container], "volumes": [volume]})
    until(lambda: sample_pods.see(name).waits_for == "ContainerCreating", "the Pod does not wait")
    secret = sample.secret("at last")
    assert isinstance(secret["metadata"], dict)
    secret["metadata"]["name"] = late
    kube_cluster.create(SECRETS, secret, namespace=sample.NAMESPACE)
    until(lambda: sample_pods.phase(name) == "Succeeded", "the Pod does not go on")
    assert runner.log_of(sample.NAMESPACE, name, "main") == "at last\n"
    sample_pods.delete(name)


def test_what_cannot_be_given_is_said_in_the_status(sample_pods: SamplePods, runner: Podrunner) -> None:
    """A probe that nobody makes would leave a Pod ready that is not."""
    container: JsonObject = {
        "name": "main",
        "image": "lockkeeper:test",
        "readinessProbe": {"exec": {"command": ["true"]}},
    }
    sample_pods.create("refused", {"containers": [container]})
    until(lambda: sample_pods.see("refused").waits_for == "CreateContainerConfigError", "it is not refused")
    assert "asks by httpGet and tcpSocket only" in runner.log
    sample_pods.delete("refused")


def test_other_pods_seem_to_run_for_a_while(sample_pods: SamplePods, runner: Podrunner) -> None:
    """Argo's Pods come and go, and its controller sees them end."""
    container: JsonObject = {"name": "main", "image": "busybox", "command": ["no-such-command"]}
    for name, code in (("well", "0"), ("badly", "3")):
        annotations: JsonObject = {SECONDS: "0.2", EXIT_CODE: code}
        spec: JsonObject = {"restartPolicy": "Never", "containers": [container]}
        sample_pods.create(name, spec, labels={"app": "other"}, annotations=annotations)
    until(lambda: sample_pods.phase("well") == "Succeeded", "it does not succeed")
    until(lambda: sample_pods.phase("badly") == "Failed", "it does not fail")
    assert sample_pods.see("badly").status.containers[0].state["terminated"]["exitCode"] == 3
    assert runner.log_of(sample.NAMESPACE, "well", "main") == ""
    for name in ("well", "badly"):
        sample_pods.delete(name)
