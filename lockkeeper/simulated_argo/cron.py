"""CronWorkflows of the embedded mode, run as Argo's controller runs them (workflow/cron/operator.go).

At each time of its schedules a CronWorkflow creates a Workflow, with the name, labels and owner that Argo
gives it and as the account of Argo's controller, so through the webhooks. Of what overlaps, is suspended, was
missed or is old, the same is done as by Argo; it is looked at every second, and by Argo every ten. What it
does not do: `when` and `stopStrategy` are expressions in languages of their own, so a run is created as if
there were none, and the first time a line says so.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from threading import Event
from typing import Final, Protocol

import msgspec

from lockkeeper.simulated_argo.cron_moments import missed_moment, next_moment
from lockkeeper.simulated_argo.cron_objects import (
    LAST_SCHEDULE,
    OVER,
    SUCCEEDED,
    CronRun,
    RunReference,
    StoredCron,
    reference,
    references,
    without,
)
from lockkeeper.simulated_argo.written_parts import stamp
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS, Cluster, MergePatch
from policy.core.admission.cron_schedules import schedule_problems
from policy.core.objects import well_known
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.identities import UPSTREAM
from policy.core.objects.json_parts import name_of
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.owners import scheduled_by

ARGO_USER: Final = min(UPSTREAM.argo_controllers)
"""The account that creates what is due."""
_SEEN: Final = f"!{well_known.INSTANCE_ID}"
_LOOK_SECONDS: Final = 1.0
_KEPT_SUCCEEDED: Final = 3
_KEPT_FAILED: Final = 1
_SPEC_ERROR: Final = "SpecError"
_SUBMISSION_ERROR: Final = "SubmissionError"


class Submitted(msgspec.Struct, frozen=True):
    """What became of a Workflow: its uid, or why it was refused, or how the call failed.

    One whose name is taken failed and was not refused.
    """

    uid: str = ""
    refusal: str = ""
    failure: str = ""


class Submit(Protocol):
    """Sends a Workflow as a user."""

    def __call__(self, obj: JsonObject, namespace: str, user: str) -> Submitted:
        """Return what became of it."""
        ...


class _Timers(msgspec.Struct):
    """When each schedule of a CronWorkflow is due next, and what a person was told of it."""

    schedules: tuple[str, ...] = ()
    due: dict[str, datetime] = {}
    told: str = ""


class SimulatedCron:
    """Creates what is due until stopped; `tell` says something of a CronWorkflow to who watches."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        clock: Callable[[], datetime],
        argo: ArgoVersion,
        submit: Submit,
        tell: Callable[[str, str, str], None],
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._argo = argo
        self._submit = submit
        self._tell = tell
        self._timers: dict[str, _Timers] = {}

    def run(self, stopped: Event) -> None:
        """Look again and again until stopped."""
        while not stopped.wait(self._seconds()):
            self.look()

    def _seconds(self) -> float:
        """Return how long nothing is due, and a look at what changed is not either."""
        now = self._clock()
        due = ((each - now).total_seconds() for one in self._timers.values() for each in one.due.values())
        return max(0.01, min(_LOOK_SECONDS, *due, _LOOK_SECONDS))

    def look(self) -> None:
        """Do once what is to be done for each CronWorkflow."""
        found = self._cluster.list(CRON_WORKFLOWS, labels=_SEEN).items
        gone = set(self._timers)
        runs = self._runs() if found else {}
        for obj in found:
            try:
                cron = StoredCron(obj)
                gone.discard(cron.uid)
                self._look_at(cron, runs.get(cron.uid, []))
            except msgspec.ValidationError:
                continue  # A webhook refuses it, or warns of it; Argo cannot read it either.
            except ClusterError:
                continue  # It was deleted meanwhile.
        for uid in gone:
            del self._timers[uid]

    def _runs(self) -> dict[str, list[CronRun]]:
        """Return the runs that Argo sees, by the uid of their CronWorkflow."""
        found: dict[str, list[CronRun]] = {}
        for item in self._cluster.list(WORKFLOWS, labels=_SEEN).items:
            run = msgspec.convert(item, CronRun)
            owner = scheduled_by(run.metadata)
            if owner is not None:
                found.setdefault(owner.uid or "", []).append(run)
        return found

    def _look_at(self, cron: StoredCron, runs: list[CronRun]) -> None:
        now = self._clock()
        timers = self._timers.setdefault(cron.uid, _Timers())
        problem = next(schedule_problems(cron.read, self._argo), None)
        if problem is not None:
            timers.due, timers.schedules = {}, ()
            text = f"{problem.path} {problem.message}"
            self._say(cron, timers, f"never runs: {text}")
            self._fail(cron, _SPEC_ERROR, text)
            return
        cron = self._reconciled(cron, runs)
        self._keep_few(cron, runs)
        if timers.schedules != cron.schedules:
            timers.schedules, timers.due = cron.schedules, {}
        for schedule in cron.schedules:
            due = timers.due.get(schedule)
            if due is not None and due <= now:
                cron = self._ran(cron, timers, due)
            if due is None or due <= now:
                upcoming = next_moment(schedule, now)
                if upcoming is not None:
                    timers.due[schedule] = upcoming
        missed = self._missed(cron, now)
        if missed is not None:
            self._ran(cron, timers, missed)

    def _missed(self, cron: StoredCron, now: datetime) -> datetime | None:
        """Return the time of a run that was missed, and may still start."""
        last, deadline = cron.status.last_scheduled_time, cron.spec.starting_deadline_seconds
        if last is None or deadline is None or cron.has_new_schedule:
            return None
        missed = missed_moment(cron.schedules, last, now)
        return missed if missed is not None and now < missed + timedelta(seconds=int(deadline)) else None

    def _ran(self, cron: StoredCron, timers: _Timers, scheduled: datetime) -> StoredCron:
        """Create the run of a time, where nothing is against it; return the CronWorkflow as it is then."""
        if cron.has_new_schedule:
            cron = self._patch(cron, {"metadata": {"annotations": {LAST_SCHEDULE: ",".join(cron.schedules)}}})
        if cron.limits.suspend:
            return cron
        if cron.limits.when or cron.limits.stop_strategy:
            self._say(cron, timers, "spec.when and spec.stopStrategy are not evaluated by lockkeeper run")
        if cron.active and cron.spec.concurrency_policy == "Forbid":
            self._say(cron, timers, f"{cron.active[0].name} still runs, so no other is created (Forbid)")
            return cron
        if cron.spec.concurrency_policy == "Replace":
            for each in cron.active:
                self._terminate(cron, each)
        workflow = cron.workflow(scheduled)
        submitted = self._submit(workflow, cron.namespace, ARGO_USER)
        if submitted.refusal:
            failed: JsonObject = {"status": {"failed": cron.status.failed + 1}}
            counted = self._patch(cron, failed)
            return self._fail(counted, _SUBMISSION_ERROR, f"Failed to submit Workflow: {submitted.refusal}")
        if not submitted.uid:
            return cron
        timers.told = ""
        return self._started(cron, workflow, submitted.uid, scheduled)

    def _started(self, cron: StoredCron, workflow: JsonObject, uid: str, scheduled: datetime) -> StoredCron:
        """Write that a run began."""
        active = [*references(cron), reference(cron, name_of(workflow), uid)]
        status: JsonObject = {
            "active": active,
            "phase": "Active",
            "lastScheduledTime": stamp(scheduled),
            "conditions": without(cron, _SUBMISSION_ERROR, _SPEC_ERROR),
        }
        return self._patch(cron, {"status": status})

    def _reconciled(self, cron: StoredCron, runs: Iterable[CronRun]) -> StoredCron:
        """Write which runs are active, and count those that are over."""
        by_uid = {each.metadata.uid or "": each for each in runs}
        known = {each.uid for each in cron.active}
        left = [each for each in cron.active if each.uid in by_uid and by_uid[each.uid].phase not in OVER]
        new = [
            RunReference(each.metadata.name or "", uid)
            for uid, each in by_uid.items()
            if uid not in known and each.phase not in OVER
        ]
        if not new and len(left) == len(cron.active):
            return cron
        ended = [by_uid[each.uid].phase for each in cron.active if each.uid in by_uid and each not in left]
        status: JsonObject = {
            "active": [reference(cron, each.name, each.uid) for each in (*left, *new)],
            "succeeded": cron.status.succeeded + ended.count(SUCCEEDED),
            "failed": cron.status.failed + len(ended) - ended.count(SUCCEEDED),
        }
        return self._patch(cron, {"status": status})

    def _keep_few(self, cron: StoredCron, runs: Iterable[CronRun]) -> None:
        """Delete the oldest runs that are over, beyond the limits of its history."""
        over = [
            each
            for each in runs
            if each.phase in OVER and (each.metadata.labels or {}).get(well_known.CRON_WORKFLOW) == cron.name
        ]
        good = [each for each in over if each.phase == SUCCEEDED]
        bad = [each for each in over if each.phase != SUCCEEDED]
        for listed, limit, usual in (
            (good, cron.limits.successful_jobs_history_limit, _KEPT_SUCCEEDED),
            (bad, cron.limits.failed_jobs_history_limit, _KEPT_FAILED),
        ):
            kept = usual if limit is None or limit < 0 else limit
            for each in sorted(listed, key=lambda run: run.finished_at, reverse=True)[kept:]:
                self._delete(each)

    def _delete(self, run: CronRun) -> None:
        try:
            self._cluster.delete(WORKFLOWS, run.metadata.name or "", namespace=run.metadata.namespace or "")
        except ClusterError:
            return  # Somebody was faster.

    def _terminate(self, cron: StoredCron, run: RunReference) -> None:
        """End a run that the next one replaces."""
        patch = MergePatch({"spec": {"shutdown": "Terminate"}})
        try:
            self._cluster.patch(WORKFLOWS, run.name, patch, namespace=cron.namespace)
        except ClusterError:
            return  # It is over, and gone.

    def _fail(self, cron: StoredCron, type_: str, message: str) -> StoredCron:
        """Write a condition, as Argo does."""
        condition: JsonObject = {"type": type_, "status": "True", "message": message}
        return self._patch(cron, {"status": {"conditions": [*without(cron, type_), condition]}})

    def _say(self, cron: StoredCron, timers: _Timers, text: str) -> None:
        """Tell a person, once as long as it stays the same."""
        if timers.told != text:
            timers.told = text
            self._tell(cron.namespace, cron.name, text)

    def _patch(self, cron: StoredCron, patch: JsonObject) -> StoredCron:
        return StoredCron(
            self._cluster.patch(CRON_WORKFLOWS, cron.name, MergePatch(patch), namespace=cron.namespace)
        )
