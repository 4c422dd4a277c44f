"""Objects drawn at random for the names that callers use: artifacts, global names, tags in names, hooks.

What `drawing` draws is run; this is more than the interpreter runs, and is only validated.
"""

from typing import Final

from hypothesis import strategies as st

from tests.interpreter.drawing import STORED, library, workflows
from tests.interpreter.running import Json

KINDS: Final = ("Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow")
RETRIES: Final = "{{retries}}"
TAGS: Final = (
    "{{inputs.parameters.p}}",
    "{{=inputs.parameters.p}}",
    "{{= inputs.parameters.p + 'x' }}",
    "{{workflow.name}}",
    "{{workflow.uid}}",
    "{{=sprig.lower(workflow.name)}}",
    "{{pod.name}}",
    RETRIES,
    "{{=sprig.uuidv4()}}",
)
GLOBAL: Final = "shared"
HOOKED: Final = ("exit", "running", "late")


@st.composite
def named_workflows(draw: st.DrawFn) -> tuple[Json, Json]:
    """Draw a Workflow and the library that it may use."""
    obj, lib = draw(workflows()), draw(library())
    for template in (*obj["spec"]["templates"], *lib["templates"]):
        if "dag" in template or "steps" in template:
            _dress_caller(draw, template)
        else:
            _dress_leaf(draw, template)
    return obj, lib


@st.composite
def objects(draw: st.DrawFn) -> tuple[Json, Json]:
    """Draw an object of any kind and the library that it may use."""
    obj, lib = draw(named_workflows())
    return as_kind(obj, draw(st.sampled_from(KINDS))), lib


def as_kind(obj: Json, kind: str) -> Json:
    """Return a Workflow as an object of another kind with the same spec."""
    if kind == "Workflow":
        return obj
    head: Json = {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": "w"}}
    if kind != "ClusterWorkflowTemplate":
        head["metadata"]["namespace"] = obj["metadata"]["namespace"]
    if kind == "CronWorkflow":
        return {**head, "spec": {"schedules": ["0 1 * * *"], "workflowSpec": obj["spec"]}}
    return {**head, "spec": obj["spec"]}


def stored_library(lib: Json) -> dict[tuple[str, str], Json]:
    """Return what the interpreters know of the cluster."""
    return {("WorkflowTemplate", STORED): lib}


def _dress_leaf(draw: st.DrawFn, template: Json) -> None:
    """Give a leaf an artifact, and an output under a name that may have tags, perhaps known everywhere."""
    outputs = template["outputs"]
    outputs["artifacts"] = [{"name": "file", "path": "/f"}]
    kind = draw(st.sampled_from(("parameters", "artifacts")))
    name = draw(st.sampled_from(("", "", *TAGS)))
    extra: Json = {"name": f"extra{name}"} | (
        {"path": "/e"} if kind == "artifacts" else {"valueFrom": {"path": "/e"}}
    )
    known = draw(st.sampled_from(("", GLOBAL, f"{GLOBAL}-{name}", *TAGS)))
    if known:
        extra["globalName"] = known
    outputs[kind].append(extra)
    if RETRIES in (name, known):
        template["retryStrategy"] = {"limit": 1}
    if template["name"] == "load-all":
        template["inputs"]["artifacts"] = [{"name": "in", "path": "/in"}]


def _dress_caller(draw: st.DrawFn, template: Json) -> None:
    kind = "tasks" if "dag" in template else "steps"
    calls = template["dag"]["tasks"] if "dag" in template else [each for [each] in template["steps"]]
    if any("depends" in each for each in calls):
        for call in calls:
            call.pop("continueOn", None)
            if "dependencies" in call:
                call["depends"] = " && ".join(call.pop("dependencies"))
    for number, call in enumerate(calls):
        _dress_call(draw, call, [each["name"] for each in calls[:number]], kind)
    first = f"{kind}.{calls[0]['name']}.outputs"
    outputs = template["outputs"]
    outputs["artifacts"] = [{"name": "file", "from": f"{{{{{first}.artifacts.file}}}}"}]
    match draw(st.integers(0, 3)):
        case 0:
            outputs["artifacts"][0]["globalName"] = draw(st.sampled_from((GLOBAL, *TAGS[:6])))
        case 1:
            outputs["parameters"][0]["globalName"] = draw(st.sampled_from((GLOBAL, *TAGS[:6])))
        case 2:
            source = {"expression": f"{first}.parameters.o"}
            outputs["parameters"].append({"name": f"x{draw(st.sampled_from(TAGS[:6]))}", "valueFrom": source})


def _dress_call(draw: st.DrawFn, call: Json, before: list[str], kind: str) -> None:
    """Give a call artifacts, hooks, and what is known everywhere."""
    own = f"{kind}.{call['name']}"
    if "inline" in call:
        output = {"name": "o", "valueFrom": {"path": "/o"}}
        made = {"parameters": [output], "artifacts": [{"name": "file", "path": "/f"}]}
        call["inline"] = {**call["inline"], "outputs": made}
    if call.get("template") == "load-all":
        whence: list[Json] = [{"from": f"{{{{{kind}.{each}.outputs.artifacts.file}}}}"} for each in before]
        whence.append({"raw": {"data": "x"}})
        if before and draw(st.integers(0, 9)) == 0:
            whence = [{"from": f"{{{{workflow.outputs.artifacts.{GLOBAL}}}}}"}]
        call.setdefault("arguments", {})["artifacts"] = [{"name": "in", **draw(st.sampled_from(whence))}]
    elif before and draw(st.integers(0, 9)) == 0:
        value = f"{{{{workflow.outputs.parameters.{GLOBAL}}}}}"
        call["arguments"] = {"parameters": [{"name": "p", "value": value}]}
    if draw(st.integers(0, 5)) == 0:
        value = draw(st.sampled_from((f"{{{{{own}.outputs.parameters.o}}}}", f"{{{{{own}.status}}}}", "h")))
        hook: Json = {"template": "save", "arguments": {"parameters": [{"name": "p", "value": value}]}}
        event = draw(st.sampled_from(HOOKED))
        if event != "exit":
            hook["expression"] = f"{own}.status == 'Running'"
        call["hooks"] = {event: hook}
    elif draw(st.integers(0, 7)) == 0:
        call["onExit"] = "save"
