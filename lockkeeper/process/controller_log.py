"""What the controller reports, as log lines, metrics, and events in the cluster."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry

from lockkeeper.process.console import utc_now
from policy.cluster.errors import ClusterError
from policy.core.objects.argo_version import ArgoVersion
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.queue.positions import WaitReason
from policy.service.status.events import EventSeverity, EventWriter
from policy.service.status.metrics import ControllerMetrics, PolicyCounts
from policy.service.tracking.tracked import Tracked
from policy.sources.last_good_objects import Verdict
from policy.sources.snapshot_store import SnapshotStore
from webhook.logs import Log
from webhook.metrics import SnapshotState


class ControllerLog:
    """What the controller reports, as log lines; `recorder` counts it, and `on_wait` gets waits as well.

    What concerns one Workflow is an event in the cluster too, while there is an `event_writer`.
    """

    def __init__(
        self,
        *,
        log: Log,
        recorder: ControllerMetrics | None = None,
        on_wait: Callable[[Tracked, str], None] | None = None,
    ) -> None:
        self.event_writer: EventWriter | None = None
        self._log = log
        self._recorder = recorder
        self._on_wait = on_wait

    def led(self) -> None:
        """A term as the leader began."""
        self._log.event("leader", "leading")
        if self._recorder is not None:
            self._recorder.led()

    def released(self, workflow: Tracked) -> None:
        """A Workflow was released."""
        self._log.event("released", f"{workflow.namespace}/{workflow.name}")
        if self.event_writer is not None:
            self.event_writer.report(workflow, "Released", "it has its slot and starts")
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
        if self.event_writer is not None:
            self.event_writer.report(
                workflow, reason.value, text, EventSeverity.WARNING if never else EventSeverity.NORMAL
            )

    def gave_up(self, workflow: Tracked, message: str) -> None:
        """A Workflow waited for too long."""
        if self.event_writer is not None:
            self.event_writer.report(workflow, "WaitedTooLong", message, EventSeverity.WARNING)
        self._log.event("gave-up", f"{workflow.namespace}/{workflow.name}: {message}", level="warning")

    def ended(self, workflow: Tracked, message: str) -> None:
        """A Workflow that waited was stopped or deleted."""
        if self.event_writer is not None:
            self.event_writer.report(workflow, "EndedInQueue", message)
        self._log.event("ended", f"{workflow.namespace}/{workflow.name}: {message}")

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

    def trouble(self, doing: str, error: ClusterError) -> None:
        """Something failed and will be tried again."""
        self._log.event("retry", f"{doing}: {error.message}", level="warning")
        if self._recorder is not None:
            self._recorder.trouble(error)


def expose_board(
    registry: CollectorRegistry,
    *,
    snapshots: SnapshotStore,
    verdicts: Callable[[], Iterable[Verdict]],
    leading: Callable[[], bool],
    argo: ArgoVersion,
) -> None:
    """Register the gauges of policies, and those of usage, queues and limits.

    The latter are shown by the leader alone. A controller that lost the lead still has its last view of
    usage, which would be added to the leader's in every sum over both.
    """
    nothing = take_snapshot((), version="", argo=argo)

    def shown() -> Snapshot:
        return snapshots.current() if leading() else nothing

    def wrong() -> list[str]:
        return [verdict.resource.kind for verdict in verdicts() if verdict.problems]

    registry.register(SnapshotState(snapshot=shown, loaded_at=snapshots.loaded_at, clock=utc_now))
    registry.register(PolicyCounts(snapshot=snapshots.current, wrong=wrong))
