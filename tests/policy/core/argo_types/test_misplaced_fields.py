"""A field at a wrong level, which Argo drops, is told with the place where Argo reads it."""

from typing import Any

import msgspec
import pytest

from policy.core.argo_types.decodability import examine
from policy.core.objects.json_patch import JsonObject

TEMPLATE = "spec.templates[0]"


def told(obj: JsonObject, kind: str = "Workflow") -> list[tuple[str, str]]:
    """Return the field of each warning, and what is said after what happens to it."""
    report = examine(kind, msgspec.json.encode(obj))
    return [(each.path, each.message.rpartition(": ")[2]) for each in report.warnings]


def of_template(**fields: Any) -> list[tuple[str, str]]:
    """Return the same of a Workflow with one template."""
    return told({"spec": {"templates": [{"name": "main", **fields}]}})


@pytest.mark.parametrize("field", ["parallelism", "entrypoint", "activeDeadlineSeconds", "ttlStrategy"])
def test_what_a_run_has_stands_in_the_workflow_spec_of_a_schedule(field: str) -> None:
    """Beside it, it is a common slip, and no limit of the runs."""
    assert told({"spec": {"schedules": ["@daily"], field: 3, "workflowSpec": {}}}, "CronWorkflow") == [
        (f"spec.{field}", f"write it as spec.workflowSpec.{field}")
    ]


def test_what_a_schedule_has_stands_above_its_workflow_spec() -> None:
    """One level too deep, it is dropped as well."""
    obj: JsonObject = {"spec": {"workflowSpec": {"timezone": "Asia/Tokyo"}}}
    assert told(obj, "CronWorkflow") == [("spec.workflowSpec.timezone", "write it as spec.timezone")]


def test_a_workflow_has_no_schedule() -> None:
    """It runs once, whatever the author thinks."""
    assert told({"spec": {"schedules": ["@daily"]}}) == [
        ("spec.schedules", "remove it, or write a CronWorkflow")
    ]


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate"])
def test_a_field_beside_the_spec_belongs_into_it(kind: str) -> None:
    """Argo reads nothing there."""
    assert told({"onExit": "bye", "spec": {"entrypoint": "main"}}, kind) == [
        ("onExit", "write it as spec.onExit")
    ]


@pytest.mark.parametrize("block", ["container", "script", "dag", "resource", "containerSet", "metadata"])
def test_a_field_of_a_template_stands_beside_its_blocks(block: str) -> None:
    """One level too deep is a slip of indentation."""
    value: JsonObject = {"retryStrategy": {"limit": 2}}
    assert of_template(**{block: value})[:1] == (
        [(f"{TEMPLATE}.{block}.retryStrategy", f"write it as {TEMPLATE}.retryStrategy")]
        if block != "containerSet"
        else []
    )


def test_a_field_of_a_container_stands_inside_it() -> None:
    """One level too high is another."""
    assert of_template(container={"image": "a"}, args=["b"]) == [
        (f"{TEMPLATE}.args", f"write it as {TEMPLATE}.container.args")
    ]


def test_a_task_has_what_its_template_has_only_there() -> None:
    """A task of a DAG is tried again, or has a deadline, by its template."""
    assert of_template(dag={"tasks": [{"name": "a", "template": "b", "timeout": "5m"}]}) == [
        (f"{TEMPLATE}.dag.tasks[0].timeout", "write it into the template that is called here")
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": {"name": "main"}},
        {"container": {"image": "a"}, "image": "b"},
        {"arguments": {"parameters": []}},
        {"container": {"colour": "red"}},
        {"plugin": {"mine": {"retryStrategy": 1}}},
    ],
)
def test_what_is_not_surely_meant_elsewhere_is_left_alone(fields: dict[str, Any]) -> None:
    """What is given there already, what nobody has, and what is free."""
    assert of_template(**fields) == []
