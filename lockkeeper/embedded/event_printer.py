"""Prints what happens to each Workflow, a line an event, as the watch shows it; and a summary at the end."""

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Condition
from typing import Final, TextIO

import msgspec

from lockkeeper.process.console import aligned
from policy.cluster.list_and_watch import watch_from
from policy.cluster.protocol import WORKFLOWS, Cluster, WatchEvent
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata, Read
from policy.core.policies.snapshot import Snapshot
from policy.core.values.amounts import Amount
from policy.core.values.prepared import prepare
from policy.service.tracking.tracked import Tracked

_WATCH_SECONDS: Final = 300.0
_NAMESPACE_WIDTH: Final = 11
_NAME_WIDTH: Final = 26


class _PrintedStatus(Read, frozen=True):
    """The status of a Workflow."""

    message: str | None = None


class _PrintedWorkflow(Read, frozen=True):
    """A Workflow as far as it is printed."""

    metadata: Metadata
    status: _PrintedStatus | None = None


prepare(_PrintedWorkflow)


class WorkflowProgress(msgspec.Struct):
    """What has happened to one Workflow so far; times are the stopwatch's seconds."""

    namespace: str
    name: str
    created: float
    locks: tuple[str, ...]
    queued: bool = False
    released: float | None = None
    finished: float | None = None

    @property
    def begun(self) -> bool:
        """Whether it waits no longer: it runs, ran, or was given up."""
        return self.released is not None or self.finished is not None


class NamespaceTotals(msgspec.Struct):
    """One namespace's sums."""

    created: int = 0
    denied: int = 0
    finished: int = 0
    running: int = 0
    most_running: int = 0
    most_queued: int = 0
    longest_wait: float = 0.0


