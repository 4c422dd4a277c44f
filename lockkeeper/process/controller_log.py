"""What the controller reports, as log lines, metrics, and events in the cluster."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry

from lockkeeper.process.clock_and_log import utc_now
from policy.cluster.errors import ClusterError
from policy.core.objects.argo_version import ArgoVersion
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.queue.positions import WaitReason
from policy.service.status.events import Announcer, EventSeverity
from policy.service.status.metrics import ControllerRecorder, PolicyCounts
from policy.service.tracking.tracked import Tracked
from policy.sources.last_good_objects import Verdict
from policy.sources.snapshot_store import SnapshotBoard
from webhook.logs import Log
from webhook.metrics import SnapshotState


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


def expose_board(
    registry: CollectorRegistry,
    *,
    board: SnapshotBoard,
    verdicts: Callable[[], Iterable[Verdict]],
    leading: Callable[[], bool],
    argo: ArgoVersion,
) -> None:
    """Register the gauges of policies, and those of usage, queues and limits.

    The latter are shown by the leader alone. A controller that lost the lead still has its last view of
    usage, which would be added to the leader's wherever somebody sums over both.
    """
    nothing = take_snapshot((), version="", argo=argo)

    def shown() -> Snapshot:
        return board.current() if leading() else nothing

    def wrong() -> list[str]:
        return [verdict.resource.kind for verdict in verdicts() if verdict.problems]

    registry.register(SnapshotState(snapshot=shown, loaded_at=board.loaded_at, clock=utc_now))
    registry.register(PolicyCounts(snapshot=board.current, wrong=wrong))
