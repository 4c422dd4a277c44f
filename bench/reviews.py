"""What is measured on: AdmissionReviews of three sizes, and a folder of 20 policies that concern them."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

NAMESPACE: Final = "team-etl"
Document = dict[str, Any]


class Case(msgspec.Struct, frozen=True):
    """One size of review: its name in the table, and how many templates its Workflow has."""

    name: str
    templates: int


CASES: Final = (Case("2 kB", 1), Case("20 kB", 30), Case("200 kB", 305))
LOADERS: Final = 3
"""Templates of a Workflow that rules select; a Workflow of one template has one."""
MATCHING: Final = {0: {"schedule": "nightly"}, 1: {"owner": "etl"}}
"""The labels that the first quotas select; they are on every Workflow."""
SELECTED: Final[dict[int, Document]] = {
    0: {"names": ["load-table-0"]},
    1: {"names": ["load-table-1"], "images": ["*/warehouse/*"]},
    2: {"names": ["load-table-2", "import-*"]},
}
"""The templates that the rules of the first policies select; those of the others do not occur."""


def body(case: Case, uid: str) -> bytes:
    """Return an AdmissionReview of the CREATE of a Workflow, compact as the API server writes it."""
    kind = {"group": "argoproj.io", "version": "v1alpha1", "kind": "Workflow"}
    resource = {"group": "argoproj.io", "version": "v1alpha1", "resource": "workflows"}
    request = {
        "uid": uid,
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": f"nightly-load-{uid[-5:]}",
        "namespace": NAMESPACE,
        "operation": "CREATE",
        "userInfo": {
            "username": f"system:serviceaccount:{NAMESPACE}:scheduler",
            "uid": "3f6a2c11-8f0e-4f0e-9d65-0c2f4f3a9b11",
            "groups": [
                "system:serviceaccounts",
                f"system:serviceaccounts:{NAMESPACE}",
                "system:authenticated",
            ],
        },
        "object": _workflow(case.templates, uid),
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "argo"},
    }
    review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(review, separators=(",", ":")).encode()


def uids(count: int) -> list[str]:
    """Return request uids of the form that the API server gives."""
    return [f"7b1a9f0e-2f4c-4f0e-9d65-0c2f4f3{number:05x}" for number in range(count)]


def _workflow(templates: int, uid: str) -> Document:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": f"nightly-load-{uid[-5:]}",
            "generateName": "nightly-load-",
            "namespace": NAMESPACE,
            "labels": {"schedule": "nightly", "app.kubernetes.io/part-of": "warehouse", "owner": "etl"},
            "annotations": {"workflows.argoproj.io/description": "Loads the tables of one day."},
            "creationTimestamp": None,
        },
        "spec": {
            "entrypoint": "main" if templates > 1 else _name(0),
            "serviceAccountName": "scheduler",
            "arguments": {"parameters": [{"name": "day", "value": "2026-11-22"}]},
            "parallelism": 4,
            "podGC": {"strategy": "OnPodCompletion"},
            "templates": _templates(templates),
        },
        "status": {"startedAt": None, "finishedAt": None},
    }


def _templates(count: int) -> list[Document]:
    if count == 1:
        return [_container(0)]
    return [_dag(count - 1), *(_container(index) for index in range(count - 1))]


def _name(index: int) -> str:
    return f"load-table-{index}" if index < LOADERS else f"transform-{index}"


def _dag(count: int) -> Document:
    tasks: list[Document] = []
    for index in range(count):
        task: Document = {"name": f"t{index}", "template": _name(index)}
        if index >= LOADERS:
            task["dependencies"] = [f"t{index % LOADERS}"]
        tasks.append(task)
    return {"name": "main", "inputs": {}, "outputs": {}, "metadata": {}, "dag": {"tasks": tasks}}


def _container(index: int) -> Document:
    return {
        "name": _name(index),
        "inputs": {"parameters": [{"name": "day", "value": "{{workflow.parameters.day}}"}]},
        "outputs": {},
        "metadata": {},
        "container": {
            "name": "",
            "image": f"registry.example.com/warehouse/step:{index % 7}.4.1",
            "command": ["python", "-m", "warehouse.step"],
            "args": ["--day", "{{inputs.parameters.day}}", "--table", f"fact_{index}"],
            "env": [{"name": "REGION", "value": "eu"}, {"name": "BATCH_ROWS", "value": "50000"}],
            "resources": {"limits": {"memory": "2Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
            "volumeMounts": [{"name": "work", "mountPath": "/work", "readOnly": False}],
        },
        "retryStrategy": {"limit": "2"},
    }


def policies() -> list[Document]:
    """Return 10 quotas that queue, 2 of which select the Workflows, and 10 policies with a rule each.

    The rules of 3 policies select one template each; the other 7 look for templates that do not occur.
    """
    return [*(_quota(number) for number in range(10)), *(_locks(number) for number in range(10))]


def _quota(number: int) -> Document:
    labels = MATCHING.get(number, {"owner": f"team-{number}"})
    return _document(
        "WorkflowQuota",
        f"quota-{number}",
        {
            "selector": {"matchLabels": labels},
            "limits": {"workflows": 10 + number, "tasks": 400},
            "perWorkflow": {"defaultTasks": 4, "maxTasks": 40},
            "onExceed": "Queue",
        },
    )


def _locks(number: int) -> Document:
    nowhere = {"names": [f"export-{number}-*"], "images": [f"*/db-client-{number}*"]}
    key = f"warehouse-{number}"
    lock = {"semaphore": {"configMap": "semaphores", "key": key}}
    return _document(
        "SynchronizationPolicy",
        f"locks-{number}",
        {
            "semaphores": [{"configMap": "semaphores", "key": key, "limit": 2 + number}],
            "inject": [{"name": "rule", "templates": SELECTED.get(number, nowhere), "lock": lock}],
            "validate": {"keyPattern": "<resource>-<purpose>"},
        },
    )


def _document(kind: str, name: str, spec: Document) -> Document:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "lockkeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def write_policies(folder: Path) -> Path:
    """Write the policies into a new folder and return it."""
    folder.mkdir()
    (folder / "policies.yaml").write_text(yaml.safe_dump_all(policies(), sort_keys=False))
    return folder
