"""The namespace of objects that name none: the one a user gives, as kubectl has it."""

from collections.abc import Iterator
from typing import Final

from policy.core.objects.json_patch import JsonObject
from policy.sources.yaml_positions import Json, item

_CLUSTER_SCOPED: Final = frozenset({"Namespace"})
_OURS_IN_A_NAMESPACE: Final = frozenset({"WorkflowQuota", "SynchronizationPolicy"})
"""Our kinds that count in their own namespace alone."""


def all_placed(value: Json, namespace: str) -> Json:
    """Return a document, an object or a list of them, with the namespace written out where there is none."""
    if not isinstance(value, dict):
        return value
    items = value.get("items")
    if value.get("kind") == "List" and isinstance(items, list):
        return {**value, "items": [all_placed(each, namespace) for each in items]}
    return placed(value, namespace)


def placed(value: JsonObject, namespace: str) -> JsonObject:
    """Return an object with the namespace written out where there is none."""
    kind, metadata = str(value.get("kind")), value.get("metadata")
    if kind in _CLUSTER_SCOPED or kind.startswith("Cluster") or not isinstance(metadata, dict):
        return value
    if metadata.get("namespace"):
        return value
    return {**value, "metadata": {**metadata, "namespace": namespace}}


def unplaced_policies(value: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the kind with the name of each policy that names no namespace."""
    if not isinstance(value, dict):
        return
    items, kind, metadata = value.get("items"), str(value.get("kind")), value.get("metadata")
    if kind == "List" and isinstance(items, list):
        for index, each in enumerate(items):
            yield from unplaced_policies(each, item("items", index))
    elif kind in _OURS_IN_A_NAMESPACE and isinstance(metadata, dict) and not metadata.get("namespace"):
        yield path, f"{kind} {metadata.get('name')}"
