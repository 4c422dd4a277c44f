"""Whether a Workflow that waits is paused: its user sets `spec.suspend` while it waits, and it keeps waiting.

A leader reads no specs, so admission writes a mark. One that was created suspended is not paused: it is
released in its turn and Argo suspends it, since `argo resume` does not find it before.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from policy.core.decision.decision import Review
from policy.core.objects import hold, well_known
from policy.core.objects.workflow import EMPTY_METADATA, Read
from policy.core.values.prepared import prepare

_NOTHING_DUE: Final[Mapping[str, str]] = {}
_KEY: Final = b'"suspend"'


class _Suspension(Read, frozen=True):
    """The field that `argo suspend` sets."""

    suspend: bool | None = None


class _Suspended(Read, frozen=True):
    """A Workflow, as far as it may be suspended."""

    spec: _Suspension = _Suspension()


prepare(_Suspended)


def pause_due(review: Review) -> Mapping[str, str]:
    """Return the mark that follows from an edit which pauses or resumes a Workflow that waits."""
    metadata = EMPTY_METADATA if review.old is None else review.old.metadata or EMPTY_METADATA
    if not hold.is_held(metadata.labels) or well_known.TASKS not in (metadata.annotations or {}):
        return _NOTHING_DUE
    if _KEY not in memoryview(review.raw).tobytes() and _KEY not in memoryview(review.old_raw).tobytes():
        return _NOTHING_DUE
    before, after = _suspended(review.old_raw), _suspended(review.raw)
    if before == after:
        return _NOTHING_DUE
    return {well_known.ON_HOLD: "true" if after else "false"}


def _suspended(raw: msgspec.Raw) -> bool:
    """Return whether a Workflow is suspended; one whose field has another type is refused elsewhere."""
    try:
        return bool(msgspec.json.decode(raw, type=_Suspended).spec.suspend)
    except msgspec.ValidationError:
        return False
