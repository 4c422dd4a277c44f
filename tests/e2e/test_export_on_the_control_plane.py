"""`lockkeeper export`: the API server takes the objects, and refuses with them what a review refuses.

Every Workflow of Argo's examples and many wrong ones are created in a dry run, once as they are, and decided
by the review's own path. What a review refuses by other rules than those exported is left aside.
"""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.importing.drafts import listed
from lockkeeper.manifests.manifest import manifest_of
from lockkeeper.reviewing.assumptions import Assumptions
from lockkeeper.reviewing.object_review import review_manifest
from policy.cluster.errors import ClusterError, Forbidden
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_TEMPLATES,
    CRON_WORKFLOWS,
    NAMESPACES,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    JsonPatch,
    Resource,
)
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_parts import part
from policy.core.objects.json_patch import JsonObject, Op, PatchOp
from policy.core.policies.snapshot import Snapshot
from policy.sources.directory import DocumentOrigin
from policy.sources.yaml_positions import ParsedDocument
from tests.e2e.creating import workflow
from tests.e2e.product import until
from tests.lockkeeper.commands import Lockkeeper
from tests.lockkeeper.importing.limits import NOON

pytestmark = pytest.mark.e2e
NAMESPACE: Final = "exported"
GROUP: Final = "admissionregistration.k8s.io"
KINDS: Final = {
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
}
POLICIES: Final = f"""
apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {{name: caps, namespace: {NAMESPACE}}}
spec:
  limits: {{tasks: 30}}
  onExceed: Deny
  perWorkflow: {{maxTasks: 40, maxPriority: 5, defaultTasks: 5}}
---
apiVersion: lockkeeper.dev/v1alpha1
kind: WorkflowQuota
metadata: {{name: none, namespace: {NAMESPACE}}}
spec:
  selector: {{matchLabels: {{tier: "0"}}, matchExpressions: [{{key: team, operator: In, values: [a, b]}}]}}
  limits: {{workflows: 0}}
  onExceed: Deny
---
apiVersion: lockkeeper.dev/v1alpha1
kind: ClusterSynchronizationPolicy
metadata: {{name: strict}}
spec:
  namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {NAMESPACE}}}}}
  match:
    kinds: [Workflow, WorkflowTemplate, CronWorkflow]
    workflows: {{matchExpressions: [{{key: free, operator: DoesNotExist}}]}}
  validate:
    requireDefined: false
    keyPattern: <resource-type>-<purpose>
    crossNamespace: Deny
    singular: Deny
    allowParameterised: Allow
    deadlocks: Ignore
    unknownReferences: Ignore
"""
EVERYWHERE: Final = """
---
apiVersion: lockkeeper.dev/v1alpha1
kind: ClusterSynchronizationPolicy
metadata: {name: shared}
spec:
  namespaceSelector: {}
  match: {kinds: [ClusterWorkflowTemplate]}
  validate:
    requireDefined: false
    keyPattern: <resource-type>-<purpose>
    crossNamespace: Deny
    singular: Deny
    allowParameterised: Allow
    deadlocks: Ignore
    unknownReferences: Ignore
"""
RESOURCES: Final = {
    each.kind: each for each in (WORKFLOWS, WORKFLOW_TEMPLATES, CRON_WORKFLOWS, CLUSTER_WORKFLOW_TEMPLATES)
}
RULES: Final = frozenset(
    {
        "TasksAboveCap",
        "PriorityAboveCap",
        "ExceededQuota",
        "LockNamespace",
        "LockName",
        "LockForm",
        "LockPlace",
    }
)
REFERENCE: Final[JsonObject] = {"name": "limits", "key": "gpu-training"}
BLOCKS: Final[tuple[JsonObject, ...]] = (
    {"mutexes": [{"name": "m"}]},
    {"semaphores": [{"configMapKeyRef": REFERENCE}]},
    {"mutexes": [{"name": "m", "namespace": "other"}]},
    {"mutexes": [{"name": "m", "namespace": NAMESPACE}]},
    {"mutexes": [{"name": ""}]},
    {"mutexes": [{}]},
    {"mutexes": [{"name": "a/b"}]},
    {"mutexes": [{"name": "m", "database": True}]},
    {"semaphores": [{"configMapKeyRef": REFERENCE, "namespace": "other"}]},
    {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "GPU"}}]},
    {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "gpu"}}]},
    {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "gpu-{{workflow.name}}"}}]},
    {"semaphores": [{"configMapKeyRef": {"name": "", "key": "gpu-a"}}]},
    {"semaphores": [{"configMapKeyRef": {"name": "a/b", "key": "gpu-a"}}]},
    {"semaphores": [{"configMapKeyRef": {"name": "limits", "key": "gpu/a"}}]},
    {"semaphores": [{"configMapKeyRef": REFERENCE, "database": {"key": "d"}}]},
    {"semaphores": [{"database": {"key": "d"}}]},
    {"semaphores": [{"database": {"key": ""}}]},
    {"semaphores": [{}]},
    {"semaphore": {"configMapKeyRef": REFERENCE}},
    {"mutex": {"name": "m"}},
    {"mutex": {"name": "m", "namespace": "other"}},
    {"semaphores": [{"configMapKeyRef": REFERENCE}], "mutexes": [{"name": "m"}, {"name": "n"}]},
    {"semaphores": None},
    {},
)
"""Locks, right and wrong."""


