"""Judging siblings when they are written: ours pass as they are, and nobody edits one.

A sibling is known by its content alone. Whoever gives a template of his own the label has it judged as any
template.
"""

from collections.abc import Iterator

import msgspec

from policy.core.decision import (
    IGNORED,
    Code,
    Decision,
    ObjectKind,
    Operation,
    Outcome,
    Reason,
    Review,
    settled,
)
from policy.core.locks.sibling_names import is_sibling, origin_of
from policy.core.locks.siblings import is_wanted, serving
from policy.core.marks import SIBLING, SIBLING_OF
from policy.core.snapshot import Snapshot
from policy.core.workflow import EMPTY_METADATA, Metadata, Read


class _Written(Read, frozen=True):
    """A template of which the spec is only compared."""

    metadata: Metadata = EMPTY_METADATA
    spec: msgspec.Raw = msgspec.Raw(b"null")


_WRITTEN = msgspec.json.Decoder(_Written)


def judge_sibling(review: Review, snapshot: Snapshot) -> Decision | None:
    """Decide about a create or an update of a sibling; None of what is judged as any template."""
    if review.kind is not ObjectKind.WORKFLOW_TEMPLATE:
        return None
    locks = snapshot.policies(review.namespace).locks
    if locks is None or not serving(locks.policies):
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
    origin = origin_of((new.metadata.annotations or {}).get(SIBLING_OF, ""), namespace)
    if origin is None or not is_sibling(new.metadata):
        return False
    key = (namespace, new.metadata.name or "")
    return is_wanted(key, origin, bytes(new.spec).decode(), snapshot)


def _edits(old: _Written, new: _Written) -> Iterator[Reason]:
    """Yield what an edit changes: Workflows that wait were admitted with the sibling as it is."""
    origin = (old.metadata.annotations or {}).get(SIBLING_OF, "another template")
    message = f"is what Lockkeeper made of {origin}, and never edited: edit that, and another one is made"
    if (new.metadata.labels or {}).get(SIBLING) != (old.metadata.labels or {})[SIBLING]:
        yield Reason(Code.GUARDED_MARK, f"metadata.labels[{SIBLING}]", message)
    if bytes(old.spec) != bytes(new.spec):
        yield Reason(Code.GUARDED_MARK, "spec", message)
