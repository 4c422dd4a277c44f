"""The Services of the cluster, as kube-proxy has them: their cluster addresses lead to Pods that are ready.

Each port of a Service with a selector is served at the Service's own address, and at a free port of 127.0.0.1
for those who may reach nothing else. The latter is told by an annotation with the port's name.
"""

import asyncio
from functools import partial
from random import Random
from typing import Final

import msgspec

from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare
from tests.e2e.podrunner.api import SERVICES, Api, Tell, insist
from tests.e2e.podrunner.endpoints import Endpoints
from tests.e2e.podrunner.hosts import Hosts
from tests.e2e.podrunner.object_parts import Metadata
from tests.e2e.podrunner.proxy import Address, listen
from tests.e2e.podrunner.run_settings import ANNOTATION

REFUSED: Final = f"{ANNOTATION}refused"
"""The annotation that says why a Service is not served at its own address."""
_LOOPBACK: Final = "127.0.0.1"
_HEADLESS: Final = ("", "None")
_DOMAIN: Final = "cluster.local"


class ServicePort(msgspec.Struct, frozen=True, rename="camel"):
    """One port of a Service."""

    port: int
    name: str = ""
    target_port: int | str = 0
    protocol: str = "TCP"

    @property
    def called(self) -> str:
        """Its name, or its number where it has none."""
        return self.name or str(self.port)


class ServiceSpec(
    msgspec.Struct,
    frozen=True,
    rename={
        "cluster_ip": "clusterIP",
        "unready": "publishNotReadyAddresses",
    },
):
    """What a Service is to be."""

    selector: dict[str, str] | None = None
    ports: tuple[ServicePort, ...] = ()
    cluster_ip: str = ""
    unready: bool = False


class Service(msgspec.Struct, frozen=True):
    """A Service."""

    metadata: Metadata
    spec: ServiceSpec


prepare(Service)


class Services:
    """Serves all Services; the order of what is told about one is kept."""

    def __init__(self, *, api: Api, endpoints: Endpoints, hosts: Hosts, rng: Random, tell: Tell) -> None:
        self._api = api
        self._endpoints = endpoints
        self._hosts = hosts
        self._rng = rng
        self._tell = tell
        self._served: dict[tuple[str, str], tuple[ServiceSpec, list[asyncio.Server]]] = {}

    async def service_is(self, obj: JsonObject) -> None:
        """Serve a Service as it is now."""
        service = msgspec.convert(obj, Service)
        key = service.metadata.namespace, service.metadata.name
        before, servers = self._served.get(key, (None, []))
        if before == service.spec or not service.spec.selector:
            return
        _close(servers)
        await self._serve(service)

    def service_is_gone(self, namespace: str, name: str) -> None:
        """Serve a Service no more; connections that there are go on."""
        _, servers = self._served.pop((namespace, name), (None, []))
        self._hosts.remove(f"{namespace}/{name}")
        _close(servers)

    async def _serve(self, service: Service) -> None:
        metadata, spec = service.metadata, service.spec
        servers: list[asyncio.Server] = []
        self._served[metadata.namespace, metadata.name] = spec, servers
        said: dict[str, str | None] = {}
        if spec.cluster_ip not in _HEADLESS:
            short = f"{metadata.name}.{metadata.namespace}"
            names = (f"{short}.svc", f"{short}.svc.{_DOMAIN}", short)
            self._hosts.put(f"{metadata.namespace}/{metadata.name}", spec.cluster_ip, *names)
        for port in spec.ports:
            if port.protocol != "TCP":
                continue
            pick = partial(self._pick, metadata.namespace, spec, port)
            spare = await listen(_LOOPBACK, 0, pick)
            servers.append(spare)
            said[ANNOTATION + port.called] = f"{_LOOPBACK}:{spare.sockets[0].getsockname()[1]}"
            if spec.cluster_ip in _HEADLESS:
                continue
            try:
                servers.append(await listen(spec.cluster_ip, port.port, pick))
            except OSError as error:
                said[REFUSED] = f"{spec.cluster_ip}:{port.port}: {error}"
                self._tell(f"{metadata.namespace}/{metadata.name} is not served at its address: {error}")
        annotate = partial(self._api.annotate, SERVICES, metadata, said)
        await insist(annotate, what=f"{metadata.namespace}/{metadata.name}: address", tell=self._tell)

    def _pick(self, namespace: str, spec: ServiceSpec, port: ServicePort) -> Address | None:
        """Choose the Pod for a new connection."""
        target = port.target_port or port.port
        candidates = self._endpoints.addresses(namespace, spec.selector or {}, target, unready=spec.unready)
        return self._rng.choice(candidates) if candidates else None


def _close(servers: list[asyncio.Server]) -> None:
    for server in servers:
        server.close()
