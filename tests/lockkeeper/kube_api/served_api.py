"""The API over an in-memory cluster, served on loopback, and our own client for it."""

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from lockkeeper.certificates.loopback import loopback_certificate
from lockkeeper.kube_api.describing.kubeconfig import write_kubeconfig
from lockkeeper.kube_api.http_server import KubeApi
from lockkeeper.kube_api.object_requests import ObjectRequests
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import Resource
from policy.core.objects.json_patch import JsonObject


class NoAdmission:
    """Admission that allows everything as it is."""

    def admitted(
        self, _: Resource, obj: JsonObject, **__: JsonObject | str | bool | None
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Return the object."""
        return obj, ()

    def created(self, _: Resource, __: JsonObject, ___: JsonObject) -> None:
        """Do nothing."""


def no_bug(error: BaseException) -> None:
    """Fail: no request of a test may meet a fault of ours."""
    raise AssertionError("a fault of ours") from error


@contextmanager
def served(folder: Path, *, log_size: int = 10_000) -> Iterator[tuple[MemoryCluster, Path]]:
    """Serve an empty cluster; give it, and the kubeconfig that leads to it."""
    memory = MemoryCluster(clock=lambda: datetime.now(UTC), rng=Random(7), log_size=log_size)
    paths, _ = loopback_certificate(folder, "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(paths.cert, paths.key)
    requests = ObjectRequests(cluster=memory, admission=NoAdmission(), clock=lambda: datetime.now(UTC))
    api = KubeApi(host="127.0.0.1", port=0, tls=tls, requests=requests, bug=no_bug)
    kubeconfig = folder / "kubeconfig"
    write_kubeconfig(
        kubeconfig,
        url=f"https://127.0.0.1:{api.port}",
        authority=paths.authority_cert.read_bytes(),
        namespace="default",
    )
    api.start()
    try:
        yield memory, kubeconfig
    finally:
        memory.close()
        api.stop()


@contextmanager
def client(folder: Path) -> Iterator[KubeCluster]:
    """Give our own client of a served cluster."""
    with served(folder) as (_, kubeconfig), closing(connect(kubeconfig)) as cluster:
        yield cluster
