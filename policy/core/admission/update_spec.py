"""Guarding the spec of a Workflow that waits or runs: an edit is checked for what is new in it.

What was wrong before the edit is no fault of it, and must not prevent the correction of something else.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.admission.priorities import Priority, priority_of
from policy.core.admission.task_bounds import PARALLELISM, REFERENCE, Tasks, is_restricted, tasks_of
from policy.core.admission.update_metadata import metadata_faults
from policy.core.decision.decision import Code, Injection, Reason, Review, new_reasons
from policy.core.lock_review.left_out import left_out_faults
from policy.core.lock_review.redirect import Redirect, kept_redirect, redirect_faults
from policy.core.lock_review.workflow_locks import NO_LOCK_PART, LockPart, review_workflow_locks
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import Op, PatchOp, pointer
from policy.core.objects.label_selectors import Labels
from policy.core.objects.semantic_equality import Parts, changed
from policy.core.objects.workflow import EMPTY_METADATA, EMPTY_SPEC, Metadata, Read, Workflow, WorkflowSpec
from policy.core.policies.governing import governing
from policy.core.policies.snapshot import NamespacePolicies, Snapshot
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.budget import Budget
from policy.core.values.prepared import prepare

_FREE: Final = frozenset({"shutdown", "suspend"})
"""Parts of a spec that stop or pause a Workflow: never held up."""


class _RawSpec(Read, frozen=True):
    """The parts of a Workflow's spec, left as they came."""

    spec: dict[str, msgspec.Raw] | None = None


_UNREAD: Final = msgspec.json.Decoder(_RawSpec | None)
prepare(_RawSpec)


