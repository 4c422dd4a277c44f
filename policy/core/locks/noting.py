"""The annotation that tells people what runs under the locks of which rules."""

from policy.core.marks import INJECTED
from policy.core.patches import Op, PatchOp, pointer, set_entries
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
    if present is None:
        for number, each in enumerate(patch):
            if each.path == ANNOTATIONS and isinstance(each.value, dict):
                made = PatchOp(each.op, ANNOTATIONS, {**each.value, INJECTED: note})
                return (*patch[:number], made, *patch[number + 1 :])
    return (*patch, *set_entries(ANNOTATIONS, present, [(INJECTED, note)]))
