"""The path of a write of a status; its effect is in the contract."""

from policy.cluster.kube import requests
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, STATUS, WORKFLOW_QUOTAS, MergePatch

PATCH = MergePatch({"status": {"running": 1}})


def test_a_status_is_written_below_its_object() -> None:
    """Access control grants that path apart from the object's own."""
    request = requests.patch(WORKFLOW_QUOTAS, "team-a", "etl", PATCH, subresource=STATUS)
    assert request.path == "/apis/lockkeeper.dev/v1alpha1/namespaces/team-a/workflowquotas/etl/status"
    assert (request.method, request.content_type) == ("PATCH", "application/merge-patch+json")
    assert request.body == b'{"status":{"running":1}}'
    request = requests.patch(CLUSTER_WORKFLOW_QUOTAS, "", "all", PATCH, subresource=STATUS)
    assert request.path == "/apis/lockkeeper.dev/v1alpha1/clusterworkflowquotas/all/status"


def test_without_a_subresource_the_object_itself_is_written() -> None:
    """As before there were any."""
    assert requests.patch(WORKFLOW_QUOTAS, "team-a", "etl", PATCH).path.endswith("/workflowquotas/etl")
