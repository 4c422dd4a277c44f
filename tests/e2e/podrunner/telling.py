"""Keeps the API server's view of a Pod up to date: it gets the newest one, however many there were."""

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec

from policy.core.objects.json_patch import JsonObject
from tests.e2e.podrunner.api import PODS, Api, Tell, insist
from tests.e2e.podrunner.object_parts import Metadata


class View(msgspec.Struct, frozen=True):
    """What is to be said of a Pod; an annotation of None is taken away."""

    status: JsonObject
    annotations: dict[str, str | None]


class Teller:
    """Tells the server about one Pod; `look` gives the view of this moment."""

    def __init__(self, *, api: Api, pod: Metadata, look: Callable[[], View], tell: Tell) -> None:
        self._api = api
        self._pod = pod
        self._look = look
        self._tell = tell
        self._different = asyncio.Event()
        self._told = asyncio.Event()
        self._last: View | None = None

    def changed(self) -> None:
        """Say that the view is another one."""
        self._told.clear()
        self._different.set()

    async def settled(self) -> None:
        """Wait until the server knows what there is to know."""
        await self._told.wait()

    async def run(self) -> None:
        """Tell every change, until cancelled."""
        while True:
            await self._different.wait()
            self._different.clear()
            view = self._look()
            before, self._last = self._last, view
            what = f"{self._pod.namespace}/{self._pod.name}: status"
            # First who it is and then that it is ready, so that whoever waits for the one has the other.
            if before is None or before.annotations != view.annotations:
                annotate = partial(self._api.annotate, PODS, self._pod, view.annotations)
                await insist(annotate, what=what, tell=self._tell)
            if before is None or before.status != view.status:
                report = partial(self._api.pod_status, self._pod, view.status)
                await insist(report, what=what, tell=self._tell)
            if not self._different.is_set():
                self._told.set()
