"""Plays a history under one set of policies, and says what of these policies a history cannot tell."""

from collections.abc import Callable, Iterator

from lockkeeper.histories.history import RunHistory
from policy.core.policies.lock_limits import LockLimits
from policy.core.policies.snapshot import Snapshot
from policy.service.simulation.arrivals import at
from policy.service.simulation.fates import Fates
from policy.service.simulation.player import Player
from policy.service.simulation.result import PolicyResult
from policy.service.simulation.tally import Tally


def play(
    history: RunHistory,
    snapshot: Snapshot,
    *,
    policies: str,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[PolicyResult, Fates]:
    """Return what came of it, and of each single run; `progress` is told how many were played."""
    tally = Tally(snapshot=snapshot, begin=history.begin)
    player = Player(snapshot=snapshot, namespaces=history.namespaces, begin=history.begin, observer=tally)
    tally.watch(player)
    for number, run in enumerate(history.runs()):
        player.play(run)
        progress(number + 1)
    player.finish()
    limits, now = LockLimits(snapshot), at(player.now)
    result = tally.result(
        player,
        policies=policies,
        end=history.end,
        limit_of=lambda lock: limits.limit(lock, now),
        notes=tuple(_notes(history, snapshot, player)),
    )
    return result, tally.fates


def _notes(history: RunHistory, snapshot: Snapshot, player: Player) -> Iterator[str]:
    """Yield what is to be known of the result."""
    ungoverned = sorted(each for each in history.namespaces if not snapshot.policies(each).governed)
    if ungoverned:
        shown = ", ".join(ungoverned[:10]) + (", ..." if len(ungoverned) > 10 else "")  # noqa: PLR2004 - as read
        yield f"no policy governs {shown}: Workflows there start at once"
    for lock in sorted(player.unlimited_locks):
        yield f"the limit of the lock {lock} is in no policy and no ConfigMap here: nobody waits for it"
    for pool in snapshot.pools:
        if pool.spec.elastic is not None:
            yield (
                f"the limits of the pool {pool.metadata.name} follow nodes, which a history does not tell: "
                "those of spec.elastic.min are in force"
            )
