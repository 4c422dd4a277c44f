"""What is stored of the metadata of a policy: what identifies it, and since when it is as it is."""

import pytest

from policy.cluster.protocol import WORKFLOW_QUOTAS
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policy_kinds.kinds import WorkflowQuota
from policy.sources.last_good_objects import LastGoodObjects

CREATED = "2026-11-23T10:00:00Z"


def edited(managed: JsonValue) -> str:
    """Return since when a quota with these managed fields is as it is."""
    metadata: JsonObject = {
        "name": "q",
        "namespace": "etl",
        "uid": "u",
        "generation": 1,
        "creationTimestamp": CREATED,
        "managedFields": managed,
    }
    objects = LastGoodObjects(resource=WORKFLOW_QUOTAS)
    objects.put({"metadata": metadata, "spec": {"limits": {"workflows": 1}}})
    (document,) = objects.documents.values()
    assert isinstance(document, WorkflowQuota)
    return document.metadata.edited


@pytest.mark.parametrize(
    ("managed", "since"),
    [
        (None, CREATED),
        ([], CREATED),
        ([{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}], CREATED),
        ([{"time": None}], CREATED),
        ([{"time": "2026-11-23T11:00:00Z"}, {"time": "2026-11-23T12:00:00Z"}], "2026-11-23T12:00:00Z"),
        (
            [{"time": "2026-11-23T11:00:00Z"}, {"time": "2026-11-23T12:00:00Z", "subresource": "status"}],
            "2026-11-23T11:00:00Z",
        ),
    ],
)
def test_a_policy_is_as_old_as_the_last_write_of_more_than_its_status(managed: JsonValue, since: str) -> None:
    """Our own writes of its status are no edits."""
    assert edited(managed) == since
