"""What the controller's metrics read from the board of policies when they are scraped."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry

from lockkeeper.process.clock_and_log import utc_now
from policy.core.objects.argo_version import ArgoVersion
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.service.status.metrics import PolicyCounts
from policy.sources.last_good_objects import Verdict
from policy.sources.snapshot_store import SnapshotBoard
from webhook.metrics import SnapshotState


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
