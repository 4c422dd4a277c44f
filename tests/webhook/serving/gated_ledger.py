"""`python -m tests.webhook.serving.gated_ledger`: a webhook whose ledger answers once somebody lets it.

It is `lockkeeper serve` but for the ledger, which reads one byte of the named pipe `gate` in the folder of
the policies for each answer.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.assembly.webhook import ReviewRecorder
from lockkeeper.certificates.loopback import loopback_certificate
from lockkeeper.process.console import print_message, utc_now
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.decision.decision import ReservationRequest
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.quota.demands import Shortfall
from webhook.logs import LineWriter, Log
from webhook.metrics import Metrics
from webhook.review import Reviewing
from webhook.routes import Admission, nothing_here
from webhook.serving.server import Server, ServerSettings, bind

HOST = "127.0.0.1"
GATE = "gate"


class GatedLedgers:
    """Ledgers of which every answer waits for a byte."""

    def __init__(self, inner: Ledgers, gate: Path) -> None:
        self._inner = inner
        self._gate = gate

    def reserve(self, request: ReservationRequest, *, deadline: datetime | None = None) -> list[Shortfall]:
        """Wait, then reserve."""
        with self._gate.open("rb", buffering=0) as gate:
            gate.read(1)
        return self._inner.reserve(request, deadline=deadline)

    def probe(self, request: ReservationRequest) -> list[Shortfall]:
        return self._inner.probe(request)

    def holds(self, request: ReservationRequest) -> bool:
        return self._inner.holds(request)

    def cancel(self, request: ReservationRequest) -> None:
        self._inner.cancel(request)


def admission(
    policies: Path, *, waits: bool = True, monotonic: Callable[[], float] = time.monotonic
) -> Admission:
    """Build the application, in the worker."""
    snapshot = load_once(policies, DEFAULT_VERSION)
    metrics, log = Metrics(), Log(write=LineWriter(descriptor=sys.stdout.fileno()), clock=utc_now)
    cluster = MemoryCluster(clock=utc_now, rng=random.SystemRandom())
    ledgers = Ledgers(cluster=cluster, clock=utc_now, led=False)
    parts = Reviewing(
        snapshot=lambda: snapshot,
        reservations=GatedLedgers(ledgers, policies.parent / GATE) if waits else ledgers,
        clock=utc_now,
        stopwatch=time.perf_counter,
        monotonic=monotonic,
        recorder=ReviewRecorder(metrics=metrics, log=log, joined=lambda *_: None),
    )
    return Admission(parts=parts, log=log, metrics=metrics, other=nothing_here)


def serve(build: Callable[[Path], Admission]) -> int:
    """Serve what is built until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("serve")
    parser.add_argument("--policies", type=Path)
    parser.add_argument("--certs", type=Path)
    parser.add_argument("--port")
    given = parser.parse_args()
    listener = bind(HOST, 0)
    paths, tls = loopback_certificate(given.certs, HOST)
    settings = ServerSettings(certificate=paths.cert, key=paths.key)
    server = Server(settings=settings, listener=listener, build=lambda: build(given.policies), tls=tls)
    print_message(
        f"serving on https://{HOST}:{listener.getsockname()[1]}, CA certificate {paths.authority_cert}"
    )
    return server.serve()


if __name__ == "__main__":
    sys.exit(serve(admission))
