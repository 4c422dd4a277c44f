"""Plays the files of a run through the webhooks, as users would create them, and takes what comes later."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Final

from lockkeeper.embedded.event_printer import EventPrinter
from lockkeeper.embedded.taking import Taker
from lockkeeper.embedded.workflow_folder import WorkflowFolder
from lockkeeper.manifests.manifest import Manifest

_SETTLE_SECONDS: Final = 2.0
"""How long to wait for the controller's decision on a new Workflow before the next is created anyway."""
_QUIET_SECONDS: Final = 10.0
"""After so long without any event, or the time of two tasks, the play is over: what waits can never run."""
_LOOK_SECONDS: Final = 1.0
"""How often folders are looked at: a stat of each file."""


class Play:
    """The files of one run: those that are there when it begins, and those that come."""

    def __init__(
        self,
        *,
        folders: Sequence[WorkflowFolder],
        taker: Taker,
        printer: EventPrinter,
        task_time: timedelta = timedelta(),
    ) -> None:
        self._folders = folders
        self._taker = taker
        self._printer = printer
        self._quiet = max(_QUIET_SECONDS, 2 * task_time.total_seconds())
        self._created: list[str] = []

    def create(self) -> list[str]:
        """Create the objects of the files that are there; returns what went wrong, a line each.

        Decisions are none of it.
        """
        return self._take(at_once=True, settle=True)

    def finished(self, *, alone: bool) -> None:
        """Wait until all that was created has run; where nothing else runs, `alone`, all there is."""
        self._printer.finished(self._quiet, None if alone else self._created)

    def follow(self, stopped: Event) -> None:
        """Take what comes into the folders, until stopped."""
        while not stopped.wait(_LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Take what has come since the last look, and print what is wrong with it."""
        self._take(at_once=False, settle=False)

    def _take(self, *, at_once: bool, settle: bool) -> list[str]:
        failures: list[str] = []
        for folder in self._folders:
            arrivals = folder.arrived(at_once=at_once)
            failures += arrivals.faults
            for fault in arrivals.faults if not at_once else ():
                self._printer.text(fault)
            for manifest in arrivals.manifests:
                taken = self._taker.take(manifest)
                if taken.failure:
                    failures.append(f"{manifest.file}: {taken.failure}")
                if taken.uid:
                    self._created.append(taken.uid)
                if taken.uid and settle:
                    self._printer.settled(taken.uid, _SETTLE_SECONDS)
        return failures


def folders_of(policies: Path, workflows: Path | None) -> list[WorkflowFolder]:
    """Return the folders that objects are taken from.

    Policies and templates in the folder of policies are followed by that of policies itself, so of that only
    Workflows and CronWorkflows are taken; also where one folder is for both.
    """
    if workflows is None:
        return [WorkflowFolder(policies, wanted=_runs, tells=False)]
    inner, outer = workflows.resolve(), policies.resolve()
    if inner.is_relative_to(outer):
        return [WorkflowFolder(policies, wanted=_runs, tells=False)]
    if outer.is_relative_to(inner):
        return [WorkflowFolder(workflows, wanted=_runs)]
    return [
        WorkflowFolder(policies, wanted=_runs, tells=False),
        WorkflowFolder(workflows, wanted=lambda _: True),
    ]


def _runs(manifest: Manifest) -> bool:
    return manifest.kind in ("Workflow", "CronWorkflow")
