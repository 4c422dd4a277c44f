"""Whether the API servers are told to trust us: for the readiness of every controller, leader or not."""

from collections.abc import Callable
from threading import Lock
from typing import Final

from lockkeeper.certificates.ca_bundle import Configurations
from lockkeeper.certificates.sources import Certificates
from policy.cluster.errors import ClusterError

LOOK_SECONDS: Final = 1.0
"""Seconds for which an answer is given again; a look is three small reads."""
NOT_SEEN: Final = "the webhook configurations were not read yet"
NO_BUNDLE: Final = "there is no CA bundle yet"


class Glance:
    """Looks when it is asked, at most once a second; while it cannot look it repeats what it saw last.

    `look` is given what was seen last, and returns what is missing.
    """

    def __init__(self, look: Callable[[list[str]], list[str]], *, stopwatch: Callable[[], float]) -> None:
        self._look = look
        self._stopwatch = stopwatch
        self._lock = Lock()
        self._looked_at: float | None = None
        self._answer = [NOT_SEEN]

    def missing(self) -> list[str]:
        """Return what is missing, or nothing."""
        # Who asks while another looks, at an API server that does not answer perhaps, is not kept waiting.
        if self._lock.acquire(blocking=False):
            try:
                now = self._stopwatch()
                if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
                    self._answer = self._look(self._answer)
                    self._looked_at = now
            finally:
                self._lock.release()
        return list(self._answer)


class BundleReadiness:
    """Whether the CA bundle stands in the webhook configurations."""

    def __init__(
        self,
        *,
        certificates: Certificates,
        configurations: Configurations,
        stopwatch: Callable[[], float],
    ) -> None:
        self._certificates = certificates
        self._configurations = configurations
        self._glance = Glance(self._look, stopwatch=stopwatch)

    def missing(self) -> list[str]:
        """Return what the configurations lack, or nothing; one that is not installed lacks nothing."""
        return self._glance.missing()

    def _look(self, last: list[str]) -> list[str]:
        bundle = self._certificates.bundle()
        if not bundle:
            return [NO_BUNDLE]
        try:
            return self._configurations.behind(bundle)
        except ClusterError as error:
            return [f"{NOT_SEEN}: {error.message}"] if last in ([NOT_SEEN], [NO_BUNDLE]) else last
