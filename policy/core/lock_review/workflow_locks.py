"""Which locks a spec gets by the lock policies of its namespace, and what is wrong with its locks."""

from collections.abc import Iterator
from typing import Final

import msgspec

from policy.core.decision.decision import NO_OBJECT, Code, Injection, Reason
from policy.core.injection.inject import convert_and_inject
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.injection.unknown_selection import hidden_from_rules
from policy.core.lock_checks.graph_findings import review_graph
from policy.core.lock_checks.reference_faults import written_locks
from policy.core.lock_checks.rulebook import MAX_FAULTS, NO_FINDINGS, Rulebook, marks_of
from policy.core.lock_checks.unheld_locks import unheld_locks
from policy.core.lock_graph.run_sources import template_owner
from policy.core.lock_model.generated_names import base_name, is_generated
from policy.core.lock_review.missing_locks import missing_lock_findings, template_finder
from policy.core.lock_review.redirect import Redirect, redirect_of
from policy.core.objects.json_patch import PatchOp, field_path, pointer
from policy.core.objects.label_selectors import Labels
from policy.core.objects.well_known import SIBLING, SIBLING_OF
from policy.core.objects.workflow import Metadata, WorkflowSpec
from policy.core.policies.snapshot import NamespacePolicies, Snapshot
from policy.core.values.budget import UNBOUNDED, Budget, Part


class LockPart(msgspec.Struct, frozen=True):
    """The locks' part of a decision.

    `injected` reports the locks that `patch` adds, and `note` those that the object has then. `redirect` is
    for a Workflow with a workflowTemplateRef, None where that is not reviewed.
    """

    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    patch: tuple[PatchOp, ...] = ()
    policies: tuple[str, ...] = ()
    injected: tuple[Injection, ...] = ()
    note: str = ""
    redirect: Redirect | None = None

    @property
    def has_effect(self) -> bool:
        """Whether there is anything to report or to change."""
        return bool(self.reasons or self.warnings or self.patch or self.injected)


NO_LOCK_PART: Final = LockPart()
"""For a Workflow to which no lock policy applies."""


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
    """Return what the policies that apply to these labels decide about a Workflow's spec.

    `raw` is the whole object, from which layers around templates are made. With its `metadata`, a Workflow
    that is to run, perhaps `again`, is redirected to the sibling of its template where it needs one.
    """
    locks = policies.locks
    active = locks.active(labels) if locks is not None else ()
    if locks is None or not active:
        return NO_LOCK_PART
    view = locks.view(spec)
    find = template_finder(locks, snapshot, view)
    name = "" if metadata is None else metadata.name or metadata.generate_name or ""
    reviewed = ReviewedObject(view=view, raw=raw, find=find, name=name, library=snapshot.library)
    locked = spec.synchronization is not None or spec.workflow_template_ref is not None
    marks = marks_of(metadata) if metadata is not None and locked else None
    rulebook = Rulebook(locks, active, budget=budget, marks=marks)
    if metadata is None or not _may_be_redirected(spec, metadata):
        return review_spec_locks(spec, rulebook, reviewed, snapshot)
    redirect = redirect_of(spec, metadata, active, locks, snapshot, again=again)
    part = review_spec_locks(redirect.spec, rulebook, reviewed, snapshot)
    return msgspec.structs.replace(
        part,
        reasons=redirect.reasons + part.reasons,
        patch=part.patch + redirect.patch,
        injected=part.injected + (redirect.injected if redirect.patch else ()),
        note=redirect.note or part.note,
        redirect=redirect,
    )


def _may_be_redirected(spec: WorkflowSpec, metadata: Metadata) -> bool:
    """Return whether a Workflow is to be redirected, or has marks of that: most have neither."""
    return (
        spec.workflow_template_ref is not None
        or SIBLING in (metadata.labels or ())
        or SIBLING_OF in (metadata.annotations or ())
    )


def review_spec_locks(
    spec: WorkflowSpec, rulebook: Rulebook, reviewed: ReviewedObject, snapshot: Snapshot
) -> LockPart:
    """Return what policies decide about the WorkflowSpec of an object of any kind.

    Five steps may refuse it: injection (`convert_and_inject`), the locks that are written
    (`written_locks`), what only the graph shows (`review_graph`), the locks that templates of other objects
    lack (`missing_lock_findings`), and the start of a generated template. None of them calls back.
    """
    result = convert_and_inject(spec, rulebook, reviewed)
    spec, found, injected = result.spec, result.found, result.injected
    written = written_locks(spec, found, rulebook)
    rulebook.budget.check(Part.GRAPH)
    graph = NO_FINDINGS
    if len(written.reasons) < MAX_FAULTS:  # Else there is enough to correct before the whole is looked at.
        owner = template_owner(reviewed.kind, reviewed.name, spec, reviewed.at)
        graph = review_graph(owner, found, rulebook, reviewed.library, injected.patch)
    missing = missing_lock_findings(spec, found, rulebook, reviewed, snapshot)
    started = () if spec.workflow_template_ref is None else tuple(generated_starts(spec, reviewed.at))
    unheld = unheld_locks(
        spec,
        reviewed.at,
        found,
        reviewed.library,
        rulebook.locks.namespace,
        ruled=rulebook.locks.lock_names,
        budget=rulebook.budget,
    )
    return LockPart(
        reasons=written.reasons + injected.faults + graph.reasons + missing.reasons + started,
        warnings=(
            *written.warnings,
            *injected.warnings,
            *hidden_from_rules(spec, found, rulebook, reviewed),
            *missing.warnings,
            *(f"lockkeeper: {each.path}: {each.message}" for each in unheld),
            *graph.warnings,
        ),
        patch=result.patch,
        policies=tuple([policy.source for policy in rulebook.policies]),
        injected=injected.locks,
        note=injected.note,
    )


def generated_starts(spec: WorkflowSpec, at: str) -> Iterator[Reason]:
    """Yield what starts a generated template of the object that a spec refers to, made for calls in that."""
    hooks = (spec.hooks or {}).items()
    hooked = ((f"/hooks{pointer(event)}/template", hook.template) for event, hook in hooks)
    for where, name in (("/entrypoint", spec.entrypoint), ("/onExit", spec.on_exit), *hooked):
        if name and is_generated(name):
            message = (
                f'"{name}" is generated from "{base_name(name)}" for calls in its own object, with the locks '
                f'that these calls need. Write "{base_name(name)}"'
            )
            yield Reason(Code.LOCK_CONFLICT, field_path(at + where), message)
