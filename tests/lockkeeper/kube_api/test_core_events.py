"""Events by the names of the core group, as `kubectl describe` reads them."""

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from lockkeeper.kube_api.answers import Answer, RequestRefused
from lockkeeper.kube_api.object_requests import ObjectRequests
from lockkeeper.kube_api.request_paths import object_path
from lockkeeper.kube_api.requests import ApiRequest
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import EVENTS
from policy.core.objects.json_patch import JsonObject
from tests.lockkeeper.kube_api.served_api import NoAdmission

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PATH = "/api/v1/namespaces/here/events"


def event(about: str) -> JsonObject:
    """Return an event as our controller writes it."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{about}.1"},
        "eventTime": "2026-11-23T11:58:00.000000Z",
        "type": "Normal",
        "reason": "Released",
        "note": "it starts",
        "regarding": {"kind": "Workflow", "name": about, "namespace": "here"},
    }


@pytest.fixture
def requests() -> ObjectRequests:
    """Return the requests on a cluster with two events."""
    cluster = MemoryCluster(clock=lambda: NOON, rng=Random(1))
    for about in ("a", "b"):
        cluster.create(EVENTS, event(about), namespace="here")
    return ObjectRequests(cluster=cluster, admission=NoAdmission(), clock=lambda: NOON)


def ask(requests: ObjectRequests, method: str, path: str, *, accept: str = "", **query: str) -> Answer:
    """Return the answer to a request."""
    found = object_path(path)
    assert found is not None
    return requests.answer(ApiRequest(method, path, query, accept=accept), found)


def test_events_of_an_object_are_selected_by_what_they_involve(requests: ObjectRequests) -> None:
    """As `kubectl describe` asks."""
    body: Any = ask(
        requests, "GET", PATH, fieldSelector="involvedObject.name=b,involvedObject.kind=Workflow"
    ).body
    (found,) = body["items"]
    assert (body["kind"], found["apiVersion"]) == ("EventList", "v1")
    assert (found["message"], found["involvedObject"]["name"]) == ("it starts", "b")
    assert found.keys().isdisjoint({"note", "regarding"})


def test_one_event_and_a_watch_have_the_same_names(requests: ObjectRequests) -> None:
    """Whatever way they are read."""
    first: Any = ask(requests, "GET", f"{PATH}/a.1").body
    assert first["message"] == "it starts"
    watched: Any = ask(requests, "GET", PATH, watch="1", timeoutSeconds="0").events
    assert [each["object"]["message"] for each in watched] == ["it starts"] * 2
    version = first["metadata"]["resourceVersion"]
    since: Any = ask(requests, "GET", PATH, watch="1", timeoutSeconds="0", resourceVersion=version).events
    assert [each["object"]["involvedObject"]["name"] for each in since] == ["b"]


def test_the_table_says_when_it_was_and_of_what(requests: ObjectRequests) -> None:
    """As `kubectl get events` prints it."""
    table: Any = ask(requests, "GET", PATH, accept="application/json;as=Table;v=v1;g=meta.k8s.io").body
    assert table["rows"][0]["cells"] == ["a.1", "2m", "Normal", "Released", "a", "it starts"]


def test_they_are_written_by_their_other_name(requests: ObjectRequests) -> None:
    """A view is read."""
    with pytest.raises(RequestRefused) as caught:
        ask(requests, "DELETE", f"{PATH}/a.1")
    assert caught.value.code == 405
