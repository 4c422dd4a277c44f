"""Which callers a webhook knows: the secrets in both webhook configurations, read every few seconds.

A call whose secret is not known causes a read at once, or the first reviews after a change of a path would be
refused. Such reads are few, however many calls there are: some at once, and then four a second.
"""

from collections.abc import Callable
from datetime import datetime
from threading import Event, Lock, Thread
from typing import Final

import msgspec

from lockkeeper.process.kubernetes_objects import CONFIGURATIONS
from lockkeeper.secret_paths.configuration_paths import RESOURCE_OF, OwnWebhooks, read
from policy.cluster.errors import ClusterError, NotFound
from policy.cluster.protocol import Cluster, Resource
from policy.core.decision.decision import Side
from webhook.callers import AcceptedSecret, WebhookCall, is_accepted
from webhook.http_errors import NotSynced

_FOLLOW_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.25
"""Between two reads for calls of unknown callers, when there are many."""
_LOOKS_AT_ONCE: Final = 4.0
_WAIT_SECONDS: Final = 1.0
"""For a read that is under way."""
_NOT_READ: Final = "the webhook configurations are not read yet"
Trouble = Callable[[str, ClusterError], object]


class KnownCallers:
    """Knows the secrets of both configurations of one name; what was read last stays until the next read."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        name: str,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        trouble: Trouble,
        follow_seconds: float = _FOLLOW_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._name = name
        self._clock = clock
        self._stopwatch = stopwatch
        self._trouble = trouble
        self._follow_seconds = follow_seconds
        self._reading = Lock()
        self._left, self._counted_at = _LOOKS_AT_ONCE, stopwatch()
        self._synced = Event()
        self._seen: set[Resource] = set()
        self._answered: dict[Side, tuple[AcceptedSecret, ...]] = {}
        self._stopped = Event()

    def start(self) -> None:
        """Begin to follow the configurations."""
        Thread(target=self._follow, name="callers", daemon=True).start()

    def stop(self) -> None:
        """End to follow them, soon."""
        self._stopped.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the configurations were read."""
        return self._synced.wait(seconds)

    def missing(self) -> list[str]:
        """Return why callers cannot be distinguished yet, or nothing."""
        return [] if len(self._seen) == len(CONFIGURATIONS) else [f"{_NOT_READ}: {self._name}"]

    def accepts(self, call: WebhookCall) -> bool:
        """Return whether a call shows the secret of its side, as far as was read."""
        return is_accepted(call.secret, self._answered.get(call.side, ()), self._clock())

    def accepts_after_read(self, call: WebhookCall) -> bool:
        """Return the same after one more read, unless there were too many; all calls wait for it.

        Raises:
            NotSynced: the configurations were not read yet.
        """
        if self._reading.acquire(timeout=_WAIT_SECONDS):
            try:
                if not self.accepts(call) and self._may_read():
                    self.look()
            finally:
                self._reading.release()
        if self.missing():
            raise NotSynced(_NOT_READ)
        return self.accepts(call)

    def look(self) -> None:
        """Read both configurations."""
        for resource in CONFIGURATIONS:
            try:
                found: OwnWebhooks | None = read(self._cluster.get(resource, self._name))
            except NotFound:
                found = None  # The API server calls nothing by it.
            except ClusterError as error:
                self._trouble(f"reading {resource.kind} {self._name}", error)
                continue
            except msgspec.ValidationError:
                continue  # The API server would not have stored it; what was read before stays.
            for side, where in RESOURCE_OF.items():
                if where is resource:
                    self._answered[side] = found.answered(side) if found is not None else ()
            self._seen.add(resource)
        if not self.missing():
            self._synced.set()

    def _may_read(self) -> bool:
        """Return whether one more read is allowed, and count it."""
        now = self._stopwatch()
        self._left = min(_LOOKS_AT_ONCE, self._left + (now - self._counted_at) / LOOK_SECONDS)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _follow(self) -> None:
        while not self._stopped.is_set():
            with self._reading:
                self.look()
            self._stopped.wait(self._follow_seconds if not self.missing() else LOOK_SECONDS)