def in_all_places(block: JsonObject) -> Iterator[JsonObject]:
    """Yield Workflows with a block of locks: of the whole, defaults, a template, an inline one, a call."""
    leaf: JsonObject = {"name": "leaf", "container": {"image": "i"}}
    main: JsonObject = {**leaf, "name": "main"}
    inline: JsonObject = {"name": "a", "inline": {"container": {"image": "i"}, "synchronization": block}}
    call: JsonObject = {"name": "a", "template": "leaf", "synchronization": block}
    specs: tuple[JsonObject, ...] = (
        {"synchronization": block, "templates": [main]},
        {"templateDefaults": {"synchronization": block}, "templates": [main]},
        {"templates": [{**main, "synchronization": block}]},
        {"templates": [{"name": "main", "steps": [[inline]]}]},
        {"templates": [{"name": "main", "dag": {"tasks": [inline]}}]},
        {"templates": [{"name": "main", "dag": {"tasks": [call]}}, leaf]},
        {"templates": [{"name": "main", "steps": [[call]]}, leaf]},
    )
    for spec in specs:
        yield {**workflow("w"), "spec": {"entrypoint": "main", **spec}}


def of_all_kinds(obj: JsonObject) -> Iterator[JsonObject]:
    """Yield a Workflow, a template of it, one of the cluster, and a CronWorkflow."""
    yield obj
    yield {**obj, "kind": "ClusterWorkflowTemplate"}
    yield {**obj, "kind": "WorkflowTemplate"}
    yield {**obj, "kind": "CronWorkflow", "spec": {"schedules": ["0 1 * * *"], "workflowSpec": obj["spec"]}}


def of_numbers() -> Iterator[JsonObject]:
    """Yield Workflows around the caps and the limits, with labels that select and others."""
    for field, values in (("parallelism", (0, 1, 29, 30, 31, 40, 41)), ("priority", (-1, 0, 5, 6))):
        for value in values:
            yield with_spec({field: value})
    for labels in ({"tier": "0"}, {"tier": "0", "team": "a"}, {"tier": "1", "team": "a"}, {"free": "yes"}):
        metadata: JsonObject = {"name": "w", "labels": dict(labels)}
        yield {**workflow("w"), "metadata": metadata}
        yield {**with_spec({"synchronization": {"mutexes": [{"name": ""}]}}), "metadata": metadata}


def with_spec(more: JsonObject, obj: JsonObject | None = None) -> JsonObject:
    """Return a Workflow with more fields in its spec."""
    given = workflow("w") if obj is None else obj
    spec = given["spec"]
    assert isinstance(spec, dict)
    return {**given, "spec": {**spec, **more}}


def made_wrong(obj: JsonObject) -> Iterator[JsonObject]:
    """Yield an example with too many tasks, and with a lock of another namespace on each template."""
    yield with_spec({"parallelism": 41}, obj)
    templates = part(obj, "spec", "templates")
    lock: JsonObject = {"mutexes": [{"name": "m", "namespace": "other"}]}
    yield with_spec({"templates": [{**each, "synchronization": lock} for each in listed(templates)]}, obj)


