"""Objects that limit Workflows, written by tests, and the policies that are made of them."""

from datetime import UTC, datetime
from typing import Final

from lockkeeper.importing.checked_drafts import CheckedDrafts, checked_drafts
from lockkeeper.manifests.manifest import Manifest, manifest_of
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonValue
from policy.sources.directory import DocumentOrigin
from policy.sources.yaml_positions import parse

NOON: Final = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
FILE: Final = "limits.yaml"


def given(text: str) -> list[Manifest]:
    """Return the objects of a YAML file."""
    found = []
    for each in parse(text.encode()).documents:
        assert isinstance(each.value, dict)
        found.append(manifest_of(each.value, DocumentOrigin(FILE, "", each)))
    return found


def imported(text: str, *, default_tasks: int | None = None, **requests: str) -> CheckedDrafts:
    """Return what is made of a file; `requests` is what one task requests."""
    return checked_drafts(
        given(text), requests, default_tasks, namespace="default", argo=DEFAULT_VERSION, now=NOON
    )


def specs(made: CheckedDrafts) -> dict[str, JsonValue]:
    """Return the policies by kind and name."""
    return {each.name: each.policy["spec"] for each in made.found.drafts}


def left_out(made: CheckedDrafts) -> list[str]:
    """Return what no policy says."""
    return [f"{each.source}: {each.message}" for each in made.found.left_out]


def over(made: CheckedDrafts) -> list[str]:
    """Return what those that run would be over."""
    return [f"{each.policy}: {each.message}" for each in made.checked.over]


def changes(made: CheckedDrafts) -> dict[str, str]:
    """Return what fields of all policies mean that they did not mean."""
    return {each.field: each.change for draft in made.found.drafts for each in draft.origins if each.change}


def running(name: str, namespace: str, parallelism: int | None = None) -> str:
    """Return a Workflow that runs, as a document."""
    bound = "" if parallelism is None else f"parallelism: {parallelism}, "
    return f"""
---
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{{bound}entrypoint: m, templates: [{{name: m, container: {{image: i}}}}]}}
status: {{phase: Running}}
"""


def cluster_queue(
    name: str, nominal: int | str, spec: str = "", *, resource: str = "pods", more: str = ""
) -> str:
    """Return a ClusterQueue of Kueue of one resource, as a document."""
    return f"""
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: ClusterQueue
metadata: {{name: {name}}}
spec:
  {spec or "namespaceSelector: {}"}
  resourceGroups:
  - coveredResources: [{resource}]
    flavors:
    - name: default
      resources: [{{name: {resource}, nominalQuota: {nominal}{more}}}]
"""


def local_queue(namespace: str, queue: str) -> str:
    """Return the LocalQueue of a namespace, as a document."""
    return f"""
---
apiVersion: kueue.x-k8s.io/v1beta1
kind: LocalQueue
metadata: {{name: main, namespace: {namespace}}}
spec: {{clusterQueue: {queue}}}
"""


def quota(name: str, namespace: str, hard: str, spec: str = "") -> str:
    """Return a ResourceQuota, as a document."""
    return f"""
---
apiVersion: v1
kind: ResourceQuota
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{hard: {{{hard}}}{spec}}}
"""


def config_map(name: str, namespace: str, data: str) -> str:
    """Return a ConfigMap, as a document."""
    return f"""
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: {namespace}}}
data: {data}
"""


def labelled(namespace: str, limit: str) -> str:
    """Return a Namespace with Argo's label, as a document."""
    return f"""
---
apiVersion: v1
kind: Namespace
metadata: {{name: {namespace}, labels: {{workflows.argoproj.io/parallelism-limit: "{limit}"}}}}
"""


def value_at(spec: JsonValue, *steps: str) -> JsonValue:
    """Return what is at a path of a policy's spec."""
    for step in steps:
        assert isinstance(spec, dict)
        spec = spec[step]
    return spec
