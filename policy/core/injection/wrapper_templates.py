"""Layers in front of a template: a wrapper that holds a lock, and a choice of locked and free.

Both are a DAG, never steps: a DAG ends as its task did, while steps turn an error into a failure with a long
message (argo-workflows F). Inputs are passed on, and outputs are passed back, under names that may have tags:
Argo finds no end of a tag in a tag, so these are named in an expression. Where a layer would change what
a Workflow means, the reason is found here (argo-workflows F.2, F.3).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from policy.core.injection.needs_per_call import CallSite
from policy.core.lock_model.generated_names import BASE_TASK, FREE_TASK, LOCKED_TASK
from policy.core.lock_model.lock_names import parameterised
from policy.core.lock_model.parameters import tags
from policy.core.lock_model.when_conditions import WhenCondition
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import RawTemplate, TemplateRef

_NO_RETRY: Final[JsonObject] = {"limit": "0"}
"""Exempts a layer from the retries of the whole Workflow, which its base has already (argo-verified V.7)."""
_INPUT_FIELDS: Final = ("name", "value", "default", "enum", "description", "valueFrom")
_Source: TypeAlias = Callable[[str, str], JsonObject]
"""What fills an output, by kind and name."""
_OWN_NAMES: Final = re.compile(r"\b(?:tasks\.name|steps\.name|node\.name|pod\.name)\b")
_CHANGING: Final = re.compile(
    r"\b(?:retries|lastRetry|artifacts|outputs|status|duration|failures)\b|\b(?:now|date|ago|uuid|rand|shuffle|gen)"
    r"\w*\("
)
"""What a tag may name that a layer does not have, or that is another value when the layer ends."""
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
"""Fields of templateDefaults that Argo would merge into a layer, where they would act once more."""


def calling_other(ref: TemplateRef) -> JsonObject:
    """Return how a task names a template of another object."""
    written: JsonObject = {"name": ref.name or "", "template": ref.template or ""}
    return {"templateRef": written | ({"clusterScope": True} if ref.cluster_scope else {})}


def wrapper(
    name: str, target: JsonObject, body: RawTemplate, block: JsonObject, *, retried: bool
) -> JsonObject:
    """Return a DAG of one task, which runs `target` under the locks of `block`."""

    def source(field: str, kind: str, each: str) -> JsonObject:
        if parameterised(str(each)):
            in_expression = "expression" if field == "parameter" else "fromExpression"
            return {in_expression: f"tasks.{BASE_TASK}.outputs.{kind}['{each}']"}
        return {field: f"{{{{tasks.{BASE_TASK}.outputs.{kind}.{each}}}}}"}

    outputs = _outputs(
        body,
        lambda kind, each: source("parameter", kind, each),
        lambda kind, each: source("from", kind, each),
    )
    task: JsonObject = {"name": BASE_TASK, **target, **_arguments(body)}
    return {**_layer(name, body, outputs, [task], retried=retried), "synchronization": block}


def choice(
    name: str,
    locked: str,
    free: JsonObject,
    condition: WhenCondition,
    body: RawTemplate,
    *,
    retried: bool,
) -> JsonObject:
    """Return a DAG of two tasks, one of which runs: `locked` where the condition holds, else `free`."""

    def expression(kind: str, each: str) -> str:
        one, other = (f"tasks.{task}.outputs.{kind}['{each}']" for task in (LOCKED_TASK, FREE_TASK))
        return f"tasks.{LOCKED_TASK}.status == 'Succeeded' ? {one} : {other}"

    outputs = _outputs(
        body,
        lambda kind, each: {"expression": expression(kind, each)},
        lambda kind, each: {"fromExpression": expression(kind, each)},
    )
    tasks: list[JsonValue] = [
        {"name": LOCKED_TASK, "template": locked, "when": condition.holds, **_arguments(body)},
        {"name": FREE_TASK, **free, "when": condition.fails, **_arguments(body)},
    ]
    return _layer(name, body, outputs, tasks, retried=retried)


def _layer(
    name: str, body: RawTemplate, outputs: JsonObject, tasks: list[JsonValue], *, retried: bool
) -> JsonObject:
    layer: JsonObject = {"name": name}
    inputs = _inputs(body)
    if inputs:
        layer["inputs"] = inputs
    if outputs:
        layer["outputs"] = outputs
    if retried:
        layer["retryStrategy"] = dict(_NO_RETRY)
    layer["dag"] = {"tasks": tasks}
    return layer


def _named_parts(body: RawTemplate, side: str, kind: str) -> list[Mapping[str, Any]]:
    """Return the parameters or artifacts of a body's inputs or outputs that have a name, as all must."""
    return [each for each in (body.get(side) or {}).get(kind) or () if each and each.get("name")]


