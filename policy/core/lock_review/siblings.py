"""Siblings of templates: copies with the locks that policies want, for Workflows that carry no templates.

A Workflow with a workflowTemplateRef alone has no place for a lock. Under a policy with `referenced: Sibling`
it is led to a copy of its template that has the locks. What the copy is follows from the template and the
policies, so the webhook, which leads to it, and the leader, which makes it, need not talk to each other.

A sibling that is written is known by its content alone: ours pass as they are, and nobody edits one. Whoever
gives a template of his own the label has it reviewed as any template.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any, Final

import msgspec

from policy.core.decision.decision import IGNORED, Code, Decision, Operation, Outcome, Reason, Review, settled
from policy.core.injection.inject import Put, put_locks
from policy.core.injection.reviewed_object import ReviewedObject
from policy.core.lock_model.generated_names import Sibling, is_sibling, sibling_mark, sibling_name
from policy.core.lock_model.lock_policies import LockPolicies
from policy.core.lock_model.rules import CompiledLockPolicy
from policy.core.lock_review.missing_locks import template_finder
from policy.core.objects.json_patch import patched
from policy.core.objects.label_selectors import EVERYTHING, LabelSelector
from policy.core.objects.template_keys import ObjectKind, TemplateKey, key_named
from policy.core.objects.well_known import SIBLING, SIBLING_OF
from policy.core.objects.workflow import EMPTY_METADATA, Metadata, Read
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import MatchedKind, Referenced

FIELD: Final = "spec.workflowTemplateRef"
_MOST_SELECTORS: Final = 3
"""Selectors of Workflows in a namespace that siblings are made for: each doubles how many there may be."""


def sibling_policies(active: Sequence[CompiledLockPolicy]) -> tuple[CompiledLockPolicy, ...]:
    """Return those of the policies of a Workflow that lead it to siblings."""
    return tuple(each for each in active if each.referenced is Referenced.SIBLING)


def sibling_for(
    origin: TemplateKey, active: Sequence[CompiledLockPolicy], locks: LockPolicies, snapshot: Snapshot
) -> Sibling | None:
    """Return the sibling of a template under the policies that serve a Workflow; None where nothing lacks.

    It is worked out once for the same template and policies.
    """
    key = (*origin, _sources(active))
    return locks.caches.siblings.get_or(
        key, lambda: _work_out(origin, active, locks, snapshot) if active else None
    )


def possible_sibling(
    origin: TemplateKey, active: Sequence[CompiledLockPolicy], locks: LockPolicies, snapshot: Snapshot
) -> Sibling | None:
    """Return the sibling of a template that can be made, None where nothing lacks or none can."""
    found = sibling_for(origin, active, locks, snapshot)
    return None if found is None or found.faults else found


def _is_wanted(key: TemplateKey, origin: TemplateKey, text: str, snapshot: Snapshot) -> bool:
    """Tell whether a template of a namespace is, to the letter, a sibling that is wanted of this origin."""
    locks = snapshot.policies(key.namespace).locks
    if locks is None or is_sibling(snapshot.header(origin)):
        return False
    candidates = (possible_sibling(origin, active, locks, snapshot) for active in policy_sets(locks))
    return any(each is not None and each.name == key.name and each.text == _same(text) for each in candidates)


def _same(text: str) -> str:
    """Return a JSON text in the one way of writing that equal texts have in common."""
    value: Any = msgspec.json.decode(text) if text else None
    return msgspec.json.encode(value, order="deterministic").decode()


def policy_sets(locks: LockPolicies) -> Iterator[tuple[CompiledLockPolicy, ...]]:
    """Yield the sets of policies that may serve one Workflow: by its labels it has some of the selectors."""
    policies = [each for each in sibling_policies(locks.policies) if MatchedKind.WORKFLOW in each.kinds]
    selectors = _selectors(policies)
    if len(selectors) > _MOST_SELECTORS:
        return
    for number in range(len(selectors) + 1):
        for chosen in combinations(selectors, number):
            some = tuple(each for each in policies if each.workflows in (EVERYTHING, *chosen))
            if some:
                yield some


def _selectors(policies: Sequence[CompiledLockPolicy]) -> list[LabelSelector]:
    found: list[LabelSelector] = []
    for each in policies:
        if each.workflows != EVERYTHING and each.workflows not in found:
            found.append(each.workflows)
    return found


def _work_out(
    origin: TemplateKey, active: Sequence[CompiledLockPolicy], locks: LockPolicies, snapshot: Snapshot
) -> Sibling | None:
    spec, text = snapshot.templates.get(origin), snapshot.texts.get(origin, "")
    if spec is None:
        return None
    raw = msgspec.Raw(b'{"spec":' + (text or "null").encode() + b"}")
    view = locks.view(spec)
    reviewed = ReviewedObject(
        kind=ObjectKind.WORKFLOW_TEMPLATE,
        raw=raw,
        find=template_finder(locks, snapshot, view),
        name=origin.name,
        view=view,
        library=snapshot.library,
    )
    put = put_locks(spec, locks, active, reviewed)
    faults = put.injected.faults or _impossible(put, text, locks)
    if faults:
        reasons = tuple(_of_reference(each, origin) for each in faults)
        return Sibling(locks.namespace, origin, _sources(active), faults=reasons)
    if not put.patch:
        return None
    whole: Any = patched(msgspec.json.decode(raw), put.patch)
    made_of = msgspec.json.encode(whole["spec"], order="deterministic").decode()
    mark = sibling_mark(origin, snapshot.header(origin).uid or "", made_of)
    key = TemplateKey(locks.namespace, sibling_name(origin, mark))
    return Sibling(
        locks.namespace,
        origin,
        _sources(active),
        name=key.name,
        mark=mark,
        text=made_of,
        exists=is_sibling(snapshot.header(key)) and _same(snapshot.texts.get(key, "")) == made_of,
        injected=put.injected.locks,
        note=put.injected.note,
    )


def _sources(active: Sequence[CompiledLockPolicy]) -> tuple[str, ...]:
    return tuple(each.source for each in active)


def _impossible(put: Put, text: str, locks: LockPolicies) -> tuple[Reason, ...]:
    """Return why no sibling is made though nothing is wrong with the locks themselves."""
    if not put.patch:
        return ()
    if not text:
        return (Reason(Code.LOCK_CONFLICT, FIELD, "lacks locks, and its text is not known"),)
    selectors = _selectors(sibling_policies(locks.policies))
    if len(selectors) > _MOST_SELECTORS:
        message = (
            f"lacks locks, and no sibling is made of it, because policies with referenced: Sibling have "
            f"{len(selectors)} different match.workflows here, and {_MOST_SELECTORS} are the most"
        )
        return (Reason(Code.LOCK_CONFLICT, FIELD, message, put.injected.locks[0].policy),)
    return ()


def _of_reference(reason: Reason, origin: TemplateKey) -> Reason:
    """Return a reason as it concerns the Workflow that refers to the template."""
    if reason.field == FIELD:
        return msgspec.structs.replace(reason, message=f"{origin} {reason.message}")
    message = f"{origin} {reason.field}: {reason.message}"
    return msgspec.structs.replace(reason, field=FIELD, message=message)


class _Written(Read, frozen=True):
    """A template of which the spec is only compared."""

    metadata: Metadata = EMPTY_METADATA
    spec: msgspec.Raw = msgspec.Raw(b"null")


_WRITTEN = msgspec.json.Decoder(_Written)


def review_sibling(review: Review, snapshot: Snapshot) -> Decision | None:
    """Decide about a create or an update of a sibling; None of what is judged as any template."""
    if review.kind is not ObjectKind.WORKFLOW_TEMPLATE:
        return None
    locks = snapshot.policies(review.namespace).locks
    if locks is None or not sibling_policies(locks.policies):
        return None
    new = _WRITTEN.decode(review.raw)
    if review.operation is Operation.CREATE:
        return IGNORED if _is_ours(new, review.namespace, snapshot) else None
    old = _WRITTEN.decode(review.old_raw)
    if not is_sibling(old.metadata):
        return None
    reasons = tuple(_edits(old, new))
    return settled(Decision(Outcome.ALLOWED), review.side, reasons) if reasons else None


def _is_ours(new: _Written, namespace: str, snapshot: Snapshot) -> bool:
    """Tell whether a template is, to the letter, what the leader makes now."""
    origin = key_named((new.metadata.annotations or {}).get(SIBLING_OF, ""), namespace)
    if origin is None or not is_sibling(new.metadata):
        return False
    key = TemplateKey(namespace, new.metadata.name or "")
    return _is_wanted(key, origin, bytes(new.spec).decode(), snapshot)


def _edits(old: _Written, new: _Written) -> Iterator[Reason]:
    """Yield what an edit changes: Workflows that wait were admitted with the sibling as it is."""
    origin = (old.metadata.annotations or {}).get(SIBLING_OF, "another template")
    message = f"is what Lockkeeper made of {origin}, and never edited: edit that, and another one is made"
    if (new.metadata.labels or {}).get(SIBLING) != (old.metadata.labels or {})[SIBLING]:
        yield Reason(Code.GUARDED_MARK, f"metadata.labels[{SIBLING}]", message)
    if bytes(old.spec) != bytes(new.spec):
        yield Reason(Code.GUARDED_MARK, "spec", message)
