"""The page as a server, of one who starts it and of all who sign in, over a cluster in memory."""

import ssl
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from lockkeeper.certificates.loopback import ensure_folder
from lockkeeper.page.page_server import PageServer, page_url
from lockkeeper.page_state.measured_history import MeasuredSeries, RangeQueries
from lockkeeper.process.health_port import HealthPort
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, WORKFLOWS
from tests.lockkeeper.page.shared_page import Reached, SharedPage
from tests.policy.core.lock_graph.running import NAMESPACE, mutex, node, running
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import member, pool, quota
from webhook.serving.server import bind

HOSTILE: Final = "<img src=//elsewhere.example/x onerror=alert(1)>"
LONG: Final = "a-user-with-a-very-long-name-" * 4 + "@example.com"
TOKEN: Final = "bea-token"  # noqa: S105 - it opens the page of a test


class Measured:
    """A Prometheus that has seen one quota grow for as long as it is asked about."""

    def series(self, query: str, begin: datetime, end: datetime, step: float) -> Sequence[MeasuredSeries]:
        """Return a line that rises, for what is asked about quotas."""
        if "quota" not in query:
            return ()
        labels = {"kind": "WorkflowQuota", "workflow_namespace": "a", "quota": "main"}
        count = int((end - begin) / timedelta(seconds=step))
        at = begin.timestamp()
        return (MeasuredSeries(labels, tuple((at + step * each, str(each)) for each in range(count + 1))),)


def crowded() -> Scene:
    """Return a pool of two slots that are taken, where many wait, with hostile names, and two deadlocks."""
    made = Scene(
        pool("data", workflows=2), member("a", "data"), member("b", "data"), quota("a", "main", workflows=2)
    )
    for name in ("r1", "r2"):
        made.submit(name)
    made.leader.work()
    for number in range(3, 6):
        made.submit(f"w{number}", user=(HOSTILE, LONG, "ann")[number % 3])
    for number in range(120):
        made.submit(f"b{number}", "b", user="bea", priority=number % 4)
    made.leader.work()
    knot = running("knot", holds={mutex("m"): [""]}, nodes={"n": node(phase="Pending", waiting=mutex("m"))})
    made.cluster.create(WORKFLOWS, knot, namespace=NAMESPACE)
    named = running(
        "named",
        holds={mutex(HOSTILE): [""]},
        nodes={HOSTILE: node(phase="Pending", waiting=mutex(HOSTILE))},
        created=1,
    )
    made.cluster.create(WORKFLOWS, named, namespace=NAMESPACE)
    made.publish()
    return made


@contextmanager
def served(scene: Scene, *, prometheus: RangeQueries | None = None) -> Iterator[str]:
    """Return the address of the page of a scene; it must have no fault of ours until it ends."""
    faults: list[BaseException] = []
    listener = bind("127.0.0.1", 0)
    server = PageServer(
        cluster=scene.cluster,
        namespace="",
        listener=listener,
        clock=scene.clock,
        bug=faults.append,
        prometheus=prometheus,
    )
    server.start()
    try:
        yield page_url(listener)
    finally:
        server.stop()
        scene.cluster.close()
    assert not faults, "".join(traceback.format_exception(faults[0]))


@contextmanager
def served_to_all(scene: Scene, folder: Path) -> Iterator[str]:
    """Return the address of the page where bea signs in with TOKEN, and may see the namespace `b`."""
    bea = Reached(scene.cluster, {"b"}, CLUSTER_WORKFLOW_QUOTAS, user="bea")
    page = SharedPage(scene, {TOKEN: bea})
    ensure_folder(folder, ("localhost",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    listener = bind("127.0.0.1", 0)
    faults: list[BaseException] = []
    port = HealthPort(app=page.app, listener=listener, bug=faults.append, tls=lambda: context)
    port.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}/"
    finally:
        port.stop()
        page.sessions.close()
        scene.cluster.close()
    assert page.faults + faults == []
