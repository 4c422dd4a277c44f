"""How many tasks a Workflow may run at once and which priority it has: checked, and written into its spec.

Argo merges a template into a Workflow when it starts it. So wherever the number of tasks comes from, it is
written into the Workflow, whose own value wins in that merge: an edit of the template while it waits changes
nothing. If Argo lets a Workflow with `workflowTemplateRef` have no number of its own (`templateReferencing`
Strict or Secure), the template alone counts, and the leader counts again before it releases the Workflow
(`policy.core.admission.task_recount`).

Any user may write any priority, so quotas may cap it (`perWorkflow.maxPriority`). Where one does, the
priority of a template is written into the Workflow too, or an edit of the template would raise it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.decision.decision import Code, Reason
from policy.core.objects.json_patch import Op, PatchOp, pointer
from policy.core.objects.owners import STORED_SPEC
from policy.core.objects.semantic_equality import Parts
from policy.core.objects.template_keys import described, kind_of
from policy.core.objects.workflow import Int64, Read, TemplateRef, WorkflowSpec
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.quota_parts import OnExceed
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.amounts import UNLIMITED, Amount
from policy.core.values.prepared import prepare

PARALLELISM: Final = "spec.parallelism"
REFERENCE: Final = "spec.workflowTemplateRef"
_PRIORITY: Final = "spec.priority"
_PRIORITY_POINTER: Final = pointer("spec", "priority")


class Tasks(msgspec.Struct, frozen=True):
    """How many tasks a Workflow may run at once.

    `injected` is the number to write into its spec, if there is none. `by` names the template that alone
    decides the number.
    """

    amount: Amount
    injected: int | None = None
    faults: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    by: str = ""


class Priority(msgspec.Struct, frozen=True):
    """The priority that a Workflow counts with. `patch` writes it into the spec, `warnings` say why."""

    value: int
    faults: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()


class StoredSpec(Read, frozen=True):
    """The spec that Argo stored when it started a Workflow, and continues with at a retry."""

    parallelism: Int64 | None = None


class _ParallelismField(msgspec.Struct, frozen=True):
    """The field with the number that Argo uses, as messages name it: how it is missing, and corrected."""

    field: str
    missing: str
    to_set: str
    to_lower: str


_STORED: Final = msgspec.json.Decoder(StoredSpec | None)
prepare(StoredSpec)
_OWN_FIELD: Final = _ParallelismField(PARALLELISM, "is not set", "set it to", "lower it")
_STORED_FIELD: Final = _ParallelismField(
    f"status.{STORED_SPEC}",
    "has no parallelism, and a retry goes on with it",
    "submit the Workflow again (argo resubmit) with",
    "submit the Workflow again (argo resubmit), as a retry goes on with what Argo stored",
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
    is the default if there is no other. With none of them it is unbounded, which is a fault where tasks are
    limited. A value above the smallest cap, or below 1 (Argo would start nothing), is a fault too. A Workflow
    that refers to a template and runs again continues with what is `stored`; the larger number counts.
    """
    ref, by = spec.workflow_template_ref, ""
    known = ref is None or snapshot.template(namespace, ref) is not None
    field, written = _OWN_FIELD if ref is None or known else _unknown(_name_of(ref)), spec.parallelism
    if ref is not None and is_restricted(spec, snapshot):
        # With its own number the Workflow ends in error, except in versions of Argo that accept it: the
        # larger counts.
        by, given = _name_of(ref), _inherited(spec, namespace, snapshot)
        field = _template_field(by, known=known)
        written = max((each for each in (written, given) if each is not None), default=None)
    elif written is None:
        written = _inherited(spec, namespace, snapshot)
    if ref is not None and stored is not None:
        # No number stored is no bound, whatever a template has now.
        number = stored.parallelism
        if number is None or written is None or number > written:
            field, written = _STORED_FIELD, number
    if written is None:
        return _without_number(field, quotas, now, by)
    pins = not by and spec.parallelism is None and any(each.counts_tasks for each in quotas)
    return Tasks(
        Amount(max(written, 0)),
        injected=written if pins else None,
        faults=tuple(_out_of_bounds(written, quotas, field)),
        by=by,
    )


def _inherited(spec: WorkflowSpec, namespace: str, snapshot: Snapshot) -> int | None:
    """Return the parallelism that Argo gives a Workflow which has none of its own."""
    template = snapshot.template(namespace, spec.workflow_template_ref)
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


def _unknown(name: str) -> _ParallelismField:
    """Return the Workflow's own field, where the template that it refers to is unknown."""
    return msgspec.structs.replace(_OWN_FIELD, missing=f"is not set, nor is {name} known, which might set it")


