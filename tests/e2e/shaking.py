"""What the tests share that shake an installation while a stream of creates goes on."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import Signals
from statistics import median
from time import monotonic
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.protocol import WORKFLOW_QUOTAS, WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.charted import GOVERNED
from tests.e2e.creating import PACE, Created, Stored, Stream, creating, workflow
from tests.e2e.installed import WEBHOOK, Installed
from tests.e2e.podrunner.launch import SeenPod
from tests.e2e.product import until

HEARD_WITHIN: Final = 0.25
"""Seconds until proxy and API server have heard that connections are broken: until then the API server sends
reviews into them."""
CREATES_UNTIL_HEARD: Final = 10
"""The same as a number of creates. Where these take longer than 25 ms the machine has other things to do, and
everybody hears as much later."""
NOT_CALLED: Final = re.compile(r'failed calling webhook "validate\.lockkeeper\.dev"')
NOT_MUTATED: Final = re.compile(
    r'^admission webhook "validate\.lockkeeper\.dev" denied the request: metadata\.\w+: is not as '
    r"Lockkeeper's mutating webhook leaves it: the webhook was away, or another one changed it back\. "
    r"Try again"
)
_UNHELD: Final = f"!{well_known.INSTANCE_ID}"
_IN_A_ROW: Final = 50


class Outage(msgspec.Struct, frozen=True):
    """From when until when something was away, in seconds of the stopwatch."""

    begun: float
    over: float

    def explains(self, create: Created) -> bool:
        """Tell whether a create was under way in that time."""
        return create.sent <= self.over and create.answered >= self.begun


def govern(installed: Installed, namespace: str = GOVERNED, *, workflows: int = 0) -> float:
    """Let a quota govern a namespace in which so many Workflows may run; with 0 all are held.

    Returns, once every replica has shown that it knows it, after how many seconds the last of them did.
    """
    quota: JsonObject = {
        "apiVersion": WORKFLOW_QUOTAS.api_version,
        "kind": WORKFLOW_QUOTAS.kind,
        "metadata": {"name": "few"},
        "spec": {"limits": {"workflows": workflows}},
    }
    begun = monotonic()
    installed.cluster.create(WORKFLOW_QUOTAS, quota, namespace=namespace)
    row, since = 0, begun

    def known() -> bool:
        nonlocal row, since
        row = row + 1 if _is_governed(installed.cluster, namespace) else 0
        if row <= 1:
            since = monotonic()
        return row >= _IN_A_ROW

    until(known, "the quota is not in force")
    return since - begun


@contextmanager
def shaken(installed: Installed, *, namespace: str = GOVERNED, pace: float = PACE) -> Iterator[Stream]:
    """Run a stream of creates while the context lasts; in the end none of them may have passed the quota.

    That is asked of the answers, and of what is stored: a create may be stored although its answer was lost.
    """
    kubeconfig = installed.site.plane.kubeconfig
    with creating(connect=lambda: connect(kubeconfig), namespace=namespace, pace=pace) as stream:
        stream.await_more()
        yield stream
        stream.await_more()
    assert stream.ungoverned == []
    unheld = installed.cluster.list(WORKFLOWS, namespace=namespace, labels=_UNHELD, metadata_only=True)
    assert unheld.items == ()


def stray(stream: Stream, outages: list[Outage]) -> list[Created]:
    """Return the creates that failed although nothing was away; shown as they are when a test fails."""
    usual = median(each.answered - each.sent for each in stream.created if not each.error)
    late = max(0.0, CREATES_UNTIL_HEARD * usual - HEARD_WITHIN)
    felt = [Outage(each.begun, each.over + late) for each in outages]
    return [each for each in stream.failed if not any(outage.explains(each) for outage in felt)]


def unclear(stream: Stream) -> list[str]:
    """Return texts of failures that say neither that the webhook was not reached, nor to try again."""
    errors = [each.error for each in stream.failed]
    return [error for error in errors if not NOT_CALLED.search(error) and not NOT_MUTATED.match(error)]


def try_again(installed: Installed, stream: Stream) -> None:
    """Send every create that failed once more; all of them have to succeed and be governed."""
    for each in stream.failed:
        stored = installed.cluster.create(WORKFLOWS, workflow(each.name), namespace=GOVERNED)
        assert well_known.TASKS in (msgspec.convert(stored, Stored).metadata.annotations or {})


def ready_pods(installed: Installed, deployment: str = WEBHOOK) -> list[SeenPod]:
    """Return the Pods of a Deployment that are ready now."""
    return [pod for pod in installed.pods(deployment) if pod.ready]


def await_ready(installed: Installed, number: int = 2, deployment: str = WEBHOOK) -> None:
    """Wait until a Deployment has this number of Pods, all of them ready, and nothing is left of others."""
    until(
        lambda: len(ready_pods(installed, deployment)) == len(_existing(installed, deployment)) == number,
        f"{deployment} has not {number} ready Pods and no others",
    )


def send(pod: SeenPod, number: Signals) -> None:
    """Send a signal to the process of a Pod, as it was seen; pid 0 would be everybody here."""
    assert pod.pid > 0, f"{pod.name} does not run"
    os.kill(pod.pid, number)


def await_restarted(installed: Installed, before: list[SeenPod], deployment: str = WEBHOOK) -> None:
    """Wait until each of these Pods was started again since then, and is ready."""

    def again() -> bool:
        now = {pod.name: pod for pod in ready_pods(installed, deployment)}
        found = [(pod, now.get(pod.name)) for pod in before]
        return all(
            new is not None and new.restarts > old.restarts and new.pid not in (0, old.pid)
            for old, new in found
        )

    until(again, f"{[pod.name for pod in before]} are not started again")


def struck(blow: Callable[[], object], felt: Callable[[], bool]) -> Outage:
    """Do something and wait until it is noticed; return the time in which it may have caught creates."""
    begun = monotonic()
    blow()
    until(felt, "nobody noticed")
    return Outage(begun, monotonic() + HEARD_WITHIN)


def _existing(installed: Installed, deployment: str) -> list[SeenPod]:
    """Return the Pods of a Deployment, those that are about to end too."""
    return installed.pods(deployment, ending=True)


def _is_governed(cluster: KubeCluster, namespace: str) -> bool:
    try:
        stored = cluster.create(WORKFLOWS, workflow("trial"), namespace=namespace, dry_run=True)
    except ClusterError:
        return False
    return well_known.TASKS in (msgspec.convert(stored, Stored).metadata.annotations or {})
