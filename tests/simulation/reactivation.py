"""A stand-in for what the webhook is to do with a retry: hold it like a new Workflow, or reserve for it.

The product lets every UPDATE pass as yet. Until it judges them, the API server of the simulation asks it
about the reactivated Workflow as about a create, and puts its answer on the object that is updated. So the
rules for repeated holds (6 and 8 of docs/protocol.md) are exercised already; it goes when the product does
this itself.
"""

from policy.core import marks
from policy.core.patches import JsonObject, JsonValue
from tests.policy.service.world import part


def as_new(obj: JsonObject) -> JsonObject:
    """Return a reactivated Workflow as if its author created it now."""
    metadata = obj["metadata"]
    kept = metadata if isinstance(metadata, dict) else {}
    annotations = part(obj, "metadata", "annotations")
    marked = {**annotations} if isinstance(annotations, dict) else {}
    if marks.HOLDS in marked:
        marked[marks.HOLDS] = "1"
    identity = ("uid", "resourceVersion", "creationTimestamp", "generation")
    fresh = {key: value for key, value in kept.items() if key not in identity}
    new = {key: value for key, value in obj.items() if key != "status"}
    status = obj.get("status")
    if isinstance(status, dict) and status.get("phase") == marks.HELD_PHASE:
        new["status"] = status
    return {**new, "metadata": {**fresh, "annotations": marked}}


def held_again(before: JsonObject, obj: JsonObject, reviewed: JsonObject) -> JsonObject:
    """Return the update with the marks that the mutating side put on `as_new`, one hold further."""
    metadata, marked = obj["metadata"], part(reviewed, "metadata", "annotations")
    annotations: dict[str, JsonValue] = {**marked} if isinstance(marked, dict) else {}
    if marks.HOLDS in annotations:
        holds = part(before, "metadata", "annotations", marks.HOLDS)
        annotations[marks.HOLDS] = str(int(str(holds or "0")) + 1)
    kept = metadata if isinstance(metadata, dict) else {}
    labels = part(reviewed, "metadata", "labels")
    changed = {**kept, "labels": labels, "annotations": annotations}
    return {**obj, "metadata": changed, "status": reviewed.get("status", obj.get("status"))}
