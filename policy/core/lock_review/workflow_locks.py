"""What the lock policies of a namespace say of a spec: the locks to put in, what is wrong, and warnings."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec

from policy.core.decision.decision import NO_OBJECT, Injection, Reason
from policy.core.injection.inject import put_locks
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.injection.unknown_selection import hidden_from_rules
from policy.core.lock_checks.graph_findings import NOTHING, review_graph
from policy.core.lock_checks.reference_faults import lock_faults, lock_warnings
from policy.core.lock_checks.rulebook import MAX_FAULTS, Rulebook
from policy.core.lock_graph.run_sources import template_owner
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy
from policy.core.lock_review.missing_locks import missing_lock_findings, template_finder
from policy.core.lock_review.redirect import Redirect, may_be_redirected, redirect_of
from policy.core.objects.json_patch import PatchOp
from policy.core.objects.label_selectors import Labels
from policy.core.objects.workflow import Metadata, WorkflowSpec
from policy.core.policies.snapshot import NamespacePolicies, Snapshot
from policy.core.values.budget import UNBOUNDED, Budget, Part


class LockPart(msgspec.Struct, frozen=True):
    """The locks' part of a decision.

    `injected` says what `patch` puts in, and `note` what the object has then. `redirect` is where a
    Workflow is led whose templates are another object's, None where that is not looked at.
    """

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    policies: tuple[str, ...] = ()
    injected: tuple[Injection, ...] = ()
    note: str = ""
    redirect: Redirect | None = None

    @property
    def says_anything(self) -> bool:
        """Whether there is anything to tell or to change."""
        return bool(self.reasons or self.warnings or self.patch or self.injected)


NO_LOCK_PART: Final = LockPart()
"""Of a Workflow that no lock policy speaks about."""


def review_workflow_locks(
    spec: WorkflowSpec,
    labels: Labels,
    policies: NamespacePolicies,
    snapshot: Snapshot,
    *,
    raw: msgspec.Raw = NO_OBJECT,
    metadata: Metadata | None = None,
    again: bool = False,
    budget: Budget = UNBOUNDED,
) -> LockPart:
    """Return what the policies that are active for these labels say of a Workflow's spec.

    `raw` is the whole object, which layers around templates are made from. With its `metadata`, a Workflow
    that is to run, perhaps `again`, is led to the sibling of its template where it needs one.
    """
    locks = policies.locks
    active = locks.active(labels) if locks is not None else ()
    if locks is None or not active:
        return NO_LOCK_PART
    view = locks.view(spec)
    reviewed = ReviewedObject(
        raw=raw,
        view=view,
        find=template_finder(locks, snapshot, view),
        library=snapshot.library,
        budget=budget,
    )
    if metadata is None or not may_be_redirected(spec, metadata):
        return review_spec_locks(spec, locks, active, reviewed, snapshot)
    redirect = redirect_of(spec, metadata, active, locks, snapshot, again=again)
    part = review_spec_locks(redirect.spec, locks, active, reviewed, snapshot)
    return msgspec.structs.replace(
        part,
        reasons=redirect.reasons + part.reasons,
        patch=part.patch + redirect.patch,
        injected=part.injected + (redirect.injected if redirect.patch else ()),
        note=redirect.note or part.note,
        redirect=redirect,
    )


def review_spec_locks(
    spec: WorkflowSpec,
    locks: LockPolicies,
    active: Sequence[CompiledLockPolicy],
    reviewed: ReviewedObject,
    snapshot: Snapshot,
) -> LockPart:
    """Return what policies say of the WorkflowSpec of an object of any kind.

    Four steps may refuse it: the locks that are written (`lock_faults`), those that rules put in
    (`put_locks`), what only the graph shows (`review_graph`), and the locks that templates of other objects
    lack (`missing_lock_findings`). None of them comes back here.
    """
    budget = reviewed.budget
    rulebook = Rulebook(locks, active, hints=reviewed.hints, budget=budget)
    put = put_locks(spec, locks, active, reviewed)
    spec, found, injected = put.spec, put.found, put.injected
    faults = tuple(islice(lock_faults(spec, found, rulebook), MAX_FAULTS))
    owner = template_owner(reviewed.kind, reviewed.name, spec, reviewed.at)
    budget.check(Part.GRAPH)
    full = len(faults) == MAX_FAULTS  # There is enough to mend before the whole is looked at.
    shown = NOTHING if full else review_graph(owner, found, rulebook, reviewed.library, injected.patch)
    beyond = missing_lock_findings(spec, found, locks, active, reviewed, snapshot=snapshot)
    return LockPart(
        reasons=faults + injected.faults + shown.reasons + beyond.reasons,
        warnings=(
            *lock_warnings(spec, found, rulebook),
            *injected.warnings,
            *hidden_from_rules(spec, found, locks, active, reviewed),
            *beyond.warnings,
            *shown.warnings,
        ),
        patch=put.patch,
        policies=tuple(policy.source for policy in active),
        injected=injected.locks,
        note=injected.note,
    )
