"""Conditions on policies of a real API server: kubectl shows whether a policy is in force, and why not."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Final

import msgspec
import pytest

from lockkeeper.assembly.cluster_policies import ClusterPolicies
from lockkeeper.process.console import utc_now
from policy.cluster.errors import ClusterError
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    NAMESPACES,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    JsonPatch,
    MergePatch,
    Resource,
)
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp
from policy.service.status.conditions import WrittenCondition
from tests.e2e.control_plane import ControlPlane
from tests.e2e.kubectl import AWHILE, Kubectl
from tests.e2e.product import until
from tests.patience import PATIENCE
from tests.policy.cluster.conftest import field, text
from tests.policy.wrong_policies import RESOURCES
from webhook.logs import Log

pytestmark = pytest.mark.e2e

WRONG: Final[JsonObject] = {"validate": {"keyPattern": "^[a-z"}}
"""CEL cannot tell that this is no regular expression."""
RIGHT: Final[JsonObject] = {"validate": {"keyPattern": "^[a-z]+$"}}


class Leader:
    """A process of ours that leads: it follows the policies and writes their conditions."""

    def __init__(self, plane: ControlPlane) -> None:
        self._cluster = connect(plane.kubeconfig)
        self.troubles: list[str] = []
        self.lines: list[bytes] = []
        log = Log(write=self.lines.append, clock=utc_now)
        self.policies = ClusterPolicies(cluster=self._cluster, argo=DEFAULT_VERSION, log=log)
        self._writer = self.policies.status_writer(self._note)
        self.policies.on_verdicts(self._writer.wake)
        self.policies.snapshots.on_usage(self._writer.wake)
        self._thread = Thread(target=self._writer.run, name="policy-status", daemon=True)

    def start(self) -> None:
        """Lead, once all policies are known."""
        self.policies.start()
        assert self.policies.wait(PATIENCE)
        self._thread.start()

    def stop(self) -> None:
        """Stop to lead."""
        self._writer.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self.policies.stop()
        self._cluster.close()

    def _note(self, doing: str, error: ClusterError) -> None:
        self.troubles.append(f"{doing}: {error.message}")


@contextmanager
def leading(plane: ControlPlane) -> Iterator[Leader]:
    """Lead for the length of the block."""
    leader = Leader(plane)
    leader.start()
    try:
        yield leader
    finally:
        leader.stop()


@pytest.fixture
def leader(control_plane: ControlPlane) -> Iterator[Leader]:
    """Give a leader."""
    with leading(control_plane) as made:
        yield made


@pytest.fixture
def namespace(kube_cluster: KubeCluster) -> Iterator[str]:
    """Give a new namespace, deleted afterwards."""
    made = kube_cluster.create(
        NAMESPACES,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "conditions-"}},
    )
    name = text(made, "metadata", "name")
    yield name
    kube_cluster.delete(NAMESPACES, name)


def add(
    cluster: KubeCluster, resource: Resource, name: str, spec: JsonObject, namespace: str = ""
) -> JsonObject:
    """Create a policy."""
    obj: JsonObject = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name},
        "spec": spec,
    }
    return cluster.create(resource, obj, namespace=namespace)


def stands(
    cluster: KubeCluster, resource: Resource, name: str, namespace: str = ""
) -> dict[str, WrittenCondition]:
    """Return the conditions of a policy by type."""
    found: JsonValue = field(cluster.get(resource, name, namespace=namespace), "status", "conditions")
    return {each.type: each for each in msgspec.convert(found or [], list[WrittenCondition])}


def every_policy(cluster: KubeCluster) -> list[JsonObject]:
    """Return all policies there are, also those that other tests have left."""
    return [item for resource in RESOURCES.values() for item in cluster.list(resource).items]


def all_stand(cluster: KubeCluster) -> bool:
    """Tell whether every policy has a status about its present generation."""
    return all(
        field(item, "status", "observedGeneration") == field(item, "metadata", "generation")
        for item in every_policy(cluster)
    )


def versions(cluster: KubeCluster) -> dict[str, str]:
    """Return the version of every policy by its uid."""
    return {
        text(item, "metadata", "uid"): text(item, "metadata", "resourceVersion")
        for item in every_policy(cluster)
    }


def unmoved(before: dict[str, str], after: dict[str, str]) -> None:
    """Check that no policy was written; those of namespaces that are being deleted may go."""
    assert {uid: after.get(uid, version) for uid, version in before.items()} == before


def test_a_wrong_policy_that_the_api_server_lets_pass_says_what_is_wrong_until_it_is_mended(
    kube_cluster: KubeCluster, kubectl: Kubectl, leader: Leader, namespace: str
) -> None:
    """Ready is False with the field, the reason and the generation; an edit makes it True."""
    add(kube_cluster, SYNCHRONIZATION_POLICIES, "locks", WRONG, namespace)
    wait = ("-n", namespace, "wait", AWHILE)
    kubectl.said(*wait, "--for=condition=Ready=False", "sp/locks")
    found = stands(kube_cluster, SYNCHRONIZATION_POLICIES, "locks", namespace)
    assert (found["Ready"].reason, found["Ready"].observed_generation) == ("NotInForce", 1)
    assert found["Ready"].message.startswith("it is wrong, and nothing of it is in force: ")
    assert "spec.validate.keyPattern: is not a usable pattern: missing ]" in found["Ready"].message
    assert found["Invalid"].status == "True"
    assert kubectl.said("-n", namespace, "get", "sp", "locks").splitlines()[1].split()[:2] == [
        "locks",
        "False",
    ]
    kube_cluster.patch(SYNCHRONIZATION_POLICIES, "locks", MergePatch({"spec": RIGHT}), namespace=namespace)
    kubectl.said(*wait, "--for=condition=Ready", "sp/locks")
    mended = stands(kube_cluster, SYNCHRONIZATION_POLICIES, "locks", namespace)
    assert (mended["Ready"].reason, mended["Ready"].observed_generation) == ("InForce", 2)
    assert mended["Invalid"].status == "False"
    kube_cluster.patch(SYNCHRONIZATION_POLICIES, "locks", MergePatch({"spec": WRONG}), namespace=namespace)
    kubectl.said(*wait, "--for=condition=Ready=False", "sp/locks")
    again = stands(kube_cluster, SYNCHRONIZATION_POLICIES, "locks", namespace)["Ready"]
    assert again.reason == "LastGoodInForce"
    assert "generation 2 of it stays in force" in again.message
    assert leader.troubles == []


def test_kubectl_waits_for_a_quota_and_shows_it_in_a_column(
    kube_cluster: KubeCluster, kubectl: Kubectl, leader: Leader, namespace: str
) -> None:
    """What a script does after `kubectl apply`."""
    add(kube_cluster, WORKFLOW_QUOTAS, "etl", {"limits": {"workflows": 3}}, namespace)
    said = kubectl.said("-n", namespace, "wait", "--for=condition=Ready", "wfq/etl", AWHILE)
    assert "condition met" in said
    header, line = kubectl.said("-n", namespace, "get", "wfq", "etl").splitlines()
    ready = header.index("READY")
    assert line[ready:].split()[0] == "True"
    assert (
        field(kube_cluster.get(WORKFLOW_QUOTAS, "etl", namespace=namespace), "status", "observedGeneration")
        == 1
    )
    assert leader.troubles == []


def test_nothing_is_written_while_nothing_changes_and_not_by_the_next_leader_either(
    kube_cluster: KubeCluster, control_plane: ControlPlane, namespace: str
) -> None:
    """Each policy is written once: neither labels, nor our own writes, nor who leads next move a version."""
    specs: dict[str, JsonObject] = {"good": RIGHT, "bad": WRONG}
    for name, spec in specs.items():
        add(kube_cluster, SYNCHRONIZATION_POLICIES, name, spec, namespace)

    def fence(name: str) -> None:
        """Wait for the conditions of one policy more, and by that for a pass over all the others."""
        add(kube_cluster, SYNCHRONIZATION_POLICIES, name, RIGHT, namespace)
        until(lambda: all_stand(kube_cluster), "no conditions")

    with leading(control_plane) as first:
        until(lambda: all_stand(kube_cluster), "no conditions")
        labels = MergePatch({"metadata": {"labels": {"a": "b"}}})
        kube_cluster.patch(SYNCHRONIZATION_POLICIES, "bad", labels, namespace=namespace)
        before = versions(kube_cluster)
        fence("fence-1")
        fence("fence-2")
        unmoved(before, versions(kube_cluster))
        assert first.troubles == []
    before = versions(kube_cluster)
    with leading(control_plane) as second:
        fence("fence-3")
        fence("fence-4")
        unmoved(before, versions(kube_cluster))
        assert second.troubles == []


def test_what_was_judged_wrong_before_a_leader_came_is_written_by_it(
    kube_cluster: KubeCluster, control_plane: ControlPlane, namespace: str
) -> None:
    """Also where the status is about an older generation, or was tampered with."""
    with leading(control_plane):
        add(kube_cluster, SYNCHRONIZATION_POLICIES, "locks", RIGHT, namespace)
        until(
            lambda: "Ready" in stands(kube_cluster, SYNCHRONIZATION_POLICIES, "locks", namespace),
            "no conditions",
        )
    since = stands(kube_cluster, SYNCHRONIZATION_POLICIES, "locks", namespace)
    tampered = JsonPatch((PatchOp(Op.REPLACE, "/status/conditions/0/message", "all is well"),))
    kube_cluster.patch(SYNCHRONIZATION_POLICIES, "locks", tampered, namespace=namespace, subresource="status")
    kube_cluster.patch(SYNCHRONIZATION_POLICIES, "locks", MergePatch({"spec": WRONG}), namespace=namespace)

    def found() -> dict[str, WrittenCondition]:
        return stands(kube_cluster, SYNCHRONIZATION_POLICIES, "locks", namespace)

    with leading(control_plane):
        until(lambda: found()["Ready"].status == "False", "the new leader does not write")
    assert found()["Ready"].observed_generation == 2
    assert found()["Conflicting"].last_transition_time == since["Conflicting"].last_transition_time
    assert found()["Invalid"].status == "True"


def test_two_pools_that_want_one_namespace_are_told_who_has_it(
    kube_cluster: KubeCluster, kubectl: Kubectl, leader: Leader, namespace: str
) -> None:
    """The older one wins, and when it goes the other one hears that."""
    selector: JsonObject = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    older = f"{namespace}-1"
    younger = f"{namespace}-2"
    for name in (older, younger):
        add(kube_cluster, CLUSTER_WORKFLOW_QUOTAS, name, {"namespaceSelector": selector})
    try:
        kubectl.said("wait", "--for=condition=Conflicting", f"cwfq/{younger}", AWHILE)
        found = stands(kube_cluster, CLUSTER_WORKFLOW_QUOTAS, younger)
        assert (
            f"ClusterWorkflowQuota {older} is the oldest pool that selects namespace"
            in found["Conflicting"].message
        )
        assert found["Ready"].status == "True"
        kube_cluster.delete(CLUSTER_WORKFLOW_QUOTAS, older)
        kubectl.said("wait", "--for=condition=Conflicting=False", f"cwfq/{younger}", AWHILE)
    finally:
        kube_cluster.delete(CLUSTER_WORKFLOW_QUOTAS, younger)
    assert leader.troubles == []


def test_many_policies_at_once_are_written_within_the_bound_and_stand(
    kube_cluster: KubeCluster, leader: Leader, namespace: str
) -> None:
    """Forty policies: all of them, one write each."""
    for index in range(40):
        add(kube_cluster, WORKFLOW_QUOTAS, f"q{index}", {"limits": {"workflows": index}}, namespace)

    def done() -> bool:
        items = kube_cluster.list(WORKFLOW_QUOTAS, namespace=namespace).items
        return all(field(item, "status", "observedGeneration") == 1 for item in items)

    until(done, "not all are written")
    assert leader.troubles == []
