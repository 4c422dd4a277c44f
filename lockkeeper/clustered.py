"""Policies of a real cluster in force: for `serve --cluster` and `controller`."""

from itertools import count
from threading import Thread
from typing import Final

from lockkeeper.wiring import ControllerLog, utc_now
from policy.cluster.protocol import Cluster
from policy.core.locks.forms import ArgoVersion
from policy.core.snapshot import Snapshot, take_snapshot
from policy.sources.board import SnapshotBoard
from policy.sources.cluster_objects import ClusterSource, Verdict
from policy.sources.documents import Document
from webhook.failure import NotSynced
from webhook.logs import Log

NOT_READ: Final = "the policies of the cluster are not read yet"


class ClusterPolicies:
    """The cluster's policies on a board, kept up by watches; nothing is decided before all were read."""

    def __init__(self, *, cluster: Cluster, argo: ArgoVersion, log: Log) -> None:
        self._argo = argo
        self._log = log
        self._versions = count(1)
        self.board = SnapshotBoard(snapshot=self._compile(()), clock=utc_now)
        self._source = ClusterSource(
            cluster=cluster,
            changed=self._changed,
            judged=self._judged,
            trouble=ControllerLog(log=log).trouble,
        )

    def start(self) -> None:
        """Begin to follow the cluster."""
        Thread(target=self._source.run, name="policies", daemon=True).start()

    def stop(self) -> None:
        """End the watches."""
        self._source.stop()

    def current(self) -> Snapshot:
        """Return the snapshot in force.

        Raises:
            NotSynced: the policies were not all read yet; to allow would be to let everything pass.
        """
        if not self._source.synced.is_set():
            raise NotSynced(NOT_READ)
        return self.board.current()

    def wait(self, seconds: float) -> bool:
        """Wait until all policies were read."""
        return self._source.synced.wait(seconds)

    def missing(self) -> list[str]:
        """Return why nothing can be decided yet, or nothing."""
        return [] if self._source.synced.is_set() else [NOT_READ]

    def _compile(self, documents: tuple[Document, ...]) -> Snapshot:
        return take_snapshot(documents, version=str(next(self._versions)), argo=self._argo)

    def _changed(self, documents: tuple[Document, ...]) -> None:
        self.board.put_policies(self._compile(documents))

    def _judged(self, verdict: Verdict) -> None:
        if verdict.problems:
            faults = "; ".join(f"{each.path}: {each.message}" for each in verdict.problems)
            name = f"{verdict.resource.kind} {verdict.namespace}/{verdict.name}"
            message = f"{name} is wrong, its last good form stays in force: {faults}"
            self._log.event("policies", message, level="warning")
