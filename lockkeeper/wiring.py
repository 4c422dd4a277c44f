"""Puts the parts together; the only module that knows them all."""

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import SSLContext
from typing import Final
from wsgiref.types import WSGIApplication

from certs.files import Paths, ensure
from certs.reload import ReloadingContext
from lockkeeper.cli.failing import UsageError
from policy.cluster.errors import ClusterError
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import Cluster
from policy.core.amounts import Limits
from policy.core.decision import Decision, Outcome, Side
from policy.core.identities import UPSTREAM, Identities
from policy.core.locks.forms import ArgoVersion
from policy.core.locks.kept_siblings import with_siblings
from policy.core.ordering import WaitReason
from policy.core.snapshot import Snapshot, take_snapshot
from policy.core.workflow import EMPTY_SPEC
from policy.service.controller import Controller
from policy.service.events import Announcer, EventSeverity
from policy.service.letting_go import Together
from policy.service.metrics import ControllerRecorder
from policy.service.releaser import ReleasePass, unknown_capacity
from policy.service.telling import TELL_EVERY
from policy.service.tracked import Tracked
from policy.sources.board import SnapshotBoard
from policy.sources.directory import Loaded, PolicyErrors
from policy.sources.reload import DirectorySource
from webhook.admission import Admission, nothing_here
from webhook.app import create_app
from webhook.callers import Callers, UnknownCallers
from webhook.logs import Log
from webhook.metrics import Metrics, SnapshotState
from webhook.owners import NoOwners, OwnerReader
from webhook.reservations import NothingStored, StoredReservations
from webhook.review import Reviewing
from webhook.wire import Received

RELOAD_SECONDS: Final = 1.0
"""How often a folder of policies is looked at; the look is a stat of each file."""
SENDERS: Final = 4
"""Releases that are on their way to the API server at once."""
ERROR_LEVEL: Final = b'"level":"error"'
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")


def utc_now() -> datetime:
    """Return the time, aware."""
    return datetime.now(UTC)


def write_to(descriptor: int) -> Callable[[bytes], object]:
    """Return a writer of whole lines to a file descriptor; one write each, so that threads do not mix."""

    def write(line: bytes) -> object:
        return os.write(descriptor, line)

    return write


def write_errors(line: bytes) -> object:
    """Write a line to standard error if it tells of an error of ours; drop the others."""
    return os.write(sys.stderr.fileno(), line) if ERROR_LEVEL in line else None


def snapshot_of(
    argo: ArgoVersion, identities: Identities = UPSTREAM, *, alone: bool = False
) -> Callable[[Loaded], Snapshot]:
    """Return the function that compiles loaded documents for an installed Argo.

    Where the files are `alone`, without a cluster, siblings of templates count as made.
    """
    latest: list[Snapshot] = []

    def compile_loaded(loaded: Loaded) -> Snapshot:
        snapshot = take_snapshot(
            loaded.documents,
            version=loaded.fingerprint,
            argo=argo,
            identities=identities,
            before=latest[-1] if latest else None,
        )
        if alone:
            snapshot = with_siblings(snapshot)
        latest[:] = [snapshot.prepare()]
        return snapshot

    return compile_loaded


def load_once(policies: Path, argo: ArgoVersion) -> Snapshot:
    """Load a folder of policies once. Raises PolicyErrors."""

    def ignore(_: object) -> None:
        """Take note of nothing: there is no later change of a folder that is read once."""

    source = DirectorySource(
        policies, compile=snapshot_of(argo, alone=True), on_change=ignore, on_error=ignore
    )
    return source.load()


