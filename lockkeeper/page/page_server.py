"""Serves the page on a socket that listens already, and reads now and then for the history."""

import time
from collections.abc import Callable
from datetime import datetime
from socket import socket
from threading import Event, Thread
from typing import Final

from lockkeeper.page.app import create_page
from lockkeeper.page.change_watch import ChangeWatch
from lockkeeper.page.cluster_state import ClusterState
from lockkeeper.process.health_port import HealthPort, PortLimits
from policy.cluster.protocol import Cluster

_LIMITS: Final = PortLimits(connections=64, seconds=30.0)
"""A browser opens six connections at once, and a slow cluster may take seconds for the first answer."""
_SAMPLE_SECONDS: Final = 10.0


def page_url(listener: socket) -> str:
    """Return the address of the page that a socket is for."""
    host, number = listener.getsockname()[:2]
    return f"http://{host}:{number}/"


class PageServer:
    """The page of one cluster, or of one namespace of it; `bug` hears of faults of ours."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        namespace: str,
        listener: socket,
        clock: Callable[[], datetime],
        bug: Callable[[BaseException], None],
    ) -> None:
        self._stopped = Event()
        self._state = ClusterState(
            cluster=cluster,
            namespace=namespace,
            clock=clock,
            stopwatch=time.monotonic,
            cost=time.thread_time,
            changes=lambda kinds: ChangeWatch(cluster=cluster, kinds=kinds, stopped=self._stopped),
        )
        app = create_page(self._state, clock=clock, bug=bug)
        self._port = HealthPort(app=app, listener=listener, bug=bug, limits=_LIMITS)

    def start(self) -> None:
        """Begin to answer."""
        self._port.start()
        Thread(target=self._sample, name="page-history", daemon=True).start()

    def stop(self) -> None:
        """End, after the answers that are under way."""
        self._stopped.set()
        self._port.stop()

    def _sample(self) -> None:
        """Read when nobody asks."""
        while not self._stopped.is_set():
            self._state.view()
            self._stopped.wait(_SAMPLE_SECONDS)
