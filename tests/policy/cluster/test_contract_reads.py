"""What every cluster lists, and what its watches show."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from policy.cluster.errors import Invalid
from policy.cluster.protocol import WORKFLOWS, EventType, MergePatch, WatchEvent
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.patience import PATIENCE
from tests.policy.cluster.conftest import Place, field, text


def _label(place: Place, name: str, **labels: JsonValue) -> str:
    """Set labels of a Workflow and return its new version."""
    patch = MergePatch({"metadata": {"labels": labels}})
    stored = place.cluster.patch(WORKFLOWS, name, patch, namespace=place.namespace)
    return text(stored, "metadata", "resourceVersion")


def _said(events: list[WatchEvent[JsonObject]]) -> list[tuple[str, JsonValue]]:
    """Return what the events say in short: type and name."""
    return [(event.type.value, field(event.object, "metadata", "name")) for event in events]


def test_a_list_is_sorted_and_holds_one_kind_of_one_namespace(place: Place) -> None:
    """Names come in order; other kinds stay out."""
    for name in ("c", "a", "b"):
        place.add(name)
    place.add_config_map("d")
    assert place.names() == ["a", "b", "c"]


def test_a_list_without_a_namespace_spans_all_of_them(place: Place, elsewhere: Place) -> None:
    """The uid of an object makes a label that no other test uses."""
    mark = text(place.add("a"), "metadata", "uid")
    _label(place, "a", mark=mark)
    elsewhere.add("a", labels={"mark": mark})
    found = place.cluster.list(WORKFLOWS, labels=f"mark={mark}").items
    namespaces = [field(item, "metadata", "namespace") for item in found]
    assert namespaces == sorted((place.namespace, elsewhere.namespace))
    assert place.names() == elsewhere.names() == ["a"]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("", ["bare", "blue", "red"]),
        ("color=red", ["red"]),
        ("color==red", ["red"]),
        ("color!=red", ["bare", "blue"]),
        ("color in (red, blue)", ["blue", "red"]),
        ("color notin (red)", ["bare", "blue"]),
        ("color", ["blue", "red"]),
        ("!color", ["bare"]),
        ("color,color!=red", ["blue"]),
        ("lockkeeper.dev/color=red", []),
    ],
)
def test_a_list_follows_the_label_selector(place: Place, selector: str, names: list[str]) -> None:
    """Every operator, with an absent key meeting != and notin."""
    place.add("bare")
    place.add("blue", labels={"color": "blue"})
    place.add("red", labels={"color": "red"})
    assert place.names(selector) == names


def test_a_selector_that_cannot_be_read_is_invalid(place: Place) -> None:
    """List and watch refuse it alike."""
    with pytest.raises(Invalid):
        place.names("color in red")
    with pytest.raises(Invalid):
        next(place.cluster.watch(WORKFLOWS, since=place.version(), labels="=", timeout=PATIENCE))


def test_metadata_only_leaves_out_everything_else(place: Place) -> None:
    """Items and events carry apiVersion, kind and the whole metadata."""
    since = place.version()
    made = place.add("a", labels={"team": "etl"})
    listed = place.cluster.list(WORKFLOWS, namespace=place.namespace, metadata_only=True).items
    shown = place.events(since, metadata_only=True)
    for obj in (listed[0], shown[0].object):
        assert set(obj) == {"apiVersion", "kind", "metadata"}
        assert obj["metadata"] == made["metadata"]


def test_a_watch_shows_every_change_since_the_list_in_order(place: Place) -> None:
    """Nothing before the list, everything after it, each with the version of its object."""
    place.add("before")
    since = place.version()
    place.add("a")
    place.add("b")
    last = _label(place, "a", x="y")
    place.cluster.delete(WORKFLOWS, "b", namespace=place.namespace)
    events = place.events(since)
    assert _said(events) == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert events[2].resource_version == last
    for event in events:
        assert field(event.object, "metadata", "resourceVersion") == event.resource_version


def test_a_watch_continues_from_the_version_of_any_event(place: Place) -> None:
    """A watcher that stopped after an event misses nothing and sees nothing twice."""
    since = place.version()
    for name in ("a", "b", "c"):
        place.add(name)
    events = place.events(since)
    resumed = place.events(events[0].resource_version)
    assert _said(resumed)[:2] == [("ADDED", "b"), ("ADDED", "c")]


def test_a_deleted_event_carries_the_last_state_at_the_version_of_the_delete(place: Place) -> None:
    """The watcher learns what was deleted, and from which version to continue."""
    made = place.add("a", labels={"team": "etl"})
    since = place.version()
    place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace)
    event = place.events(since)[0]
    assert event.object["spec"] == made["spec"]
    assert field(event.object, "metadata", "labels") == {"team": "etl"}
    assert event.resource_version != field(made, "metadata", "resourceVersion")


def test_objects_enter_and_leave_a_watch_with_a_selector(place: Place) -> None:
    """To start matching is ADDED, to stop is DELETED, and what never matches is silent."""
    place.add("a", labels={"state": "held"})
    since = place.version()
    _label(place, "a", state="live")
    _label(place, "a", extra="1")
    left = _label(place, "a", state="done")
    _label(place, "a", extra="2")
    _label(place, "a", state="live")
    place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace)
    place.add("b", labels={"state": "held"})
    place.cluster.delete(WORKFLOWS, "b", namespace=place.namespace)
    events = place.events(since, labels="state=live", fence={"state": "live"})
    assert _said(events) == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
        ("ADDED", "a"),
        ("DELETED", "a"),
    ]
    assert events[2].resource_version == left


def test_an_object_that_stops_matching_is_shown_as_it_last_matched(place: Place) -> None:
    """As the API server does it: the previous content at the version of the change."""
    place.add("a", labels={"state": "live"})
    since = place.version()
    left = _label(place, "a", state="done")
    event = place.events(since, labels="state=live", fence={"state": "live"})[0]
    assert event.type is EventType.DELETED
    assert field(event.object, "metadata", "labels", "state") == "live"
    assert field(event.object, "metadata", "resourceVersion") == left


def test_a_list_by_name_holds_that_object_alone(place: Place, elsewhere: Place) -> None:
    """Names are matched whole; together with a selector both must fit."""
    for name in ("a", "a-b", "b"):
        place.add(name, labels={"state": "live"})
    elsewhere.add("a")

    def found(name: str, labels: str = "") -> list[JsonValue]:
        listing = place.cluster.list(WORKFLOWS, namespace=place.namespace, name=name, labels=labels)
        return [field(item, "metadata", "name") for item in listing.items]

    assert found("a") == ["a"]
    assert found("a", "state=live") == ["a"]
    assert found("a", "state=done") == []
    assert found("nobody") == []
    assert found("") == ["a", "a-b", "b"]


def test_a_watch_by_name_shows_that_object_alone(place: Place) -> None:
    """It sees the object come, change, go and come again, and nothing of its neighbours."""
    listing = place.cluster.list(WORKFLOWS, namespace=place.namespace, name="a")
    place.add("ab")
    place.add("a")
    _label(place, "ab", x="y")
    _label(place, "a", x="y")
    place.cluster.delete(WORKFLOWS, "ab", namespace=place.namespace)
    place.cluster.delete(WORKFLOWS, "a", namespace=place.namespace)
    place.add("a", labels={"last": "yes"})
    seen: list[WatchEvent[JsonObject]] = []
    for event in place.cluster.watch(
        WORKFLOWS, since=listing.resource_version, namespace=place.namespace, name="a", timeout=PATIENCE
    ):
        if event.type is not EventType.BOOKMARK:
            seen.append(event)
        if field(event.object, "metadata", "labels", "last") == "yes":
            break
    assert _said(seen) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "a")]


def test_a_watch_shows_only_its_kind_and_namespace(place: Place, elsewhere: Place) -> None:
    """Other kinds and other namespaces stay out."""
    since = place.version()
    elsewhere.add("b")
    place.add_config_map("c")
    place.add("a")
    assert _said(place.events(since)) == [("ADDED", "a")]


def test_a_waiting_watch_sees_a_change_that_happens_meanwhile(place: Place) -> None:
    """Several watchers, each in its own thread, all get what is written after they began."""
    since = place.version()

    def first() -> JsonValue:
        events = place.cluster.watch(
            WORKFLOWS, since=since, namespace=place.namespace, labels="mark", timeout=PATIENCE
        )
        return next(
            field(event.object, "metadata", "name")
            for event in events
            if event.type is not EventType.BOOKMARK
        )

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(first) for _ in range(4)]
        place.add("unmarked")
        place.add("a", labels={"mark": "1"})
        assert [future.result(timeout=PATIENCE) for future in waiting] == ["a"] * 4
