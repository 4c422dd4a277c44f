"""What the leading controller does about certificates: renew them, and keep every caBundle right.

A pass reads, writes the bundle into the webhook configurations, and only then takes the next step in the life
of the certificates. It is made whenever a configuration changes, and every few seconds because the Secret is
read, not watched: reading one Secret needs the fewest rights, and nothing about it is urgent.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from certs.stores import StoreError
from lockkeeper.certificates.ca_bundle import Configurations, Placed
from lockkeeper.certificates.metrics import CertificateReporter, Doing
from lockkeeper.certificates.sources import Certificates
from lockkeeper.process.kubernetes_objects import CONFIGURATIONS
from lockkeeper.process.upkeep import PASS_SECONDS, Upkeep, WatchedObject

_STEPS_AT_ONCE: Final = 8
"""Steps after which a pass ends in any case; two are usual."""


class CertificateUpkeep(Upkeep):
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
        super().__init__(
            cluster=configurations.cluster,
            objects=[WatchedObject(each, configurations.name) for each in CONFIGURATIONS],
            trouble=lambda doing, error: reporter.failed(Doing.READ, f"{doing}: {error.message}"),
            threads="watch",
            pass_seconds=pass_seconds,
        )
        self._certificates = certificates
        self._configurations = configurations
        self._clock = clock
        self._reporter = reporter
        self._bundle = b""
        self._state: tuple[tuple[str, int], ...] = ()
        self._since: datetime | None = None

    def make_pass(self) -> bool:
        """Put the bundle in place and take every step that is due; tell whether all went well."""
        try:
            for _ in range(_STEPS_AT_ONCE):
                good = self._place()
                if not self._certificates.renew(self._in_place_since):
                    return good
        except (StoreError, ValueError) as error:
            self._reporter.failed(Doing.RENEW, str(error))
        except Exception as error:  # noqa: BLE001 - a bug here must not let certificates expire in silence
            self._reporter.failed(Doing.RENEW, f"{type(error).__name__}: {error}")
        return False

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
