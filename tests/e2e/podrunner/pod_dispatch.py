"""Which Pod is run by whom: ours as processes, the others in pretence, those of other nodes by nobody."""

import asyncio
from collections.abc import Coroutine

import msgspec

from policy.core.objects.json_patch import JsonObject
from policy.core.objects.label_selectors import Predicate
from tests.e2e.podrunner.nodes import Addresses
from tests.e2e.podrunner.object_parts import Metadata
from tests.e2e.podrunner.pod_fields import Place
from tests.e2e.podrunner.pod_life import Machine, PodLife
from tests.e2e.podrunner.pod_objects import Pod
from tests.e2e.podrunner.pretending import Pretending


class PodDispatch:
    """Keeps what became of each Pod, by its uid."""

    def __init__(
        self,
        *,
        machine: Machine,
        pretending: Pretending,
        addresses: Addresses,
        nodes: frozenset[str],
        ours: Predicate,
    ) -> None:
        self._machine = machine
        self._pretending = pretending
        self._addresses = addresses
        self._nodes = nodes
        self._ours = ours
        self._lives: dict[str, PodLife] = {}
        self._others: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def pod_is(self, obj: JsonObject) -> None:
        """Take note of a Pod."""
        pod = msgspec.convert(obj, Pod)
        uid = pod.metadata.uid
        if pod.spec.node_name not in self._nodes:
            return
        if uid not in self._lives and uid not in self._others:
            self._take(pod)
        if uid in self._lives:
            self._lives[uid].update(pod)
        elif uid in self._others and pod.metadata.deletion_timestamp is not None:
            self._others[uid].set()

    def pod_is_gone(self, metadata: Metadata) -> None:
        """End whatever is left of a Pod whose object is gone."""
        if metadata.uid in self._lives:
            self._lives[metadata.uid].stop(0)
        if metadata.uid in self._others:
            self._others[metadata.uid].set()

    def configuration_changed(self) -> None:
        """Let every Pod look at its volumes."""
        for life in self._lives.values():
            life.configuration_changed()

    async def end(self) -> None:
        """End all processes, and say no more to anybody."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(life.kill() for life in self._lives.values()))

    def _take(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        if self._ours(pod.metadata.labels) and not pod.finished:
            ip = self._addresses.take()
            place = Place(pod_ip=ip, node_ip=self._addresses.node)
            self._lives[uid] = life = PodLife(pod, place=place, machine=self._machine)
            self._start(pod, self._run(life, uid, ip))
        else:
            self._others[uid] = deleted = asyncio.Event()
            self._start(pod, self._pretend(pod, deleted))

    async def _run(self, life: PodLife, uid: str, ip: str) -> None:
        await life.run()
        self._addresses.give_back(ip)
        del self._lives[uid]

    async def _pretend(self, pod: Pod, deleted: asyncio.Event) -> None:
        await self._pretending.run(pod, deleted)
        del self._others[pod.metadata.uid]

    def _start(self, pod: Pod, life: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(life, name=pod.key)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Say of a task that broke why; its Pod stays as it is."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._machine.tell(f"{task.get_name()}: the podrunner is broken: {error!r}")
            raise error
