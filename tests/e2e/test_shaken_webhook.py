"""The webhook's replicas change, go, die and hang while Workflows are created all the time.

What is done in order costs nothing: no create fails and none passes its quota. A replica that dies takes the
reviews on its connections with it, because the API server does not send a review twice; these creates fail,
and may be tried again. In no case is a create let past.
"""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

import msgspec
import pytest

from policy.core.objects.json_patch import JsonObject
from tests.e2e.charted import NAMESPACE
from tests.e2e.creating import Stream
from tests.e2e.installed import WEBHOOK, Installed, installation
from tests.e2e.kubectl import AWHILE
from tests.e2e.podrunner.launch import SeenPod
from tests.e2e.product import until
from tests.e2e.shaking import (
    Outage,
    await_ready,
    await_restarted,
    govern,
    ready_pods,
    send,
    shaken,
    stray,
    struck,
    try_again,
    unclear,
)

pytestmark = pytest.mark.e2e

SETTINGS = (
    "webhook.preStopSeconds=2",
    "webhook.terminationGracePeriodSeconds=6",
    "controller.preStopSeconds=1",
)
"""Ends of Pods are not waited for as long as on real nodes, where endpoints take their time."""
BACK_OFF = 0.1
"""Nor are starts after one another put off as long."""
REFUSED = (
    "Error from server (TooManyRequests): Cannot evict pod as it would violate the pod's disruption budget.\n"
)
KILLS = 4
CALM = 0.05
"""The pace of a stream that goes on for long."""
TIME_OUT = 2.0
"""That of the mutating webhook, the shorter one."""
LONGEST_CREATE = 7.0
"""The time-outs of both webhooks together."""
SPARE = 7.0
"""What else a create may take on a machine that is busy."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give an installation with a namespace in which a quota holds everything."""
    with installation(tmp_path_factory.mktemp("shaken-webhook"), *SETTINGS, back_off=BACK_OFF) as installed:
        govern(installed)
        yield installed


def test_a_roll_out_and_its_undoing_fail_no_create(installed: Installed) -> None:
    """Helm changes the Pods, and kubectl changes them back; each time all of them are replaced."""
    names = {pod.name for pod in installed.pods(WEBHOOK)}
    with shaken(installed, pace=CALM) as stream:
        installed.release.upgrade(*SETTINGS, "webhook.podAnnotations.changed=once")
        for turn in (lambda: None, lambda: _kubectl(installed, "rollout", "undo", f"deployment/{WEBHOOK}")):
            turn()
            _kubectl(installed, "rollout", "status", f"deployment/{WEBHOOK}", AWHILE)
            await_ready(installed)
            now = {pod.name for pod in installed.pods(WEBHOOK)}
            assert not names & now
            names = now
    assert stream.failed == []


def test_scaling_up_and_down_fails_no_create(installed: Installed) -> None:
    """One replica is enough as long as it lives."""
    with shaken(installed, pace=CALM) as stream:
        for number in (4, 1, 2):
            _kubectl(installed, "scale", f"deployment/{WEBHOOK}", f"--replicas={number}")
            await_ready(installed, number)
            stream.await_more()
    assert stream.failed == []


def test_deleting_one_pod_after_the_other_fails_no_create(installed: Installed) -> None:
    """Kubectl waits until each has ended; the other one goes on answering."""
    with shaken(installed) as stream:
        for pod in installed.pods(WEBHOOK):
            _kubectl(installed, "delete", "pod", pod.name)
            await_ready(installed)
    assert stream.failed == []


def test_of_two_evictions_at_once_the_second_is_refused(installed: Installed) -> None:
    """The disruption budget keeps one replica, and tells whoever evicts to try again."""
    with shaken(installed) as stream:
        first, second = (_evict(installed, pod) for pod in installed.pods(WEBHOOK))
        assert (first, second) == ("", REFUSED)
        await_ready(installed)
    assert stream.failed == []


def test_draining_the_node_of_all_replicas_fails_no_create(installed: Installed) -> None:
    """Kubectl drain evicts them as the budget allows; the others are on the other node by then."""
    nodes = ("podrunner-a", "podrunner-b")
    with shaken(installed, pace=CALM) as stream:
        for node in nodes:
            _drain(installed, node)
            await_ready(installed)
            assert not any(pod.spec.node_name == node for pod in installed.pods(WEBHOOK))
            _kubectl(installed, "uncordon", node)
    assert stream.failed == []


def test_a_killed_replica_fails_only_creates_that_were_under_way(installed: Installed) -> None:
    """Again and again, at different moments; whoever tries again succeeds, and nobody gets past the quota."""
    outages: list[Outage] = []
    with shaken(installed) as stream:
        for turn in range(KILLS):
            victim = ready_pods(installed)[turn % 2]
            outages.append(_killed(installed, victim))
            stream.await_more(turn * 5)
            await_restarted(installed, [victim])
    assert stray(stream, outages) == []
    assert unclear(stream) == []
    try_again(installed, stream)


