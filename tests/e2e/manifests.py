"""What a user of the end-to-end tests writes: manifests as text for `kubectl create -f -`."""

import json
from typing import Final

from policy.core.objects.json_patch import JsonObject, JsonValue

QUOTA: Final = "limits"
LOCKS: Final = "locks"
_OURS: Final = "lockkeeper.dev/v1alpha1"


def workflow(name: str, **spec: JsonValue) -> str:
    """Return a Workflow of one task, `load-orders`; `spec` is added to its spec."""
    template: JsonObject = {
        "name": "load-orders",
        "container": {"image": "busybox:1.37", "command": ["true"]},
    }
    return _text(
        "argoproj.io/v1alpha1",
        "Workflow",
        name,
        {"entrypoint": "load-orders", "templates": [template], **spec},
    )


def quota(*, name: str = QUOTA, **spec: JsonValue) -> str:
    """Return a WorkflowQuota."""
    return _text(_OURS, "WorkflowQuota", name, spec)


def pool(name: str, **spec: JsonValue) -> str:
    """Return a ClusterWorkflowQuota."""
    return _text(_OURS, "ClusterWorkflowQuota", name, spec)


def locks(**spec: JsonValue) -> str:
    """Return a SynchronizationPolicy."""
    return _text(_OURS, "SynchronizationPolicy", LOCKS, spec)


def _text(api_version: str, kind: str, name: str, spec: JsonObject) -> str:
    return json.dumps({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec})
