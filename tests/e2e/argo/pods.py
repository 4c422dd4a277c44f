"""The Pods of the double: how they are named and made, and what is looked at in them."""

import json
from typing import Final

import msgspec
import yaml

from policy.cluster.protocol import WORKFLOWS, Resource
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.values.prepared import prepare
from tests.e2e.argo.planning import Step
from tests.e2e.argo.shapes import Anything, Workflow, as_json

PODS: Final = Resource("", "v1", "pods", "Pod")
WORKFLOW_LABEL: Final = "workflows.argoproj.io/workflow"
TEMPLATE_VARIABLE: Final = "ARGO_TEMPLATE"
"""Where the executor in a Pod finds its template."""
_PLACEHOLDER: Final = "{{"
_KEPT: Final = ("command", "args", "resources", "securityContext")
"""What of a container goes into the Pod; the rest would need volumes and parameters."""
_LONGEST_TEMPLATE: Final = 40
"""How much of a template's name goes into that of its Pod, which may have 253 characters in all."""


class Owner(msgspec.Struct, frozen=True):
    """Who owns a Pod."""

    uid: str


class PodMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """Who a Pod is and whose."""

    name: str
    namespace: str
    labels: dict[str, str] = {}
    owner_references: tuple[Owner, ...] = ()


class PodStatus(msgspec.Struct, frozen=True):
    """How far a Pod is."""

    phase: str = "Pending"


class Pod(msgspec.Struct, frozen=True):
    """What is looked at in a Pod."""

    metadata: PodMetadata
    status: PodStatus = PodStatus()

    @property
    def key(self) -> str:
        """The key of its Workflow."""
        return f"{self.metadata.namespace}/{self.metadata.labels.get(WORKFLOW_LABEL, '')}"


def pod_name(workflow: Workflow, step: Step) -> str:
    """Return the name as Argo builds it: Workflow, template, number of the node."""
    number = workflow.node_id(step.node).rpartition("-")[2]
    if step.node == workflow.metadata.name:
        return workflow.metadata.name
    return "-".join(filter(None, (workflow.metadata.name, step.template.name[:_LONGEST_TEMPLATE], number)))


def pod_of(workflow: Workflow, step: Step) -> JsonObject:
    """Return the Pod of a step, owned by its Workflow."""
    metadata, template = workflow.metadata, step.template
    own = template.metadata
    labels: dict[str, JsonValue] = {
        **_literal((own.labels if own else None) or {}),
        WORKFLOW_LABEL: metadata.name,
        well_known.COMPLETED: "false",
    }
    annotations: dict[str, JsonValue] = {
        **_literal((own.annotations if own else None) or {}),
        "workflows.argoproj.io/node-name": step.node,
        "workflows.argoproj.io/node-id": workflow.node_id(step.node),
    }
    owner: JsonObject = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "name": metadata.name,
        "uid": metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    container = _container(template.container or template.script or {})
    if template.resource is not None:
        container |= _executing(as_json(template), owner)
    spec: JsonObject = {"restartPolicy": "Never", "containers": [container]}
    account = template.service_account_name or workflow.spec.service_account_name
    if account and _PLACEHOLDER not in account:
        spec["serviceAccountName"] = account
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(workflow, step),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


def _container(body: Anything) -> JsonObject:
    """Return the main container: what a Pod may have without the rest of Argo's work on it."""
    given = as_json(body)
    kept = {name: given[name] for name in _KEPT if given.get(name)}
    literal = {name: value for name, value in kept.items() if _PLACEHOLDER not in json.dumps(value)}
    return {"name": "main", "image": given.get("image") or "argoexec", **literal}


def _executing(template: JsonObject, owner: JsonObject) -> JsonObject:
    """Return what the executor is given that makes the object of a resource template.

    Argo puts the template into the environment, with the owner in the manifest where that is asked for.
    """
    resource = as_json(template["resource"])
    manifest = (
        yaml.safe_load(str(resource.get("manifest") or "")) if resource.get("setOwnerReference") else None
    )
    if isinstance(manifest, dict):
        metadata = manifest.setdefault("metadata", {})
        metadata["ownerReferences"] = [*metadata.get("ownerReferences", ()), owner]
        resource = {**resource, "manifest": yaml.safe_dump(manifest)}
    text = json.dumps({**template, "resource": resource})
    return {
        "command": ["argoexec", "resource", resource.get("action") or ""],
        "env": [{"name": TEMPLATE_VARIABLE, "value": text}],
    }


def _literal(entries: dict[str, str]) -> dict[str, str]:
    """Return the entries that need no parameters filled in."""
    return {key: value for key, value in entries.items() if _PLACEHOLDER not in value}


prepare(Pod)
