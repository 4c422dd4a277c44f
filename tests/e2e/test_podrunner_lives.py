"""What the podrunner does while Pods live and go: probes, restarts, endings, roll-outs, and its own end."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import CONFIG_MAPS, MergePatch
from policy.core.objects.json_patch import JsonObject
from tests.e2e.control_plane import ControlPlane
from tests.e2e.podrunner import sample
from tests.e2e.podrunner.api import PODS, SERVICES
from tests.e2e.podrunner.launch import (
    DEPLOYMENTS,
    Podrunner,
    SeenPod,
    await_rollout,
    podrunner,
    pods,
    service_address,
)
from tests.e2e.podrunner.run_settings import Image
from tests.e2e.podrunner.sample_client import Client, Stream
from tests.e2e.podrunner.sample_pods import SamplePods
from tests.e2e.product import until
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def runner(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Podrunner]:
    """Run a podrunner, and make what the sample needs."""
    image = Image((sys.executable,), user=sample.USER)
    with podrunner(control_plane, tmp_path_factory.mktemp("podrunner"), image, back_off=0.5) as runner:
        sample.prepare_namespace(kube_cluster)
        yield runner


@pytest.fixture(scope="module")
def sample_pods(kube_cluster: KubeCluster, runner: Podrunner) -> SamplePods:
    """Give a way to make Pods of one's own."""
    assert runner.pid
    return SamplePods(kube_cluster)


@pytest.fixture
def settings(kube_cluster: KubeCluster) -> Iterator[None]:
    """Let a test change what the servers answer to probes, and set it right afterwards."""
    yield
    _set(kube_cluster, sample.settings())


def test_a_killed_process_is_started_again_and_gets_no_connection_meanwhile(
    kube_cluster: KubeCluster, runner: Podrunner
) -> None:
    """A test may kill a replica by its id; all that reach the Service from then on reach the other one."""
    with _server(kube_cluster, "killed", replicas=2) as client:
        victim, other = _pods(kube_cluster, "killed")
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda: f"{victim.name}: server ended with code 137" in runner.log, "nobody sees it end")
        assert {client.facts().host for _ in range(50)} == {other.name}

        def back() -> bool:
            return any(
                pod.name == victim.name and pod.restarts == 1 and pod.ready
                for pod in _pods(kube_cluster, "killed")
            )

        until(back, "it does not come back")
        until(lambda: client.facts().host == victim.name, "it gets no connections")
        assert _pods(kube_cluster, "killed")[0].pid != victim.pid
        log = runner.log_of(sample.NAMESPACE, victim.name, "server")
        assert log.splitlines().count("serving") == 2


def test_a_deleted_pod_drains(kube_cluster: KubeCluster, runner: Podrunner) -> None:
    """It gets no new connections at once, answers what it has begun, and goes after its hook."""
    with _server(kube_cluster, "drained", replicas=1) as client:
        (first,) = _pods(kube_cluster, "drained")
        answers: list[str] = []
        slow = Thread(target=lambda: answers.append(client.said("/slow?seconds=3")))
        slow.start()
        until(
            lambda: "slow begins" in runner.log_of(sample.NAMESPACE, first.name, "server"),
            "it does not begin",
        )
        begun = monotonic()
        kube_cluster.delete(PODS, first.name, namespace=sample.NAMESPACE)
        until(lambda: "is to end within 10 s" in runner.log, "the deletion is not seen")
        until(lambda: len(_pods(kube_cluster, "drained")) == 2, "there is no other one")
        until(lambda: _reached(client) not in ("", first.name), "the other one is not reached")
        until(lambda: first.name not in _names(kube_cluster, "drained"), "it does not go")
        slow.join(PATIENCE)
        log = runner.log_of(sample.NAMESPACE, first.name, "server")
        assert answers == ["slow ends"]
        assert log.splitlines() == ["serving", "slow begins", "terminating", "terminated"]
        assert monotonic() - begun >= 1.0


