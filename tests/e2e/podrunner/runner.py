"""The podrunner: follows the cluster, and gives each Pod of its nodes to whoever runs it or pretends to."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from threading import Event, Thread
from typing import Final
from urllib.parse import urlsplit

import yaml

from policy.cluster.memory.selector_syntax import parse_selector
from policy.cluster.protocol import CONFIG_MAPS
from tests.e2e.podrunner.api import PODS, SECRETS, SERVICES, Api, reach
from tests.e2e.podrunner.configuration import Configuration
from tests.e2e.podrunner.endpoints import Endpoints
from tests.e2e.podrunner.following import Change, Follower
from tests.e2e.podrunner.hosts import Hosts
from tests.e2e.podrunner.nodes import Nodes, take_block
from tests.e2e.podrunner.pod_dispatch import PodDispatch
from tests.e2e.podrunner.pod_life import Machine
from tests.e2e.podrunner.preparing import Preparing
from tests.e2e.podrunner.pretending import Pretending
from tests.e2e.podrunner.run_settings import READY_FILE, RunSettings
from tests.e2e.podrunner.running_as import can_switch
from tests.e2e.podrunner.services import Services

_THREADS: Final = 16
_FOLLOWED: Final = (CONFIG_MAPS, SECRETS, SERVICES, PODS)


async def run(settings: RunSettings, *, state: Path) -> None:
    """Play kubelet and kube-proxy until standard input is closed; `state` is an empty folder of our own."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_THREADS))
    api, ended = reach(Path(settings.kubeconfig)), Event()
    tell("podrunner starts")
    parts = _parts(settings, api, state)
    await parts.nodes.beat()
    beating = asyncio.create_task(parts.nodes.run())
    serving = asyncio.create_task(parts.serve())
    followers = [
        Follower(cluster=api.cluster, resource=each, loop=loop, hand=parts.hand, ended=ended, tell=tell)
        for each in _FOLLOWED
    ]
    for follower in followers:
        follower.start()
        await follower.first.wait()  # So that Pods find the Secrets and Services that there are.
    await asyncio.to_thread(Path(settings.folder, READY_FILE).touch)
    tell("podrunner is ready")
    await _input_closed(loop)
    tell("podrunner ends")
    ended.set()
    for task in (beating, serving):
        task.cancel()
    await parts.pods.end()
    await asyncio.to_thread(parts.nodes.remove)
    api.cluster.close()


class Parts:
    """The parts of a podrunner, and which change goes to which of them."""

    def __init__(
        self, *, configuration: Configuration, pods: PodDispatch, services: Services, nodes: Nodes
    ) -> None:
        self.pods = pods
        self.nodes = nodes
        self._configuration = configuration
        self._services = services
        self._changed_services: asyncio.Queue[Change] = asyncio.Queue()

    def hand(self, change: Change) -> None:
        """Pass a change on."""
        metadata, obj = change.metadata, change.object
        if change.resource is PODS:
            if obj is None:
                self.pods.pod_is_gone(metadata)
            else:
                self.pods.pod_is(obj)
        elif change.resource is SERVICES:
            self._changed_services.put_nowait(change)
        else:
            self._configure(change)

    async def serve(self) -> None:
        """Take care of Services one after another, until cancelled: what is told of one stays in order."""
        while True:
            change = await self._changed_services.get()
            if change.object is None:
                self._services.service_is_gone(change.metadata.namespace, change.metadata.name)
            else:
                await self._services.service_is(change.object)

    def _configure(self, change: Change) -> None:
        namespace, name, secret = change.metadata.namespace, change.metadata.name, change.resource is SECRETS
        if change.object is None and secret:
            self._configuration.secret_is_gone(namespace, name)
        elif change.object is None:
            self._configuration.config_map_is_gone(namespace, name)
        elif secret:
            self._configuration.secret_is(change.object)
        else:
            self._configuration.config_map_is(change.object)
        self.pods.configuration_changed()


def tell(what: str) -> None:
    """Write one line of the podrunner's own log."""
    sys.stdout.write(f"{utc_now():%H:%M:%S.%f} {what}\n")
    sys.stdout.flush()


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def _parts(settings: RunSettings, api: Api, state: Path) -> Parts:
    """Put everything together."""
    addresses = take_block()
    configuration, endpoints, hosts = Configuration(), Endpoints(), Hosts(state / "hosts")
    scratch = state / "scratch"
    scratch.mkdir()
    preparing = Preparing(
        image=settings.image,
        server=_server(Path(settings.kubeconfig)),
        scratch=scratch,
        hosts=hosts.path,
        configuration=configuration,
        switch=can_switch(),
    )
    machine = Machine(
        api=api,
        preparing=preparing,
        configuration=configuration,
        endpoints=endpoints,
        hosts=hosts,
        logs=Path(settings.folder),
        state=state,
        back_off=settings.back_off,
        clock=utc_now,
        tell=tell,
    )
    pretending = Pretending(
        api=api, node_ip=addresses.node, lasts=settings.others_last, clock=utc_now, tell=tell
    )
    return Parts(
        configuration=configuration,
        pods=PodDispatch(
            machine=machine,
            pretending=pretending,
            addresses=addresses,
            nodes=frozenset(settings.nodes),
            ours=parse_selector(settings.selector),
        ),
        services=Services(api=api, endpoints=endpoints, hosts=hosts, rng=SystemRandom(), tell=tell),
        nodes=Nodes(api=api, names=settings.nodes, address=addresses.node, clock=utc_now, tell=tell),
    )


def _server(kubeconfig: Path) -> tuple[str, str]:
    """Return host and port of the API server, as Pods get them."""
    clusters = yaml.safe_load(kubeconfig.read_bytes())["clusters"]
    address = urlsplit(clusters[0]["cluster"]["server"])
    return address.hostname or "", str(address.port)


async def _input_closed(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until whoever started us closes our standard input, or is gone."""
    closed = asyncio.Event()

    def read() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(closed.set)

    Thread(target=read, name="input", daemon=True).start()
    await closed.wait()
