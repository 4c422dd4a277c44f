"""Which runs of a CronWorkflow may wait: Forbid and Replace keep their meaning in the queue.

Argo does not see a run that waits: a queued run drops out of the CronWorkflow's list of active ones within
seconds, so its controller starts one more at every tick (argo-verified 2).

- Forbid: a run is refused while an earlier one waits or runs.
- Replace: of the runs that wait only the newest stays. At the tick Argo ends the one that runs, so the new
  one takes over its slot: in a full queue no run would ever finish otherwise.
- Allow: every run waits in the queue.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from policy.core.decision.decision import Code, Reason
from policy.core.objects import hold, well_known
from policy.core.objects.hold import is_completed
from policy.core.objects.owners import scheduled_by
from policy.core.objects.workflow import Metadata

_FORBID: Final = "Forbid"
_REPLACE: Final = "Replace"
_BEGINNING: Final = datetime.fromtimestamp(0, UTC)


def forbidden_run(policy: str, name: str, runs: Iterable[Metadata]) -> tuple[Reason, ...]:
    """Return why a CronWorkflow may not start another run, if it forbids that."""
    if policy != _FORBID:
        return ()
    for run in runs:
        state = "waits in the queue" if hold.is_held(run.labels) else "is not over"
        message = (
            f"the CronWorkflow {name} has concurrencyPolicy Forbid, and its run {run.name} {state}: this one "
            "is skipped, as Argo would skip it"
        )
        return (Reason(Code.CRON_FORBIDS, "metadata.ownerReferences", message),)
    return ()


def marks_of_run(policy: str, runs: Iterable[Metadata]) -> Mapping[str, str]:
    """Return the annotations of a run: the policy that it was started under, and whose slot it takes over."""
    found = {well_known.CRON: policy}
    if policy == _REPLACE:
        slots = [slot for run in sorted(runs, key=_age) if (slot := _slot_left_by(run))]
        if slots:
            found[well_known.INHERITS] = slots[-1]
    return found


def _slot_left_by(run: Metadata) -> str:
    """Return whose slot the successor of a run takes over: its own if it runs, else the one it would take."""
    if hold.is_held(run.labels):
        return (run.annotations or {}).get(well_known.INHERITS, "")
    return run.uid or ""


def replaced_runs(runs: Iterable[Metadata]) -> list[Metadata]:
    """Return the runs that wait and are to be deleted, because a newer one replaces them."""
    waiting: dict[tuple[str, str], list[Metadata]] = {}
    for run in runs:
        owner = scheduled_by(run)
        if owner is not None and is_replaceable(run):
            waiting.setdefault((run.namespace or "", owner.uid), []).append(run)
    return [run for each in waiting.values() for run in sorted(each, key=_age)[:-1]]


def is_replaceable(run: Metadata) -> bool:
    """Return whether a newer run would replace this one, which waits."""
    replaces = (run.annotations or {}).get(well_known.CRON) == _REPLACE
    return replaces and hold.is_held(run.labels) and not is_completed(run)


def takes_over_slot(metadata: Metadata) -> bool:
    """Return whether a Workflow that waits takes over the slot of another run: it is released first."""
    return well_known.INHERITS in (metadata.annotations or {})


def _age(run: Metadata) -> tuple[datetime, str]:
    return run.creation_timestamp or _BEGINNING, (run.annotations or {}).get(well_known.SCHEDULED_TIME, "")