class SpecPart(msgspec.Struct, frozen=True):
    """What an edit of a spec gives: reasons against it, what has to be put right, and marks that follow."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    injected: tuple[Injection, ...] = ()
    due: Mapping[str, str] = {}


UNCHANGED: Final = SpecPart()


def spec_changes(review: Review) -> frozenset[str]:
    """Return which parts of the spec an update changes, those that stop or pause it left out."""
    return changed(_parts_of(review.old_raw), _parts_of(review.raw), review.budget) - _FREE


def _parts_of(raw: msgspec.Raw) -> Parts | None:
    """Return the parts of the spec of a Workflow; one that has no parts, such as a number, is one itself."""
    try:
        found = _UNREAD.decode(raw)
    except msgspec.ValidationError:
        return {"": raw}
    return found.spec if found is not None else None


class _EditContext(msgspec.Struct, frozen=True):
    """What an edit is checked with: the metadata before it, and the policies that govern the Workflow."""

    metadata: Metadata
    labels: Labels
    quotas: Sequence[CompiledQuota]
    policies: NamespacePolicies
    snapshot: Snapshot
    now: datetime
    budget: Budget

    def tasks(self, spec: WorkflowSpec) -> Tasks:
        """Return how many tasks a spec may run at once."""
        return tasks_of(spec, self.policies.namespace, self.quotas, self.snapshot, self.now)

    def priority(self, spec: WorkflowSpec) -> Priority:
        """Return which priority a spec may have."""
        return priority_of(spec, self.policies.namespace, self.quotas, self.snapshot)

    def locks(self, spec: WorkflowSpec) -> LockPart:
        """Return the result of lock policies for a spec."""
        return review_workflow_locks(spec, self.labels, self.policies, self.snapshot, budget=self.budget)

    def served(self, before: WorkflowSpec, after: WorkflowSpec) -> Redirect:
        """Return where the Workflow is led after an edit."""
        stays = kept_redirect(before, after, self.metadata, self.policies.namespace)
        locks = self.policies.locks
        if stays is not None or locks is None:
            return stays or Redirect(after)
        reasons = redirect_faults(before, after, locks.active(self.labels), locks, self.snapshot)
        return Redirect(after, reasons=reasons)

    def hostile(self, spec: WorkflowSpec) -> Iterator[Reason]:
        """Yield what is wrong with the metadata that Argo is to write."""
        return metadata_faults(spec, self.metadata, self.policies, self.snapshot)

    def unknown(self, spec: WorkflowSpec) -> Iterator[Reason]:
        """Yield what leads to a template that may be left out of the snapshot."""
        return left_out_faults(spec, self.policies.namespace, self.snapshot)


def judge_edit(
    old: Workflow,
    new: Workflow,
    policies: NamespacePolicies,
    snapshot: Snapshot,
    now: datetime,
    *,
    budget: Budget,
) -> SpecPart:
    """Return what is new and wrong in the edited spec of a Workflow that is not over."""
    before, after = old.spec or EMPTY_SPEC, new.spec or EMPTY_SPEC
    metadata = old.metadata or EMPTY_METADATA
    labels = hold.original_labels(metadata)
    ground = _EditContext(
        metadata, labels, governing(policies.quotas, labels), policies, snapshot, now, budget
    )
    served = ground.served(before, after)
    after, bound = _bound_kept(before, served.spec, ground)
    was, now_ = ground.tasks(before), ground.tasks(after)
    has = ground.locks(after)
    # What was wrong before the edit matters only where something is to be reported of what is there now.
    had = ground.locks(before) if has.says_anything else NO_LOCK_PART
    dropped, patch = _injections(had, has)
    priority = _priority(before, after, ground)
    return SpecPart(
        reasons=(
            *_task_faults(was, now_, ground),
            *priority.faults,
            *served.reasons,
            *new_reasons(had.reasons, has.reasons),
            *dropped,
            *new_reasons(ground.hostile(before), ground.hostile(after)),
            *new_reasons(ground.unknown(before), ground.unknown(after)),
        ),
        warnings=(*(text for text in has.warnings if text not in had.warnings), *priority.warnings),
        patch=(*patch, *served.patch, *bound, *priority.patch),
        injected=has.injected if patch else (),
        due=_due_marks(before, after, ground),
    )


def _injections(had: LockPart, has: LockPart) -> tuple[tuple[Reason, ...], tuple[PatchOp, ...]]:
    """Return reasons for locks that an edit drops, or the operations that put them back.

    They are put back, as at the create, where all of the old spec had been injected. A Workflow from before
    its policy lacks locks, and is not given them while it runs; there the edit may not take more away.
    """
    if not had.injected:
        return (), has.patch
    lacked = {(each.template, each.lock) for each in had.injected}
    reasons = tuple(
        Reason(
            Code.LOCK_DROPPED,
            "spec.templates",
            f"template {each.template} loses the lock {each.lock} that {each.policy} asks for: keep it",
            each.policy,
        )
        for each in has.injected
        if (each.template, each.lock) not in lacked
    )
    return reasons, ()


def _task_faults(was: Tasks, now: Tasks, ground: _EditContext) -> tuple[Reason, ...]:
    """Return what is wrong with an edited number of tasks: above the cap, or above what was admitted."""
    if now.amount == was.amount and now.injected == was.injected:
        return ()
    faults = new_reasons(was.faults, now.faults)
    admitted = hold.weighed_of(ground.metadata).tasks
    if faults or now.amount == now.amount.tightest(admitted):
        return faults
    message = (
        f"{now.amount} is more than the {admitted} tasks that the Workflow was admitted with: keep it, or "
        "delete the Workflow and create it with the higher number"
    )
    field = REFERENCE if now.by else PARALLELISM
    return tuple(
        Reason(Code.TASKS_RAISED, field, message, quota.source)
        for quota in ground.quotas
        if quota.bounds_tasks
    )


def _bound_kept(
    before: WorkflowSpec, after: WorkflowSpec, ground: _EditContext
) -> tuple[WorkflowSpec, tuple[PatchOp, ...]]:
    """Return an edited spec with the bound of its tasks put back, where the edit takes it away.

    So does a user who applies a file again which never had one.
    """
    bound = before.parallelism
    if bound is None or after.parallelism is not None or is_restricted(after, ground.snapshot):
        return after, ()
    if not any(quota.counts_tasks for quota in ground.quotas):
        return after, ()
    kept = msgspec.structs.replace(after, parallelism=bound)
    return kept, (PatchOp(Op.ADD, pointer("spec", "parallelism"), bound),)


def _priority(before: WorkflowSpec, after: WorkflowSpec, ground: _EditContext) -> Priority:
    """Return what an edit makes of the priority; one that it leaves alone is as right as it was."""
    now = ground.priority(after)
    if (before.priority, before.workflow_template_ref) == (after.priority, after.workflow_template_ref):
        return Priority(now.value)
    return msgspec.structs.replace(now, faults=new_reasons(ground.priority(before).faults, now.faults))


def _due_marks(before: WorkflowSpec, after: WorkflowSpec, ground: _EditContext) -> dict[str, str]:
    """Return the annotations of ours that follow from an edit.

    A Workflow waits by its new priority, and counts with the tasks of its new template.
    """
    annotations, due = ground.metadata.annotations or {}, {}
    priority = ground.priority(after).value
    if well_known.PRIORITY in annotations and ground.priority(before).value != priority:
        due[well_known.PRIORITY] = str(priority)
    by = ground.tasks(after).by
    if well_known.WEIGHED_BY in annotations and by and ground.tasks(before).by != by:
        due[well_known.WEIGHED_BY] = by
    return due
