"""Tells a person what happens, a line a Workflow, as the watch shows it; and sums it up at the end."""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from threading import Condition
from typing import Final, TextIO

import msgspec

from lockkeeper.process.output import aligned
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


class _NarratedStatus(Read, frozen=True):
    """What a Workflow says of itself."""

    message: str | None = None


class _NarratedWorkflow(Read, frozen=True):
    """A Workflow as the narrator sees it."""

    metadata: Metadata
    status: _NarratedStatus | None = None


prepare(_NarratedWorkflow)


class Story(msgspec.Struct):
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


class Tally(msgspec.Struct):
    """One namespace's sums."""

    created: int = 0
    denied: int = 0
    finished: int = 0
    running: int = 0
    most_running: int = 0
    most_queued: int = 0
    longest_wait: float = 0.0


class Narrator:
    """Follows every Workflow of the cluster; `settled` and `finished` wait for what it saw."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        stopwatch: Callable[[], float],
        out: TextIO = sys.stdout,
        unread: Callable[[], None] | None = None,
    ) -> None:
        """`unread` hears that nobody reads the output any more; without it that is an error."""
        self._cluster = cluster
        self._stopwatch = stopwatch
        self._out = out
        self._unread = unread
        self._changed = Condition()
        self._stories: dict[str, Story] = {}
        self._early: dict[str, list[JsonObject]] = {}
        self._waits_early: dict[str, str] = {}
        self.tallies: dict[str, Tally] = {}

    def follow(self, version: str) -> None:
        """Read the watch from a version on, for ever; the body of a daemon thread."""
        while True:
            for event in self._cluster.watch(WORKFLOWS, since=version, timeout=_WATCH_SECONDS):
                version = event.resource_version
                self._see(event)

    def line(self, namespace: str, name: str, text: str) -> None:
        """Print one line about a Workflow."""
        with self._changed:
            self._print(namespace, name, text)

    def text(self, text: str) -> None:
        """Print lines that are about no Workflow."""
        with self._changed:
            self._write(text)

    def denied(self, namespace: str, name: str, reason: str) -> None:
        """Tell of a Workflow that was refused."""
        with self._changed:
            self._tally(namespace).denied += 1
            first, *rest = reason.splitlines() or [""]
            self._print(namespace, name, f"denied: {first}")
            for each in rest:
                self._print("", "", f"        {each}")

    def created(self, obj: JsonObject, locks: Sequence[str]) -> str:
        """Take note of a stored Workflow and return its uid; what the watch showed before is told now."""
        metadata = msgspec.convert(obj, _NarratedWorkflow).metadata
        uid, namespace = metadata.uid or "", metadata.namespace or ""
        with self._changed:
            story = Story(namespace, metadata.name or "", self._stopwatch(), tuple(locks))
            self._stories[uid] = story
            self._tally(namespace).created += 1
            if uid in self._waits_early:
                self._tell_queued(story, self._waits_early.pop(uid))
            for early in self._early.pop(uid, ()):
                self._tell(story, early)
            self._changed.notify_all()
        return uid

    def settled(self, uid: str, seconds: float) -> bool:
        """Wait until it was told whether a Workflow runs or waits."""
        with self._changed:
            story = self._stories[uid]
            return self._changed.wait_for(lambda: story.queued or story.begun, seconds)

    def finished(self, seconds: float) -> bool:
        """Wait until every Workflow has finished; False when nothing at all happened for so long."""
        with self._changed:
            while any(story.finished is None for story in self._stories.values()):
                if not self._changed.wait(seconds):
                    return False
        return True

    def waiting(self) -> list[Story]:
        """Return the Workflows that never ran."""
        with self._changed:
            return [story for story in self._stories.values() if not story.begun]

    def _see(self, event: WatchEvent[JsonObject]) -> None:
        metadata = event.object.get("metadata")
        uid = str(metadata.get("uid")) if isinstance(metadata, dict) else ""
        with self._changed:
            story = self._stories.get(uid)
            if story is None:
                self._early.setdefault(uid, []).append(event.object)
            else:
                self._tell(story, event.object)
                self._changed.notify_all()

    def _tell(self, story: Story, obj: JsonObject) -> None:
        """Tell what is new about a Workflow: that it waits, that it runs, that it has finished."""
        seen = msgspec.convert(obj, _NarratedWorkflow)
        if hold.is_held(seen.metadata.labels) or story.finished is not None:
            return
        over = hold.is_completed(seen.metadata)
        if over and story.released is None:
            # A release and the end of a run are two changes; one that is both ended without a run.
            self._tell_given_up(story, seen)
            return
        if story.released is None:
            waited = self._stopwatch() - story.created
            self._tell_running(story, f" after {waited:.1f} s in the queue" if story.queued else "")
        if over:
            self._tell_finished(story)

    def waits(self, workflow: Tracked, message: str) -> None:
        """Take the controller's word that a Workflow has to wait; told once."""
        with self._changed:
            story = self._stories.get(workflow.uid)
            if story is None:
                self._waits_early[workflow.uid] = message
            elif not story.queued and not story.begun:
                self._tell_queued(story, message)
                self._changed.notify_all()

    def _tell_queued(self, story: Story, message: str) -> None:
        story.queued = True
        tally = self._tally(story.namespace)
        depth = sum(
            1
            for each in self._stories.values()
            if each.namespace == story.namespace and each.queued and not each.begun
        )
        tally.most_queued = max(tally.most_queued, depth)
        place = message.removeprefix(f"{well_known.HELD_MESSAGE_PREFIX}: ")
        self._print(story.namespace, story.name, f"queued, {place}")

    def _tell_running(self, story: Story, after: str) -> None:
        story.released = self._stopwatch()
        tally = self._tally(story.namespace)
        tally.running += 1
        tally.most_running = max(tally.most_running, tally.running)
        if story.queued:
            tally.longest_wait = max(tally.longest_wait, story.released - story.created)
        locks = f" [{'; '.join(story.locks)}]" if story.locks else ""
        self._print(story.namespace, story.name, f"running{after}{locks}")

    def _tell_finished(self, story: Story) -> None:
        story.finished = self._stopwatch()
        tally = self._tally(story.namespace)
        tally.running -= 1
        tally.finished += 1
        self._print(story.namespace, story.name, f"finished, {tally.running} still running here")

    def _tell_given_up(self, story: Story, seen: _NarratedWorkflow) -> None:
        story.finished = self._stopwatch()
        tally = self._tally(story.namespace)
        tally.longest_wait = max(tally.longest_wait, story.finished - story.created)
        why = (seen.status.message if seen.status is not None else None) or "it ended without a run"
        self._print(story.namespace, story.name, f"given up: {why.removeprefix('lockkeeper: ')}")

    def _tally(self, namespace: str) -> Tally:
        return self.tallies.setdefault(namespace, Tally())

    def _print(self, namespace: str, name: str, text: str) -> None:
        self._write(f"{namespace:<{_NAMESPACE_WIDTH}} {name:<{_NAME_WIDTH}} {text}")

    def _write(self, text: str) -> None:
        try:
            print(text, file=self._out, flush=True)
        except BrokenPipeError:
            if self._unread is None:
                raise
            self._unread()


def closing_table(tallies: dict[str, Tally], snapshot: Snapshot, now: datetime) -> str:
    """Return the table that sums up every namespace: what was asked, what ran, the limit that was kept."""
    rows = [
        ("NAMESPACE", "CREATED", "DENIED", "FINISHED", "MOST RUNNING", "LIMIT", "MOST QUEUED", "LONGEST WAIT")
    ]
    for namespace, tally in sorted(tallies.items()):
        limits = [quota.limits_at(now).workflows for quota in snapshot.policies(namespace).quotas]
        tightest = Amount(min((each.value for each in limits if each.value is not None), default=None))
        rows.append(
            (
                namespace,
                str(tally.created),
                str(tally.denied),
                str(tally.finished),
                str(tally.most_running),
                str(tightest),
                str(tally.most_queued),
                f"{tally.longest_wait:.1f} s",
            )
        )
    return aligned(rows)


def lock_table(limits: dict[str, int], most: dict[str, int]) -> str:
    """Return the table of locks: the limit of each and how many held it at once at most."""
    rows = [("LOCK", "LIMIT", "MOST HELD")]
    rows += [(name, str(limits[name]), str(held)) for name, held in sorted(most.items())]
    return aligned(rows)
