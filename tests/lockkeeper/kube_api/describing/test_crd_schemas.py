"""The schemas of our CRDs, as the API of `lockkeeper run` follows them."""

import json

import pytest
import yaml

from lockkeeper.kube_api.describing.crd_schemas import SCHEMAS, defaulted, pruned
from policy.core.objects.json_patch import JsonObject
from tests.lockkeeper.commands import ROOT

CRDS = ROOT / "charts/lockkeeper/files/crds"
KEPT = ROOT / "lockkeeper/kube_api/describing/crd_schemas.json"
ANEW = "write it anew: python -m tests.lockkeeper.kube_api.describing.test_crd_schemas"


def of_the_chart() -> str:
    """Return the schemas of the chart, a line each."""
    found = {}
    for file in sorted(CRDS.iterdir()):
        spec = yaml.safe_load(file.read_text("utf-8"))["spec"]
        (version,) = spec["versions"]
        found[spec["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    lines = (f"{json.dumps(kind)}: {json.dumps(schema)}" for kind, schema in found.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def test_the_schemas_are_those_of_the_chart() -> None:
    """So what is tried here is what a cluster has."""
    assert KEPT.read_text("utf-8") == of_the_chart(), ANEW


QUOTA: JsonObject = {
    "apiVersion": "lockkeeper.dev/v1alpha1",
    "kind": "WorkflowQuota",
    "metadata": {"name": "q"},
}


def test_what_is_absent_is_filled_in() -> None:
    """At every depth, in lists as well, and only in what is there; a null is absent."""
    window: JsonObject = {"name": "night", "schedule": "0 20 * * *", "duration": "10h"}
    spec: JsonObject = {"limits": {"workflows": 2}, "onExceed": None, "perWorkflow": {}, "windows": [window]}
    assert defaulted({**QUOTA, "spec": spec}, "WorkflowQuota")["spec"] == {
        "limits": {"workflows": 2},
        "onExceed": "Queue",
        "perWorkflow": {"onPriorityAbove": "Deny"},
        "stopPolicy": "None",
        "windows": [{**window, "timeZone": "UTC"}],
    }
    assert spec["onExceed"] is None
    only = defaulted({**QUOTA, "spec": spec}, "WorkflowQuota", only_in_lists=True)
    assert only["spec"] == {**spec, "windows": [{**window, "timeZone": "UTC"}]}


@pytest.mark.parametrize(
    ("spec", "unknown"),
    [
        ({"limit": 1}, "spec.limit"),
        ({"limits": {"workflow": 1}}, "spec.limits.workflow"),
        ({"windows": [{}, {"nmae": "x"}]}, "spec.windows[1].nmae"),
        ({"selector": {"matchLabels": {"any": "x"}}}, ""),
        ({"limits": {"workflows": "Unlimited"}}, ""),
    ],
)
def test_fields_that_a_kind_has_not_are_named_and_dropped(spec: JsonObject, unknown: str) -> None:
    """Labels have any name."""
    kept, found = pruned({**QUOTA, "spec": spec}, "WorkflowQuota")
    assert ".".join(found) == unknown
    assert (kept["spec"] == spec) is not bool(unknown)
    assert kept["metadata"] == QUOTA["metadata"]


def test_kinds_of_others_are_left_as_they_are() -> None:
    """Their schemas are not here."""
    workflow: JsonObject = {"kind": "Workflow", "spec": {"anything": None}}
    assert defaulted(workflow, "Workflow") is workflow
    assert pruned(workflow, "Workflow") == (workflow, ())
    assert set(SCHEMAS) >= {"WorkflowQuota", "ClusterWorkflowQuota", "SynchronizationPolicy"}


if __name__ == "__main__":
    KEPT.write_text(of_the_chart(), "utf-8")
