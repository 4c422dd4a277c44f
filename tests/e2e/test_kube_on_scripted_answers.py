"""How the Kubernetes cluster copes with what is rare: expired pages, broken streams, nonsense.

Answers are scripted, so these tests need no control plane and run with the fast ones.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from random import Random
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from policy.cluster.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from policy.cluster.kube.answers import failure
from policy.cluster.kube.kube_cluster import PAGE_SIZE, SMALL_PAGE_SIZE, KubeCluster
from policy.cluster.kube.lasting_watch import lines
from policy.cluster.kube.requests import KubeRequest
from policy.cluster.protocol import NAMESPACES, WORKFLOWS, EventType, Selection, WatchEvent
from policy.core.objects.json_patch import JsonObject
from tests.policy.cluster.conftest import field


class Hasty(Random):
    """Random numbers that make every wait the shortest possible, which is none."""

    def uniform(self, a: float, b: float) -> float:
        """Return 0, whatever lies between the bounds."""
        assert 0 < a <= b
        return 0.0


class Scripted:
    """A transport that gives prepared answers in order, and keeps what it was asked."""

    def __init__(self, *answers: bytes | ClusterError | Iterable[bytes | ClusterError]) -> None:
        self._answers = list(answers)
        self.asked: list[KubeRequest] = []

    def send(self, request: KubeRequest) -> bytes:
        """Return or raise the next answer."""
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, ClusterError):
            raise answer
        assert isinstance(answer, bytes)
        return answer

    @contextmanager
    def stream(self, request: KubeRequest, *, silence: float) -> Iterator[Iterator[bytes]]:
        """Give the pieces of the next answer; an error among them breaks the stream there."""
        assert silence > 0
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, ClusterError):
            raise answer
        assert not isinstance(answer, bytes)
        yield _pieces(answer)

    def close(self) -> None:
        """Do nothing: there is nothing open."""

    def values(self, parameter: str) -> list[str]:
        """Return what a query parameter was in each request, "" where it was absent."""
        queries = [parse_qs(urlsplit(request.target).query) for request in self.asked]
        return ["".join(query.get(parameter, [])) for query in queries]


def _pieces(answer: Iterable[bytes | ClusterError]) -> Iterator[bytes]:
    for piece in answer:
        if isinstance(piece, ClusterError):
            raise piece
        yield piece


class Named(msgspec.Struct, frozen=True):
    """An object of which only the metadata is wanted."""

    metadata: dict[str, str]


def _cluster(transport: Scripted) -> KubeCluster:
    return KubeCluster(transport=transport, rng=Hasty())


def _page(*names: str, after: str = "", version: str = "7") -> bytes:
    items = [{"metadata": {"name": name}} for name in names]
    return msgspec.json.encode({"metadata": {"resourceVersion": version, "continue": after}, "items": items})


def _event(kind: str, version: str, **metadata: str) -> bytes:
    obj = {"kind": "Workflow", "metadata": {"resourceVersion": version, **metadata}}
    return msgspec.json.encode({"type": kind, "object": obj}) + b"\n"


def _status(code: int, reason: str) -> JsonObject:
    return {"kind": "Status", "status": "Failure", "message": "because", "reason": reason, "code": code}


def _broken() -> Unavailable:
    return Unavailable("the connection broke")


def _seen(events: Iterable[WatchEvent[JsonObject]], count: int) -> list[tuple[EventType, str]]:
    """Return type and version of the first events."""
    return [(event.type, event.resource_version) for event in islice(events, count)]


def test_pages_are_followed_to_the_end() -> None:
    """Each one continues the one before; the version is that of all of them."""
    transport = Scripted(_page("a", after="t1"), _page("b", after="t2"), _page("c"))
    listing = _cluster(transport).list(WORKFLOWS)
    assert [field(item, "metadata", "name") for item in listing.items] == ["a", "b", "c"]
    assert listing.resource_version == "7"
    assert transport.values("continue") == ["", "t1", "t2"]
    assert transport.values("resourceVersion") == [""] * 3, (
        "a list that is asked for no version is consistent"
    )


def test_a_list_whose_pages_expire_begins_again() -> None:
    """What was read so far belongs to another version, so none of it is kept."""
    transport = Scripted(_page("old", after="t1"), Gone("expired"), _page("a", version="9"))
    listing = _cluster(transport).list(WORKFLOWS)
    assert [field(item, "metadata", "name") for item in listing.items] == ["a"]
    assert listing.resource_version == "9"


def test_a_list_whose_pages_keep_expiring_is_read_at_once() -> None:
    """Without pages it cannot expire, so a slow reader comes to an end, too."""
    half_way = (_page("old", after="t"), Gone("expired"))
    transport = Scripted(*half_way, *half_way, _page("a"))
    assert len(_cluster(transport).list(WORKFLOWS).items) == 1
    assert transport.values("limit") == [str(PAGE_SIZE)] * 4 + [""]


def test_pages_are_given_as_they_come_and_none_is_asked_for_before_it_is_wanted() -> None:
    """Whoever wants few of many large objects has one short page of them in memory."""
    transport = Scripted(_page("a", after="t1"), _page("b"))
    pages = _cluster(transport).pages_as(Selection(WORKFLOWS, "etl", name="x"), Named)
    assert transport.asked == []
    assert next(pages).items == (Named({"name": "a"}),)
    assert len(transport.asked) == 1
    assert [page.items for page in pages] == [(Named({"name": "b"}),)]
    assert transport.values("limit") == [str(SMALL_PAGE_SIZE)] * 2
    assert transport.values("continue") == ["", "t1"]
    assert transport.values("fieldSelector") == ["metadata.name=x"] * 2


def test_one_name_is_asked_for_in_the_way_that_access_control_understands() -> None:
    """A role with resourceNames allows a list or a watch only with this very field selector."""
    transport = Scripted(_page("a"), [_event("ADDED", "8", name="a")], _page())
    cluster = _cluster(transport)
    cluster.list(WORKFLOWS, name="a", labels="x=y")
    next(cluster.watch(WORKFLOWS, since="7", name="a", timeout=60))
    cluster.list(WORKFLOWS)
    assert transport.values("fieldSelector") == ["metadata.name=a", "metadata.name=a", ""]
    assert transport.values("labelSelector") == ["x=y", "", ""]


def test_an_empty_list_may_be_null() -> None:
    """As Go writes a list that was never filled."""
    transport = Scripted(b'{"metadata": {"resourceVersion": "7"}, "items": null}')
    assert _cluster(transport).list(WORKFLOWS, metadata_only=True).items == ()


def test_whole_objects_are_cut_down_where_the_server_does_not() -> None:
    """Servers that cannot send metadata alone send everything."""
    body = b'{"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}, "spec": {"x": 1}}]}'
    (item,) = _cluster(Scripted(body)).list(WORKFLOWS, metadata_only=True).items
    assert item == {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "a"}}


def test_a_watch_goes_on_where_its_connection_broke() -> None:
    """From the last version seen, a bookmark's too; what was cut off half-way comes again whole."""
    first = _event("ADDED", "11")
    second = _event("MODIFIED", "12")
    bookmark = _event("BOOKMARK", "20")
    transport = Scripted(
        [first, second[:9], _broken()],
        _broken(),
        [second + bookmark],
        [_event("DELETED", "21")],
    )
    events = _cluster(transport).watch(WORKFLOWS, since="10", timeout=60)
    assert _seen(events, 4) == [
        (EventType.ADDED, "11"),
        (EventType.MODIFIED, "12"),
        (EventType.BOOKMARK, "20"),
        (EventType.DELETED, "21"),
    ]
    assert transport.values("resourceVersion") == ["10", "11", "11", "20"]


