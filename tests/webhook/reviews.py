"""AdmissionReviews as the API server sends them, and policies from their YAML, for all tests of reviews."""

import json
from typing import Any, Final

import yaml

from policy.core.objects.argo_version import DEFAULT_VERSION, ArgoVersion
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.sources.documents import read
from tests.webhook.oracle import Json

NAMESPACE = "team"
UID = "705ab4f5-6393-11e8-b7cc-42010a800002"


def workflow(**spec: Any) -> Json:
    """Return a small Workflow; `spec` is added to its spec."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "hello", "namespace": NAMESPACE, "creationTimestamp": None},
        "spec": {
            "entrypoint": "main",
            "templates": [{"name": "main", "container": {"image": "busybox"}}],
            **spec,
        },
    }


def named(name: str) -> Json:
    """Return the same Workflow under another name."""
    obj = workflow()
    return {**obj, "metadata": {**obj["metadata"], "name": name}}


def admission_review(obj: object, *, version: str = "admission.k8s.io/v1", **request: Any) -> Json:
    """Return the review of a create of `obj` with every field that the API server sends; `request` wins."""
    kind = {"group": "argoproj.io", "version": "v1alpha1", "kind": "Workflow"}
    resource = {"group": "argoproj.io", "version": "v1alpha1", "resource": "workflows"}
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    return {
        "apiVersion": version,
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": name,
            "namespace": NAMESPACE,
            "operation": "CREATE",
            "userInfo": {"username": "ada", "groups": ["system:authenticated"]},
            "object": obj,
            "oldObject": None,
            "dryRun": False,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
            **request,
        },
    }


def encoded(review: object) -> bytes:
    """Return the bytes of a review."""
    return json.dumps(review).encode()


def snapshot_of(text: str = "", *, argo: ArgoVersion = DEFAULT_VERSION) -> Snapshot:
    """Return the snapshot of policies in YAML, which must be right."""
    contents = [read(value) for value in yaml.safe_load_all(text)]
    assert not [problem for each in contents for problem in each.problems]
    documents = [found.document for each in contents for found in each.documents]
    return take_snapshot(documents, version="test", argo=argo)


def quota(on_exceed: str, *, name: str = "builds", **spec: Any) -> str:
    """Return a WorkflowQuota of the namespace of the tests, as YAML, to be joined with others."""
    document = {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "WorkflowQuota",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"onExceed": on_exceed, **spec},
    }
    return f"---\n{yaml.safe_dump(document)}"


def lock_policy(**spec: Any) -> str:
    """Return a SynchronizationPolicy of the namespace of the tests, as YAML."""
    document = {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "SynchronizationPolicy",
        "metadata": {"name": "locks", "namespace": NAMESPACE},
        "spec": spec,
    }
    return f"---\n{yaml.safe_dump(document)}"


EVERYTHING: Final = (
    quota("Queue", limits={"workflows": 2, "tasks": 40}, perWorkflow={"defaultTasks": 4, "maxTasks": 20})
    + quota("Deny", name="hard", limits={"workflows": 9})
    + quota("Warn", name="soft", limits={"workflows": 0})
    + lock_policy(
        semaphores=[{"configMap": "locks", "key": "db", "limit": 2}],
        inject=[
            {
                "name": "database",
                "templates": {"names": ["*"]},
                "lock": {"semaphore": {"configMap": "locks", "key": "db"}},
            }
        ],
    )
)
"""Policies of every kind and effect, all of which speak about a small Workflow."""
