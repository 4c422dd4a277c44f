"""Where a Workflow with a workflowTemplateRef is redirected: to that template, or to its sibling with locks.

A reference to a sibling counts as one to its origin. So an old Workflow that is submitted again gets its
template as it is now, and a sibling that is no longer wanted gets no new users.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from policy.core.decision.decision import Code, Injection, Reason
from policy.core.lock_model.generated_names import Sibling, is_sibling, is_sibling_name
from policy.core.lock_model.lock_names import held_locks
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy
from policy.core.lock_review.siblings import FIELD, sibling_for, sibling_policies
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, Op, PatchOp, pointer, with_entries
from policy.core.objects.template_keys import TemplateKey, key_named, key_of
from policy.core.objects.workflow import EMPTY_METADATA, Metadata, TemplateRef, WorkflowSpec
from policy.core.policies.snapshot import Snapshot

_PLACE: Final = pointer("spec", "workflowTemplateRef")
_LABELS: Final = pointer("metadata", "labels")
_ANNOTATIONS: Final = pointer("metadata", "annotations")


class Redirect(msgspec.Struct, frozen=True):
    """The spec after the redirect, the patch for that, and the marks that the Workflow has to have then.

    `injected` and `note` report the locks that it finds in the sibling.
    """

    spec: WorkflowSpec
    patch: tuple[PatchOp, ...] = ()
    mark: str = ""
    origin: str = ""
    injected: tuple[Injection, ...] = ()
    note: str = ""
    reasons: tuple[Reason, ...] = ()


def redirect_of(
    spec: WorkflowSpec,
    metadata: Metadata,
    active: Sequence[CompiledLockPolicy],
    locks: LockPolicies,
    snapshot: Snapshot,
    *,
    again: bool = False,
) -> Redirect:
    """Return where a Workflow that is to run is redirected.

    One that runs `again` continues with the sibling that it had, while that exists and lacks nothing.
    """
    ref, wanting = spec.workflow_template_ref, sibling_policies(active)
    if ref is None or not ref.name:
        return Redirect(spec)
    named = key_of(ref, locks.namespace)
    origin = origin_of(named, metadata, snapshot)
    if origin is None:
        return _of_origin(named, spec, wanting, locks, snapshot) if wanting else Redirect(spec)
    if again and named in snapshot.templates and not sibling_for(named, wanting, locks, snapshot):
        note = (metadata.annotations or {}).get(well_known.INJECTED, "")
        return Redirect(spec, mark=named.name.rpartition("-")[2], origin=origin.text, note=note)
    return _of_origin(origin, spec, wanting, locks, snapshot)


def retained_redirect(
    before: WorkflowSpec, after: WorkflowSpec, metadata: Metadata, namespace: str
) -> Redirect | None:
    """Return the sibling of a Workflow whose edit only sets the reference back to the origin; it is retained.

    Applying the same file again is such an edit. `metadata` is that from before the edit: its marks name the
    sibling that was admitted, which stays valid whatever policies want now.
    """
    had, has = before.workflow_template_ref, after.workflow_template_ref
    origin = key_named((metadata.annotations or {}).get(well_known.SIBLING_OF, ""), namespace)
    mark = (metadata.labels or {}).get(well_known.SIBLING, "")
    if had is None or has is None or had == has or origin is None or not mark:
        return None
    if not (had.name or "").endswith(f"-{mark}") or not origin.is_named_by(has):
        return None
    return _redirected(after, {"name": had.name or ""}, origin, mark)


def redirect_faults(
    before: WorkflowSpec,
    after: WorkflowSpec,
    active: Sequence[CompiledLockPolicy],
    locks: LockPolicies,
    snapshot: Snapshot,
) -> tuple[Reason, ...]:
    """Return why a Workflow that is not completed may not refer to another template: that lacks locks."""
    has = after.workflow_template_ref
    if has is None or before.workflow_template_ref == has:
        return ()
    redirect = redirect_of(after, EMPTY_METADATA, active, locks, snapshot)
    if not (redirect.patch or redirect.reasons):
        return ()
    message = (
        f'"{has.name}" lacks locks that policies want, and a Workflow that is not completed is not '
        "redirected: keep the template that it has, or delete the Workflow and create it again"
    )
    return (Reason(Code.LOCK_DROPPED, FIELD, message),)


def origin_of(named: TemplateKey, metadata: Metadata, snapshot: Snapshot) -> TemplateKey | None:
    """Return the origin of the sibling that a Workflow names; None where it names none.

    The origin of a sibling that was deleted is only in the marks of the Workflow.
    """
    header = snapshot.header(named)
    if is_sibling(header):
        text = (header.annotations or {}).get(well_known.SIBLING_OF, "")
    elif named.namespace and named not in snapshot.templates and is_sibling_name(named.name):
        text = (metadata.annotations or {}).get(well_known.SIBLING_OF, "")
    else:
        return None
    origin = key_named(text, named.namespace)
    known = origin is not None and origin in snapshot.templates
    return origin if origin is not None and known and not is_sibling(snapshot.header(origin)) else None


def with_marks(patch: tuple[PatchOp, ...], metadata: Metadata, redirect: Redirect) -> tuple[PatchOp, ...]:
    """Return the patch with the operations that set the marks of a redirect, or remove them."""
    for path, present, key, value in (
        (_LABELS, metadata.labels, well_known.SIBLING, redirect.mark),
        (_ANNOTATIONS, metadata.annotations, well_known.SIBLING_OF, redirect.origin),
    ):
        if value and (present or {}).get(key) != value:
            patch = with_entries(patch, path, present, [(key, value)])
        elif not value and key in (present or {}):
            patch = (*patch, PatchOp(Op.REMOVE, path + pointer(key)))
    return patch


def _of_origin(
    origin: TemplateKey,
    spec: WorkflowSpec,
    wanting: Sequence[CompiledLockPolicy],
    locks: LockPolicies,
    snapshot: Snapshot,
) -> Redirect:
    """Return where a Workflow of a template is redirected under these policies."""
    sibling = sibling_for(origin, wanting, locks, snapshot)
    if sibling is None or _holds_all(spec, sibling, locks):
        return _redirected(spec, origin.ref(), origin, "")
    if sibling.faults:
        return Redirect(spec, reasons=sibling.faults)
    if is_sibling(snapshot.header(origin)):
        message = (
            f"{origin.name} is the sibling of a template that is not there any more, and it lacks locks: "
            "refer to another template"
        )
        return Redirect(spec, reasons=(Reason(Code.LOCK_CONFLICT, FIELD, message, sibling.policies[0]),))
    if not sibling.exists:
        message = (
            f"{origin} lacks locks that policies want; its sibling {sibling.name}, which "
            "has them, is being made: try again"
        )
        return Redirect(spec, reasons=(Reason(Code.SIBLING_AWAITED, FIELD, message, sibling.policies[0]),))
    redirect = _redirected(spec, {"name": sibling.name}, origin, sibling.mark)
    return msgspec.structs.replace(redirect, injected=sibling.injected, note=sibling.note)


def _holds_all(spec: WorkflowSpec, sibling: Sibling, locks: LockPolicies) -> bool:
    """Return whether the whole Workflow holds the locks: with the sibling it would wait for itself."""
    held = held_locks(spec.synchronization, locks.namespace)
    return bool(held) and held >= {each.lock for each in sibling.injected}


def _redirected(spec: WorkflowSpec, target: JsonObject, origin: TemplateKey, mark: str) -> Redirect:
    ref = msgspec.convert(target, TemplateRef)
    now = spec.workflow_template_ref or TemplateRef()
    origin_text = origin.text if mark else ""
    if (now.name, bool(now.cluster_scope)) == (ref.name, bool(ref.cluster_scope)):
        return Redirect(spec, mark=mark, origin=origin_text)
    changed = msgspec.structs.replace(spec, workflow_template_ref=ref)
    return Redirect(changed, (PatchOp(Op.REPLACE, _PLACE, target),), mark=mark, origin=origin_text)