def test_a_watch_whose_version_expired_is_gone() -> None:
    """Both as an answer and as an event, which is how the server says it once the watch has begun."""
    said = msgspec.json.encode({"type": "ERROR", "object": _status(410, "Expired")}) + b"\n"
    for answer in (Gone("expired"), [said]):
        with pytest.raises(Gone):
            list(_cluster(Scripted(answer)).watch(WORKFLOWS, since="1", timeout=60))


def test_a_server_that_stays_away_is_reported_when_the_time_is_over() -> None:
    """Else a caller that watches again and again would never learn that it is blind."""
    for error in (_broken(), TooManyRequests("slow down")):
        with pytest.raises(type(error)):
            list(_cluster(Scripted(error)).watch(WORKFLOWS, since="1", timeout=0))


def test_a_refused_watch_is_not_tried_again() -> None:
    """Access rights and selectors do not mend themselves within a minute."""
    for error in (Forbidden("no"), Invalid("bad selector"), NotFound("no such kind")):
        transport = Scripted(error)
        with pytest.raises(type(error)):
            list(_cluster(transport).watch(WORKFLOWS, since="1", timeout=60))
        assert len(transport.asked) == 1


def test_a_closed_cluster_ends_its_watches() -> None:
    """Also one that waits to connect again: nothing of it is reported."""
    cluster = _cluster(Scripted([_event("ADDED", "2"), _broken()]))
    events = cluster.watch(WORKFLOWS, since="1", timeout=60)
    assert next(events).resource_version == "2"
    cluster.close()
    assert list(events) == []


