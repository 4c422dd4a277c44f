"""The interpreter of Argo's validation refuses what Argo refuses, so that what it takes says something."""

from typing import Any, Final

import pytest

from tests.interpreter.running import Json
from tests.interpreter.validating import refusal

LOAD: Final[Json] = {
    "name": "load",
    "inputs": {"parameters": [{"name": "p"}]},
    "container": {"image": "db"},
    "outputs": {
        "parameters": [{"name": "o-{{inputs.parameters.p}}", "valueFrom": {"path": "/o"}}],
        "artifacts": [{"name": "file", "path": "/f", "globalName": "{{inputs.parameters.p}}"}],
    },
}
SHARED: Final = {("WorkflowTemplate", "lib"): {"templates": [LOAD]}}


def given(name: str, value: str = "x", **more: Any) -> Json:
    """Return a call that gives the parameter `p`."""
    return {
        "name": name,
        "template": "load",
        "arguments": {"parameters": [{"name": "p", "value": value}]},
    } | more


def workflow(main: Json, *templates: Json, **spec: Any) -> Json:
    """Return a Workflow that begins with `main`."""
    every = [{"name": "main", **main}, *(templates or (LOAD,))]
    return {
        "kind": "Workflow",
        "metadata": {"name": "w"},
        "spec": {"entrypoint": "main", "templates": every, **spec},
    }


def referring(entrypoint: str, value: str) -> Json:
    """Return a Workflow without templates, which gives the parameter `p`."""
    spec = {"workflowTemplateRef": {"name": "lib"}, "entrypoint": entrypoint}
    return {
        "kind": "Workflow",
        "spec": {**spec, "arguments": {"parameters": [{"name": "p", "value": value}]}},
    }


def gives(kind: str, **output: Any) -> Json:
    """Return a part of a template: an output of a kind."""
    return {"outputs": {kind: [output]}}


def steps(*calls: Json) -> Json:
    """Return steps that run one after another."""
    return {"steps": [[each] for each in calls]}


def dag(*calls: Json) -> Json:
    """Return a DAG of these tasks."""
    return {"dag": {"tasks": list(calls)}}


@pytest.mark.parametrize(
    "obj",
    [
        workflow(steps(given("a"), given("b", "{{steps.a.status}}"))),
        workflow(
            dag(given("a"), given("b", "{{tasks.a.outputs.result}}", depends="a.Succeeded || a.Failed"))
        ),
        workflow(steps(given("a"), given("b", "{{workflow.outputs.artifacts.anything}}"))),
        workflow(steps(given("a", "{{item}}", withItems=["1", "2"]))),
        workflow(steps(given("a", templateRef={"name": "lib", "template": "load"}, template=""))),
        {**workflow(steps(given("a", "{{workflow.parameters.later}}"))), "kind": "WorkflowTemplate"},
        referring("load", "x"),
        {"kind": "CronWorkflow", "spec": {"workflowSpec": workflow(steps(given("a")))["spec"]}},
    ],
)
def test_what_argo_takes_is_taken(obj: Json) -> None:
    """Names, references and global names that are known only at run time are no fault."""
    assert refusal(obj, SHARED) == ""


@pytest.mark.parametrize(
    ("obj", "why"),
    [
        (referring("lod", "x"), "template lod undefined"),
        (workflow(steps(given("a", template="lod"))), "template lod undefined"),
        (workflow(steps(given("a"), given("a"))), "name"),
        (workflow(steps({"name": "a", "template": "load"})), "no value for input p"),
        (workflow(steps(given("a", "{{steps.b.status}}"))), "failed to resolve {{steps.b.status}}"),
        (workflow(steps(given("a", "{{workflow.outputs.parameters.key}}"))), "failed to resolve"),
        (workflow(steps(given("a", "{{workflow.parameters.later}}"))), "failed to resolve"),
        (workflow(dag(given("a"), given("b", "{{tasks.a.outputs.result}}"))), "missing dependency"),
        (workflow(dag(given("a", dependencies=["c"]))), "dependency c not defined"),
        (workflow(dag(given("a", depends="a.Done"))), "result Done"),
        (workflow(dag(given("a"), given("b", depends="a"), given("c", dependencies=["a"]))), "depends with"),
        (workflow(steps(given("a", hooks={"running": {"template": "load"}}))), "Expression required"),
        (workflow(steps(given("a")), LOAD, LOAD), "name load"),
        (workflow({"container": {}, **steps(given("a"))}), "2 types"),
        (workflow(steps(given("a")) | gives("artifacts", name="f", path="/f")), "path of f"),
        (
            workflow(
                steps(given("a"))
                | gives(
                    "artifacts", name="f", **{"from": "{{steps.a.outputs.artifacts.o-{{workflow.name}}}}"}
                )
            ),
            "failed to resolve",
        ),
        (
            workflow(steps(given("a")) | gives("parameters", name="o", valueFrom={"path": "/o"})),
            "parameter or expression",
        ),
        (workflow(steps(given("a")), LOAD | gives("artifacts", name="{{x}}", path="/f")), "name"),
    ],
)
def test_what_argo_refuses_is_refused(obj: Json, why: str) -> None:
    """Each rule that an injection could break."""
    assert why in refusal(obj, SHARED)