def _template_field(name: str, *, known: bool) -> _ParallelismField:
    return _ParallelismField(
        REFERENCE,
        f"leads to {name}, which {'sets no parallelism' if known else 'is not known'}",
        f"set spec.parallelism of {name} (Argo's templateReferencing lets no Workflow set it) to",
        f"lower spec.parallelism of {name}",
    )


def _without_number(
    field: _ParallelismField, quotas: Sequence[CompiledQuota], now: datetime, by: str
) -> Tasks:
    """Return the tasks of a Workflow for which no number of tasks is given."""
    defaults = [quota.default_tasks for quota in quotas if quota.default_tasks is not None]
    if field.field != PARALLELISM:
        faults = tuple(_unbounded(quotas, now, field, capped=True))
        warning = f"lockkeeper: {field.field} {field.missing}: its tasks have no bound"
        return Tasks(UNLIMITED, faults=faults, warnings=(warning,) if defaults else (), by=by)
    cap = cap_of(quotas)
    if defaults:
        default = Amount(min(defaults)).tightest(cap)
        return Tasks(default, injected=default.value)
    faults = tuple(_unbounded(quotas, now, field, capped=False))
    return Tasks(UNLIMITED, faults=faults) if faults else Tasks(cap, injected=cap.value)


def _unbounded(
    quotas: Sequence[CompiledQuota], now: datetime, field: _ParallelismField, *, capped: bool
) -> Iterator[Reason]:
    """Yield the quotas that need a number; those that only cap it (`capped`) if none can be written."""
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
                f"{field.missing}, and {quota.source} limits tasks{to}: {field.to_set} the number of tasks "
                f"that may run at once{bound}"
            )
            yield Reason(Code.UNBOUNDED_TASKS, field.field, message, quota.source)


def _out_of_bounds(
    written: int, quotas: Sequence[CompiledQuota], field: _ParallelismField
) -> Iterator[Reason]:
    for quota in quotas:
        if quota.max_tasks is not None and written > quota.max_tasks:
            message = (
                f"{written} is above the cap of {quota.max_tasks} tasks of one Workflow: {field.to_lower}"
            )
            yield Reason(Code.TASKS_ABOVE_CAP, field.field, message, quota.source)
        elif written < 1 and (quota.bounds_tasks or quota.max_tasks is not None):
            message = f"{written} lets Argo start no task at all: {field.to_set} 1 or more"
            yield Reason(Code.TASKS_ABOVE_CAP, field.field, message, quota.source)


def priority_of(
    spec: WorkflowSpec, namespace: str, quotas: Sequence[CompiledQuota], snapshot: Snapshot
) -> Priority:
    """Return a Workflow's own `spec.priority`, else its template's, else that of Argo's defaults, else 0.

    Above the cap of a quota it is refused, or lowered to the cap if the quota allows that.
    """
    written, source = _written_priority(spec, namespace, snapshot)
    capping = [quota for quota in quotas if quota.max_priority is not None]
    if not capping:
        return Priority(written)
    value = capped(written, [quota for quota in capping if quota.lowers_priority])
    writable = not is_restricted(spec, snapshot)
    pinned = (
        writable and spec.priority != value and (value != written or spec.workflow_template_ref is not None)
    )
    faults, warnings = [], []
    for quota in capping:
        cap = quota.max_priority
        if cap is None or written <= cap:
            continue
        above = f"{written}{source} is above the cap of {cap}"
        if quota.lowers_priority:
            result = f"it is lowered to {cap}" if writable else f"in its queue the Workflow counts as {cap}"
            warnings.append(f"lockkeeper: spec.priority {above} of {quota.source}: {result}")
        else:
            message = f"{above} for priorities: set it to {cap} or less"
            faults.append(Reason(Code.PRIORITY_ABOVE_CAP, _PRIORITY, message, quota.source))
    patch = (PatchOp(Op.ADD, _PRIORITY_POINTER, value),) if pinned else ()
    return Priority(value, tuple(faults), tuple(warnings), patch)


def capped(priority: int, quotas: Iterable[CompiledQuota]) -> int:
    """Return a priority, lowered to the smallest cap of these quotas."""
    return min([priority, *(quota.max_priority for quota in quotas if quota.max_priority is not None)])


def _written_priority(spec: WorkflowSpec, namespace: str, snapshot: Snapshot) -> tuple[int, str]:
    """Return the priority that Argo would use, and where it comes from if not from the Workflow itself."""
    if spec.priority is not None:
        return spec.priority, ""
    ref = spec.workflow_template_ref
    template = snapshot.template(namespace, ref)
    if ref is not None and template is not None and template.priority is not None:
        return template.priority, f" of {described(ref)}"
    default = snapshot.argo_defaults.priority
    return (0, "") if default is None else (default, " of workflowDefaults of Argo's controller")
