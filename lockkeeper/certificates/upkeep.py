"""What the leading controller does about certificates: renew them, and keep every caBundle right.

A pass reads, writes the bundle into the webhook configurations, and only then takes the next step in the life
of the certificates. It is made whenever a configuration changes, and every few seconds because the Secret is
read, not watched: reading one Secret needs the fewest rights, and nothing about it is urgent.
"""

from collections.abc import Callable
from datetime import datetime
from threading import Event, Thread
from typing import Final

from certs.stores import StoreError
from lockkeeper.certificates.ca_bundle import CONFIGURATIONS, Configurations, Placed
from lockkeeper.certificates.metrics import CertificateReporter, Doing
from lockkeeper.certificates.sources import Certificates
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import EventType, Resource
from policy.core.backoff import backoff

PASS_SECONDS: Final = 5.0
"""Without any change a pass is made this often."""
FIRST_DELAY: Final = 1.0
LAST_DELAY: Final = 60.0
"""Seconds between passes that fail: the first, doubled each time up to the last. A change of a configuration
does not wait for that: what can be put right is."""
GAP_SECONDS: Final = 0.2
"""Seconds between two passes at least, should somebody else write the same fields as fast as we do."""
WATCH_SECONDS: Final = 60.0
RETRY_SECONDS: Final = 1.0
STEPS_AT_ONCE: Final = 8
"""Steps after which a pass ends in any case; two are usual."""


class CertificateUpkeep:
    """Runs until it is stopped; one replica at a time, the leader, does this."""

    def __init__(
        self,
        *,
        certificates: Certificates,
        configurations: Configurations,
        clock: Callable[[], datetime],
        reporter: CertificateReporter,
        pass_seconds: float = PASS_SECONDS,
    ) -> None:
        self._certificates = certificates
        self._configurations = configurations
        self._clock = clock
        self._reporter = reporter
        self._pass_seconds = pass_seconds
        self._wake = Event()
        self._stopped = Event()
        self._failures = 0
        self._bundle = b""
        self._state: tuple[tuple[str, int], ...] = ()
        self._since: datetime | None = None

    def run(self) -> None:
        """Work until stopped."""
        for resource in CONFIGURATIONS:
            name = f"watch-{resource.plural}"
            Thread(target=self._follow, args=(resource,), name=name, daemon=True).start()
        while not self._stopped.is_set():
            self._wake.clear()
            good = self.make_pass()
            self._failures = 0 if good else self._failures + 1
            self._wait()

    def stop(self) -> None:
        """End the work; the watches end with their next event or time-out."""
        self._stopped.set()
        self._wake.set()

    def make_pass(self) -> bool:
        """Put the bundle in place and take every step that is due; tell whether all went well."""
        try:
            for _ in range(STEPS_AT_ONCE):
                good = self._place()
                if not self._certificates.renew(self._in_place_since):
                    return good
        except (StoreError, ValueError) as error:
            self._reporter.failed(Doing.RENEW, str(error))
        except Exception as error:  # noqa: BLE001 - a bug here must not let certificates expire in silence
            self._reporter.failed(Doing.RENEW, f"{type(error).__name__}: {error}")
        return False

    def _wait(self) -> None:
        """Wait for a change, or some time, which after failures is longer."""
        delay = backoff(self._failures, first=FIRST_DELAY, last=LAST_DELAY)
        self._wake.wait(delay if self._failures else self._pass_seconds)
        self._stopped.wait(GAP_SECONDS)

    def _place(self) -> bool:
        """Write the bundle where it is not, and note since when it is everywhere."""
        bundle = self._certificates.bundle()
        if not bundle:
            self._since = None
            return True
        placed = self._configurations.put(bundle)
        for where in placed.written:
            self._reporter.put(where)
        for problem in (*placed.absent, *placed.problems):
            self._reporter.failed(Doing.INJECT, problem)
        self._note(bundle, placed)
        return not placed.problems

    def _note(self, bundle: bytes, placed: Placed) -> None:
        """Begin to count anew where the bundle is another, or somebody touched a configuration."""
        if placed.problems:
            self._since = None
        elif self._since is None or (bundle, placed.state) != (self._bundle, self._state):
            self._since = self._clock()
        self._bundle, self._state = bundle, placed.state

    def _in_place_since(self, bundle: bytes) -> datetime | None:
        return self._since if bundle and bundle == self._bundle else None

    def _follow(self, resource: Resource) -> None:
        """Wake the passes at every change of a configuration, and after every gap in watching it.

        After an error a new list comes first, so an API server that is away wakes nobody.
        """
        while not self._stopped.is_set():
            try:
                self._watch(resource)
            except ClusterError as error:
                self._reporter.failed(Doing.READ, f"watching {resource.plural}: {error.message}")
                self._stopped.wait(RETRY_SECONDS)

    def _watch(self, resource: Resource) -> None:
        cluster, name = self._configurations.cluster, self._configurations.name
        version = cluster.list(resource, name=name, metadata_only=True).resource_version
        self._wake.set()
        while not self._stopped.is_set():
            for event in cluster.watch(
                resource, since=version, name=name, metadata_only=True, timeout=WATCH_SECONDS
            ):
                version = event.resource_version
                if self._stopped.is_set():
                    return
                if event.type is not EventType.BOOKMARK:
                    self._wake.set()
