"""Puts together what releases Workflows, for the commands `controller` and `run`.

The other duties of a leader, and the election, `lockkeeper.cli.controller` adds.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from lockkeeper.process.clock_and_log import utc_now
from lockkeeper.process.controller_log import ControllerLog
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import Cluster
from policy.core.values.amounts import Limits
from policy.service.release.controller import Controller
from policy.service.release.position_messages import WRITE_EVERY
from policy.service.release.release_pass import ReleasePass, unknown_capacity
from policy.service.release.release_sender import SendAll
from policy.sources.snapshot_store import SnapshotBoard

_SENDERS: Final = 4
"""Releases that are on their way to the API server at once."""


def several_at_once() -> SendAll:
    """Return what sends releases in some threads: each waits for its answer most of the time."""
    return ThreadPoolExecutor(max_workers=_SENDERS, thread_name_prefix="release").map


def build_controller(
    *,
    cluster: Cluster,
    board: SnapshotBoard,
    ledgers: Ledgers,
    reporter: ControllerLog,
    capacity: Callable[[str], Limits | None] = unknown_capacity,
    send_all: SendAll = map,
    write_every: timedelta = WRITE_EVERY,
) -> Controller:
    """Return the controller; who runs it wakes it when policies change.

    `capacity` says what nodes allow a pool, `send_all` sends releases, and `write_every` is how often at most
    those who wait in a namespace are told where they stand.
    """
    release_pass = ReleasePass(
        cluster=cluster,
        ledgers=ledgers,
        snapshot=board.current,
        clock=utc_now,
        publish=board.put_usage,
        reporter=reporter,
        capacity=capacity,
        send_all=send_all,
        write_every=write_every,
    )
    return Controller(cluster=cluster, release_pass=release_pass, clock=utc_now, trouble=reporter.trouble)
