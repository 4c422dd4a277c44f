"""Semaphores that are used become limits of a policy that refuses nothing besides."""

import pytest

from tests.lockkeeper.importing.limits import config_map, imported, left_out, specs, value_at


def user(reference: str, kind: str = "WorkflowTemplate", spec: str = "") -> str:
    """Return an object whose template holds a semaphore."""
    return f"""
---
apiVersion: argoproj.io/v1alpha1
kind: {kind}
metadata: {{name: u, namespace: team}}
spec:
  {spec or "entrypoint: m"}
  templates: [{{name: m, container: {{image: i}}, synchronization: {reference}}}]
"""


LIMITS = config_map("limits", "team", '{gpu: "2", title: not a limit, none: "0"}')
GPU = "configMapKeyRef: {name: limits, key: gpu}"


@pytest.mark.parametrize(
    "text",
    [
        user(f"{{semaphore: {{{GPU}}}}}"),
        user(f"{{semaphores: [{{{GPU}}}]}}"),
        user(f"{{semaphores: [{{namespace: team, {GPU}}}]}}"),
        user("{mutex: {name: x}}", "Workflow", f"synchronization: {{semaphores: [{{{GPU}}}]}}"),
    ],
)
def test_only_keys_that_are_used_are_limits(text: str) -> None:
    """Of a Workflow or a template, in both spellings; other keys of the ConfigMap are none."""
    made = specs(imported(LIMITS + text))
    (name,) = made
    assert name == "SynchronizationPolicy team/semaphores"
    assert value_at(made[name], "semaphores") == [{"configMap": "limits", "key": "gpu", "limit": 2}]


def test_a_semaphore_of_a_template_inside_a_cron_is_found() -> None:
    """Wherever `synchronization` stands."""
    cron = f"""
---
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {{name: c, namespace: team}}
spec:
  schedules: ["0 1 * * *"]
  workflowSpec:
    entrypoint: m
    templates: [{{name: m, container: {{image: i}}, synchronization: {{semaphores: [{{{GPU}}}]}}}}]
"""
    assert "SynchronizationPolicy team/semaphores" in specs(imported(LIMITS + cron))


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("configMapKeyRef: {name: limits, key: title}", "'not a limit' is no limit of 1 or more"),
        ("configMapKeyRef: {name: limits, key: none}", "'0' is no limit of 1 or more"),
        ("configMapKeyRef: {name: limits, key: absent}", "the ConfigMap has no such key"),
        ("configMapKeyRef: {name: others, key: gpu}", "its ConfigMap is not among the objects"),
        (
            'configMapKeyRef: {name: limits, key: "{{workflow.name}}"}',
            "its name is known only when a Workflow",
        ),
        ("database: {key: gpu}", "its limit is in Argo's database, and stays there"),
    ],
)
def test_what_is_no_limit_is_told(reference: str, expected: str) -> None:
    """Each with who uses it."""
    made = imported(LIMITS + user(f"{{semaphores: [{{{reference}}}]}}"))
    (told,) = left_out(made)
    assert (specs(made), expected in told, "used by WorkflowTemplate team/u" in told) == ({}, True, True)


def test_nothing_is_refused_that_is_not_refused_now() -> None:
    """Locks that are not defined, of other namespaces, with parameters: as before."""
    made = specs(imported(LIMITS + user(f"{{semaphores: [{{{GPU}}}]}}")))
    assert value_at(made["SynchronizationPolicy team/semaphores"], "validate") == {
        "requireDefined": False,
        "crossNamespace": "Allow",
        "allowParameterised": "Allow",
        "deadlocks": "Warn",
        "unknownReferences": "Ignore",
    }