def examples(corpus: Path) -> Iterator[JsonObject]:
    """Yield the Workflows, templates and CronWorkflows of Argo's examples."""
    for file in sorted((corpus / "examples").rglob("*.yaml")):
        for each in yaml.safe_load_all(file.read_text("utf-8")):
            if isinstance(each, dict) and each.get("kind") in RESOURCES:
                each["metadata"].pop("namespace", None)
                yield json.loads(json.dumps(each, default=str))


def reasons(obj: JsonObject, snapshot: Snapshot) -> list[str]:
    """Return why a review refuses a Workflow by the rules that are exported."""
    manifest = manifest_of(obj, DocumentOrigin("", "", ParsedDocument(None, {})))
    found = review_manifest(manifest, snapshot, NAMESPACE, "", assumed=Assumptions(NOON))
    return [f"{each.code} {each.field}" for each in found.reasons if each.code in RULES and each.policy]


def refusal(cluster: KubeCluster, obj: JsonObject) -> str | None:
    """Return what the admission policies say to an object, "" for nothing; None where others refuse it."""
    try:
        resource = RESOURCES[str(obj["kind"])]
        where = NAMESPACE if resource.namespaced else ""
        cluster.create(resource, deepcopy(obj), namespace=where, dry_run=True)
    except ClusterError as error:
        return error.message if "ValidatingAdmissionPolicy" in error.message else None
    return ""


def is_refused_by(cluster: KubeCluster, name: str, obj: JsonObject) -> bool:
    """Return whether the admission policy of one of ours refuses a Workflow."""
    return f".{name}'" in (refusal(cluster, obj) or "")


def edit(cluster: KubeCluster, obj: JsonObject) -> str:
    """Return what the admission policies say to the spec and the labels of an object that is there."""
    resource = RESOURCES[str(obj["kind"])]
    labels = part(obj, "metadata", "labels") or {}
    operations = (
        PatchOp(Op.ADD, "/metadata/labels", labels),
        PatchOp(Op.REPLACE, "/spec", obj["spec"]),
    )
    where = NAMESPACE if resource.namespaced else ""
    try:
        cluster.patch(resource, "w", JsonPatch(operations), namespace=where)
    except Forbidden as error:
        return error.message
    return ""


@pytest.fixture(scope="module")
def exported(kube_cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    """Apply what is exported, wait until it is in force, and give the policies."""
    folder = tmp_path_factory.mktemp("exported")
    file = folder / "policies.yaml"
    file.write_text(POLICIES + EVERYWHERE, "utf-8")
    finished = Lockkeeper(folder)("export", file)
    assert (finished.code, finished.err) == (0, "")
    kube_cluster.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    )
    made: list[tuple[Resource, Any]] = [
        (Resource(GROUP, "v1", KINDS[each["kind"]], each["kind"], namespaced=False), each)
        for each in yaml.safe_load_all(finished.out)
        if each is not None
    ]
    for resource, each in made:
        kube_cluster.create(resource, each)
    selected: JsonObject = {"metadata": {"name": "w", "labels": {"tier": "0", "team": "a"}}}
    probes: Sequence[tuple[str, JsonObject]] = (
        ("caps", with_spec({"parallelism": 41})),
        ("none", {**workflow("w"), **selected}),
        ("strict", next(in_all_places({"mutexes": [{"name": ""}]}))),
        ("shared", {**next(in_all_places({"mutexes": [{"name": ""}]})), "kind": "ClusterWorkflowTemplate"}),
    )
    for name, probe in probes:
        until(partial(is_refused_by, kube_cluster, name, probe), f"{name} is not there")
    yield load_once(file, DEFAULT_VERSION, namespace=NAMESPACE, allow_empty=False)
    for resource, each in reversed(made):
        kube_cluster.delete(resource, each["metadata"]["name"])


def differences(
    cluster: KubeCluster, snapshot: Snapshot, objects: Sequence[JsonObject]
) -> tuple[list[str], int, int]:
    """Return where a review and the API server decide differently, how many both refuse, and all compared."""
    found, refused, compared = [], 0, 0
    for obj in objects:
        said, expected = refusal(cluster, obj), reasons(obj, snapshot)
        if said is None:
            continue
        compared += 1
        refused += bool(said and expected)
        if bool(said) != bool(expected):
            found.append(f"{json.dumps(obj)}: review {expected}, API server {said!r}")
    return found, refused, compared


