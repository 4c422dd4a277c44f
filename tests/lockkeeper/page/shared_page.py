"""The page for all who sign in, over a cluster in memory: each token is somebody with rights of their own."""

from collections.abc import Mapping
from datetime import timedelta

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lockkeeper.page.app import PageEntry, create_page
from lockkeeper.page.rate_limit import RateLimit
from lockkeeper.page.sessions import ClosableCluster, Sessions
from lockkeeper.page.sign_in import SignIn
from lockkeeper.page.viewers import Viewer
from lockkeeper.page_state.cluster_state import ClusterState
from policy.cluster.errors import Unauthorized
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import Cluster, Resource
from policy.core.objects.json_patch import JsonObject
from tests.policy.service.reading.read_cluster import RightsIn, Scene

HOST = "queues.example"
FROM_HERE = {"Sec-Fetch-Site": "same-origin"}
"""What a browser sends with a form of this page."""


class Reached(RightsIn):
    """The cluster as the bearer of one token reaches it; the API server may stop to know the token."""

    def __init__(self, inner: MemoryCluster, namespaces: set[str], *also: Resource, user: str) -> None:
        super().__init__(inner, namespaces, *also)
        self.user = user
        self.known = True
        self.asked = 0
        self.closed = 0

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        """Tell who asks, where the token is known."""
        self.asked += 1
        if not self.known:
            raise Unauthorized("Unauthorized (HTTP 401)")
        return super().create(resource, obj, namespace=namespace, dry_run=dry_run)

    def close(self) -> None:
        """Count that it was closed."""
        self.closed += 1


class SharedPage:
    """Browsers at the page; `tokens` are those that the cluster knows, and `later` lets time pass."""

    def __init__(self, scene: Scene, tokens: Mapping[str, Reached]) -> None:
        self.seconds = 0.0
        self.faults: list[BaseException] = []
        self._scene = scene
        self._tokens = tokens
        self._stranger = Reached(scene.cluster, set(), user="")
        self._stranger.known = False
        self.sessions = Sessions(connect=self._connect, make=self._viewer, stopwatch=lambda: self.seconds)
        sign_in = SignIn(self.sessions)
        entry = PageEntry(viewer=sign_in.viewer, hosts=(HOST, "localhost"), sign_in=sign_in)
        self.app = create_page(entry, clock=scene.clock, bug=self.faults.append)

    def browser(self) -> FlaskClient:
        """Return a browser that has been nowhere."""
        return self.app.test_client()

    def get(self, path: str, token: str = "", **headers: str) -> TestResponse:
        """Ask as a proxy does that sends the token of its user."""
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        return self.browser().get(path, headers=sent, base_url=f"https://{HOST}")

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self._scene.clock.advance(timedelta(seconds=seconds))

    def _connect(self, token: str) -> ClosableCluster:
        return self._tokens.get(token, self._stranger)

    def _viewer(self, cluster: Cluster, name: str, fresh: RateLimit) -> Viewer:
        return Viewer(cluster=cluster, make=self._state, name=name, fresh=fresh)

    def _state(self, cluster: Cluster, namespace: str) -> ClusterState:
        return ClusterState(
            cluster=cluster,
            namespace=namespace,
            clock=self._scene.clock,
            stopwatch=lambda: self.seconds,
            cost=lambda: 0.0,
        )


def signed_in(page: SharedPage, token: str, **fields: str) -> tuple[FlaskClient, TestResponse]:
    """Return a browser that has sent the form, and what it was answered."""
    browser = page.browser()
    answer = browser.post(
        "/sign-in", data={"token": token, **fields}, headers=FROM_HERE, base_url=f"https://{HOST}"
    )
    return browser, answer
