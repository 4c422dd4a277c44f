"""How many tasks a Workflow may run at once: what it counts with, and the number that is to be in its spec.

Argo merges a template into a Workflow when it starts it. So whatever the number comes from, it is written
into the Workflow, whose own wins in that merge: an edit of the template while it waits changes nothing. Where
Argo lets a Workflow with `workflowTemplateRef` have no number of its own (`templateReferencing` Strict or
Secure), the template alone counts, and the leader looks at it again before it lets the Workflow go
(`policy.core.admission.task_reweighing`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.decision.decision import Code, Reason
from policy.core.objects.owners import STORED_SPEC
from policy.core.objects.semantic_equality import Parts
from policy.core.objects.template_keys import kind_of
from policy.core.objects.workflow import Int64, Read, TemplateRef, WorkflowSpec
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import UNLIMITED, Amount
from policy.core.values.prepared import prepare

PARALLELISM: Final = "spec.parallelism"
REFERENCE: Final = "spec.workflowTemplateRef"


class Tasks(msgspec.Struct, frozen=True):
    """How many tasks a Workflow may run at once.

    `injected` is the number to write into its spec, where none is there. `by` names the template that
    decides alone.
    """

    amount: Amount
    injected: int | None = None
    faults: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    by: str = ""


class StoredSpec(Read, frozen=True):
    """The spec that Argo stored when it started a Workflow, and continues with at a retry."""

    parallelism: Int64 | None = None


class _ParallelismField(msgspec.Struct, frozen=True):
    """The field of the number that Argo uses, in the words of a reason: how it is missing, and corrected."""

    field: str
    missing: str
    to_set: str
    to_lower: str


_STORED: Final = msgspec.json.Decoder(StoredSpec | None)
prepare(StoredSpec)
_OWN: Final = _ParallelismField(PARALLELISM, "is not set", "set it to", "lower it")
_KEPT: Final = _ParallelismField(
    f"status.{STORED_SPEC}",
    "has no parallelism, and a retry goes on with it",
    "submit the Workflow anew (argo resubmit) with",
    "submit the Workflow anew (argo resubmit), as a retry goes on with what Argo stored",
)


def stored_in(status: Parts | None) -> StoredSpec | None:
    """Return what Argo stored of the spec of a Workflow that ran, None where it stored nothing."""
    raw = (status or {}).get(STORED_SPEC)
    try:
        return None if raw is None else _STORED.decode(raw)
    except msgspec.ValidationError:
        return None  # What Argo cannot read either is refused for its type.


def tasks_of(
    spec: WorkflowSpec,
    namespace: str,
    quotas: Sequence[CompiledQuota],
    snapshot: Snapshot,
    now: datetime,
    *,
    stored: StoredSpec | None = None,
) -> Tasks:
    """Return the tasks of a Workflow: its own `spec.parallelism`, else its template's, else a default.

    Argo's own default (`workflowDefaults` of its controller) has precedence over that of a quota, and a cap
    is the default where nothing else is. With none of them it is unbounded, which is a fault where tasks are
    limited. A value above the smallest cap, or below 1 (Argo would start nothing), is a fault too. What
    refers to a template and runs again continues with what is `stored`; the larger counts.
    """
    ref, by = spec.workflow_template_ref, ""
    known = ref is None or snapshot.template(namespace, ref) is not None
    place, written = _OWN if ref is None or known else _lost(_name_of(ref)), spec.parallelism
    if ref is not None and is_restricted(spec, snapshot):
        # Its own ends the Workflow in error, but in versions of Argo that take it: what is more counts.
        by, given = _name_of(ref), _inherited(spec, namespace, snapshot)
        place = _template(by, known=known)
        written = max((each for each in (written, given) if each is not None), default=None)
    elif written is None:
        written = _inherited(spec, namespace, snapshot)
    if ref is not None and stored is not None and _is_more(stored.parallelism, written):
        place, written = _KEPT, stored.parallelism
    if written is None:
        return _without(place, quotas, now, by)
    pins = not by and spec.parallelism is None and any(each.counts_tasks for each in quotas)
    return Tasks(
        Amount(max(written, 0)),
        injected=written if pins else None,
        faults=tuple(_out_of_bounds(written, quotas, place)),
        by=by,
    )


def _is_more(kept: int | None, written: int | None) -> bool:
    """Return whether what Argo stored counts; no number there is no bound, whatever a template has now."""
    return kept is None or written is None or kept > written


def _inherited(spec: WorkflowSpec, namespace: str, snapshot: Snapshot) -> int | None:
    """Return the parallelism that Argo gives a Workflow which has none of its own."""
    ref = spec.workflow_template_ref
    template = snapshot.template(namespace, ref) if ref is not None else None
    found = template.parallelism if template is not None else None
    return snapshot.argo_defaults.parallelism if found is None else found


def is_restricted(spec: WorkflowSpec, snapshot: Snapshot) -> bool:
    """Return whether Argo lets a Workflow have no such number of its own, because it refers to a template."""
    return snapshot.argo_defaults.references_only and spec.workflow_template_ref is not None


def _name_of(ref: TemplateRef) -> str:
    """Return how marks name a template."""
    return f"{kind_of(ref)}/{ref.name or ''}"


def cap_of(quotas: Sequence[CompiledQuota]) -> Amount:
    """Return the smallest cap of the tasks of one Workflow."""
    caps = [quota.max_tasks for quota in quotas if quota.max_tasks is not None]
    return Amount(min(caps)) if caps else UNLIMITED


def _lost(name: str) -> _ParallelismField:
    """Return the Workflow's own place, where the template that it refers to is unknown."""
    return msgspec.structs.replace(_OWN, missing=f"is not set, nor is {name} known, which might set it")


