"""The page of a cluster in memory, as a browser asks for it, with clocks that a test moves."""

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from lockkeeper.page.app import PageEntry, create_page
from lockkeeper.page.page_server import OWN_HOSTS
from lockkeeper.page.viewers import Viewer
from lockkeeper.page_state.cluster_state import ClusterState
from lockkeeper.page_state.measured_history import RangeQueries
from lockkeeper.page_state.start_times import Background, in_thread
from policy.cluster.protocol import Cluster
from tests.policy.service.reading.read_cluster import Scene

PART = {"HX-Request": "true"}
"""What htmx sends with each request of its own."""


class OpenedPage:
    """A browser at the page of a scene; `faults` are those that the page reported."""

    def __init__(
        self,
        scene: Scene,
        *,
        namespace: str = "",
        cluster: Cluster | None = None,
        cost: Callable[[], float] = lambda: 0.0,
        background: Background = in_thread,
        prometheus: RangeQueries | None = None,
    ) -> None:
        self.seconds = 0.0
        self.faults: list[BaseException] = []
        self._scene = scene

        def make(read: Cluster, shown: str) -> ClusterState:
            return ClusterState(
                cluster=read,
                namespace=shown,
                clock=scene.clock,
                stopwatch=lambda: self.seconds,
                cost=cost,
                background=background,
                prometheus=prometheus,
            )

        viewer = Viewer(cluster=cluster or scene.cluster, make=make, namespace=namespace)
        entry = PageEntry(viewer=lambda _: viewer, hosts=OWN_HOSTS)
        self.app = create_page(entry, clock=scene.clock, bug=self.faults.append)
        self.client: FlaskClient = self.app.test_client()

    def get(self, path: str, **headers: str) -> TestResponse:
        """Ask for a view as a browser does."""
        return self.client.get(path, headers={name.replace("_", "-"): text for name, text in headers.items()})

    def poll(self, path: str, tag: str) -> TestResponse:
        """Ask again as the script does, with the tag of what is shown."""
        return self.client.get(path, headers={**PART, "If-None-Match": f'"{tag}"'})

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds
        self._scene.clock.advance(timedelta(seconds=seconds))

    def text(self, path: str) -> str:
        """Return what a person reads at a path, without markup, on one line."""
        response = self.get(path)
        assert response.status_code == 200, response.text
        return words(response)


def words(response: TestResponse) -> str:
    """Return the text of a page without its markup."""
    text = re.sub(r"</?time[^>]*>", "", response.text)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def tag_of(response: TestResponse) -> str:
    """Return the tag of an answer."""
    tag, _ = response.get_etag()
    assert tag is not None
    return tag
