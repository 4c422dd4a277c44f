"""A stream of creates that goes on while a test shakes the installation, and what became of each.

Whoever creates here obeys an answer that says when to try again, as kubectl, argo and every client of
Kubernetes' own library do.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from secrets import token_hex
from threading import Event, Lock, Thread
from time import monotonic
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError, TooManyRequests
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata
from tests.patience import PATIENCE

WORKERS: Final = 4
PACE: Final = 0.02
"""Seconds between two creates of one worker: together some hundred a second, which two cores can bear."""


TRIES: Final = 11
"""As often as a client of Kubernetes' own library sends a request that is to be tried again."""
TRY_AGAIN_AFTER: Final = 1.0


class Created(msgspec.Struct, frozen=True):
    """One create: when it was last sent and answered (seconds of the stopwatch), and how it ended.

    `longest` is how long the slowest of its tries took, `tries` how many there were.
    """

    name: str
    sent: float
    answered: float
    governed: bool
    error: str = ""
    longest: float = 0.0
    tries: int = 1


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One try of a create; `again` tells whether the answer says to try again."""

    sent: float
    answered: float
    governed: bool
    error: str = ""
    again: bool = False


class Stored(msgspec.Struct, frozen=True):
    """The part of a stored Workflow that says whether a quota governs it."""

    metadata: Metadata


class Stream:
    """Creates Workflows in a namespace of which a quota governs every one, until it is ended.

    `pace` is the pause of a worker between two creates, in seconds.
    """

    def __init__(self, *, connect: Callable[[], KubeCluster], namespace: str, pace: float = PACE) -> None:
        self._connect = connect
        self._namespace = namespace
        self._pace = pace
        self._prefix = f"stream-{token_hex(3)}"
        self._numbers = count()
        self._lock = Lock()
        self._ended = Event()
        self._pause = Event()
        self._first = Event()
        self._created: list[Created] = []
        self._threads = [Thread(target=self._work, name=f"create-{number}") for number in range(WORKERS)]

    def start(self) -> None:
        """Begin, and wait until the first create was answered."""
        for thread in self._threads:
            thread.start()
        assert self._first.wait(PATIENCE), "no create was answered"

    def end(self) -> None:
        """Send no more, and wait for the last answers."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def created(self) -> list[Created]:
        """What became of each create so far, in the order of their answers."""
        with self._lock:
            return list(self._created)

    @property
    def failed(self) -> list[Created]:
        """The creates that were refused or broke off."""
        return [each for each in self.created if each.error]

    @property
    def ungoverned(self) -> list[Created]:
        """The creates that succeeded past the quota."""
        return [each for each in self.created if not each.error and not each.governed]

    def await_more(self, number: int = 50) -> None:
        """Wait until so many more creates were answered."""
        wanted = len(self.created) + number
        deadline = monotonic() + PATIENCE
        while len(self.created) < wanted:
            assert monotonic() < deadline, "the stream has dried up"
            self._ended.wait(0.05)

    def _work(self) -> None:
        cluster = self._connect()
        try:
            while not self._ended.wait(self._pace):
                self._create(cluster, f"{self._prefix}-{next(self._numbers)}")
        finally:
            cluster.close()

    def _create(self, cluster: KubeCluster, name: str) -> None:
        made = self._try(cluster, name)
        longest, tries = made.answered - made.sent, 1
        while made.again and tries < TRIES:
            self._pause.wait(TRY_AGAIN_AFTER)
            made = self._try(cluster, name)
            longest, tries = max(longest, made.answered - made.sent), tries + 1
        created = Created(name, made.sent, made.answered, made.governed, made.error, longest, tries)
        with self._lock:
            self._created.append(created)
        self._first.set()

    def _try(self, cluster: KubeCluster, name: str) -> Tried:
        sent = monotonic()
        try:
            stored = cluster.create(WORKFLOWS, workflow(name), namespace=self._namespace)
        except ClusterError as failure:
            again = isinstance(failure, TooManyRequests)
            return Tried(sent=sent, answered=monotonic(), governed=False, error=failure.message, again=again)
        governed = well_known.TASKS in (msgspec.convert(stored, Stored).metadata.annotations or {})
        return Tried(sent=sent, answered=monotonic(), governed=governed)


def workflow(name: str) -> JsonObject:
    """Return a small Workflow."""
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name},
        "spec": {
            "entrypoint": "main",
            "templates": [
                {"name": "main", "container": {"image": "busybox:1.37", "command": ["true"]}},
            ],
        },
    }


@contextmanager
def creating(*, connect: Callable[[], KubeCluster], namespace: str, pace: float = PACE) -> Iterator[Stream]:
    """Run a stream while the context lasts; it is ended on leaving, so look at its figures afterwards."""
    stream = Stream(connect=connect, namespace=namespace, pace=pace)
    stream.start()
    try:
        yield stream
    finally:
        stream.end()