def test_a_process_that_does_not_end_is_killed_after_the_grace_period(
    sample_pods: SamplePods, runner: Podrunner
) -> None:
    """It is process 1 of its Pod, so a SIGTERM that it does not ask for does nothing, as in any container."""
    stubborn: JsonObject = {"name": "main", "image": "any", "args": ["-c", "import time; time.sleep(600)"]}
    spec: JsonObject = {"containers": [stubborn], "terminationGracePeriodSeconds": 3}
    sample_pods.create("stubborn", spec)
    until(lambda: sample_pods.see("stubborn").ready, "it is not ready")
    pid = sample_pods.see("stubborn").pid
    took = sample_pods.delete("stubborn")
    assert took >= 2.9
    assert not Path(f"/proc/{pid}").exists()
    assert "ran on after its grace period" in runner.log


def test_a_container_that_is_not_alive_is_started_again(
    kube_cluster: KubeCluster, runner: Podrunner, settings: None
) -> None:
    """With the hook and the signal first, so that it can leave in order."""
    assert settings is None
    with _server(kube_cluster, "ill", replicas=1):
        (pod,) = _pods(kube_cluster, "ill")
        _set(kube_cluster, sample.settings(alive=False))
        until(lambda: _pods(kube_cluster, "ill")[0].restarts >= 1, "it is not started again")
        _set(kube_cluster, sample.settings())
        until(lambda: _pods(kube_cluster, "ill")[0].ready, "it is not ready again")
        log = runner.log_of(sample.NAMESPACE, pod.name, "server")
        assert log.splitlines()[:4] == ["serving", "terminating", "terminated", "serving"]


def test_a_container_that_is_not_ready_gets_no_connections(
    kube_cluster: KubeCluster, runner: Podrunner, settings: None
) -> None:
    """Without any ready Pod a connection fails at once; the process runs on and comes back."""
    assert settings is None
    with _server(kube_cluster, "flapping", replicas=1) as client:
        (before,) = _pods(kube_cluster, "flapping")
        _set(kube_cluster, sample.settings(ready=False))
        until(lambda: not _pods(kube_cluster, "flapping")[0].ready, "it stays ready")
        with pytest.raises(ConnectionError):
            client.get("/")
        _set(kube_cluster, sample.settings())
        until(lambda: _pods(kube_cluster, "flapping")[0].ready, "it does not become ready")
        (after,) = _pods(kube_cluster, "flapping")
        assert (client.facts().host, after.pid) == (before.name, before.pid)
        assert f"{before.name}: server is not ready: answered 503" in runner.log


def test_a_rolling_update_loses_no_connection(kube_cluster: KubeCluster, runner: Podrunner) -> None:
    """With a hook that waits and a server that drains, clients see nothing of it."""
    assert runner.pid
    with _server(kube_cluster, "rolled", replicas=2) as client:
        stream = Stream(client)
        with stream.running():
            container = sample.container()
            assert isinstance(container["env"], list)
            container["env"][-1] = {"name": "VERSION", "value": "2"}
            change = sample.deployment(name="rolled", replicas=2, container=container)
            kube_cluster.apply(DEPLOYMENTS, change, field_manager="tests", force=True)
            await_rollout(kube_cluster, sample.NAMESPACE, "rolled")
            until(lambda: len(_names(kube_cluster, "rolled")) == 2, "the former Pods stay")
        assert stream.failures == []
        assert len(stream.hosts) > 100
        assert len(set(stream.hosts)) == 4
        assert client.facts().version == "2"


def test_a_container_that_ends_again_and_again_has_to_wait(
    sample_pods: SamplePods, runner: Podrunner
) -> None:
    """The status says so as a kubelet's does."""
    assert runner.pid
    failing: JsonObject = {"name": "main", "image": "any", "args": ["-c", "raise SystemExit(3)"]}
    sample_pods.create("failing", {"containers": [failing]})
    until(lambda: sample_pods.see("failing").waits_for == "CrashLoopBackOff", "it does not wait")
    assert sample_pods.see("failing").restarts >= 1
    sample_pods.delete("failing")


