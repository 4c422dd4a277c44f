"""Templates that stand in front of another: a wrapper that holds a lock, and a choice of locked and free.

Both are a DAG, never steps: a DAG ends as its task did, while steps turn an error into a failure and tell a
long story about it (argo-workflows F). What goes in is passed on, and what comes out is passed back.
"""

from collections.abc import Mapping
from typing import Any, Final

from policy.core.lock_model.generated_names import BASE_TASK, FREE_TASK, LOCKED_TASK
from policy.core.lock_model.when_conditions import WhenCondition
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import RawTemplate, TemplateRef

_NO_RETRY: Final[JsonObject] = {"limit": "0"}
"""Keeps a layer from the retries of the whole Workflow, which its base has already (argo-verified V.7)."""
_INPUT_FIELDS: Final = ("name", "value", "default", "enum", "description")


def calling(template: str) -> JsonObject:
    """Return how a task names a template of its own object."""
    return {"template": template}


def calling_other(ref: TemplateRef) -> JsonObject:
    """Return how a task names a template of another object."""
    written: JsonObject = {"name": ref.name or "", "template": ref.template or ""}
    return {"templateRef": written | ({"clusterScope": True} if ref.cluster_scope else {})}


def wrapper(
    name: str, target: JsonObject, body: RawTemplate, block: JsonObject, *, retried: bool
) -> JsonObject:
    """Return a DAG of one task, which runs `target` under the locks of `block`."""
    outputs = _outputs(
        body,
        lambda kind, each: {"parameter": f"{{{{tasks.{BASE_TASK}.outputs.{kind}.{each}}}}}"},
        lambda kind, each: {"from": f"{{{{tasks.{BASE_TASK}.outputs.{kind}.{each}}}}}"},
    )
    task: JsonObject = {"name": BASE_TASK, **target, **_arguments(body)}
    made = _layer(name, body, outputs, [task], retried=retried)
    return {**made, "synchronization": block}


def choice(
    name: str,
    locked: JsonObject,
    free: JsonObject,
    condition: WhenCondition,
    body: RawTemplate,
    *,
    retried: bool,
) -> JsonObject:
    """Return a DAG of two tasks, of which one runs: `locked` where the condition holds, else `free`."""

    def expression(kind: str, each: str) -> str:
        one, other = (f"tasks.{task}.outputs.{kind}['{each}']" for task in (LOCKED_TASK, FREE_TASK))
        return f"tasks.{LOCKED_TASK}.status == 'Succeeded' ? {one} : {other}"

    outputs = _outputs(
        body,
        lambda kind, each: {"expression": expression(kind, each)},
        lambda kind, each: {"fromExpression": expression(kind, each)},
    )
    tasks: list[JsonValue] = [
        {"name": LOCKED_TASK, **locked, "when": condition.holds, **_arguments(body)},
        {"name": FREE_TASK, **free, "when": condition.fails, **_arguments(body)},
    ]
    return _layer(name, body, outputs, tasks, retried=retried)


def _layer(
    name: str, body: RawTemplate, outputs: JsonObject, tasks: list[JsonValue], *, retried: bool
) -> JsonObject:
    made: JsonObject = {"name": name}
    inputs = _inputs(body)
    if inputs:
        made["inputs"] = inputs
    if outputs:
        made["outputs"] = outputs
    if retried:
        made["retryStrategy"] = dict(_NO_RETRY)
    made["dag"] = {"tasks": tasks}
    return made


def named_parts(body: RawTemplate, side: str, kind: str) -> list[Mapping[str, Any]]:
    """Return the parameters or artifacts of a body's inputs or outputs that have a name, as all must."""
    return [each for each in (body.get(side) or {}).get(kind) or () if each and each.get("name")]


def _inputs(body: RawTemplate) -> JsonObject:
    """Return the inputs as they are, but for the paths of artifacts: a DAG has no files."""
    inputs: JsonObject = {}
    parameters = named_parts(body, "inputs", "parameters")
    if parameters:
        inputs["parameters"] = [
            {field: each[field] for field in (*_INPUT_FIELDS, "valueFrom") if field in each}
            for each in parameters
        ]
    artifacts = named_parts(body, "inputs", "artifacts")
    if artifacts:
        inputs["artifacts"] = [{"name": each["name"]} for each in artifacts]
    return inputs


def _arguments(body: RawTemplate) -> JsonObject:
    arguments: JsonObject = {}
    parameters = named_parts(body, "inputs", "parameters")
    if parameters:
        arguments["parameters"] = [
            {"name": each["name"], "value": f"{{{{inputs.parameters.{each['name']}}}}}"}
            for each in parameters
        ]
    artifacts = named_parts(body, "inputs", "artifacts")
    if artifacts:
        arguments["artifacts"] = [
            {"name": each["name"], "from": f"{{{{inputs.artifacts.{each['name']}}}}}"} for each in artifacts
        ]
    return {"arguments": arguments} if arguments else {}


def _outputs(body: RawTemplate, of_parameter: Any, of_artifact: Any) -> JsonObject:
    outputs: JsonObject = {}
    parameters = named_parts(body, "outputs", "parameters")
    if parameters:
        outputs["parameters"] = [
            {"name": each["name"], "valueFrom": of_parameter("parameters", each["name"])}
            for each in parameters
        ]
    artifacts = named_parts(body, "outputs", "artifacts")
    if artifacts:
        outputs["artifacts"] = [
            {
                "name": each["name"],
                **of_artifact("artifacts", each["name"]),
                **({"optional": True} if each.get("optional") else {}),
            }
            for each in artifacts
        ]
    return outputs
