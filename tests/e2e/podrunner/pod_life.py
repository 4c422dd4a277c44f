"""The life of one Pod on our nodes, from its volumes to the last word about it."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from tests.e2e.podrunner.api import Api, Tell, insist
from tests.e2e.podrunner.configuration import Configuration
from tests.e2e.podrunner.confinement import Confinement
from tests.e2e.podrunner.container_life import ContainerLife, Surroundings, Waiting
from tests.e2e.podrunner.endpoints import Backend, Endpoints
from tests.e2e.podrunner.hosts import Hosts
from tests.e2e.podrunner.pod_fields import Place
from tests.e2e.podrunner.pod_objects import Container, Pod
from tests.e2e.podrunner.pod_status import PodStatusWriter
from tests.e2e.podrunner.pod_volumes import PodVolumes
from tests.e2e.podrunner.preparing import Preparing
from tests.e2e.podrunner.refusals import Refused
from tests.e2e.podrunner.run_settings import ANNOTATION
from tests.e2e.podrunner.telling import Teller, View
from tests.e2e.podrunner.tokens import PodTokens
from tests.e2e.podrunner.volume_files import Sources

PID: Final = f"{ANNOTATION}pid"
"""The annotation with the process id of the first container; that of another has `.NAME` added."""


class Machine(msgspec.Struct, frozen=True):
    """What all Pods share: where their logs and their state go, and whom to tell."""

    api: Api
    preparing: Preparing
    configuration: Configuration
    endpoints: Endpoints
    hosts: Hosts
    logs: Path
    state: Path
    back_off: float
    clock: Callable[[], datetime]
    tell: Tell


class PodLife:
    """One Pod that gets processes."""

    def __init__(self, pod: Pod, *, place: Place, machine: Machine) -> None:
        self._pod = pod
        self._place = place
        self._machine = machine
        self._stopping: asyncio.Task[None] | None = None
        self._deleted = asyncio.Event()
        tell, clock = machine.tell, machine.clock
        tokens = PodTokens(api=machine.api, pod=pod, clock=clock, tell=tell)
        self._volumes = PodVolumes(
            folder=machine.state / "pods" / pod.metadata.uid,
            sources=Sources(pod, place, machine.configuration, tokens),
            tokens=tokens,
            switch=machine.preparing.switch,
            tell=tell,
        )
        self._first = [ContainerLife(each, self._around(each)) for each in pod.spec.init_containers]
        self._main = [ContainerLife(each, self._around(each)) for each in pod.spec.containers]
        self._status = PodStatusWriter(pod=pod, place=place, begun=clock())
        self._teller = Teller(api=machine.api, pod=pod.metadata, look=self._view, tell=tell)

    async def run(self) -> None:
        """Live until the Pod's object is deleted."""
        metadata = self._pod.metadata
        telling = asyncio.create_task(self._teller.run())
        self._machine.hosts.put(metadata.uid, self._place.pod_ip, metadata.name)
        self._changed()
        try:
            await self._live()
            self._changed()
            await self._teller.settled()
            await self._deleted.wait()
            forget = partial(self._machine.api.forget, metadata)
            await insist(forget, what=f"{self._pod.key}: deletion", tell=self._machine.tell)
        finally:
            telling.cancel()
            self._machine.endpoints.remove(metadata.uid)
            self._machine.hosts.remove(metadata.uid)
            self._volumes.remove()

    def update(self, pod: Pod) -> None:
        """Take note of how the object is now: the Pod goes when a deletion has begun."""
        self._pod = pod
        self._volumes.pod_is(pod)
        if pod.metadata.deletion_timestamp is not None:
            given = pod.metadata.deletion_grace_period_seconds
            self.stop(pod.spec.termination_grace_period_seconds if given is None else given)
        self._tell_endpoints()

    def stop(self, grace: float) -> None:
        """Let the Pod go; from this moment on it gets no new connections."""
        if self._stopping is None:
            self._machine.tell(f"{self._pod.key} is to end within {grace:g} s")
            self._stopping = asyncio.create_task(self._stop(grace))
            self._changed()

    async def kill(self) -> None:
        """End all processes; `run` has to be cancelled before."""
        await asyncio.gather(*(life.kill() for life in (*self._first, *self._main)))

    def configuration_changed(self) -> None:
        """Look at the volumes again."""
        self._volumes.changed.set()

    async def _live(self) -> None:
        """Run the containers: the init containers one after another, then the others together."""
        if not await self._volumes_made():
            return
        keeping = asyncio.create_task(self._volumes.keep())
        try:
            for life in self._first:
                await life.run()
                if life.last is None or life.last.code != 0:
                    return
            if self._stopping is None:
                await asyncio.gather(*(life.run() for life in self._main))
        finally:
            keeping.cancel()

    async def _volumes_made(self) -> bool:
        """Make the volumes as soon as that can be; tell whether it was before the Pod went."""
        while self._stopping is None:
            try:
                await self._volumes.make()
            except Refused as refused:
                self._machine.tell(f"{self._pod.key} has to wait: {refused.message}")
                for life in (*self._first, *self._main):
                    life.state = Waiting("ContainerCreating", refused.message)
                self._changed()
                await self._volumes.wait()
            else:
                return True
        return False

    async def _stop(self, grace: float) -> None:
        self._volumes.changed.set()
        await asyncio.gather(*(life.stop(grace) for life in (*self._first, *self._main)))
        self._deleted.set()

    def _around(self, container: Container) -> Surroundings:
        metadata, spec, machine = self._pod.metadata, self._pod.spec, self._machine
        log = machine.logs / f"{metadata.namespace}_{metadata.name}_{container.name}.log"
        return Surroundings(
            ip=self._place.pod_ip,
            policy=spec.restart_policy,
            grace=spec.termination_grace_period_seconds,
            log=log,
            back_off=machine.back_off,
            clock=machine.clock,
            prepare=self._confinement,
            changed=self._changed,
            tell=lambda what: machine.tell(f"{self._pod.key}: {what}"),
        )

    def _confinement(self, container: Container) -> Confinement:
        return self._machine.preparing.confinement(self._pod, container, self._place, self._volumes)

    def _changed(self) -> None:
        """Pass on that something is different: to the Services at once, to the API server soon."""
        self._tell_endpoints()
        self._teller.changed()

    def _tell_endpoints(self) -> None:
        metadata = self._pod.metadata
        ports = [port for container in self._pod.spec.containers for port in container.ports]
        backend = Backend(
            namespace=metadata.namespace,
            labels=metadata.labels,
            ip=self._place.pod_ip,
            ports={port.name: port.container_port for port in ports if port.name},
            ready=self._stopping is None and all(life.ready for life in self._main),
        )
        self._machine.endpoints.put(metadata.uid, backend)

    def _view(self) -> View:
        status = self._status.status(
            self._first, self._main, stopping=self._stopping is not None, now=self._machine.clock()
        )
        annotations: dict[str, str | None] = {}
        for index, life in enumerate(self._main):
            name = f"{PID}.{life.container.name}" if index else PID
            annotations[name] = None if life.pid is None else str(life.pid)
        return View(status, annotations)