def test_init_containers_run_before_the_others(sample_pods: SamplePods, runner: Podrunner) -> None:
    """They leave in a volume what the others find there."""
    mounts: JsonObject = {"volumeMounts": [{"name": "shared", "mountPath": "/shared"}], "image": "any"}
    write, read = "open('/shared/word', 'w').write('prepared')", "print(open('/shared/word').read())"
    spec: JsonObject = {
        "restartPolicy": "Never",
        "initContainers": [{"name": "first", "args": ["-c", write], **mounts}],
        "containers": [{"name": "main", "args": ["-c", read], **mounts}],
        "volumes": [{"name": "shared", "emptyDir": {}}],
    }
    sample_pods.create("initialised", spec)
    until(lambda: sample_pods.phase("initialised") == "Succeeded", "it does not end")
    assert runner.log_of(sample.NAMESPACE, "initialised", "main") == "prepared\n"
    sample_pods.delete("initialised")


def test_nothing_is_left_of_a_podrunner_that_is_killed(
    control_plane: ControlPlane, sample_pods: SamplePods, tmp_path: Path
) -> None:
    """A broken-off run leaves no process behind, not even children of containers; the next one takes over."""
    forks: JsonObject = {
        "name": "main",
        "image": "any",
        "args": ["-c", "import os, time; os.fork(); os.fork(); time.sleep(600)"],
    }
    image, nodes = Image((sys.executable,)), ("podrunner-c",)
    with podrunner(control_plane, tmp_path, image, nodes=nodes) as doomed:
        spec: JsonObject = {"terminationGracePeriodSeconds": 1, "nodeName": "podrunner-c"}
        sample_pods.create("forks", {"containers": [forks], **spec})
        until(lambda: sample_pods.see("forks").ready, "it is not ready")
        main = sample_pods.see("forks").pid
        until(lambda: len(_descendants(main)) == 4, "it does not fork")
        group = _descendants(main)
        os.kill(doomed.pid, signal.SIGKILL)
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in group), "processes are left")
    with podrunner(control_plane, tmp_path, image, nodes=nodes):
        until(lambda: sample_pods.see("forks").pid not in (0, main), "the next one does not run it")
        sample_pods.delete("forks")


@contextmanager
def _server(cluster: KubeCluster, name: str, *, replicas: int) -> Iterator[Client]:
    """Run the sample under a name, behind a Service; afterwards nothing of it is left."""
    server = sample.deployment(name=name, replicas=replicas, container=sample.container())
    cluster.apply(DEPLOYMENTS, server, field_manager="tests")
    cluster.apply(SERVICES, sample.service(name=name), field_manager="tests")
    try:
        await_rollout(cluster, sample.NAMESPACE, name)
        yield Client(service_address(cluster, sample.NAMESPACE, name, "web"))
    finally:
        cluster.delete(DEPLOYMENTS, name, namespace=sample.NAMESPACE)
        cluster.delete(SERVICES, name, namespace=sample.NAMESPACE)
        until(lambda: not _pods(cluster, name), f"Pods of {name} are left")


def _pods(cluster: KubeCluster, app: str) -> list[SeenPod]:
    return pods(cluster, sample.NAMESPACE, f"app={app}")


def _names(cluster: KubeCluster, app: str) -> list[str]:
    return [pod.name for pod in _pods(cluster, app)]


def _set(cluster: KubeCluster, settings: JsonObject) -> None:
    cluster.patch(CONFIG_MAPS, "settings", MergePatch({"data": settings["data"]}), namespace=sample.NAMESPACE)


def _reached(client: Client) -> str:
    """Return which Pod answers, "" for none."""
    try:
        return client.facts().host
    except OSError:
        return ""


def _descendants(pid: int) -> list[int]:
    """Return a process and all that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _descendants(int(child)))]
