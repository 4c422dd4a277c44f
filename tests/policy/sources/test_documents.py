"""One document becomes an object, something to ignore, or problems that say how to repair it."""

import pytest
import yaml

from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import TemplateObject
from policy.core.policy_kinds.kinds import (
    ClusterSynchronizationPolicy,
    ClusterWorkflowQuota,
    ConfigMap,
    NamespaceObject,
    SynchronizationPolicy,
    WorkflowQuota,
)
from policy.core.values.problems import Problem
from policy.sources.documents import Contents, Identity, join, read

OURS = "apiVersion: lockkeeper.dev/v1alpha1, metadata: {name: a}"


def reading(text: str) -> Contents:
    """Return the contents of one YAML document."""
    return read(yaml.safe_load(text))


def problems(text: str) -> dict[str, str]:
    """Return the messages about one YAML document, by path."""
    return {problem.path: problem.message for problem in reading(text).problems}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{{{OURS}, kind: WorkflowQuota, spec: {{}}}}", WorkflowQuota),
        (f"{{{OURS}, kind: ClusterWorkflowQuota, spec: {{namespaceSelector: {{}}}}}}", ClusterWorkflowQuota),
        (f"{{{OURS}, kind: SynchronizationPolicy, spec: {{}}}}", SynchronizationPolicy),
        (
            f"{{{OURS}, kind: ClusterSynchronizationPolicy, spec: {{namespaceSelector: {{}}}}}}",
            ClusterSynchronizationPolicy,
        ),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {k: '1'}, immutable: true}",
            ConfigMap,
        ),
        ("{apiVersion: v1, kind: Namespace, metadata: {name: a}, spec: {}, status: {}}", NamespaceObject),
        (
            "{apiVersion: argoproj.io/v1alpha1, kind: WorkflowTemplate, metadata: {name: a}, spec: {x: {}}}",
            TemplateObject,
        ),
        (
            "{apiVersion: argoproj.io/v1alpha1, kind: ClusterWorkflowTemplate, metadata: {name: a}}",
            TemplateObject,
        ),
    ],
)
def test_every_known_kind_is_decoded(text: str, expected: type) -> None:
    """Policies, and what Argo and Kubernetes keep beside them."""
    contents = reading(text)
    assert contents.problems == ()
    assert [type(decoded.document) for decoded in contents.documents] == [expected]


def test_the_items_of_a_list_are_documents() -> None:
    """What `kubectl get -o yaml` prints is taken apart, lists in lists too; paths start at the item."""
    quota = f"{{{OURS}, kind: WorkflowQuota, spec: {{limits: {{workflows: x}}}}}}"
    template = "{apiVersion: argoproj.io/v1alpha1, kind: WorkflowTemplate, metadata: {name: t}}"
    inner = f"{{apiVersion: v1, kind: List, items: [{quota}]}}"
    contents = reading(f"{{apiVersion: v1, kind: List, items: [{template}, {inner}, 3, null]}}")
    assert [decoded.path for decoded in contents.documents] == ["items[0]"]
    assert [problem.path for problem in contents.problems] == [
        "items[1].items[0].spec.limits.workflows",
        "items[2]",
        "items[3]",
    ]
    assert [named.path for named in contents.named] == ["items[0]", "items[1].items[0]"]


def test_an_empty_list_holds_nothing_and_a_wrong_one_is_a_problem() -> None:
    """The items of a List are a list."""
    assert reading("{apiVersion: v1, kind: List, items: }") == Contents()
    assert problems("{apiVersion: v1, kind: List, items: {}}") == {"items": "must be a list"}


def test_an_empty_document_holds_nothing() -> None:
    """A file may end with `---`."""
    assert read(None) == Contents()


def test_other_kinds_are_left_out() -> None:
    """A folder of manifests may hold anything."""
    assert reading("{apiVersion: apps/v1, kind: Deployment, metadata: {name: A_B}}") == Contents()


@pytest.mark.parametrize("text", ["[]", "3", "hello"])
def test_a_document_that_is_no_map_is_a_problem(text: str) -> None:
    """It cannot be a Kubernetes object."""
    assert problems(text) == {"": "must be a map with apiVersion and kind"}


def test_a_document_without_api_version_or_kind_is_a_problem() -> None:
    """Both are required at once, and the right apiVersion is named where the kind is ours."""
    assert problems("{metadata: {}}") == {
        "apiVersion": "is required, as a string",
        "kind": "is required, as a string",
    }
    assert problems("{kind: WorkflowQuota, apiVersion: }") == {
        "apiVersion": "is required, as a string: lockkeeper.dev/v1alpha1 for kind WorkflowQuota"
    }


@pytest.mark.parametrize("wrong", ["lockkeeper.dev/v1", "v1alpha1", "lockkeeper.io/v1alpha1"])
def test_our_kinds_in_another_version_get_the_right_one_named(wrong: str) -> None:
    """A policy must not be passed over because of a typing error in its apiVersion."""
    assert problems(f"{{apiVersion: {wrong}, kind: WorkflowQuota}}") == {
        "apiVersion": f'must be lockkeeper.dev/v1alpha1 for kind WorkflowQuota; found "{wrong}"'
    }


