"""The annotation that tells people what runs under the locks of which rules."""

from policy.core.marks import INJECTED
from policy.core.patches import Op, PatchOp, pointer, with_entries
from policy.core.workflow import Metadata

ANNOTATIONS = pointer("metadata", "annotations")


def with_note(patch: tuple[PatchOp, ...], metadata: Metadata | None, note: str) -> tuple[PatchOp, ...]:
    """Return the patch with what it takes for the annotation to say `note`, or not to be there.

    The patch may write other annotations; where it makes the map, the note goes into that.
    """
    present = metadata.annotations if metadata is not None else None
    said = (present or {}).get(INJECTED)
    if metadata is None or (said or "") == note:
        return patch
    if not note:
        return (*patch, PatchOp(Op.REMOVE, ANNOTATIONS + pointer(INJECTED)))
    return with_entries(patch, ANNOTATIONS, present, [(INJECTED, note)])