def test_wrong_workflows_are_refused_as_a_review_refuses_them(
    kube_cluster: KubeCluster, exported: Snapshot
) -> None:
    """Each lock in each place of each kind, and numbers around each cap."""
    placed = [each for block in BLOCKS for each in in_all_places(block)]
    objects = [*of_numbers(), *(each for obj in placed for each in of_all_kinds(obj))]
    found, refused, compared = differences(kube_cluster, exported, objects)
    assert found == []
    assert (refused > 150, compared > 400) == (True, True)


def test_argos_examples_are_refused_as_a_review_refuses_them(
    kube_cluster: KubeCluster, exported: Snapshot, corpus: Path
) -> None:
    """All Workflows of the corpus as they are, most of which are let in, and made wrong in two ways."""
    right = [*examples(corpus)]
    found, _, compared = differences(kube_cluster, exported, right)
    assert (found, compared > 150) == ([], True)
    wrong = [each for obj in right if obj["kind"] == "Workflow" for each in made_wrong(obj)]
    found, refused, compared = differences(kube_cluster, exported, wrong)
    assert (found, refused > 300, compared > 300) == ([], True, True)


EDITED: Final = ("WorkflowTemplate", "CronWorkflow", "ClusterWorkflowTemplate")


@pytest.fixture
def stored(kube_cluster: KubeCluster, exported: Snapshot) -> Iterator[dict[str, JsonObject]]:
    """Store a right template of each kind and a CronWorkflow."""
    assert exported.lock_policies
    right = {str(each["kind"]): each for each in of_all_kinds(next(in_all_places(BLOCKS[0])))}
    found = {kind: right[kind] for kind in EDITED}
    for kind, obj in found.items():
        where = NAMESPACE if RESOURCES[kind].namespaced else ""
        kube_cluster.create(RESOURCES[kind], deepcopy(obj), namespace=where)
    yield found
    for kind in found:
        where = NAMESPACE if RESOURCES[kind].namespaced else ""
        kube_cluster.delete(RESOURCES[kind], "w", namespace=where)


def test_edits_of_templates_and_crons_are_refused_as_a_review_refuses_their_create(
    kube_cluster: KubeCluster, exported: Snapshot, stored: dict[str, JsonObject]
) -> None:
    """What was right before is made wrong in each way, or right in another one."""
    found, refused = [], 0
    for block in BLOCKS:
        for placed in in_all_places(block):
            for obj in (each for each in of_all_kinds(placed) if each["kind"] in stored):
                said, expected = edit(kube_cluster, obj), reasons(obj, exported)
                refused += bool(said)
                if bool(said) != bool(expected):
                    found.append(f"{json.dumps(obj)}: review {expected}, API server {said!r}")
    assert found == []
    assert refused > 100


@pytest.mark.parametrize("kind", ["WorkflowTemplate", "CronWorkflow"])
def test_an_edit_may_leave_wrong_what_was_wrong_and_correct_something_else(
    kube_cluster: KubeCluster, stored: dict[str, JsonObject], kind: str
) -> None:
    """It was stored while its label let it be; another fault is refused."""
    wrong, worse = (
        {str(each["kind"]): each for each in of_all_kinds(placed)}[kind]
        for placed in (
            next(in_all_places({"mutexes": [{"name": ""}]})),
            next(in_all_places({"mutexes": [{"name": "", "namespace": "other"}]})),
        )
    )
    assert edit(kube_cluster, wrong) != ""
    assert edit(kube_cluster, let_be(wrong)) == ""
    assert edit(kube_cluster, wrong) == ""
    assert "LockNamespace" in edit(kube_cluster, worse)
    assert edit(kube_cluster, stored[kind]) == ""
    assert "LockName" in edit(kube_cluster, wrong)


def let_be(obj: JsonObject) -> JsonObject:
    """Return an object with the label that the policy passes over, of a CronWorkflow for its Workflows."""
    labels: JsonObject = {"free": "yes"}
    if obj["kind"] == "CronWorkflow":
        return with_spec({"workflowMetadata": {"labels": labels}}, obj)
    return {**obj, "metadata": {"name": "w", "labels": labels}}
