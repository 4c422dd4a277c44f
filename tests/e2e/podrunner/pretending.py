"""Pods that get no process: they seem to run for a while and then to have ended, as their controller expects.

Annotations of a Pod say for how long (`podrunner.lockkeeper.dev/seconds`) and with which exit code
(`podrunner.lockkeeper.dev/exit-code`). There is no output, no probe,
and nothing of what the containers would do.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.podrunner.api import Api, Tell, insist
from tests.e2e.podrunner.pod_objects import Pod
from tests.e2e.podrunner.pod_status import FAILED, RUNNING, SUCCEEDED, stamp
from tests.e2e.podrunner.run_settings import ANNOTATION

SECONDS: Final = f"{ANNOTATION}seconds"
EXIT_CODE: Final = f"{ANNOTATION}exit-code"
_IN_A_BYTE: Final = 256


class Pretending:
    """Pretends to run Pods; `lasts` is for how many seconds where a Pod does not say."""

    def __init__(
        self, *, api: Api, node_ip: str, lasts: float, clock: Callable[[], datetime], tell: Tell
    ) -> None:
        self._api = api
        self._node_ip = node_ip
        self._lasts = lasts
        self._clock = clock
        self._tell = tell
        self._addresses = 0

    async def run(self, pod: Pod, deleted: asyncio.Event) -> None:
        """Pretend to run one Pod until its deletion has begun, and then delete its object for good."""
        if not pod.finished:
            await self._act(pod, deleted)
        await deleted.wait()
        forget = partial(self._api.forget, pod.metadata)
        await insist(forget, what=f"{pod.key}: deletion", tell=self._tell)

    async def _act(self, pod: Pod, deleted: asyncio.Event) -> None:
        begun = self._clock()
        ip = self._next_address()
        running: JsonObject = {"running": {"startedAt": stamp(begun)}}
        await self._say(pod, _status(pod, RUNNING, running, ip=ip, node_ip=self._node_ip, begun=begun))
        seconds = float(pod.metadata.annotations.get(SECONDS, self._lasts))
        waiting = asyncio.create_task(deleted.wait())
        await asyncio.wait([waiting], timeout=seconds)
        waiting.cancel()
        code = int(pod.metadata.annotations.get(EXIT_CODE, "0"))
        ended: JsonObject = {
            "terminated": {
                "exitCode": code,
                "reason": "Completed" if code == 0 else "Error",
                "startedAt": stamp(begun),
                "finishedAt": stamp(self._clock()),
            }
        }
        phase = SUCCEEDED if code == 0 else FAILED
        await self._say(pod, _status(pod, phase, ended, ip=ip, node_ip=self._node_ip, begun=begun))

    async def _say(self, pod: Pod, status: JsonObject) -> None:
        report = partial(self._api.pod_status, pod.metadata, status)
        await insist(report, what=f"{pod.key}: status", tell=self._tell)

    def _next_address(self) -> str:
        """Return an address that nobody listens on; there is no end of them."""
        self._addresses += 1
        low = self._addresses % _IN_A_BYTE
        middle = self._addresses // _IN_A_BYTE % _IN_A_BYTE
        return f"10.1.{middle}.{low}"


def _status(pod: Pod, phase: str, state: JsonObject, *, ip: str, node_ip: str, begun: datetime) -> JsonObject:
    ready = phase == RUNNING
    conditions: list[JsonValue] = [
        {"type": name, "status": "True" if holds else "False", "lastTransitionTime": stamp(begun)}
        for name, holds in (("Initialized", True), ("ContainersReady", ready), ("Ready", ready))
    ]
    done: JsonObject = {"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": stamp(begun)}}

    def container(name: str, image: str, state: JsonObject, *, ready: bool) -> JsonValue:
        return {
            "name": name,
            "image": image,
            "imageID": image,
            "ready": ready,
            "started": ready,
            "restartCount": 0,
            "state": state,
        }

    spec = pod.spec
    return {
        "phase": phase,
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "hostIP": node_ip,
        "startTime": stamp(begun),
        "conditions": conditions,
        "initContainerStatuses": [
            container(each.name, each.image, done, ready=True) for each in spec.init_containers
        ],
        "containerStatuses": [
            container(each.name, each.image, state, ready=ready) for each in spec.containers
        ],
    }
