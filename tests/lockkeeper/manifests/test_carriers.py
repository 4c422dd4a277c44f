"""Workflows inside other objects are found, with the lines of their fields, and judged with care."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lockkeeper.__main__ import main
from lockkeeper.manifests.reading import read_inputs

LOCKED_TWICE: Final = """entrypoint: main
templates:
- name: main
  synchronization: {mutexes: [{name: MUTEX}]}
  steps: [[{name: a, template: go}]]
- name: go
  synchronization: {mutexes: [{name: MUTEX}]}
  container: {image: IMAGE}
"""
WORKFLOW: Final = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: b-}\nspec:\n"


def _indented(text: str, blanks: int) -> str:
    return "".join(f"{' ' * blanks}{line}\n" for line in text.splitlines())


def _workflow(mutex: str = "m", image: str = "i") -> str:
    spec = LOCKED_TWICE.replace("MUTEX", mutex).replace("IMAGE", image)
    return WORKFLOW + _indented(spec, 2)


def _sensor(trigger: str, source: str) -> str:
    return f"""apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: on-push, namespace: shop}}
spec:
  triggers:
  - template: {{name: other, http: {{url: http://a}}}}
  - template:
      name: go
      {trigger}:
        operation: submit
        source:
          {source}
"""


SENSOR: Final = _sensor("argoWorkflow", "resource:\n" + _indented(_workflow(), 12))
K8S_SENSOR: Final = _sensor("k8s", "resource:\n" + _indented(_workflow(), 12)).replace("submit", "create")
INLINE_SENSOR: Final = _sensor("argoWorkflow", "inline: |\n" + _indented(_workflow(), 12))
PIPELINE: Final = (
    "apiVersion: kubeflow.org/v1beta1\nkind: ScheduledWorkflow\nmetadata: {name: nightly, namespace: shop}\n"
    "spec:\n  workflow:\n    spec:\n" + _indented(LOCKED_TWICE.replace("MUTEX", "m").replace("IMAGE", "i"), 6)
)
PIPELINE_TEXT: Final = (
    "apiVersion: kubeflow.org/v1beta1\nkind: ScheduledWorkflow\nmetadata: {name: nightly, namespace: shop}\n"
    "spec:\n  workflow:\n    spec: |\n"
    + _indented(LOCKED_TWICE.replace("MUTEX", "m").replace("IMAGE", "i"), 6)
)


def _creator(manifest: str, action: str = "create", kind: str = "Workflow") -> str:
    head = f"templates:\n- name: child\n  resource:\n    action: {action}\n    manifest: |\n"
    template = head + _indented(manifest, 6)
    inside = f"  entrypoint: child\n{_indented(template, 2)}"
    if kind == "CronWorkflow":
        inside = f"  schedules: ['@daily']\n  workflowSpec:\n{_indented(inside, 2)}"
    head = f"apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: parent, namespace: shop}}\n"
    return f"{head}spec:\n{inside}"


def _lint(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> list[dict[str, Any]]:
    (tmp_path / "a.yaml").write_text(text)
    main(["lint", str(tmp_path / "a.yaml"), "-o", "json"])
    return list(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("text", "inside", "line"),
    [
        (SENSOR, "Workflow shop/b- in Sensor shop/on-push", 23),
        (K8S_SENSOR, "Workflow shop/b- in Sensor shop/on-push", 23),
        (INLINE_SENSOR, "Workflow shop/b- in Sensor shop/on-push", 12),
        (PIPELINE, "Workflow shop/nightly- in ScheduledWorkflow shop/nightly", 13),
        (PIPELINE_TEXT, "Workflow shop/nightly- in ScheduledWorkflow shop/nightly", 6),
        (_creator(_workflow()), "Workflow shop/b- in Workflow shop/parent", 10),
        (_creator(_workflow(), "apply", "CronWorkflow"), "Workflow shop/b- in CronWorkflow shop/parent", 12),
        (
            _creator(_workflow(), kind="WorkflowTemplate"),
            "Workflow shop/b- in WorkflowTemplate shop/parent",
            10,
        ),
    ],
    ids=["sensor", "k8s", "inline", "pipeline", "pipeline text", "resource", "in a cron", "in a template"],
)
def test_a_deadlock_in_a_carried_workflow_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, inside: str, line: int
) -> None:
    """Nothing else looks at it before it is created."""
    found = _lint(tmp_path, capsys, text)
    assert [(each["code"], each["object"], each["line"]) for each in found] == [("Deadlock", inside, line)]


@pytest.mark.parametrize(
    "manifest",
    [
        _workflow(mutex='"{{inputs.parameters.m}}"'),
        _workflow(image="{{workflow.parameters.image}}").replace("mutexes: [{name: m}]", "mutexes: []"),
        _workflow()
        .replace("entrypoint: main", "entrypoint: {{inputs.parameters.start}}")
        .replace("name: m}", "name: n{{a}}}"),
        _workflow().replace("mutexes: [{name: m}]", "mutexes: [{name: '{{=sprig.trim(\"a\")}}'}]"),
    ],
)
def test_nothing_is_said_that_rests_on_a_tag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: str
) -> None:
    """The parent fills it in, and what it will be is not known."""
    assert _lint(tmp_path, capsys, _creator(manifest)) == []


def test_what_does_not_rest_on_a_tag_is_said_beside_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fixed lock deadlocks whatever the image is."""
    found = _lint(tmp_path, capsys, _creator(_workflow(image="'{{inputs.parameters.image}}'")))
    assert [each["code"] for each in found] == ["Deadlock"]


@pytest.mark.parametrize(
    "text",
    [
        _creator(_workflow(), "patch"),
        _creator(_workflow(), "delete"),
        _creator("not: [yaml"),
        _creator("apiVersion: v1\nkind: ConfigMap\n"),
        _sensor("argoWorkflow", "configmap: {name: a, key: b}"),
        SENSOR.replace("operation: submit", "operation: submit-from"),
        SENSOR.replace("operation: submit", "operation: resubmit"),
        K8S_SENSOR.replace("operation: create", "operation: patch"),
        SENSOR.partition("spec:")[0] + "spec: {triggers: [x, {template: 1}]}\n",
        PIPELINE.partition("spec:")[0] + "spec: {workflow: {spec: '{'}}\n",
    ],
)
def test_what_carries_no_workflow_is_left_alone(tmp_path: Path, text: str) -> None:
    """Parts of objects, texts of others, and wrong types."""
    (tmp_path / "a.yaml").write_text(text)
    inputs = read_inputs([str(tmp_path)])
    assert [each.kind for each in inputs.manifests if each.carrier is not None] == []
    assert inputs.findings == ()
