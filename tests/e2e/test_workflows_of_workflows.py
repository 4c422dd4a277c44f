"""A Workflow of Workflows on the control plane: parents, children and their children run in one slot.

The real controller runs them where LOCKKEEPER_ARGO_CONTROLLER names one; the executor of the resource
templates is played for both. So every parent has a status as Argo writes it.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import pytest

from policy.cluster.errors import TooManyRequests
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import NAMESPACES, QUOTA_LEDGERS, WORKFLOW_QUOTAS, WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.argo.executing import NotMadeError, executors
from tests.e2e.argo.installing import workflow_controller
from tests.e2e.argo.playing import container, making
from tests.e2e.control_plane import ControlPlane
from tests.e2e.kubectl import Kubectl
from tests.e2e.podrunner.launch import podrunner
from tests.e2e.podrunner.pretending import SECONDS
from tests.e2e.podrunner.run_settings import Image
from tests.e2e.product import Product, product, until
from tests.e2e.relating import ADMINISTRATORS
from tests.policy.cluster.conftest import field, text

pytestmark = pytest.mark.e2e

TASK: Final = 1.0
"""Seconds that a task runs."""
LONG: Final = "600"
"""Seconds that the Pod of an executor may run, which ends when its Workflow does."""
PATIENCE: Final = 90.0


class Place:
    """A namespace with a quota of one Workflow."""

    def __init__(self, cluster: KubeCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def govern(self, on_exceed: str) -> None:
        """Create the quota, and wait until a Workflow without marks would be judged by it."""
        spec: JsonObject = {"limits": {"workflows": 1}, "onExceed": on_exceed}
        metadata: JsonObject = {"name": "one", "namespace": self.namespace}
        obj: JsonObject = {
            "apiVersion": WORKFLOW_QUOTAS.api_version,
            "kind": WORKFLOW_QUOTAS.kind,
            "metadata": metadata,
            "spec": spec,
        }
        self.cluster.create(WORKFLOW_QUOTAS, obj)
        until(self._is_governed, "the quota is not in force")

    def _is_governed(self) -> bool:
        obj = workflow("tried", container("main"))
        with suppress(TooManyRequests):  # The quota came between the two sides of the review.
            return well_known.TASKS in str(
                self.cluster.create(WORKFLOWS, obj, namespace=self.namespace, dry_run=True)
            )
        return False

    def submit(self, obj: JsonObject) -> None:
        """Create a Workflow, and wait until it runs."""
        name = text(obj, "metadata", "name")
        self.cluster.create(WORKFLOWS, obj, namespace=self.namespace)
        until(lambda: self.phase(name) == "Running", f"{name} does not run")

    def get(self, name: str) -> JsonObject:
        """Return a Workflow; {} while there is none."""
        found = self.cluster.list(WORKFLOWS, namespace=self.namespace, name=name).items
        return found[0] if found else {}

    def phase(self, name: str) -> JsonValue:
        """Return the phase of a Workflow."""
        return field(self.get(name), "status", "phase")

    def held(self, name: str) -> bool:
        """Tell whether a Workflow waits for us."""
        return self.label(name, well_known.INSTANCE_ID) == well_known.HOLD_VALUE

    def label(self, name: str, key: str) -> JsonValue:
        """Return a label of a Workflow."""
        labels = field(self.get(name), "metadata", "labels")
        return labels.get(key) if isinstance(labels, dict) else None

    def used(self) -> list[JsonValue]:
        """Return how many Workflows each account of the namespace counts."""
        ledger = self.cluster.get(QUOTA_LEDGERS, f"namespace.{self.namespace}")
        accounts = field(ledger, "status", "accounts")
        found = [each for each in accounts if isinstance(each, dict)] if isinstance(accounts, list) else []
        return [field(each, "usage", "workflows") or 0 for each in found]


def workflow(name: str, *templates: JsonObject, **spec: JsonValue) -> JsonObject:
    """Return a Workflow whose first template is its entry."""
    whole: JsonObject = {"entrypoint": templates[0]["name"], "templates": [*templates], **spec}
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name},
        "spec": whole,
    }


def step(name: str, child: JsonObject) -> JsonObject:
    """Return a template that makes a child and waits for it."""
    return making(name, child, metadata={"annotations": {SECONDS: LONG}})


@pytest.fixture(scope="module")
def running(
    control_plane: ControlPlane,
    kube_cluster: KubeCluster,
    kubectl: Kubectl,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    """Run the product, Argo, the executors of its Pods, and somebody who plays the kubelet."""
    folder = tmp_path_factory.mktemp("workflows")

    def create(obj: JsonObject, namespace: str, user: str) -> str:
        arguments = ("create", "-n", namespace, "-f", "-", "-o", "json", f"--as={user}", ADMINISTRATORS)
        done = kubectl.run(*arguments, text=json.dumps(obj))
        if done.returncode:
            raise NotMadeError(done.stderr)
        return text(json.loads(done.stdout), "metadata", "name")

    with (
        product(control_plane, kube_cluster, folder) as started,
        podrunner(control_plane, folder / "podrunner", Image((sys.executable,)), others_last=TASK),
        workflow_controller(control_plane, kube_cluster, folder),
        executors(kube_cluster, create),
    ):
        yield started


@pytest.fixture
def place(kube_cluster: KubeCluster, running: Product) -> Iterator[Place]:
    """Give a namespace of its own."""
    assert running.port
    made = kube_cluster.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "line-"}}
    )
    name = text(made, "metadata", "name")
    yield Place(kube_cluster, name)
    kube_cluster.delete(NAMESPACES, name)


@pytest.mark.parametrize("on_exceed", ["Queue", "Deny"])
def test_three_levels_run_and_end_in_one_slot(place: Place, on_exceed: str) -> None:
    """Each waits for the one below, and nobody else comes in between."""
    place.govern(on_exceed)
    last = workflow("last", container("main", metadata={"annotations": {SECONDS: "4"}}), parallelism=1)
    middle = workflow("middle", step("main", last), parallelism=1)
    place.submit(workflow("root", step("main", middle), parallelism=2))
    uid = text(place.get("root"), "metadata", "uid")
    until(lambda: place.phase("last") == "Running", "the last of the line does not run")
    assert [place.label(each, well_known.CHILD_OF) for each in ("root", "middle", "last")] == [None, uid, uid]
    assert field(place.get("root"), "status", "nodes")
    until(lambda: place.used() == [1], "more than the root counts, or nobody")
    for name in ("last", "middle", "root"):
        until(lambda name=name: place.phase(name) == "Succeeded", f"{name} does not end", seconds=PATIENCE)  # type: ignore[misc]
    until(lambda: place.used() == [0], "the slot is not given back")


def test_those_of_a_fan_out_who_find_no_room_go_one_after_another(place: Place) -> None:
    """The root has one slot and ten tasks, its children have six each, and a stranger waits for all."""
    place.govern("Queue")
    names = [f"child-{number}" for number in range(3)]
    steps = [step(name, workflow(name, container("main"), parallelism=6)) for name in names]
    tasks: list[JsonValue] = [{"name": name, "template": name} for name in names]
    place.submit(workflow("root", {"name": "main", "dag": {"tasks": tasks}}, *steps, parallelism=10))
    until(lambda: all(place.get(name) for name in names), "they are not all made")
    assert sum(place.label(name, well_known.INSTANCE_ID) != well_known.HOLD_VALUE for name in names) < len(
        names
    )
    stranger = workflow("stranger", container("main"), parallelism=1)
    place.cluster.create(WORKFLOWS, stranger, namespace=place.namespace)
    assert place.held("stranger")
    for name in (*names, "root", "stranger"):
        until(lambda name=name: place.phase(name) == "Succeeded", f"{name} does not end", seconds=PATIENCE)  # type: ignore[misc]
    ends = {name: text(place.get(name), "status", "finishedAt") for name in ("root", "stranger")}
    assert ends["root"] <= ends["stranger"]


def test_who_creates_a_child_by_hand_waits(place: Place) -> None:
    """An owner that runs and has a status is no more anybody's than one without."""
    place.govern("Queue")
    place.submit(
        workflow("root", container("main", metadata={"annotations": {SECONDS: LONG}}), parallelism=5)
    )
    owner: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "name": "root",
        "uid": text(place.get("root"), "metadata", "uid"),
        "controller": True,
    }
    obj = workflow("child", container("main"), parallelism=1)
    metadata: JsonObject = {"name": "child", "ownerReferences": [owner]}
    place.cluster.create(WORKFLOWS, {**obj, "metadata": metadata}, namespace=place.namespace)
    assert place.held("child")
    assert place.label("child", well_known.CHILD_OF) is None
