"""Where a layer around a template would change what a Workflow means (argo-workflows F.2, F.3)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from policy.core.locks.layers import Body, parts
from policy.core.locks.sites import Site

_OWN_NAMES: Final = re.compile(r"\b(?:tasks\.name|steps\.name|node\.name|pod\.name)\b")
_UNPASSED: Final = r"(?:outputs\.result|outputs\.exitCode|exitCode|ip|id|hostNodeName)\b"
_ARTIFACT_FIELDS: Final = frozenset({"name", "path", "mode", "recurseMode", "archive", "description"})
_NOT_FOR_LAYERS: Final = (
    "synchronization",
    "daemon",
    "memoize",
    "timeout",
    "pendingTimeout",
    "activeDeadlineSeconds",
    "hooks",
    "metrics",
    "inputs",
    "outputs",
)
"""Fields of templateDefaults that Argo would merge into a layer, where they act once more."""


def why_not_around(body: Body, spec: Mapping[str, Any]) -> str:
    """Return why no layer may stand around a body in an object with this spec, empty where one may."""
    return next(_faults(body, spec), "")


def _faults(body: Body, spec: Mapping[str, Any]) -> Iterator[str]:
    if body.get("daemon"):
        yield "a daemon would be stopped at once"
    if _OWN_NAMES.search(msgspec.json.encode(body).decode()):
        yield "it uses its own name (tasks.name, node.name and the like), which would be another"
    yield from _unpassed_values(body)
    defaults = spec.get("templateDefaults") or {}
    for field in _NOT_FOR_LAYERS:
        if defaults.get(field):
            yield f"templateDefaults.{field} would act on the layer once more"


def _unpassed_values(body: Body) -> Iterator[str]:
    for each in parts(body, "inputs", "artifacts"):
        if each.get("optional"):
            yield f'its input artifact "{each.get("name")}" is optional, and only what is there is passed on'
        elif not each.keys() <= _ARTIFACT_FIELDS:
            yield f'its input artifact "{each.get("name")}" says itself where it comes from'
    for each in parts(body, "inputs", "parameters"):
        if not (each.get("valueFrom") or {}).keys() <= {"configMapKeyRef", "default"}:
            yield f'its input "{each.get("name")}" is filled in from outside'
    for each in parts(body, "outputs", "parameters"):
        if "supplied" in (each.get("valueFrom") or {}):
            yield f'its output "{each.get("name")}" is given by whoever resumes it'


def why_not_called(site: Site, caller: Body | None) -> str:
    """Return why the call may not go through a layer, empty where it may; `caller` is None for the spec."""
    if site.task is None or caller is None:
        return ""
    text = msgspec.json.encode(caller).decode().replace("\\'", "'").replace('\\"', '"')
    name = re.escape(site.task)
    used = rf"""(?:tasks|steps)(?:\.{name}\b(?!-)|\[['"]{name}['"]\])\s*\.\s*"""
    found = re.search(used + _UNPASSED, text)
    if found is not None:
        return f"its caller uses {found[0]}, which a layer does not have"
    if re.search(used + r"outputs\b", text) and _goes_on_after_failure(site, caller, name):
        return "its caller goes on after its failure and uses its outputs, which a failed layer does not have"
    return ""


def _goes_on_after_failure(site: Site, caller: Body, name: str) -> bool:
    written = _call(site, caller)
    if written.get("continueOn") or written.get("hooks") or written.get("onExit"):
        return True
    tasks = (caller.get("dag") or {}).get("tasks") or ()
    return any(
        re.search(
            rf"(?<![-\w]){name}\.(?:Failed|Errored|AnySucceeded|AllFailed)\b", str(task.get("depends") or "")
        )
        for task in tasks
    )


def _call(site: Site, caller: Body) -> Mapping[str, Any]:
    calls = [
        *((caller.get("dag") or {}).get("tasks") or ()),
        *(step for group in caller.get("steps") or () for step in group),
    ]
    return next((each for each in calls if each.get("name") == site.task), {})
