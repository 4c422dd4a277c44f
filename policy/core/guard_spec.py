"""Guarding the spec of a Workflow that waits or runs: an edit is judged for what is new in it.

What was wrong before the edit is nobody's fault now, and must not keep anybody from mending something else.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec

from policy.core import holding, marks
from policy.core.budget import Budget
from policy.core.compiled_quotas import CompiledQuota
from policy.core.decision import Code, Injection, Reason, Review
from policy.core.governing import PARALLELISM, Tasks, governing, tasks_of
from policy.core.locks.judging import NO_LOCKS, LockPart, judge_locks
from policy.core.locks.served import Served, put_back, redirected
from policy.core.patches import Op, PatchOp, pointer
from policy.core.prepared import prepare
from policy.core.quota_review import priority_of
from policy.core.sameness import changed
from policy.core.selectors import Labels
from policy.core.snapshot import NamespacePolicies, Snapshot
from policy.core.template_metadata import metadata_faults
from policy.core.workflow import EMPTY_METADATA, EMPTY_SPEC, Metadata, Read, Workflow, WorkflowSpec

FREE: Final = frozenset({"shutdown", "suspend"})
"""Parts of a spec that stop or pause a Workflow: never held up."""


class Unread(Read, frozen=True):
    """The parts of a Workflow's spec, left as they came."""

    spec: dict[str, msgspec.Raw] | None = None


_UNREAD: Final = msgspec.json.Decoder(Unread | None)
prepare(Unread)


class SpecPart(msgspec.Struct, frozen=True):
    """What an edit of a spec gives: reasons against it, and what has to be put right."""

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    injected: tuple[Injection, ...] = ()


UNCHANGED: Final = SpecPart()


def spec_changes(review: Review) -> frozenset[str]:
    """Return which parts of the spec an update changes, those that stop or pause it left out."""
    before, after = _UNREAD.decode(review.old_raw), _UNREAD.decode(review.raw)
    return changed(before.spec if before else None, after.spec if after else None, review.budget) - FREE


class Ground(msgspec.Struct, frozen=True):
    """What an edit is judged on: the metadata from before it, and the policies that govern the Workflow."""

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

    def locks(self, spec: WorkflowSpec) -> LockPart:
        """Return what lock policies say of a spec."""
        return judge_locks(spec, self.labels, self.policies, self.snapshot, budget=self.budget)

    def served(self, before: WorkflowSpec, after: WorkflowSpec) -> Served:
        """Return where the Workflow is led after an edit."""
        stays = put_back(before, after, self.metadata, self.policies.namespace)
        locks = self.policies.locks
        if stays is not None or locks is None:
            return stays or Served(after)
        reasons = redirected(before, after, locks.active(self.labels), locks, self.snapshot)
        return Served(after, reasons=reasons)

    def hostile(self, spec: WorkflowSpec) -> Iterator[Reason]:
        """Yield what is wrong with the metadata that Argo is to write."""
        return metadata_faults(spec, self.metadata, self.policies, self.snapshot)


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
    labels = holding.original_labels(metadata)
    ground = Ground(metadata, labels, governing(policies.quotas, labels), policies, snapshot, now, budget)
    served = ground.served(before, after)
    after = served.spec
    has = ground.locks(after)
    # What was wrong before the edit matters only where something is to be said of what is there now.
    had = ground.locks(before) if has.says_anything else NO_LOCKS
    dropped, patch = _injections(had, has)
    return SpecPart(
        reasons=(
            *_task_faults(before, after, ground),
            *served.reasons,
            *_new(had.reasons, has.reasons),
            *dropped,
            *_new(ground.hostile(before), ground.hostile(after)),
        ),
        warnings=tuple(text for text in has.warnings if text not in had.warnings),
        patch=(*patch, *served.patch, *_default(before, after, ground)),
        injected=has.injected if patch else (),
    )


def _new(before: Iterable[Reason], after: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the reasons that an edit brings; where a template stands in its list is no part of a reason."""
    known = {(reason.code, reason.message) for reason in before}
    return tuple(reason for reason in after if (reason.code, reason.message) not in known)


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


def _task_faults(before: WorkflowSpec, after: WorkflowSpec, ground: Ground) -> tuple[Reason, ...]:
    """Return what is wrong with an edited number of tasks: above the cap, or above what was admitted."""
    was, now = ground.tasks(before), ground.tasks(after)
    if now.amount == was.amount and now.injected == was.injected:
        return ()
    faults = _new(was.faults, now.faults)
    admitted = holding.weighed_of(ground.metadata).tasks
    if faults or now.amount == now.amount.tightest(admitted):
        return faults
    message = (
        f"{now.amount} is more than the {admitted} tasks that the Workflow was admitted with: keep it, or "
        "delete the Workflow and create it with the higher number"
    )
    return tuple(
        Reason(Code.TASKS_RAISED, PARALLELISM, message, quota.source)
        for quota in ground.quotas
        if quota.limits.bounds_tasks or quota.per_user.bounds_tasks
    )


def _default(before: WorkflowSpec, after: WorkflowSpec, ground: Ground) -> tuple[PatchOp, ...]:
    """Return the operation that puts the default number of tasks back, where an edit takes it away."""
    if before.parallelism is None or after.parallelism is not None:
        return ()
    default = ground.tasks(after).injected
    return () if default is None else (PatchOp(Op.ADD, pointer("spec", "parallelism"), default),)


def due_marks(old: Workflow, new: Workflow, namespace: str, snapshot: Snapshot) -> dict[str, str]:
    """Return the annotations of ours that follow from an edit: a Workflow waits by its new priority."""
    annotations = (old.metadata or EMPTY_METADATA).annotations or {}
    before, after = old.spec or EMPTY_SPEC, new.spec or EMPTY_SPEC
    priority = priority_of(after, namespace, snapshot)
    if priority_of(before, namespace, snapshot) == priority or marks.PRIORITY not in annotations:
        return {}
    return {marks.PRIORITY: str(priority)}
