"""The priority of a Workflow: what it says, what a quota lets it have, and what is written for that.

A priority is a number that anybody may write, so quotas may bound it (`perWorkflow.maxPriority`). Where one
does, the priority that a template gives is written into the Workflow itself, or whoever edits the template
while it waits would raise it.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from policy.core.admission.task_bounds import is_restricted
from policy.core.decision.decision import Code, Reason
from policy.core.objects.json_patch import Op, PatchOp, pointer
from policy.core.objects.template_keys import described
from policy.core.objects.workflow import WorkflowSpec
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.compiled_quota import CompiledQuota

_PRIORITY: Final = "spec.priority"
_POINTER: Final = pointer("spec", "priority")


class Priority(msgspec.Struct, frozen=True):
    """What a Workflow counts as. `patch` writes it where it is not there, `warnings` tell why."""

    value: int
    faults: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()


def priority_of(
    spec: WorkflowSpec, namespace: str, quotas: Sequence[CompiledQuota], snapshot: Snapshot
) -> Priority:
    """Return a Workflow's own `spec.priority`, else its template's, else that of Argo's defaults, else 0.

    Above the cap of a quota it is refused, or lowered to it where the quota says so.
    """
    written, whose = _written(spec, namespace, snapshot)
    capping = [quota for quota in quotas if quota.max_priority is not None]
    if not capping:
        return Priority(written)
    value = capped(written, [quota for quota in capping if quota.lowers_priority])
    writable = not is_restricted(spec, snapshot)
    pinned = (
        writable and spec.priority != value and (value != written or spec.workflow_template_ref is not None)
    )
    return Priority(
        value,
        faults=tuple(_faults(written, whose, capping)),
        warnings=tuple(_lowered(written, whose, capping, writable=writable)),
        patch=(PatchOp(Op.ADD, _POINTER, value),) if pinned else (),
    )


def capped(priority: int, quotas: Iterable[CompiledQuota]) -> int:
    """Return a priority as far as the caps of these quotas let it count."""
    return min([priority, *(quota.max_priority for quota in quotas if quota.max_priority is not None)])


def _written(spec: WorkflowSpec, namespace: str, snapshot: Snapshot) -> tuple[int, str]:
    """Return the priority that Argo would go by, and whose it is where the Workflow has none itself."""
    if spec.priority is not None:
        return spec.priority, ""
    ref = spec.workflow_template_ref
    template = snapshot.template(namespace, ref) if ref is not None else None
    if ref is not None and template is not None and template.priority is not None:
        return template.priority, f" of {described(ref)}"
    default = snapshot.argo_defaults.priority
    return (0, "") if default is None else (default, " of workflowDefaults of Argo's controller")


def _faults(written: int, whose: str, quotas: Iterable[CompiledQuota]) -> Iterable[Reason]:
    for quota in quotas:
        most = quota.max_priority
        if most is not None and written > most and not quota.lowers_priority:
            message = f"{written}{whose} is above the cap of {most} for priorities: set it to {most} or less"
            yield Reason(Code.PRIORITY_ABOVE_CAP, _PRIORITY, message, quota.source)


def _lowered(written: int, whose: str, quotas: Iterable[CompiledQuota], *, writable: bool) -> Iterable[str]:
    for quota in quotas:
        most = quota.max_priority
        if most is not None and written > most and quota.lowers_priority:
            above = f"{written}{whose} is above the cap of {most} of {quota.source}"
            done = f"it is lowered to {most}" if writable else f"in its queue the Workflow counts as {most}"
            yield f"lockkeeper: spec.priority {above}: {done}"
