"""Fields at a wrong level: Argo knows them one level higher or lower, and drops them where they stand.

A slip of indentation, or a field of a Workflow's spec beside `workflowSpec` in a CronWorkflow: what was meant
is sure, since the field is one of the struct above or below, and is missing there.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from policy.core.argo_types.type_table import KINDS, STRUCTS, StructType
from policy.core.objects.json_patch import JsonObject

Around: TypeAlias = tuple[str, JsonObject, Callable[[], str]]
"""A struct around a field, its value, and what returns its field path."""

_SPECS: Final = frozenset({"Template", "WorkflowSpec", "CronWorkflowSpec"})
"""Structs whose fields are looked for above: those of others have names that many have."""
_DROPPED: Final = "is no field that Argo reads here, and is dropped"
_CALLS: Final = frozenset({"DAGTask", "LifecycleHook"})
_OF_CALLS: Final = frozenset({"arguments"})
"""Fields of a spec that calls have too: in a template they were more likely meant for its call."""
_BELOW: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    name: tuple(
        (field, wanted.name)
        for field, wanted in STRUCTS[name].items()
        if isinstance(wanted, StructType) and field not in ("metadata", "status")
    )
    for name in (*sorted(_SPECS), *sorted(KINDS))
}
"""Fields of a struct that contain structs."""


def misplaced(field: str, around: Iterable[Around]) -> str:
    """Return the sentence about a field that belongs one level higher or lower, "" where it does not.

    `around` are the structs around the field, the one that lacks it first.
    """
    places = iter(around)
    name, value, path = next(places)
    for below, struct in _BELOW.get(name, ()):
        inner = value.get(below)
        if isinstance(inner, dict) and field in STRUCTS[struct]:
            return _sentence(path(), f"{below}.{field}") if inner.get(field) is None else ""
    if name in _CALLS:
        known = field in STRUCTS["Template"]
        return f"{_DROPPED}: write it into the template that is called here" if known else ""
    for above, outer, path in places:
        if above in _SPECS:
            known = field in STRUCTS[above] and outer.get(field) is None and field not in _OF_CALLS
            return _sentence(path(), field) if known else ""
    if name == "WorkflowSpec" and field in STRUCTS["CronWorkflowSpec"]:
        return "is a field of CronWorkflows, and is dropped here: remove it, or write a CronWorkflow"
    return ""


def _sentence(path: str, field: str) -> str:
    return f"{_DROPPED}: write it as {path}.{field}" if path else f"{_DROPPED}: write it as {field}"