def test_lines_are_put_together_from_any_pieces() -> None:
    """Pieces end where the network likes; a last line without an end is not one."""
    text = b'{"a":1}\n\n{"b":2}\n{"c":'
    for size in range(1, len(text) + 1):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        assert list(lines(pieces)) == [b'{"a":1}', b'{"b":2}']


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (400, "BadRequest", Invalid),
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", AlreadyExists),
        (409, "Conflict", Conflict),
        (410, "Expired", Gone),
        (413, "RequestEntityTooLarge", Invalid),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", TooManyRequests),
        (500, "InternalError", Unavailable),
        (503, "ServiceUnavailable", Unavailable),
        (504, "Timeout", Unavailable),
        (302, "", Unavailable),
    ],
)
def test_each_refusal_is_the_error_that_callers_tell_apart(
    code: int, reason: str, error: type[ClusterError]
) -> None:
    """By the status and, where two share one, by the reason; the server's own words are kept."""
    found = failure(code, msgspec.json.encode(_status(code, reason)))
    assert type(found) is error
    assert found.message.partition(": ")[0] == f"because (HTTP {code})"


def test_who_is_not_known_is_told_to_log_in() -> None:
    """No right that he asks for would help."""
    assert failure(401, b"").message == (
        "no reason given (HTTP 401): the cluster does not know who asks: log in again, or correct the user "
        "of the context"
    )


def test_an_answer_that_is_no_status_is_shown_as_it_is() -> None:
    """Proxies and load balancers answer in HTML, which may be very long."""
    found = failure(502, b"<html>Bad Gateway</html>" + b"x" * 10_000)
    assert isinstance(found, Unavailable)
    assert "Bad Gateway" in found.message
    assert len(found.message) < 400


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items": []}', b'{"metadata": {}, "items": 5}'])
def test_an_answer_that_cannot_be_read_is_unavailable(body: bytes) -> None:
    """A success by its status, but from something that is no API server."""
    with pytest.raises(Unavailable):
        _cluster(Scripted(body)).list(WORKFLOWS)


def test_what_has_no_place_is_refused_before_it_is_sent() -> None:
    """These would reach another path, or be answered with 500."""
    cluster = _cluster(Scripted())
    workflow: JsonObject = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "a"},
    }
    with pytest.raises(Invalid, match="namespace is required"):
        cluster.get(WORKFLOWS, "a")
    with pytest.raises(Invalid, match="namespace is required"):
        cluster.create(WORKFLOWS, workflow)
    with pytest.raises(Invalid, match="cluster-scoped"):
        cluster.get(NAMESPACES, "a", namespace="b")
    with pytest.raises(Invalid, match="name is required"):
        cluster.replace(NAMESPACES, {"metadata": {}})
    with pytest.raises(Invalid, match="resourceVersion should not be set"):
        cluster.create(NAMESPACES, {"metadata": {"name": "a", "resourceVersion": "1"}})


def test_names_cannot_lead_out_of_their_path() -> None:
    """A name comes from a user's object and may hold anything."""
    transport = Scripted(b"{}")
    _cluster(transport).get(WORKFLOWS, "../../secrets?x", namespace="a")
    assert transport.asked[0].path == (
        "/apis/argoproj.io/v1alpha1/namespaces/a/workflows/..%2F..%2Fsecrets%3Fx"
    )