_Part: TypeAlias = Callable[[Mapping[str, Any]], JsonObject]


def _parts(body: RawTemplate, side: str, parameter: _Part, artifact: _Part) -> JsonObject:
    """Return what a layer has for each parameter and artifact of a body's inputs or outputs."""
    parts: JsonObject = {}
    for kind, part in (("parameters", parameter), ("artifacts", artifact)):
        if named := _named_parts(body, side, kind):
            parts[kind] = [part(each) for each in named]
    return parts


def _inputs(body: RawTemplate) -> JsonObject:
    """Return the inputs as they are, but for the paths of artifacts: a DAG has no files."""
    return _parts(
        body,
        "inputs",
        lambda each: {field: each[field] for field in _INPUT_FIELDS if field in each},
        lambda each: {"name": each["name"]},
    )


def _arguments(body: RawTemplate) -> JsonObject:
    arguments = _parts(
        body,
        "inputs",
        lambda each: {"name": each["name"], "value": f"{{{{inputs.parameters.{each['name']}}}}}"},
        lambda each: {"name": each["name"], "from": f"{{{{inputs.artifacts.{each['name']}}}}}"},
    )
    return {"arguments": arguments} if arguments else {}


def _outputs(body: RawTemplate, parameter: _Source, artifact: _Source) -> JsonObject:
    return _parts(
        body,
        "outputs",
        lambda each: {
            "name": each["name"],
            "valueFrom": parameter("parameters", each["name"]),
            **_global_name(each),
        },
        lambda each: {
            "name": each["name"],
            **artifact("artifacts", each["name"]),
            **({"optional": True} if each.get("optional") else {}),
            **_global_name(each),
        },
    )


def _global_name(output: Mapping[str, Any]) -> JsonObject:
    """Return the global name of an output where Argo has to find it in the template that is called.

    One without tags is known from the base, wherever that is called.
    """
    name = output.get("globalName")
    return {"globalName": name} if isinstance(name, str) and parameterised(name) else {}


def why_not_around(body: RawTemplate, spec: Mapping[str, Any]) -> str:
    """Return why there may be no layer around a body in an object with this spec, "" where one may be."""
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
    for each in _named_parts(body, "inputs", "artifacts"):
        if each.get("optional"):
            yield f'its input artifact "{each.get("name")}" is optional, and only what is there is passed on'
        elif not each.keys() <= _ARTIFACT_FIELDS:
            yield f'its input artifact "{each.get("name")}" has a source of its own'
    for each in _named_parts(body, "inputs", "parameters"):
        if not (each.get("valueFrom") or {}).keys() <= {"configMapKeyRef", "default"}:
            yield f'its input "{each.get("name")}" is filled in from outside'
    yield from _outputs_unlike(body)


def _outputs_unlike(body: RawTemplate) -> Iterator[str]:
    for each in _named_parts(body, "outputs", "parameters"):
        if "supplied" in (each.get("valueFrom") or {}):
            yield f'its output "{each.get("name")}" is given by the user who resumes it'
    for kind in ("parameters", "artifacts"):
        for each in _named_parts(body, "outputs", kind):
            for name in filter(_changes, (str(each["name"]), str(each.get("globalName") or ""))):
                yield f'its output is named "{name}", which a layer would fill in otherwise'


def _changes(name: str) -> bool:
    """Return whether the tags of a name may get other values in a layer than in its base."""
    return any(_CHANGING.search(name[begin:end]) for begin, end in tags(name))


class TaskUses(msgspec.Struct, frozen=True):
    """What a caller uses of its tasks, by name; and after the failure of which tasks it continues."""

    lacking: Mapping[str, str]
    outputs: frozenset[str]
    after_failure: frozenset[str]


def task_uses(caller: RawTemplate) -> TaskUses:
    """Return what a DAG or steps use of their tasks, for all of them at once."""
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
    """Return why the call may not go through a layer, "" where it may; the spec uses nothing of a task."""
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
