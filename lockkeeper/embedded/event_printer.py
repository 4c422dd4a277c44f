"""Prints what happens to each Workflow, a line an event, as the watch shows it; and a summary at the end."""

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Final, TextIO

import msgspec

from policy.cluster.list_and_watch import watch_from
from policy.cluster.protocol import WORKFLOWS, Cluster, EventType, WatchEvent
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata, Read
from policy.core.values.prepared import prepare
from policy.service.tracking.tracked import Tracked

_WATCH_SECONDS: Final = 300.0
_NAMESPACE_WIDTH: Final = 11
_NAME_WIDTH: Final = 26
_OURS: Final = "lockkeeper: "
_WAITS: Final = "queued, "


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
    reason: str = ""

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
        self._reasons: dict[str, str] = {}
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

    def warned(self, namespace: str, name: str, warnings: Sequence[str]) -> None:
        """Print the warnings of admission about an object; that it waits is a line of its own."""
        with self._changed:
            for each in warnings:
                text = each.removeprefix(_OURS)
                if not text.startswith(_WAITS):
                    self._print(namespace, name, f"warning: {text}")

    def denied(self, namespace: str, name: str, reason: str, *, counts: bool = True) -> None:
        """Print that an object was denied; of one that is no Workflow nothing `counts`."""
        with self._changed:
            if counts:
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
            progress.reason = self._reasons.pop(uid, "")
            if uid in self._waits_early:
                self._print_queued(progress, self._waits_early.pop(uid))
            for early in self._early.pop(uid, ()):
                self._print_changes(progress, early)
            self._changed.notify_all()
        return uid

    def settled(self, uid: str, seconds: float) -> bool:
        """Wait until it was printed whether a Workflow runs or waits."""
        with self._changed:
            progress = self._workflows.get(uid)
            return self._changed.wait_for(
                lambda: progress is None or progress.queued or progress.begun, seconds
            )

    def finished(self, seconds: float, uids: Sequence[str] | None = None) -> bool:
        """Wait until Workflows have finished, all without `uids`; False where nothing happens for so long."""
        with self._changed:
            state, since = self._state(uids), self._stopwatch()
            while any(not each[-1] for each in state):
                if not self._changed.wait(seconds):
                    return False
                before, state = state, self._state(uids)
                if state != before:
                    since = self._stopwatch()
                elif self._stopwatch() - since >= seconds:
                    return False
        return True

    def _state(self, uids: Sequence[str] | None) -> list[tuple[bool, bool, bool]]:
        """Return of each Workflow whether it waited, began and ended."""
        chosen = self._workflows if uids is None else {each: self._workflows.get(each) for each in uids}
        return [
            (each.queued, each.begun, each.finished is not None)
            for each in chosen.values()
            if each is not None
        ]

    def waiting(self) -> list[WorkflowProgress]:
        """Return the Workflows that never ran."""
        with self._changed:
            return [progress for progress in self._workflows.values() if not progress.begun]

    def sums(self) -> dict[str, NamespaceTotals]:
        """Return the totals of each namespace; who still waits has waited until now."""
        with self._changed:
            found = {name: msgspec.structs.replace(each) for name, each in self.totals.items()}
            for progress in self._workflows.values():
                if not progress.begun:
                    totals, waited = found[progress.namespace], self._stopwatch() - progress.created
                    totals.longest_wait = max(totals.longest_wait, waited)
        return found

    def reason(self, workflow: Tracked, text: str) -> None:
        """Record why a Workflow waits, as the controller reports, for the closing words."""
        with self._changed:
            progress = self._workflows.get(workflow.uid)
            if progress is None:
                self._reasons[workflow.uid] = text
            else:
                progress.reason = text

    def _see(self, event: WatchEvent[JsonObject]) -> None:
        metadata = event.object.get("metadata")
        uid = str(metadata.get("uid")) if isinstance(metadata, dict) else ""
        with self._changed:
            progress = self._workflows.get(uid)
            if event.type is EventType.DELETED:
                self._forget(uid, progress)
            elif progress is None:
                self._early.setdefault(uid, []).append(event.object)
            else:
                self._print_changes(progress, event.object)
                self._changed.notify_all()

    def _forget(self, uid: str, progress: WorkflowProgress | None) -> None:
        """Print that a Workflow was deleted before its end; the history of one that ended may go."""
        for early in (self._early, self._waits_early, self._reasons):
            early.pop(uid, None)
        if progress is None or progress.finished is not None:
            self._workflows.pop(uid, None)
            return
        progress.finished = self._stopwatch()
        if progress.released is not None:
            self.totals[progress.namespace].running -= 1
        del self._workflows[uid]
        self._print(progress.namespace, progress.name, "deleted")
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

    def superseded(self, workflow: Tracked, message: str) -> None:
        """Print that a Workflow that runs is asked to end; one that waits is given up, with this message."""
        with self._changed:
            if not workflow.held and workflow.uid in self._workflows:
                self._print(workflow.namespace, workflow.name, f"asked to end: {message}")

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
