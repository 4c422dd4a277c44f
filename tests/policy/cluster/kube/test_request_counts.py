"""Every request to the API server is reported with its verb, resource, result and time."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from policy.cluster.errors import ClusterError, Conflict, Gone, NotFound
from policy.cluster.kube import requests
from policy.cluster.kube.request_counts import ObservedTransport, verb_and_resource
from policy.cluster.kube.requests import KubeRequest
from policy.cluster.protocol import (
    CONFIG_MAPS,
    NAMESPACES,
    QUOTA_LEDGERS,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    MergePatch,
    Preconditions,
    Selection,
)
from policy.core.objects.json_patch import JsonObject

LEDGER: JsonObject = {"metadata": {"name": "namespace.etl"}}
STATUS_OF_A_QUOTA = requests.patch(WORKFLOW_QUOTAS, "etl", "a", MergePatch({}), subresource="status")
WATCH = requests.watch(Selection(WORKFLOWS), since="1", seconds=60)


class Answering:
    """A transport that answers with bytes, or with an error."""

    def __init__(self, error: ClusterError | None = None) -> None:
        self.error = error
        self.closed = False

    def send(self, request: KubeRequest) -> bytes:
        assert request.path
        if self.error is not None:
            raise self.error
        return b"answer"

    @contextmanager
    def stream(self, request: KubeRequest, *, silence: float) -> Iterator[Iterator[bytes]]:
        assert request.path
        assert silence
        if self.error is not None:
            raise self.error
        yield iter((b"one", b"two"))

    def close(self) -> None:
        self.closed = True


class Noting:
    """An observer that stores what is reported."""

    def __init__(self) -> None:
        self.reported: list[tuple[str, str, str, float]] = []

    def answered(self, verb: str, resource: str, result: str, seconds: float) -> None:
        self.reported.append((verb, resource, result, seconds))


def observed(inner: Answering) -> tuple[ObservedTransport, Noting]:
    """Return a transport whose every request takes one tick of its stopwatch."""
    observer, ticks = Noting(), count()
    return ObservedTransport(inner=inner, observer=observer, stopwatch=lambda: float(next(ticks))), observer


@pytest.mark.parametrize(
    ("request_", "verb", "resource"),
    [
        (requests.get(WORKFLOWS, "etl", "a"), "get", "workflows"),
        (requests.get(NAMESPACES, "", "etl"), "get", "namespaces"),
        (requests.get(CONFIG_MAPS, "namespaces", "a"), "get", "configmaps"),
        (requests.page(Selection(NAMESPACES), limit=5, after=""), "list", "namespaces"),
        (requests.page(Selection(WORKFLOWS), limit=5, after=""), "list", "workflows"),
        (requests.page(Selection(WORKFLOWS, "etl"), limit=5, after=""), "list", "workflows"),
        (WATCH, "watch", "workflows"),
        (requests.create(WORKFLOWS, {}, namespace="etl", dry_run=True), "create", "workflows"),
        (requests.replace(QUOTA_LEDGERS, LEDGER), "update", "quotaledgers"),
        (requests.patch(WORKFLOWS, "etl", "a", MergePatch({})), "patch", "workflows"),
        (STATUS_OF_A_QUOTA, "patch", "workflowquotas/status"),
        (requests.delete(NAMESPACES, "", "etl", Preconditions()), "delete", "namespaces"),
    ],
)
def test_verb_and_resource_are_those_of_access_control(
    request_: KubeRequest, verb: str, resource: str
) -> None:
    """Readers of the metric look at a role next, which has the same words."""
    assert verb_and_resource(request_) == (verb, resource)


def test_an_answer_is_reported_with_its_time_and_passed_on() -> None:
    """The answer itself is none of the observer's business."""
    transport, observer = observed(Answering())
    assert transport.send(requests.get(WORKFLOWS, "etl", "a")) == b"answer"
    assert observer.reported == [("get", "workflows", "ok", 1.0)]


@pytest.mark.parametrize("error", [Conflict("moved on"), NotFound("none")])
def test_an_error_is_reported_by_its_name_and_raised(error: ClusterError) -> None:
    """The caller has to get it just the same."""
    transport, observer = observed(Answering(error))
    with pytest.raises(type(error)):
        transport.send(requests.replace(QUOTA_LEDGERS, LEDGER))
    assert observer.reported == [("update", "quotaledgers", type(error).__name__, 1.0)]


def test_a_stream_is_reported_when_it_ends() -> None:
    """As long as it lasts there is nothing to report."""
    transport, observer = observed(Answering())
    with transport.stream(WATCH, silence=5) as pieces:
        assert list(pieces) == [b"one", b"two"]
        assert observer.reported == []
    assert observer.reported == [("watch", "workflows", "ok", 1.0)]


def test_an_error_that_its_reader_finds_in_a_stream_is_the_streams_result() -> None:
    """The API server tells of a version that is too old inside the stream, after a 200."""
    transport, observer = observed(Answering())
    with pytest.raises(Gone), transport.stream(WATCH, silence=5):
        raise Gone("too old")
    assert observer.reported == [("watch", "workflows", "Gone", 1.0)]


def test_a_stream_that_cannot_be_opened_is_reported() -> None:
    """A watch that does not come about is a request, too."""
    transport, observer = observed(Answering(Gone("too old")))
    with pytest.raises(Gone), transport.stream(WATCH, silence=5):
        pass
    assert observer.reported == [("watch", "workflows", "Gone", 1.0)]


def test_closing_reaches_the_connection() -> None:
    """Otherwise a watch would outlive its process's end."""
    inner = Answering()
    observed(inner)[0].close()
    assert inner.closed
