"""A layer is not made where it would change what a Workflow means (argo-workflows F.2, F.3)."""

import pytest

from policy.core.injection.needs_per_call import CallSite
from policy.core.injection.wrapper_templates import task_uses, why_not_around, why_not_called
from policy.core.objects.json_patch import JsonObject, JsonValue

PLAIN: JsonObject = {"name": "load", "container": {"image": "a", "args": ["{{inputs.parameters.p}}"]}}


def _with(**parts: JsonValue) -> JsonObject:
    return {**PLAIN, **parts}


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        _with(
            inputs={"parameters": [{"name": "p", "default": "1"}], "artifacts": [{"name": "a", "path": "/a"}]}
        ),
        _with(
            inputs={
                "parameters": [{"name": "p", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]
            }
        ),
        _with(outputs={"parameters": [{"name": "o", "valueFrom": {"path": "/o"}}]}),
        _with(retryStrategy={"limit": 2}, timeout="5m", memoize={"key": "k"}),
        _with(outputs={"artifacts": [{"name": "file-{{inputs.parameters.p}}", "path": "/f"}]}),
        _with(outputs={"parameters": [{"name": "o", "value": "x", "globalName": "{{workflow.name}}"}]}),
    ],
)
def test_there_may_be_a_layer_around_what_it_can_pass_on(body: JsonObject) -> None:
    """Parameters, artifacts that are given, and whatever stays with the template itself."""
    assert why_not_around(body, {"retryStrategy": {"limit": 1}}) == ""


@pytest.mark.parametrize(
    ("body", "spec", "why"),
    [
        (_with(daemon=True), {}, "a daemon would be stopped at once"),
        (_with(script={"source": "{{tasks.name}}"}), {}, "it uses its own name"),
        (_with(script={"source": "{{node.name}}"}), {}, "it uses its own name"),
        (_with(inputs={"artifacts": [{"name": "a", "optional": True}]}), {}, 'artifact "a" is optional'),
        (
            _with(inputs={"artifacts": [{"name": "a", "s3": {"key": "k"}}]}),
            {},
            '"a" has a source of its own',
        ),
        (
            _with(inputs={"parameters": [{"name": "p", "valueFrom": {"supplied": {}}}]}),
            {},
            'input "p" is filled in from outside',
        ),
        (
            _with(suspend={}, outputs={"parameters": [{"name": "o", "valueFrom": {"supplied": {}}}]}),
            {},
            'output "o" is given by the user who resumes it',
        ),
        (
            _with(outputs={"artifacts": [{"name": "try-{{retries}}", "path": "/f"}]}),
            {},
            'output is named "try-{{retries}}", which a layer would fill in otherwise',
        ),
        (
            _with(outputs={"parameters": [{"name": "o", "value": "x", "globalName": "{{=sprig.uuidv4()}}"}]}),
            {},
            'output is named "{{=sprig.uuidv4()}}"',
        ),
        (PLAIN, {"templateDefaults": {"timeout": "5m"}}, "templateDefaults.timeout would act on the layer"),
    ],
)
def test_there_may_be_no_layer_around_what_it_would_change(
    body: JsonObject, spec: JsonObject, why: str
) -> None:
    """And the reason is given."""
    assert why in why_not_around(body, spec)


def _dag(*tasks: JsonObject) -> JsonObject:
    return {"name": "main", "dag": {"tasks": [{"name": "a", "template": "load"}, *tasks]}}


def _uses(text: str, **parts: JsonValue) -> JsonObject:
    return {"name": "b", "arguments": {"parameters": [{"name": "p", "value": text}]}, **parts}


SITE = CallSite("/spec/templates/0/dag/tasks/0", 0, "load", task="a")


@pytest.mark.parametrize(
    "caller",
    [
        _dag(),
        _dag(_uses("{{tasks.a.outputs.parameters.o}}", depends="a")),
        _dag(_uses("{{tasks.a.status}}", depends="a.Failed")),
        _dag(_uses("{{tasks.a-2.outputs.result}}")),
        _dag(_uses("{{tasks.b.exitCode}}")),
    ],
)
def test_a_caller_that_uses_what_a_layer_has_may_go_through_it(caller: JsonObject) -> None:
    """Parameters of a success, the status, and whatever another task gives."""
    assert why_not_called(SITE, task_uses(caller)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "{{tasks.a.outputs.result}}",
        "{{tasks.a.exitCode}}",
        "{{=tasks['a'].outputs.result}}",
        "{{tasks.a.ip}}",
    ],
)
def test_a_caller_that_uses_what_only_pods_have_may_not(text: str) -> None:
    """Such a Workflow would fail to resolve it."""
    assert "which a layer does not have" in why_not_called(SITE, task_uses(_dag(_uses(text))))


@pytest.mark.parametrize(
    "caller",
    [
        _dag(_uses("{{tasks.a.outputs.parameters.o}}", depends="a.Failed")),
        {
            "name": "main",
            "dag": {
                "tasks": [
                    {"name": "a", "template": "load", "continueOn": {"failed": True}},
                    _uses("{{tasks.a.outputs.parameters.o}}", dependencies=["a"]),
                ]
            },
        },
    ],
)
def test_a_caller_that_uses_the_outputs_of_a_failure_may_not(caller: JsonObject) -> None:
    """A DAG that failed has no outputs, though its pod may have."""
    assert "goes on after its failure" in why_not_called(SITE, task_uses(caller))