class ReviewRecorder:
    """Counts and logs every review; `joined` hears of every Workflow that is to wait."""

    def __init__(self, *, metrics: Metrics, log: Log, joined: Callable[[str, int], None]) -> None:
        self._metrics = metrics
        self._log = log
        self._joined = joined

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Take note of one answered review."""
        review = received.review
        if decision.outcome is Outcome.QUEUED and review.side is Side.MUTATE and not review.dry_run:
            spec = (review.workflow.spec if review.workflow is not None else None) or EMPTY_SPEC
            self._joined(review.namespace, spec.priority or 0)
        self._metrics.reviewed(received, decision, seconds)
        self._log.review(received, decision, seconds)


class Policies:
    """A folder of policies in force: the board that reviews read, kept up by reloads.

    Every later change is logged, and told to a person through `say`.
    """

    def __init__(
        self,
        *,
        folder: Path,
        argo: ArgoVersion,
        log: Log,
        metrics: Metrics,
        say: Callable[[str], None] | None = None,
        identities: Identities = UPSTREAM,
        alone: bool = False,
    ) -> None:
        self._log = log
        self._metrics = metrics
        self._say = say
        self.source = DirectorySource(
            folder,
            compile=snapshot_of(argo, identities, alone=alone),
            on_change=self._changed,
            on_error=self._refused,
        )
        self.board: SnapshotBoard | None = None

    def load(self) -> SnapshotBoard:
        """Load for the first time. Raises PolicyErrors."""
        self.board = SnapshotBoard(snapshot=self.source.load(), clock=utc_now)
        return self.board

    def _changed(self, snapshot: Snapshot) -> None:
        self._metrics.loaded(good=True)
        if self.board is not None:
            self.board.put_policies(snapshot)
            self._tell(f"changed policies are in force, version {snapshot.version[:12]}", "info")

    def _refused(self, errors: PolicyErrors) -> None:
        self._metrics.loaded(good=False)
        if self.board is not None:
            self._tell(f"changed policies are refused, the last good ones stay in force: {errors}", "warning")

    def _tell(self, message: str, level: str) -> None:
        self._log.event("policies", message, level=level)
        if self._say is not None:
            self._say(message)


def build_admission(
    *,
    board: SnapshotBoard,
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
) -> WSGIApplication:
    """Return the webhook's WSGI application.

    `current` gives reviews their snapshot where that is not simply the board's; `missing` says what is still
    to come before any review may be sent here. `callers` knows who may call. `probed` is given the probes and
    metrics, which are then elsewhere and not here.
    """
    state = SnapshotState(snapshot=board.current, loaded_at=board.loaded_at, clock=utc_now)
    metrics.registry.register(state)
    parts = Reviewing(
        snapshot=current or board.current,
        reservations=ledgers,
        clock=utc_now,
        stopwatch=time.perf_counter,
        recorder=ReviewRecorder(metrics=metrics, log=log, joined=board.joined),
        relatives=relatives or NoOwners(),
        stored=stored or NothingStored(),
    )

    def not_ready() -> list[str]:
        return ["shutting down"] if draining() else missing()

    probes: WSGIApplication = create_app(metrics=metrics, not_ready=not_ready)
    if probed is not None:
        probed(probes)
    return Admission(
        parts=parts,
        log=log,
        metrics=metrics,
        other=probes if probed is None else nothing_here,
        callers=callers,
        unknown=UnknownCallers(
            say=lambda text: log.event("stranger", text, level="warning"), stopwatch=time.monotonic
        ),
    )


class ControllerLog:
    """What the controller tells, as log lines; `recorder` counts it, and `on_wait` hears of waits as well.

    What concerns one Workflow is an event in the cluster too, while there is an `announcer`.
    """

    def __init__(
        self,
        *,
        log: Log,
        recorder: ControllerRecorder | None = None,
        on_wait: Callable[[Tracked, str], None] | None = None,
    ) -> None:
        self.announcer: Announcer | None = None
        self._log = log
        self._recorder = recorder
        self._on_wait = on_wait

    def _announce(
        self,
        workflow: Tracked,
        reason: str,
        note: str,
        type_: EventSeverity = EventSeverity.NORMAL,
        *,
        once: bool = False,
    ) -> None:
        if self.announcer is not None:
            self.announcer.report(workflow, reason, note, type_, once=once)

    def led(self) -> None:
        """A term as the leader began."""
        self._log.event("leader", "leading")
        if self._recorder is not None:
            self._recorder.led()

    def released(self, workflow: Tracked) -> None:
        """A Workflow was let go."""
        self._log.event("released", f"{workflow.namespace}/{workflow.name}")
        self._announce(workflow, "Released", "it has its slot and starts")
        if self._recorder is not None:
            self._recorder.released(workflow)

    def waits(self, workflow: Tracked, message: str) -> None:
        """A Workflow waits."""
        self._log.event("waits", f"{workflow.namespace}/{workflow.name}: {message}")
        if self._on_wait is not None:
            self._on_wait(workflow, message)

    def reason(self, workflow: Tracked, reason: WaitReason, text: str) -> None:
        """The reason of a wait has changed."""
        never = reason in (WaitReason.EXCEEDS_MAX_QUOTA, WaitReason.MISCONFIGURED)
        self._announce(workflow, reason.value, text, EventSeverity.WARNING if never else EventSeverity.NORMAL)

    def gave_up(self, workflow: Tracked, message: str) -> None:
        """A Workflow waited for too long."""
        self._announce(workflow, "WaitedTooLong", message, EventSeverity.WARNING)
        self._log.event("gave-up", f"{workflow.namespace}/{workflow.name}: {message}", level="warning")

    def failed(self, workflow: Tracked, error: ClusterError) -> None:
        """A Workflow could not be let go yet."""
        text = f"{workflow.namespace}/{workflow.name} is not released yet: {error.message}"
        self._log.event("release-failed", text, level="warning")
        if self._recorder is not None:
            self._recorder.failed(error)

    def bypassed_admission(self, workflow: Tracked, message: str) -> None:
        """A Workflow was not admitted."""
        self._announce(workflow, "NotAdmitted", message, EventSeverity.WARNING, once=True)
        self._log.event("not-admitted", f"{workflow.namespace}/{workflow.name}: {message}", level="warning")

    def trouble(self, doing: str, error: ClusterError) -> None:
        """Something failed and will be tried again."""
        self._log.event("retry", f"{doing}: {error.message}", level="warning")
        if self._recorder is not None:
            self._recorder.trouble(error)


def several_at_once() -> Together:
    """Return what sends releases in some threads: each waits for its answer most of the time."""
    return ThreadPoolExecutor(max_workers=SENDERS, thread_name_prefix="release").map


def build_controller(
    *,
    cluster: Cluster,
    board: SnapshotBoard,
    ledgers: Ledgers,
    told: ControllerLog,
    capacity: Callable[[str], Limits | None] = unknown_capacity,
    together: Together = map,
    tell_every: timedelta = TELL_EVERY,
) -> Controller:
    """Return the controller; who runs it wakes it when policies change.

    `capacity` says what nodes allow a pool, `together` sends releases, and `tell_every` is how often at most
    those who wait in a namespace are told where they stand.
    """
    releaser = ReleasePass(
        cluster=cluster,
        ledgers=ledgers,
        snapshot=board.current,
        clock=utc_now,
        publish=board.put_usage,
        reporter=told,
        capacity=capacity,
        together=together,
        tell_every=tell_every,
    )
    return Controller(cluster=cluster, releaser=releaser, clock=utc_now, trouble=told.trouble)


def loopback_certificate(folder: Path, host: str) -> tuple[Paths, Callable[[], SSLContext]]:
    """Make sure of a certificate for this machine in `folder`; returns its files and the TLS hook.

    Raises:
        UsageError: the folder cannot be used.
    """
    try:
        ensured = ensure(folder, names=(*LOOPBACK_NAMES, host), now=utc_now())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the folder of certificates {folder} cannot be used: {reason}") from error
    context = ReloadingContext(cert_path=ensured.paths.cert, key_path=ensured.paths.key)
    return ensured.paths, context.current


def url_of(host: str, port: int) -> str:
    """Return the address for people; an IPv6 host stands in brackets."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def tell(message: str) -> None:
    """Print one line for a person on standard error."""
    print(f"lockkeeper: {message}", file=sys.stderr, flush=True)