def _template(name: str, *, known: bool) -> _ParallelismField:
    return _ParallelismField(
        REFERENCE,
        f"leads to {name}, which {'sets no parallelism' if known else 'is not known'}",
        f"set spec.parallelism of {name} (Argo's templateReferencing lets no Workflow set it) to",
        f"lower spec.parallelism of {name}",
    )


def _without(place: _ParallelismField, quotas: Sequence[CompiledQuota], now: datetime, by: str) -> Tasks:
    """Return the tasks of a Workflow for which no number of tasks is given."""
    defaults, cap = (
        [quota.default_tasks for quota in quotas if quota.default_tasks is not None],
        cap_of(quotas),
    )
    if place.field != PARALLELISM:
        faults = tuple(_unbounded(quotas, now, place, capped=True))
        warning = f"lockkeeper: {place.field} {place.missing}: its tasks have no bound"
        return Tasks(UNLIMITED, faults=faults, warnings=(warning,) if defaults else (), by=by)
    if defaults:
        default = Amount(min(defaults)).tightest(cap)
        return Tasks(default, injected=default.value)
    faults = tuple(_unbounded(quotas, now, place, capped=False))
    if faults or cap.unlimited:
        return Tasks(UNLIMITED, faults=faults)
    return Tasks(cap, injected=cap.value)


def _unbounded(
    quotas: Sequence[CompiledQuota], now: datetime, place: _ParallelismField, *, capped: bool
) -> Iterator[Reason]:
    """Yield the quotas that ask for a number; those that only cap it do where none can be written."""
    cap = cap_of(quotas)
    for quota in quotas:
        if quota.on_exceed == OnExceed.WARN:
            continue
        if quota.bounds_tasks or (capped and quota.max_tasks is not None):
            limit = quota.limits_at(now).tasks.tightest(quota.per_user.tasks)
            most = limit.tightest(cap)
            to = "" if limit.unlimited else f" to {limit}"
            bound = "" if most.unlimited else f", at most {most}"
            message = (
                f"{place.missing}, and {quota.source} limits tasks{to}: {place.to_set} the number of tasks "
                f"that may run at once{bound}"
            )
            yield Reason(Code.UNBOUNDED_TASKS, place.field, message, quota.source)


def _out_of_bounds(
    written: int, quotas: Sequence[CompiledQuota], place: _ParallelismField
) -> Iterator[Reason]:
    for quota in quotas:
        if quota.max_tasks is not None and written > quota.max_tasks:
            message = (
                f"{written} is above the cap of {quota.max_tasks} tasks of one Workflow: {place.to_lower}"
            )
            yield Reason(Code.TASKS_ABOVE_CAP, place.field, message, quota.source)
        elif written < 1 and (quota.bounds_tasks or quota.max_tasks is not None):
            message = f"{written} lets Argo start no task at all: {place.to_set} 1 or more"
            yield Reason(Code.TASKS_ABOVE_CAP, place.field, message, quota.source)