def test_without_any_replica_creates_are_refused_until_one_is_back(installed: Installed) -> None:
    """Both are killed at once: nothing passes meanwhile, and all is well as soon as one of them is ready."""
    with shaken(installed) as stream:
        victims = ready_pods(installed)
        outages = [_killed(installed, victim) for victim in victims]
        until(lambda: bool(ready_pods(installed)), "no replica comes back")
        away = Outage(outages[0].begun, monotonic())
        await_restarted(installed, victims)
    assert stray(stream, [away]) == []
    assert unclear(stream) == []
    assert stream.failed
    try_again(installed, stream)


def test_a_killed_worker_process_is_replaced_without_a_restart_of_its_container(installed: Installed) -> None:
    """The reviews that it was answering are lost; those that come meanwhile wait for its successor."""
    outages: list[Outage] = []
    restarts = [pod.restarts for pod in installed.pods(WEBHOOK)]
    with shaken(installed) as stream:
        for turn in range(KILLS):
            master = installed.pods(WEBHOOK)[turn % 2].pid
            (worker,) = _children(master)
            outages.append(struck(partial(os.kill, worker, signal.SIGKILL), partial(_is_gone, worker)))
            until(partial(_has_children, master), "it is not replaced")
            stream.await_more()
    assert stray(stream, outages) == []
    assert unclear(stream) == []
    assert [pod.restarts for pod in installed.pods(WEBHOOK)] == restarts
    try_again(installed, stream)


def test_a_replica_that_hangs_delays_and_refuses_until_probes_find_out(installed: Installed) -> None:
    """Each create that it is asked about takes its time-outs; then it is asked no more, and is started again.

    With the chart's probes it is left out after 15 seconds at most, and killed after half a minute and the
    grace period. No create takes longer than the time-outs of both webhooks. The API server keeps its
    connections, so it is the replica that it asks which has to hang.
    """
    with shaken(installed, pace=CALM) as stream:
        victim = _asked(installed, stream)
        processes = [victim.pid, *_children(victim.pid)]
        hang = struck(
            lambda: _signal(processes, signal.SIGSTOP),
            lambda: not _is_ready(installed, victim),
        )
        assert [pod.restarts for pod in _now(installed, victim)] == [victim.restarts]
        await_restarted(installed, [victim])
    assert stray(stream, [hang]) == []
    assert unclear(stream) == []
    assert any(each.error or each.longest >= TIME_OUT for each in stream.created)
    assert max(each.longest for each in stream.created) < LONGEST_CREATE + SPARE
    try_again(installed, stream)


def _asked(installed: Installed, stream: Stream) -> SeenPod:
    """Return the replica that is asked about most of the next creates, by what it logs."""
    pods = ready_pods(installed)
    before = [len(installed.log(pod.name)) for pod in pods]
    stream.await_more()
    grown = [len(installed.log(pod.name)) - size for pod, size in zip(pods, before, strict=True)]
    assert max(grown) > 0
    return pods[grown.index(max(grown))]


def _kubectl(installed: Installed, *arguments: str) -> str:
    return installed.site.kubectl.said("-n", NAMESPACE, *arguments)


def _evict(installed: Installed, pod: SeenPod) -> str:
    """Evict a Pod as a drain does; return what kubectl complains about."""
    eviction: JsonObject = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod.name}/eviction"
    text = msgspec.json.encode(eviction).decode()
    return installed.site.kubectl.run("create", "--raw", path, "-f", "-", text=text).stderr


def _drain(installed: Installed, node: str) -> None:
    options = ("--ignore-daemonsets", "--delete-emptydir-data", AWHILE)
    installed.site.kubectl.said("drain", node, *options)


def _killed(installed: Installed, victim: SeenPod) -> Outage:
    """Kill a replica; it is away from then on, and nobody is sent there once it is known not to be ready."""
    return struck(lambda: send(victim, signal.SIGKILL), lambda: not _is_ready(installed, victim))


def _is_ready(installed: Installed, pod: SeenPod) -> bool:
    """Tell whether a Pod is still what it was; one that was started again since is not."""
    return any(now.ready and now.restarts == pod.restarts for now in _now(installed, pod))


def _now(installed: Installed, pod: SeenPod) -> list[SeenPod]:
    return [now for now in installed.pods(WEBHOOK) if now.name == pod.name]


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        os.kill(process, number)


def _is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def _has_children(pid: int) -> bool:
    return bool(_children(pid))


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
