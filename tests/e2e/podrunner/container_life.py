"""The life of one container: started, probed, started again when it ends, and stopped when its Pod goes."""

import asyncio
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from tests.e2e.podrunner.api import Tell
from tests.e2e.podrunner.confinement import Confinement
from tests.e2e.podrunner.container_process import ContainerProcess, StartError, start
from tests.e2e.podrunner.pod_objects import Container, RestartPolicy
from tests.e2e.podrunner.probe_objects import Probe
from tests.e2e.podrunner.probing import Check, check_of, perform, verdicts
from tests.e2e.podrunner.refusals import Refused

_LEAST_GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL that are left however long the hook before took, as on every node."""
_LONGEST_BACK_OFF: Final = 30
"""The longest pause before a new start, in units of the first one."""
_FORGIVEN: Final = 60
"""How long a container has to run to begin with the first pause again, in the same units."""
_RETRY: Final = 0.5


class Waiting(msgspec.Struct, frozen=True):
    """Does not run, for a reason."""

    reason: str
    message: str = ""


class Running(msgspec.Struct, frozen=True):
    """Runs since then."""

    since: datetime


class Ended(msgspec.Struct, frozen=True):
    """Ran, and ended with this code."""

    code: int
    begun: datetime
    ended: datetime
    message: str = ""


State: TypeAlias = Waiting | Running | Ended


class Surroundings(msgspec.Struct, frozen=True):
    """What a container lives in; `back_off` is the first pause between two starts, in seconds.

    `prepare` says how to start it, and raises Refused while that cannot be. `changed` is to be called
    whenever something about the container is different.
    """

    ip: str
    policy: RestartPolicy
    grace: float
    log: Path
    back_off: float
    clock: Callable[[], datetime]
    prepare: Callable[[Container], Confinement]
    changed: Callable[[], None]
    tell: Tell


class ContainerLife:
    """One container of one Pod. What it is like stands in the attributes, for its status."""

    def __init__(self, container: Container, surroundings: Surroundings) -> None:
        self.container = container
        self.state: State = Waiting("ContainerCreating")
        self.last: Ended | None = None
        self.restarts = 0
        self.ready = False
        self.started = False
        self.pid: int | None = None
        self.for_good = False
        """Whether it ended and is not started again."""
        self._around = surroundings
        self._process: ContainerProcess | None = None
        self._ending: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Live until the container has ended for good, or was stopped."""
        pause = 0.0
        while (process := await self._started()) is not None:
            begun = self._around.clock()
            code = await self._lived(process, begun)
            if self._stopping.is_set() or not _again(self._around.policy, code):
                break
            ran = (self._around.clock() - begun).total_seconds()
            unit = self._around.back_off
            pause = 0.0 if ran >= _FORGIVEN * unit else pause
            if pause:
                self.state = Waiting("CrashLoopBackOff", f"back-off {pause:g}s restarting failed container")
                self._around.changed()
            await self._pause(pause)
            pause = min(_LONGEST_BACK_OFF * unit, max(unit, pause * 2))
            self.restarts += 1
        self.for_good = True
        self._around.changed()

    async def stop(self, grace: float) -> None:
        """End the container as its Pod goes: the hook, SIGTERM, and SIGKILL when the grace period is over."""
        self._stopping.set()
        if self._process is not None:
            await self._end(self._process, grace)

    async def kill(self) -> None:
        """End what runs at once, and for good; not a part of its life, but the end of the podrunner's."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
            await self._process.gone()

    async def _started(self) -> ContainerProcess | None:
        """Start the container, as soon as that can be; None when it was stopped before."""
        while not self._stopping.is_set():
            try:
                process = await start(self._around.prepare(self.container), log=self._around.log)
            except Refused as refused:
                self.state = Waiting(refused.reason, refused.message)
            except StartError as error:
                self.state = Waiting("CreateContainerError", error.why)
            else:
                return process
            self._around.tell(f"{self.container.name} does not start: {self.state}")
            self._around.changed()
            await self._pause(_RETRY)
        return None

    async def _lived(self, process: ContainerProcess, begun: datetime) -> int:
        """Accompany a process from its start to its end; return its exit code."""
        self._process, self.pid, self.state = process, process.pid, Running(begun)
        self._around.tell(f"{self.container.name} runs as process {process.pid}")
        self._around.changed()
        process.ended.add_done_callback(lambda _: self._not_ready())
        probing = asyncio.create_task(self._probe(process))
        if self._stopping.is_set():
            process.signal(signal.SIGKILL)
        try:
            await process.gone()
        finally:
            probing.cancel()
            await asyncio.wait([probing])
        code = process.ended.result()
        self._process, self.pid, self.ready, self.started = None, None, False, False
        self.state = self.last = Ended(code, begun, self._around.clock())
        self._around.tell(f"{self.container.name} ended with code {code}")
        self._around.changed()
        return code

    async def _probe(self, process: ContainerProcess) -> None:
        """Find out whether the container has started, is ready, and lives."""
        probed = self.container
        if probed.startup_probe is not None and not await self._starts(probed.startup_probe, process):
            return
        self.started = True
        self.ready = probed.readiness_probe is None
        self._around.changed()
        async with asyncio.TaskGroup() as probes:
            if probed.liveness_probe is not None:
                probes.create_task(self._watch_life(probed.liveness_probe, process))
            if probed.readiness_probe is not None:
                probes.create_task(self._watch_readiness(probed.readiness_probe))

    async def _starts(self, probe: Probe, process: ContainerProcess) -> bool:
        async for well, trouble in verdicts(probe, self._check(probe)):
            if not well and not self._stopping.is_set():
                await self._fail(process, probe, f"startup: {trouble}")
            return well
        return False

    async def _watch_life(self, probe: Probe, process: ContainerProcess) -> None:
        async for well, trouble in verdicts(probe, self._check(probe)):
            if self._stopping.is_set():  # It ends in any case, and in its own time.
                return
            if not well:
                await self._fail(process, probe, f"liveness: {trouble}")
                return

    async def _watch_readiness(self, probe: Probe) -> None:
        async for well, trouble in verdicts(probe, self._check(probe)):
            if self._stopping.is_set():
                return
            if well != self.ready:
                self.ready = well
                self._around.tell(f"{self.container.name} is {'ready' if well else f'not ready: {trouble}'}")
                self._around.changed()

    def _check(self, probe: Probe) -> Check:
        return check_of(probe, self.container, self._around.ip)

    async def _fail(self, process: ContainerProcess, probe: Probe, trouble: str) -> None:
        """End a process that a probe found ill; its container is then started again as after any end."""
        self._around.tell(f"{self.container.name} fails its probe, {trouble}")
        given = probe.termination_grace_period_seconds
        # Another task, because this one ends with the process that it is about.
        self._ending = asyncio.create_task(self._end(process, self._around.grace if given is None else given))
        await asyncio.shield(self._ending)

    async def _end(self, process: ContainerProcess, grace: float) -> None:
        """End a process: hook, SIGTERM, SIGKILL."""
        self._not_ready()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        await self._pre_stop(process, grace)
        process.signal(signal.SIGTERM if grace > 0 else signal.SIGKILL)
        if not await process.gone(within=max(_LEAST_GRACE, deadline - loop.time())):
            self._around.tell(f"{self.container.name} is killed: it ran on after its grace period")
            process.signal(signal.SIGKILL)
            await process.gone()

    async def _pre_stop(self, process: ContainerProcess, grace: float) -> None:
        """Run the hook while the process lives and the grace period lasts."""
        hook = self.container.lifecycle.pre_stop
        if hook is None or grace <= 0:
            return
        doing = asyncio.create_task(perform(hook, self.container, self._around.ip))
        either: tuple[asyncio.Future[str] | asyncio.Future[int], ...] = (doing, process.ended)
        await asyncio.wait(either, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            doing.cancel()
        elif doing.exception() is not None or doing.result():
            trouble = doing.exception() or doing.result()
            self._around.tell(f"{self.container.name}: preStop failed: {trouble}")

    def _not_ready(self) -> None:
        """Take the container out of its Services, at once."""
        self.ready = False
        self._around.changed()

    async def _pause(self, seconds: float) -> None:
        """Wait, unless the container is stopped."""
        waiting = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([waiting], timeout=seconds)
        waiting.cancel()


def _again(policy: RestartPolicy, code: int) -> bool:
    return policy is RestartPolicy.ALWAYS or (policy is RestartPolicy.ON_FAILURE and code != 0)
