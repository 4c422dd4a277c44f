"""Where a layer around a template would change what a Workflow means (argo-workflows F.2, F.3)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from policy.core.injection.call_sites import CallSite
from policy.core.injection.layer_templates import named_parts
from policy.core.objects.workflow import RawTemplate

_OWN_NAMES: Final = re.compile(r"\b(?:tasks\.name|steps\.name|node\.name|pod\.name)\b")
_UNPASSED: Final = re.compile(r"(?:outputs\.result|outputs\.exitCode|exitCode|ip|id|hostNodeName)\b")
_USED: Final = re.compile(
    r"""(?:tasks|steps)(?:\.(?P<name>[-\w]+)|\[['"](?P<quoted>[-\w]+)['"]\])\s*\.\s*"""
    r"(?P<what>outputs\b(?:\.\w+)?|exitCode\b|ip\b|id\b|hostNodeName\b)"
)
_ON_FAILURE: Final = re.compile(r"(?<![-\w])([-\w]+)\.(?:Failed|Errored|AllFailed)\b")
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


def why_not_around(body: RawTemplate, spec: Mapping[str, Any]) -> str:
    """Return why no layer may stand around a body in an object with this spec, empty where one may."""
    return next(_faults(body, spec), "")


def _faults(body: RawTemplate, spec: Mapping[str, Any]) -> Iterator[str]:
    if body.get("daemon"):
        yield "a daemon would be stopped at once"
    if _OWN_NAMES.search(msgspec.json.encode(body).decode()):
        yield "it uses its own name (tasks.name, node.name and the like), which would be another"
    yield from _unpassed_values(body)
    defaults = spec.get("templateDefaults") or {}
    for field in _NOT_FOR_LAYERS:
        if defaults.get(field):
            yield f"templateDefaults.{field} would act on the layer once more"


def _unpassed_values(body: RawTemplate) -> Iterator[str]:
    for each in named_parts(body, "inputs", "artifacts"):
        if each.get("optional"):
            yield f'its input artifact "{each.get("name")}" is optional, and only what is there is passed on'
        elif not each.keys() <= _ARTIFACT_FIELDS:
            yield f'its input artifact "{each.get("name")}" says itself where it comes from'
    for each in named_parts(body, "inputs", "parameters"):
        if not (each.get("valueFrom") or {}).keys() <= {"configMapKeyRef", "default"}:
            yield f'its input "{each.get("name")}" is filled in from outside'
    for each in named_parts(body, "outputs", "parameters"):
        if "supplied" in (each.get("valueFrom") or {}):
            yield f'its output "{each.get("name")}" is given by whoever resumes it'


class TaskUses(msgspec.Struct, frozen=True):
    """What a caller uses of its tasks, by name; and after whose failure it goes on."""

    lacking: Mapping[str, str]
    outputs: frozenset[str]
    after_failure: frozenset[str]


def task_uses(caller: RawTemplate) -> TaskUses:
    """Return what a DAG or steps use of their tasks; looked at once for all of them."""
    text = msgspec.json.encode(caller).decode().replace('\\"', '"')
    lacking: dict[str, str] = {}
    outputs = set()
    for found in _USED.finditer(text):
        name = found["name"] or found["quoted"]
        outputs.add(name)
        if _UNPASSED.match(found["what"]):
            lacking.setdefault(name, found[0])
    failing = set()
    for written in _calls(caller):
        if written.get("continueOn") or written.get("hooks") or written.get("onExit"):
            failing.add(str(written.get("name")))
        failing.update(_ON_FAILURE.findall(str(written.get("depends") or "")))
    return TaskUses(lacking, frozenset(outputs), frozenset(failing))


def why_not_called(site: CallSite, uses: TaskUses | None) -> str:
    """Return why the call may not go through a layer, empty where it may; the spec uses nothing of a task."""
    name = site.task
    if name is None or uses is None:
        return ""
    if name in uses.lacking:
        return f"its caller uses {uses.lacking[name]}, which a layer does not have"
    if name in uses.outputs and name in uses.after_failure:
        return "its caller goes on after its failure and uses its outputs, which a failed layer does not have"
    return ""


def _calls(caller: RawTemplate) -> Iterator[Mapping[str, Any]]:
    yield from (caller.get("dag") or {}).get("tasks") or ()
    for group in caller.get("steps") or ():
        yield from group
