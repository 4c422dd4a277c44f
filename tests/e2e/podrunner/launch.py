"""The podrunner from a test's side: started, and asked through the Kubernetes API and its files."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sys import executable
from typing import Final

import msgspec
import pytest

from policy.cluster.errors import NotFound
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.protocol import Resource
from policy.core.values.prepared import prepare
from tests.e2e.control_plane import ControlPlane
from tests.e2e.podrunner.api import PODS, SERVICES
from tests.e2e.podrunner.object_parts import Metadata
from tests.e2e.podrunner.pod_life import PID
from tests.e2e.podrunner.run_settings import ANNOTATION, NODES, READY_FILE, Image, RunSettings
from tests.e2e.podrunner.running_as import can_switch
from tests.e2e.podrunner.scheduling import await_scheduled
from tests.e2e.processes import Process
from tests.e2e.product import until
from tests.patience import PATIENCE

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")


class Podrunner(msgspec.Struct, frozen=True):
    """One that runs; its own log is `podrunner.log` in the folder."""

    folder: Path
    pid: int

    def log_of(self, namespace: str, pod: str, container: str) -> str:
        """Return all that a container has written, in all its lives; "" before its first."""
        log = self.folder / f"{namespace}_{pod}_{container}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    @property
    def log(self) -> str:
        """What the podrunner itself has written."""
        return (self.folder / "podrunner.log").read_text(errors="replace")


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    """What a test asks of a container."""

    name: str
    ready: bool = False
    restart_count: int = 0
    state: dict[str, dict[str, str | int]] = {}


class PodCondition(msgspec.Struct, frozen=True):
    """One condition of a Pod."""

    type: str
    status: str


class PodStatus(msgspec.Struct, frozen=True, rename={"pod_ip": "podIP", "containers": "containerStatuses"}):
    """What a test asks of a Pod."""

    phase: str = ""
    pod_ip: str = ""
    conditions: tuple[PodCondition, ...] = ()
    containers: tuple[ContainerStatus, ...] = ()


class NodeName(msgspec.Struct, frozen=True, rename="camel"):
    """Where a Pod is."""

    node_name: str = ""


class SeenPod(msgspec.Struct, frozen=True):
    """A Pod as the API server shows it now."""

    metadata: Metadata
    spec: NodeName = NodeName()
    status: PodStatus = PodStatus()

    @property
    def name(self) -> str:
        """Its name."""
        return self.metadata.name

    @property
    def pid(self) -> int:
        """The process id of its first container on this machine; 0 while it does not run."""
        return int(self.metadata.annotations.get(PID, "0"))

    @property
    def ready(self) -> bool:
        """Whether it is ready, and not about to go."""
        return self.metadata.deletion_timestamp is None and any(
            one.type == "Ready" and one.status == "True" for one in self.status.conditions
        )

    @property
    def restarts(self) -> int:
        """How often its containers were started again, all together."""
        return sum(one.restart_count for one in self.status.containers)

    @property
    def waits_for(self) -> str:
        """Why its first container waits, "" where it does not."""
        states = [one.state for one in self.status.containers]
        return str(states[0].get("waiting", {}).get("reason", "")) if states else ""


class Generation(msgspec.Struct, frozen=True):
    """Which version of the spec an object has."""

    generation: int = 0


class Replicas(msgspec.Struct, frozen=True):
    """How many a Deployment is to have."""

    replicas: int = 1


class DeploymentStatus(msgspec.Struct, frozen=True, rename="camel"):
    """How far a Deployment has come."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0


class SeenDeployment(msgspec.Struct, frozen=True):
    """A Deployment as the API server shows it now."""

    metadata: Generation
    spec: Replicas
    status: DeploymentStatus = DeploymentStatus()

    @property
    def rolled_out(self) -> bool:
        """Whether it is as `kubectl rollout status` waits for it to be."""
        done, wanted = self.status, self.spec.replicas
        counts = {done.replicas, done.updated_replicas, done.available_replicas}
        return done.observed_generation >= self.metadata.generation and counts == {wanted}


prepare(SeenPod, SeenDeployment)


@contextmanager
def podrunner(
    plane: ControlPlane,
    folder: Path,
    image: Image,
    *,
    back_off: float = 1.0,
    others_last: float = 1.0,
    nodes: tuple[str, ...] = NODES,
) -> Iterator[Podrunner]:
    """Run a podrunner on a control plane; the folder gets its logs, and those of all containers.

    The scheduler knows its nodes by then, so the Pods of a Deployment spread over them.
    The settings are those of RunSettings. Where this machine has no namespaces for us the test is skipped.

    Raises:
        NotReadyError: it did not come up.
    """
    obstacle = why_not()
    if obstacle:
        pytest.skip(f"Pods cannot be run here: {obstacle}")
    folder.mkdir(parents=True, exist_ok=True)
    settings = RunSettings(
        str(plane.kubeconfig), str(folder), image, back_off=back_off, others_last=others_last, nodes=nodes
    )
    given = folder / "settings.json"
    given.write_bytes(msgspec.json.encode(settings))
    command = [executable, "-m", "tests.e2e.podrunner", str(given)]
    ready = folder / READY_FILE
    ready.unlink(missing_ok=True)
    with Process(command, name="podrunner", log=folder / "podrunner.log") as process:
        process.await_ready(ready.exists)
        _await_nodes(plane, nodes)
        yield Podrunner(folder, process.pid)


def why_not() -> str:
    """Return why no container can be made here, or nothing."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return "this machine has no unshare (util-linux)"
    rights = [] if can_switch() else ["--map-root-user"]
    trial = [unshare, *rights, "--mount", "--pid", "--fork", "--mount-proc", "true"]
    done = subprocess.run(trial, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    return f"a process gets no namespaces of its own: {done.stderr.strip()}" if done.returncode else ""


def _await_nodes(plane: ControlPlane, nodes: tuple[str, ...]) -> None:
    cluster = connect(plane.kubeconfig)
    try:
        await_scheduled(cluster, nodes)
    finally:
        cluster.close()


def pods(cluster: KubeCluster, namespace: str, labels: str = "") -> list[SeenPod]:
    """Return the Pods of a namespace that a label selector picks, by name."""
    items = cluster.list(PODS, namespace=namespace, labels=labels).items
    return sorted((msgspec.convert(item, SeenPod) for item in items), key=lambda pod: pod.name)


def await_rollout(
    cluster: KubeCluster, namespace: str, deployment: str, *, seconds: float = PATIENCE
) -> float:
    """Wait until a Deployment is rolled out, as `kubectl rollout status` does; return how long it took."""

    def done() -> bool:
        found = cluster.get(DEPLOYMENTS, deployment, namespace=namespace)
        return msgspec.convert(found, SeenDeployment).rolled_out

    return until(done, f"Deployment {namespace}/{deployment} is not rolled out", seconds=seconds)


def service_address(
    cluster: KubeCluster, namespace: str, service: str, port: str, *, seconds: float = PATIENCE
) -> tuple[str, int]:
    """Return where on 127.0.0.1 a port of a Service is; one without a name is called by its number."""
    found: dict[str, str] = {}

    def known() -> bool:
        try:
            metadata = cluster.get(SERVICES, service, namespace=namespace)["metadata"]
        except NotFound:
            return False
        found.update(msgspec.convert(metadata, Metadata).annotations)
        return ANNOTATION + port in found

    until(known, f"Service {namespace}/{service} has no address for {port}", seconds=seconds)
    host, _, number = found[ANNOTATION + port].rpartition(":")
    return host, int(number)
