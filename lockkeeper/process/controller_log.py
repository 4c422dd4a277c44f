"""What the controller reports, as log lines, metrics, and events in the cluster."""

from collections.abc import Callable, Iterable
from datetime import timedelta

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from lockkeeper import __version__
from lockkeeper.process.console import utc_now
from policy.cluster.errors import ClusterError
from policy.core.objects.argo_version import ArgoVersion
from policy.core.queue.positions import WaitReason
from policy.core.values.amounts import Limits
from policy.service.status.api_metrics import LedgerMetrics
from policy.service.status.events import EventSeverity, EventWriter
from policy.service.status.gauge_text import rendered
from policy.service.status.metrics import ControllerMetrics
from policy.service.status.policy_metrics import PolicyCounts, PolicyState
from policy.service.status.start_board import StartBoard
from policy.service.status.usage_metrics import UsageMetrics
from policy.service.tracking.tracked import Tracked
from policy.sources.last_good_objects import Verdict
from policy.sources.snapshot_store import SnapshotStore
from webhook.logs import Log


class ControllerLog:
    """What the controller reports, as log lines; `recorder` counts it, `on_wait` and `on_reason` get waits.

    `on_superseded` gets those that a newer Workflow of the same key supersedes.
    What concerns one Workflow is an event in the cluster too, while there is an `event_writer`.
    """

    def __init__(
        self,
        *,
        log: Log,
        recorder: ControllerMetrics | None = None,
        on_wait: Callable[[Tracked, str], None] | None = None,
        on_reason: Callable[[Tracked, str], None] | None = None,
        on_superseded: Callable[[Tracked, str], None] | None = None,
    ) -> None:
        self.event_writer: EventWriter | None = None
        self._log = log
        self._recorder = recorder
        self._on_wait = on_wait
        self._on_reason = on_reason
        self._on_superseded = on_superseded

    def led(self) -> None:
        """A term as the leader began."""
        self._log.event("leader", "leading")
        if self._recorder is not None:
            self._recorder.led()

    def released(self, workflow: Tracked, took: timedelta) -> None:
        """A Workflow was released."""
        self._log.event("released", f"{workflow.namespace}/{workflow.name}")
        if self.event_writer is not None:
            self.event_writer.report(workflow, "Released", "it has its slot and starts")
        if self._recorder is not None:
            self._recorder.released(workflow, took)

    def waits(self, workflow: Tracked, message: str) -> None:
        """A Workflow waits."""
        if self._recorder is not None:
            self._recorder.waits(workflow)
        self._log.event("waits", f"{workflow.namespace}/{workflow.name}: {message}")
        if self._on_wait is not None:
            self._on_wait(workflow, message)

    def reason(self, workflow: Tracked, reason: WaitReason, text: str) -> None:
        """The reason of a wait has changed."""
        if self._on_reason is not None:
            self._on_reason(workflow, text)
        never = reason in (WaitReason.EXCEEDS_MAX_QUOTA, WaitReason.MISCONFIGURED)
        if self.event_writer is not None:
            self.event_writer.report(
                workflow, reason.value, text, EventSeverity.WARNING if never else EventSeverity.NORMAL
            )

    def gave_up(self, workflow: Tracked, message: str) -> None:
        """A Workflow waited for too long."""
        if self.event_writer is not None:
            self.event_writer.report(workflow, "WaitedTooLong", message, EventSeverity.WARNING)
        if self._recorder is not None:
            self._recorder.gave_up(workflow)
        self._log.event("gave-up", f"{workflow.namespace}/{workflow.name}: {message}", level="warning")

    def ended(self, workflow: Tracked, message: str) -> None:
        """A Workflow that waited was stopped or deleted."""
        if self.event_writer is not None:
            self.event_writer.report(workflow, "EndedInQueue", message)
        self._log.event("ended", f"{workflow.namespace}/{workflow.name}: {message}")

    def superseded(self, workflow: Tracked, message: str) -> None:
        """A newer Workflow has the same key."""
        if self._on_superseded is not None:
            self._on_superseded(workflow, message)
        if self.event_writer is not None:
            self.event_writer.report(workflow, "Superseded", message)
        if self._recorder is not None:
            self._recorder.superseded(workflow)
        self._log.event("superseded", f"{workflow.namespace}/{workflow.name}: {message}")

    def failed(self, workflow: Tracked, error: ClusterError) -> None:
        """A Workflow could not be released yet."""
        text = f"{workflow.namespace}/{workflow.name} is not released yet: {error.message}"
        self._log.event("release-failed", text, level="warning")
        if self._recorder is not None:
            self._recorder.failed(error)

    def bypassed_admission(self, workflow: Tracked, message: str) -> None:
        """A Workflow was not admitted."""
        if self.event_writer is not None:
            self.event_writer.report(workflow, "NotAdmitted", message, EventSeverity.WARNING, once=True)
        self._log.event("not-admitted", f"{workflow.namespace}/{workflow.name}: {message}", level="warning")

    def expired(self, reservations: int) -> None:
        """Reservations ran out."""
        self._log.event("reservations-expired", f"{reservations} of creates that nothing came of")
        if self._recorder is not None:
            self._recorder.expired(reservations)

    def trouble(self, doing: str, error: ClusterError) -> None:
        """Something failed and will be tried again."""
        self._log.event("retry", f"{doing}: {error.message}", level="warning")
        if self._recorder is not None:
            self._recorder.trouble(error)


def expose_board(
    metrics: ControllerMetrics,
    *,
    snapshots: SnapshotStore,
    verdicts: Callable[[], Iterable[Verdict]],
    leading: Callable[[], bool],
    capacity: Callable[[str], Limits | None],
    ledgers: LedgerMetrics,
    starts: StartBoard,
) -> None:
    """Show policies, and of the leader alone usage, queues and limits.

    A controller that lost the lead still has its last view of usage, which would be added to the leader's in
    every sum over both. `capacity` is what nodes allow a pool, by its name. `starts` are expected of those
    that wait.
    """

    def wrong() -> list[str]:
        return [verdict.resource.kind for verdict in verdicts() if verdict.problems]

    usage = UsageMetrics(
        snapshot=snapshots.current,
        leading=leading,
        capacity=capacity,
        clock=utc_now,
        until=lambda: starts.until,
    )
    metrics.texts += [usage.render, lambda: rendered(ledgers.gauges()) if leading() else b""]
    metrics.registry.register(PolicyCounts(snapshot=snapshots.current, wrong=wrong))


def expose_process(registry: CollectorRegistry, snapshots: SnapshotStore) -> None:
    """Show which build this process is, what it takes, and which policies it has."""
    ProcessCollector(registry=registry)
    registry.register(PolicyState(snapshot=snapshots.current, loaded_at=snapshots.loaded_at))
    registry.register(_Build(lambda: snapshots.current().argo))


class _Build(Collector):
    """Which version this is, and for which version of Argo it works."""

    def __init__(self, argo: Callable[[], ArgoVersion]) -> None:
        self._argo = argo

    def describe(self) -> Iterable[Metric]:
        """Return nothing: registering must not read a snapshot."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Yield one series with the value 1."""
        build = GaugeMetricFamily(
            "lockkeeper_build_info",
            "1, with the version of Lockkeeper and the one of Argo that it works for.",
            labels=["version", "argo_version"],
        )
        build.add_metric([__version__, str(self._argo())], 1)
        yield build
