"""The API over an in-memory cluster, served on loopback, and our own client for it."""

import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from lockkeeper.certificates.loopback import loopback_certificate
from lockkeeper.kube_api.http_server import KubeApi
from lockkeeper.kube_api.kubeconfig import write_kubeconfig
from lockkeeper.kube_api.object_requests import ObjectRequests
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import Resource
from policy.core.objects.json_patch import JsonObject


class PlainWrites:
    """Writes without admission."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._cluster = cluster

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str, dry_run: bool
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Store an object."""
        return self._cluster.create(resource, obj, namespace=namespace, dry_run=dry_run), ()

    def replace(
        self, resource: Resource, before: JsonObject, after: JsonObject, *, dry_run: bool
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Store an object over another."""
        return (before if dry_run else self._cluster.replace(resource, after)), ()

    def apply(
        self, resource: Resource, obj: JsonObject, *, namespace: str, field_manager: str, force: bool
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Apply an object."""
        metadata = obj["metadata"]
        assert isinstance(metadata, dict)
        placed: JsonObject = {**obj, "metadata": {**metadata, "namespace": namespace}}
        return self._cluster.apply(resource, placed, field_manager=field_manager, force=force), ()


def no_bug(error: BaseException) -> None:
    """Fail: no request of a test may meet a fault of ours."""
    raise AssertionError("a fault of ours") from error


@contextmanager
def served(folder: Path) -> Iterator[tuple[MemoryCluster, Path]]:
    """Serve an empty cluster; give it, and the kubeconfig that leads to it."""
    memory = MemoryCluster(clock=lambda: datetime.now(UTC), rng=Random(7))
    paths, _ = loopback_certificate(folder, "127.0.0.1")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(paths.cert, paths.key)
    requests = ObjectRequests(cluster=memory, writes=PlainWrites(memory), clock=lambda: datetime.now(UTC))
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
