"""Serves the page on a socket that listens already: of one viewer, or of all who sign in."""

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from socket import socket
from ssl import SSLContext
from threading import Event, Thread
from typing import Final, TypeAlias

from lockkeeper.page.app import PageEntry, create_page
from lockkeeper.page.rate_limit import RateLimit
from lockkeeper.page.sessions import ClosableCluster, Sessions
from lockkeeper.page.sign_in import SignIn
from lockkeeper.page.viewers import Viewer
from lockkeeper.page_state.change_watch import ChangeWatch, Kinds
from lockkeeper.page_state.cluster_state import ClusterState
from lockkeeper.page_state.last_read import ReadingShare
from lockkeeper.page_state.measured_history import RangeQueries
from lockkeeper.process.health_port import HealthPort, PortLimits
from policy.cluster.protocol import Cluster

Bug: TypeAlias = Callable[[BaseException], None]
_LIMITS: Final = PortLimits(connections=64, seconds=30.0)
"""A browser opens six connections at once, and a slow cluster may take seconds for the first answer."""
_SHARED_LIMITS: Final = PortLimits(connections=256, request=32 * 1024, seconds=15.0)
"""The same for many browsers; a request may have a long token in its head, or in the form."""
_SAMPLE_SECONDS: Final = 10.0
OWN_HOSTS: Final = ("localhost", "127.0.0.1")
"""Names by which a browser reaches a page on its own machine; a foreign site could let another lead here."""


def page_url(listener: socket) -> str:
    """Return the address of the page that a socket is for."""
    host, number = listener.getsockname()[:2]
    return f"http://{host}:{number}/"


class PageServer:
    """The page of one cluster for whoever started it, or of one namespace; `bug` hears of faults of ours."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        namespace: str,
        listener: socket,
        clock: Callable[[], datetime],
        bug: Bug,
        prometheus: RangeQueries | None = None,
    ) -> None:
        self._stopped = Event()
        states = _states(clock, ReadingShare(), prometheus)
        self._viewer = Viewer(cluster=cluster, make=states, namespace=namespace)
        app = create_page(PageEntry(viewer=lambda _: self._viewer, hosts=OWN_HOSTS), clock=clock, bug=bug)
        self._port = HealthPort(app=app, listener=listener, bug=bug, limits=_LIMITS)

    def start(self) -> None:
        """Begin to answer."""
        self._port.start()
        Thread(target=self._sample, name="page-history", daemon=True).start()

    def stop(self) -> None:
        """End, after the answers that are under way."""
        self._stopped.set()
        self._port.stop()
        self._viewer.close()

    def _sample(self) -> None:
        """Read when nobody asks, so that the history has no gaps."""
        state = self._viewer.state(self._viewer.namespace)
        while not self._stopped.is_set():
            state.view()
            self._stopped.wait(_SAMPLE_SECONDS)


class SharedPageServer:
    """The page of a cluster for all who have a token of it; `connect` reaches the cluster with one.

    `hosts` are the names by which browsers may ask; `namespace` is what is shown where none is chosen.
    """

    def __init__(
        self,
        *,
        connect: Callable[[str], ClosableCluster],
        namespace: str,
        listener: socket,
        tls: Callable[[], SSLContext],
        hosts: tuple[str, ...],
        clock: Callable[[], datetime],
        bug: Bug,
        prometheus: RangeQueries | None = None,
    ) -> None:
        states = _states(clock, ReadingShare(lambda: len(self._sessions)), prometheus)

        def make(cluster: Cluster, name: str, fresh: RateLimit) -> Viewer:
            return Viewer(cluster=cluster, make=states, name=name, namespace=namespace, fresh=fresh)

        self._sessions = Sessions(connect=connect, make=make, stopwatch=time.monotonic)
        sign_in = SignIn(self._sessions)
        app = create_page(
            PageEntry(viewer=sign_in.viewer, hosts=hosts, sign_in=sign_in), clock=clock, bug=bug
        )
        self._port = HealthPort(app=app, listener=listener, bug=bug, limits=_SHARED_LIMITS, tls=tls)

    def start(self) -> None:
        """Begin to answer."""
        self._port.start()

    def stop(self) -> None:
        """End, after the answers that are under way."""
        self._port.stop()
        self._sessions.close()


def _states(
    clock: Callable[[], datetime], share: ReadingShare, prometheus: RangeQueries | None
) -> Callable[[Cluster, str], ClusterState]:
    """Return what makes the state of a namespace."""

    def watch(cluster: Cluster, kinds: Kinds, stopped: Event) -> ChangeWatch:
        return ChangeWatch(cluster=cluster, kinds=kinds, stopped=stopped)

    def make(cluster: Cluster, namespace: str) -> ClusterState:
        return ClusterState(
            cluster=cluster,
            namespace=namespace,
            clock=clock,
            stopwatch=time.monotonic,
            cost=time.thread_time,
            changes=partial(watch, cluster),
            share=share,
            prometheus=prometheus,
        )

    return make
