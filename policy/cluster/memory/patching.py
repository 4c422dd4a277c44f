"""Patches applied to JSON objects as an API server does: JSON patch (RFC 6902), JSON merge patch (RFC 7396).

Reviews use `policy.core.objects.json_patch.patched`, which is much faster and trusts the patch. Every failure
of a patch is `Invalid` here, as the API server answers 422 for all of them.
"""

from typing import Final

import jsonpatch
import msgspec

from policy.cluster.errors import Invalid
from policy.cluster.protocol import JsonPatch, MergePatch, Patch
from policy.core.objects.json_patch import JsonObject, JsonValue, PatchOp

_REFUSALS: Final = (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException)


def apply_patch(obj: JsonObject, patch: Patch) -> JsonObject:
    """Return the patched object; the object and the patch that were given stay as they are.

    Raises Invalid when an operation cannot be applied, a `test` fails, or the result is not an object.
    """
    match patch:
        case MergePatch(value):
            return merge(obj, value)
        case JsonPatch(operations):
            return _apply_operations(obj, operations)


def _apply_operations(obj: JsonObject, operations: tuple[PatchOp, ...]) -> JsonObject:
    """Return the object after every operation in order; one that fails fails them all. Raises Invalid."""
    # The library changes its document in place, and leaves it half patched on failure: it gets a copy.
    document: JsonObject = msgspec.json.decode(msgspec.json.encode(obj))
    wire = [msgspec.to_builtins(operation) for operation in operations]
    try:
        patched: JsonValue = jsonpatch.apply_patch(document, wire, in_place=True)
    except _REFUSALS as error:
        raise Invalid(f"the JSON patch does not apply: {error}") from error
    if not isinstance(patched, dict):
        raise Invalid("the JSON patch does not leave an object")
    return patched


def merge(target: JsonObject, patch: JsonObject) -> JsonObject:
    """Return the target with the merge patch applied: null removes, objects merge, all else replaces."""
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            # Nulls have to vanish from a new object as well, so it merges into an empty one.
            present = merged.get(key)
            merged[key] = merge(present if isinstance(present, dict) else {}, value)
        else:
            merged[key] = value
    return merged