class EventPrinter:
    """Follows every Workflow of the cluster; `settled` and `finished` wait for what it saw."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        stopwatch: Callable[[], float],
        out: TextIO = sys.stdout,
        on_closed: Callable[[OSError], None] | None = None,
    ) -> None:
        """`on_closed` is called when the output takes no more; without it that is an error."""
        self._cluster = cluster
        self._stopwatch = stopwatch
        self._out = out
        self._on_closed = on_closed
        self._changed = Condition()
        self._workflows: dict[str, WorkflowProgress] = {}
        self._early: dict[str, list[JsonObject]] = {}
        self._waits_early: dict[str, str] = {}
        self.totals: defaultdict[str, NamespaceTotals] = defaultdict(NamespaceTotals)

    def follow(self, version: str) -> None:
        """Read the watch from a version on, for ever; the body of a daemon thread."""
        watch_from(
            version,
            lambda since: self._cluster.watch(WORKFLOWS, since=since, timeout=_WATCH_SECONDS),
            changed=self._see,
            stopped=lambda: False,
        )

    def line(self, namespace: str, name: str, text: str) -> None:
        """Print one line about a Workflow."""
        with self._changed:
            self._print(namespace, name, text)

    def text(self, text: str) -> None:
        """Print lines that are about no Workflow."""
        with self._changed:
            self._write(text)

    def denied(self, namespace: str, name: str, reason: str) -> None:
        """Print that a Workflow was denied."""
        with self._changed:
            self.totals[namespace].denied += 1
            first, *rest = reason.splitlines() or [""]
            self._print(namespace, name, f"denied: {first}")
            for each in rest:
                self._print("", "", f"        {each}")

    def created(self, obj: JsonObject, locks: Sequence[str]) -> str:
        """Record a stored Workflow and return its uid; what the watch showed before is printed now."""
        metadata = msgspec.convert(obj, _PrintedWorkflow).metadata
        uid, namespace = metadata.uid or "", metadata.namespace or ""
        with self._changed:
            progress = WorkflowProgress(namespace, metadata.name or "", self._stopwatch(), tuple(locks))
            self._workflows[uid] = progress
            self.totals[namespace].created += 1
            if uid in self._waits_early:
                self._print_queued(progress, self._waits_early.pop(uid))
            for early in self._early.pop(uid, ()):
                self._print_changes(progress, early)
            self._changed.notify_all()
        return uid

    def settled(self, uid: str, seconds: float) -> bool:
        """Wait until it was printed whether a Workflow runs or waits."""
        with self._changed:
            progress = self._workflows[uid]
            return self._changed.wait_for(lambda: progress.queued or progress.begun, seconds)

    def finished(self, seconds: float) -> bool:
        """Wait until every Workflow has finished; False when nothing at all happened for so long."""
        with self._changed:
            while any(progress.finished is None for progress in self._workflows.values()):
                if not self._changed.wait(seconds):
                    return False
        return True

    def waiting(self) -> list[WorkflowProgress]:
        """Return the Workflows that never ran."""
        with self._changed:
            return [progress for progress in self._workflows.values() if not progress.begun]

    def _see(self, event: WatchEvent[JsonObject]) -> None:
        metadata = event.object.get("metadata")
        uid = str(metadata.get("uid")) if isinstance(metadata, dict) else ""
        with self._changed:
            progress = self._workflows.get(uid)
            if progress is None:
                self._early.setdefault(uid, []).append(event.object)
            else:
                self._print_changes(progress, event.object)
                self._changed.notify_all()

    def _print_changes(self, progress: WorkflowProgress, obj: JsonObject) -> None:
        """Print what is new about a Workflow: that it waits, that it runs, that it has finished."""
        seen = msgspec.convert(obj, _PrintedWorkflow)
        if hold.is_held(seen.metadata.labels) or progress.finished is not None:
            return
        over = hold.is_completed(seen.metadata)
        if over and progress.released is None:
            # A release and the end of a run are two changes; one that is both ended without a run.
            self._print_given_up(progress, seen)
            return
        if progress.released is None:
            waited = self._stopwatch() - progress.created
            self._print_running(progress, f" after {waited:.1f} s in the queue" if progress.queued else "")
        if over:
            self._print_finished(progress)

    def waits(self, workflow: Tracked, message: str) -> None:
        """Print, once, that a Workflow has to wait, as the controller reports."""
        with self._changed:
            progress = self._workflows.get(workflow.uid)
            if progress is None:
                self._waits_early[workflow.uid] = message
            elif not progress.queued and not progress.begun:
                self._print_queued(progress, message)
                self._changed.notify_all()

    def _print_queued(self, progress: WorkflowProgress, message: str) -> None:
        progress.queued = True
        totals = self.totals[progress.namespace]
        depth = sum(
            1
            for each in self._workflows.values()
            if each.namespace == progress.namespace and each.queued and not each.begun
        )
        totals.most_queued = max(totals.most_queued, depth)
        place = message.removeprefix(f"{well_known.HELD_MESSAGE_PREFIX}: ")
        self._print(progress.namespace, progress.name, f"queued, {place}")

    def _print_running(self, progress: WorkflowProgress, after: str) -> None:
        progress.released = self._stopwatch()
        totals = self.totals[progress.namespace]
        totals.running += 1
        totals.most_running = max(totals.most_running, totals.running)
        if progress.queued:
            totals.longest_wait = max(totals.longest_wait, progress.released - progress.created)
        locks = f" [{'; '.join(progress.locks)}]" if progress.locks else ""
        self._print(progress.namespace, progress.name, f"running{after}{locks}")

    def _print_finished(self, progress: WorkflowProgress) -> None:
        progress.finished = self._stopwatch()
        totals = self.totals[progress.namespace]
        totals.running -= 1
        totals.finished += 1
        self._print(progress.namespace, progress.name, f"finished, {totals.running} still running here")

    def _print_given_up(self, progress: WorkflowProgress, seen: _PrintedWorkflow) -> None:
        progress.finished = self._stopwatch()
        totals = self.totals[progress.namespace]
        totals.longest_wait = max(totals.longest_wait, progress.finished - progress.created)
        why = (seen.status.message if seen.status is not None else None) or "it ended without a run"
        self._print(progress.namespace, progress.name, f"given up: {why.removeprefix('lockkeeper: ')}")

    def _print(self, namespace: str, name: str, text: str) -> None:
        self._write(f"{namespace:<{_NAMESPACE_WIDTH}} {name:<{_NAME_WIDTH}} {text}")

    def _write(self, text: str) -> None:
        try:
            print(text, file=self._out, flush=True)
        except OSError as error:
            if self._on_closed is None:
                raise
            self._on_closed(error)


def namespace_table(by_namespace: dict[str, NamespaceTotals], snapshot: Snapshot, now: datetime) -> str:
    """Return the table that sums up every namespace: what was created, what ran, and its limit."""
    rows = [
        ("NAMESPACE", "CREATED", "DENIED", "FINISHED", "MOST RUNNING", "LIMIT", "MOST QUEUED", "LONGEST WAIT")
    ]
    for namespace, totals in sorted(by_namespace.items()):
        limits = [quota.limits_at(now).workflows for quota in snapshot.policies(namespace).quotas]
        tightest = Amount(min((each.value for each in limits if each.value is not None), default=None))
        rows.append(
            (
                namespace,
                str(totals.created),
                str(totals.denied),
                str(totals.finished),
                str(totals.most_running),
                str(tightest),
                str(totals.most_queued),
                f"{totals.longest_wait:.1f} s",
            )
        )
    return aligned(rows)


def lock_table(limits: dict[str, int], most: dict[str, int]) -> str:
    """Return the table of locks: the limit of each and how many held it at once at most."""
    rows = [("LOCK", "LIMIT", "MOST HELD")]
    rows += [(name, str(limits[name]), str(held)) for name, held in sorted(most.items())]
    return aligned(rows)
