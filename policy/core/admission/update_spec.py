"""Guards the spec of a Workflow that waits or runs: an edit is checked for what is new in it.

What was wrong before the edit is no fault of it, and must not prevent the correction of something else.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core.admission.reference_marks import moved_by_reference
from policy.core.admission.tasks_and_priority import (
    PARALLELISM,
    REFERENCE,
    Priority,
    Tasks,
    is_restricted,
    priority_of,
    tasks_of,
)
from policy.core.admission.update_metadata import metadata_faults
from policy.core.decision.decision import Code, Injection, Reason, Review, new_reasons
from policy.core.lock_review.redirect import Redirect, redirect_faults, retained_redirect
from policy.core.lock_review.unread_templates import left_out_faults
from policy.core.lock_review.workflow_locks import NO_LOCK_PART, LockPart, review_workflow_locks
from policy.core.objects import hold, well_known
from policy.core.objects.json_patch import Op, PatchOp, pointer
from policy.core.objects.label_selectors import Labels
from policy.core.objects.semantic_equality import Parts, changed
from policy.core.objects.workflow import EMPTY_METADATA, EMPTY_SPEC, Metadata, Read, Workflow, WorkflowSpec
from policy.core.policies.governing_quotas import governing
from policy.core.policies.snapshot import NamespacePolicies, Snapshot
from policy.core.quota.compiled_quota import CompiledQuota
from policy.core.values.budget import Budget
from policy.core.values.prepared import prepare

_FREE: Final = frozenset({"shutdown", "suspend"})
"""Parts of a spec that stop or pause a Workflow: never refused."""


class _RawSpec(Read, frozen=True):
    """The parts of a Workflow's spec, not decoded."""

    spec: dict[str, msgspec.Raw] | None = None


_UNREAD: Final = msgspec.json.Decoder(_RawSpec | None)
prepare(_RawSpec)


class SpecPart(msgspec.Struct, frozen=True):
    """What an edit of a spec leads to: reasons against it, a patch that restores, and `due` annotations."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    injected: tuple[Injection, ...] = ()
    due: Mapping[str, str] = {}


UNCHANGED: Final = SpecPart()


def spec_changes(review: Review) -> frozenset[str]:
    """Return which parts of the spec an update changes, without those that stop or pause it."""
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
        return tasks_of(spec, self.policies.namespace, self.quotas, self.snapshot, self.now)

    def priority(self, spec: WorkflowSpec) -> Priority:
        return priority_of(spec, self.policies.namespace, self.quotas, self.snapshot)

    def locks(self, spec: WorkflowSpec) -> LockPart:
        return review_workflow_locks(spec, self.labels, self.policies, self.snapshot, budget=self.budget)

    def redirect(self, before: WorkflowSpec, after: WorkflowSpec) -> Redirect:
        """Return which template the Workflow refers to after an edit."""
        stays = retained_redirect(before, after, self.metadata, self.policies.namespace)
        locks = self.policies.locks
        if stays is not None or locks is None:
            return stays or Redirect(after)
        reasons = redirect_faults(before, after, locks.active(self.labels), locks, self.snapshot)
        return Redirect(after, reasons=reasons)

    def object_faults(self, spec: WorkflowSpec) -> Iterator[Reason]:
        """Yield what is wrong with a spec itself: metadata that Argo is to write, templates left out."""
        yield from metadata_faults(spec, self.metadata, self.policies, self.snapshot)
        yield from left_out_faults(spec, self.policies.namespace, self.snapshot)


def review_edit(
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
    context = _EditContext(
        metadata, labels, governing(policies.quotas, labels), policies, snapshot, now, budget
    )
    redirect = context.redirect(before, after)
    after, bound = _with_bound(before, redirect.spec, context)
    had_tasks, has_tasks = context.tasks(before), context.tasks(after)
    had_priority, has_priority = context.priority(before), context.priority(after)
    has = context.locks(after)
    # The locks before the edit matter only if there is something to report of those after it.
    had = context.locks(before) if has.has_effect else NO_LOCK_PART
    dropped, patch = _injections(had, has)
    moved, referring = moved_by_reference(old, new.spec or EMPTY_SPEC, policies, snapshot)
    due = {**_due_annotations(metadata, had_tasks, has_tasks, had_priority, has_priority), **referring}
    if (before.priority, before.workflow_template_ref) == (after.priority, after.workflow_template_ref):
        has_priority = Priority(has_priority.value)  # The edit leaves it alone, whatever is wrong with it.
    return SpecPart(
        reasons=(
            *_task_faults(had_tasks, has_tasks, context),
            *new_reasons(had_priority.faults, has_priority.faults),
            *redirect.reasons,
            *moved,
            *new_reasons(had.reasons, has.reasons),
            *dropped,
            *new_reasons(context.object_faults(before), context.object_faults(after)),
        ),
        warnings=(*(text for text in has.warnings if text not in had.warnings), *has_priority.warnings),
        patch=(*patch, *redirect.patch, *bound, *has_priority.patch),
        injected=has.injected if patch else (),
        due=due,
    )


def _injections(had: LockPart, has: LockPart) -> tuple[tuple[Reason, ...], tuple[PatchOp, ...]]:
    """Return reasons for locks that an edit drops, or the operations that restore them.

    They are restored, as at the create, if all of the old spec had been injected. A Workflow from before its
    policy lacks locks, and is not given them while it runs; there the edit may not remove more.
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