def test_an_unknown_kind_of_our_group_is_a_problem_with_the_nearest() -> None:
    """Nor because of one in its kind."""
    assert problems("{apiVersion: lockkeeper.dev/v1alpha1, kind: WorkflowQuotas}") == {
        "kind": '"WorkflowQuotas" is not a kind of lockkeeper.dev; did you mean "WorkflowQuota"?'
    }
    assert "known are WorkflowQuota, " in problems("{apiVersion: lockkeeper.dev/v1alpha1, kind: X}")["kind"]


@pytest.mark.parametrize("name", ["Team", "a_b", "-a", "a-", "a..b", "a.", '""', "a" * 254, '"a\\n"', "ä"])
def test_a_name_that_kubernetes_would_refuse_is_a_problem(name: str) -> None:
    """Names are DNS-1123 subdomains."""
    found = problems(f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}")
    assert list(found) == ["metadata.name"]
    assert "not a name for Kubernetes" in found["metadata.name"]


@pytest.mark.parametrize("name", ["a", "'0'", "team-a.example", "a" * 253])
def test_a_name_that_kubernetes_takes_is_fine(name: str) -> None:
    """Dots and digits are part of names."""
    assert problems(f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}") == {}


def test_a_template_needs_a_name_though_argos_struct_does_not() -> None:
    """References find templates by name."""
    text = "{apiVersion: argoproj.io/v1alpha1, kind: WorkflowTemplate, metadata: {generateName: a-}}"
    assert problems(text) == {"metadata.name": "is required, but missing"}


def test_wrong_fields_and_wrong_names_are_reported_together() -> None:
    """The name is checked even where the rest does not fit."""
    text = "{apiVersion: lockkeeper.dev/v1alpha1, kind: WorkflowQuota, metadata: {name: A}, spec: {limts: 1}}"
    assert set(problems(text)) == {"metadata.name", "spec.limts"}


def test_values_are_checked_where_the_shape_is_right() -> None:
    """The rules that a schema cannot say come from the core."""
    text = (
        f"{{{OURS}, kind: WorkflowQuota, spec: {{limits: {{workflows: -1}}, perWorkflow: {{maxTasks: 0}}}}}}"
    )
    assert set(problems(text)) == {"spec.limits.workflows", "spec.perWorkflow.maxTasks"}


@pytest.mark.parametrize(
    ("api_version", "kind", "namespace", "identity"),
    [
        ("v1", "ConfigMap", "", "ConfigMap default/a"),
        ("v1", "ConfigMap", "team", "ConfigMap team/a"),
        ("argoproj.io/v1alpha1", "WorkflowTemplate", "", "WorkflowTemplate default/a"),
        ("argoproj.io/v1alpha1", "ClusterWorkflowTemplate", "team", "ClusterWorkflowTemplate a"),
        ("lockkeeper.dev/v1alpha1", "ClusterWorkflowQuota", "", "ClusterWorkflowQuota a"),
        ("v1", "Namespace", "", "Namespace a"),
    ],
)
def test_objects_are_named_as_in_a_cluster(
    api_version: str, kind: str, namespace: str, identity: str
) -> None:
    """A namespace matters for namespaced kinds only; wrong objects are named as well."""
    (named,) = reading(
        f"{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: a, namespace: '{namespace}', x: 1}}}}"
    ).named
    assert str(named.identity) == identity


def test_an_object_without_a_usable_name_is_not_named() -> None:
    """It has the name of no other object."""
    assert reading("{apiVersion: v1, kind: ConfigMap, metadata: {name: 3}}").named == ()
    assert reading("{apiVersion: v1, kind: ConfigMap, metadata: 3}").named == ()
    assert Identity("ConfigMap", "a", "b") != Identity("ConfigMap", "b", "a")


@pytest.mark.parametrize(
    ("path", "inner", "whole"),
    [("", "a", "a"), ("a", "", "a"), ("a", "b", "a.b"), ("a", '["b.c"]', 'a["b.c"]'), ("", "", "")],
)
def test_paths_are_joined(path: str, inner: str, whole: str) -> None:
    """A problem inside an item has the item in front of its path."""
    assert join(path, inner) == whole


@pytest.mark.parametrize("deep", [90, 400])
def test_a_template_that_is_nested_too_deep_is_a_problem_and_no_error(deep: int) -> None:
    """Any user may write one, and it must not end the watch of templates."""
    template: JsonObject = {"container": {"image": "x"}}
    for _ in range(deep):
        template = {"dag": {"tasks": [{"name": "a", "inline": template}]}}
    obj: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": "deep", "namespace": "team-a"},
        "spec": {"templates": [template]},
    }
    contents = read(obj)
    assert contents.documents == ()
    assert contents.problems == (Problem("", "is nested too deep to be read"),)
