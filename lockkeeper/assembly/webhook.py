"""Puts together the webhook's application and what records its reviews, for `serve` and `run`.

Policies, ledgers and certificates come from the caller; so does the server.
"""

import time
from collections.abc import Callable
from wsgiref.types import WSGIApplication

from lockkeeper.process.console import utc_now
from lockkeeper.process.controller_log import expose_process
from policy.cluster.ledgers import Ledgers
from policy.core.decision.decision import Decision, Outcome, Side
from policy.core.objects.workflow import EMPTY_SPEC
from policy.core.policies.snapshot import Snapshot
from policy.sources.snapshot_store import SnapshotStore
from webhook.callers import Callers, UnknownCallers
from webhook.logs import Log
from webhook.metrics import Metrics
from webhook.owner_reads import NoOwners, OwnerReader
from webhook.probes import create_app
from webhook.reservations import NothingStored, StoredReservations
from webhook.review import Reviewing
from webhook.routes import Admission, nothing_here
from webhook.serving.application import Application, WsgiApplication
from webhook.wire import Received


class ReviewRecorder:
    """Counts and logs every review; `joined` is called for every Workflow that has to wait."""

    def __init__(self, *, metrics: Metrics, log: Log, joined: Callable[[str, int], None]) -> None:
        self._metrics = metrics
        self._log = log
        self._joined = joined

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Record one answered review."""
        review = received.review
        if decision.outcome is Outcome.QUEUED and review.side is Side.MUTATE and not review.dry_run:
            spec = (review.workflow.spec if review.workflow is not None else None) or EMPTY_SPEC
            self._joined(review.namespace, spec.priority or 0)
        self._metrics.reviewed(received, decision, seconds)
        self._log.review(received, decision, seconds)


def build_admission(
    *,
    snapshots: SnapshotStore,
    ledgers: Ledgers,
    log: Log,
    metrics: Metrics,
    draining: Callable[[], bool],
    current: Callable[[], Snapshot] | None = None,
    missing: Callable[[], list[str]] = list,
    relatives: OwnerReader | None = None,
    stored: StoredReservations | None = None,
    callers: Callers | None = None,
    probed: Callable[[WSGIApplication], object] | None = None,
    further: Callable[[], bytes] = bytes,
) -> Application:
    """Return the webhook's application.

    `current` gives reviews their snapshot where that is not simply the store's; `missing` returns what is
    not ready yet for reviews. `callers` knows who may call. `probed` is given the probes and metrics, which
    are then served elsewhere and not here. `further` returns the text of further metrics.
    """
    expose_process(metrics.registry, snapshots)
    parts = Reviewing(
        snapshot=current or snapshots.current,
        reservations=ledgers,
        clock=utc_now,
        stopwatch=time.perf_counter,
        recorder=ReviewRecorder(metrics=metrics, log=log, joined=snapshots.joined),
        relatives=relatives or NoOwners(),
        stored=stored or NothingStored(),
    )

    def not_ready() -> list[str]:
        return ["shutting down"] if draining() else missing()

    def render() -> bytes:
        return metrics.render() + further()

    probes: WSGIApplication = create_app(render=render, not_ready=not_ready)
    if probed is not None:
        probed(probes)
    return Admission(
        parts=parts,
        log=log,
        metrics=metrics,
        other=WsgiApplication(probes) if probed is None else nothing_here,
        callers=callers,
        unknown=UnknownCallers(
            warn=lambda text: log.event("stranger", text, level="warning"), stopwatch=time.monotonic
        ),
    )