def _task_faults(had: Tasks, has: Tasks, context: _EditContext) -> tuple[Reason, ...]:
    """Return what is wrong with an edited number of tasks: above the cap, or above what was admitted."""
    if has.amount == had.amount and has.injected == had.injected:
        return ()
    faults = new_reasons(had.faults, has.faults)
    admitted = hold.quota_marks_of(context.metadata).tasks
    if faults or has.amount == has.amount.tightest(admitted):
        return faults
    message = (
        f"{has.amount} is more than the {admitted} tasks that the Workflow was admitted with: keep it, or "
        "delete the Workflow and create it with the higher number"
    )
    field = REFERENCE if has.by else PARALLELISM
    return tuple(
        Reason(Code.TASKS_RAISED, field, message, quota.source)
        for quota in context.quotas
        if quota.bounds_tasks
    )


def _with_bound(
    before: WorkflowSpec, after: WorkflowSpec, context: _EditContext
) -> tuple[WorkflowSpec, tuple[PatchOp, ...]]:
    """Return an edited spec with the bound of its tasks restored, if the edit removes it.

    A user does that by applying a file again which never had one.
    """
    bound = before.parallelism
    if bound is None or after.parallelism is not None or is_restricted(after, context.snapshot):
        return after, ()
    if not any(quota.counts_tasks for quota in context.quotas):
        return after, ()
    patch = (PatchOp(Op.ADD, pointer("spec", "parallelism"), bound),)
    return msgspec.structs.replace(after, parallelism=bound), patch


def _due_annotations(
    metadata: Metadata, had: Tasks, has: Tasks, had_priority: Priority, has_priority: Priority
) -> dict[str, str]:
    """Return the annotations of ours that follow from an edit.

    A Workflow waits by its new priority, and counts with the tasks of its new template. While it waits, fewer
    tasks count too: nothing runs yet, and what may be reserved for it already is more.
    """
    annotations, due = metadata.annotations or {}, {}
    if well_known.PRIORITY in annotations and had_priority.value != has_priority.value:
        due[well_known.PRIORITY] = str(has_priority.value)
    if well_known.WEIGHED_BY in annotations and has.by and had.by != has.by:
        due[well_known.WEIGHED_BY] = has.by
    if not has.by and _waits(metadata) and had.amount != has.amount:
        admitted = hold.quota_marks_of(metadata).tasks
        if has.amount != admitted and has.amount == has.amount.tightest(admitted):
            due[well_known.TASKS] = hold.written_tasks(has.amount)
    return due


def _waits(metadata: Metadata) -> bool:
    """Return whether a Workflow waits for its release, and will not be deleted before."""
    marked = well_known.TASKS in (metadata.annotations or {})
    return marked and hold.is_held(metadata.labels) and metadata.deletion_timestamp is None
