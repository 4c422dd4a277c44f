"""What the API says of itself is what the chart's CRDs say, and leads to the objects."""

from typing import Any

import pytest

from lockkeeper.kube_api.describing.discovery import described
from lockkeeper.kube_api.request_paths import object_path
from lockkeeper.kube_api.served_kinds import SERVED, Column, ServedKind
from policy.core.objects.json_patch import JsonObject
from policy.sources.yaml_positions import read_manifest
from tests.lockkeeper.commands import ROOT

CRDS = ROOT / "charts/lockkeeper/files/crds"
OURS = [each for each in SERVED if each.resource.group == "lockkeeper.dev"]


def crd(kind: ServedKind) -> JsonObject:
    """Return the spec of the CRD of a kind."""
    (obj,) = read_manifest((CRDS / f"{kind.resource.plural}.yaml").read_text("utf-8"))
    assert isinstance(obj, dict)
    spec = obj["spec"]
    assert isinstance(spec, dict)
    return spec


def column(written: object) -> Column:
    """Return a column as a CRD has it."""
    assert isinstance(written, dict)
    path = written["jsonPath"].lstrip(".").replace('[?(@.type=="Ready")].status', ".[Ready]")
    return Column(written["name"], written["type"], tuple(path.split(".")), written.get("priority", 0))


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.resource.kind)
def test_our_kinds_have_the_names_and_columns_of_their_crds(kind: ServedKind) -> None:
    """A user of the embedded mode sees what a user of a cluster sees."""
    spec = crd(kind)
    names, versions = spec["names"], spec["versions"]
    assert isinstance(names, dict)
    assert isinstance(versions, list)
    version = versions[0]
    assert isinstance(version, dict)
    assert (names["plural"], names["shortNames"]) == (kind.resource.plural, [*kind.short])
    columns = version["additionalPrinterColumns"]
    assert isinstance(columns, list)
    assert tuple(map(column, columns)) == kind.columns
    assert bool(version.get("subresources")) == kind.status_apart


@pytest.mark.parametrize("kind", SERVED, ids=lambda kind: kind.resource.kind)
def test_every_kind_is_found_by_its_group_and_its_path(kind: ServedKind) -> None:
    """From the list of groups to one object."""
    resource = kind.resource
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    listed = described(root)
    assert listed is not None
    resources = listed["resources"]
    assert isinstance(resources, list)
    assert resource.plural in [each["name"] for each in resources if isinstance(each, dict)]
    inner = f"/namespaces/a/{resource.plural}/x" if resource.namespaced else f"/{resource.plural}/x"
    found = object_path(f"{root}{inner}")
    assert found is not None
    assert (found.kind, found.namespace, found.name) == (kind, "a" if resource.namespaced else "", "x")


@pytest.mark.parametrize(
    "path",
    ["/apis/apps/v1", "/api/v1/pods", "/apis/argoproj.io/v1alpha1/workflows/a/b/c", "/openapi/v3/apis/x"],
)
def test_there_is_nothing_at_other_paths(path: str) -> None:
    """Kinds that are not served are not found, as in a cluster without them."""
    assert described(path) is None
    assert object_path(path) is None


def test_a_kind_is_listed_over_all_namespaces_or_in_one() -> None:
    """Both have the same plural at their end."""
    everywhere = object_path("/apis/argoproj.io/v1alpha1/workflows")
    here = object_path("/apis/argoproj.io/v1alpha1/namespaces/a/workflows")
    assert everywhere is not None
    assert here is not None
    assert (everywhere.namespace, here.namespace) == ("", "a")


@pytest.mark.parametrize("kind", SERVED, ids=lambda kind: kind.resource.kind)
def test_every_kind_can_be_explained(kind: ServedKind) -> None:
    """By its schema in the document of its group: all of ours, and of others what they have at their top."""
    resource = kind.resource
    root = f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
    document: Any = described(f"/openapi/v3/{root}")
    (schema,) = (
        each
        for each in document["components"]["schemas"].values()
        if each["x-kubernetes-group-version-kind"][0]["kind"] == resource.kind
    )
    assert schema["type"] == "object"
    assert set(schema["properties"]) >= {"apiVersion", "kind", "metadata"}
    if resource.plural == "workflowquotas":
        assert schema["properties"]["spec"]["properties"]["limits"]["description"]
