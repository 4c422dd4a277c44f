"""What every cluster does when objects are read in a shape: the same as otherwise, and only what is named."""

from typing import cast

import msgspec

from policy.cluster.protocol import WORKFLOWS, EventType, MergePatch, ReadingAs, Selection, Unread, WatchEvent
from tests.patience import PATIENCE
from tests.policy.cluster.conftest import Place


class Metadata(msgspec.Struct, frozen=True):
    """The name, and a label."""

    name: str
    labels: dict[str, str] = {}


class Spec(msgspec.Struct, frozen=True):
    """A field that has to be a text."""

    entrypoint: str


class Shape(msgspec.Struct, frozen=True):
    """What is wanted of a Workflow."""

    metadata: Metadata
    spec: Spec


LAST = Shape(Metadata("last", {"seen": "yes"}), Spec("main"))


def _reader(place: Place) -> ReadingAs:
    return cast("ReadingAs", place.cluster)


def _events(place: Place, since: str, labels: str = "") -> list[WatchEvent[Shape | Unread]]:
    """Return the events up to a Workflow that is made now, without bookmarks."""
    place.add("last", labels={"seen": "yes"})
    found: list[WatchEvent[Shape | Unread]] = []
    for event in _reader(place).watch_as(
        Selection(WORKFLOWS, place.namespace, labels), Shape, since=since, timeout=PATIENCE
    ):
        if event.object == LAST:
            return found
        if event.type is not EventType.BOOKMARK:
            found.append(event)
    return found


def test_a_list_gives_shapes_and_names_those_that_do_not_fit(place: Place) -> None:
    """One with a type error hides no other."""
    place.add("a", labels={"x": "y"})
    place.add("b")
    patch = MergePatch({"spec": {"entrypoint": 5}})
    place.cluster.patch(WORKFLOWS, "b", patch, namespace=place.namespace)
    listing = _reader(place).list_as(Selection(WORKFLOWS, place.namespace), Shape)
    assert listing.items == (Shape(Metadata("a", {"x": "y"}), Spec("main")), Unread(place.namespace, "b"))
    chosen = _reader(place).list_as(Selection(WORKFLOWS, place.namespace, "x=y"), Shape)
    assert [item.metadata.name for item in chosen.items if isinstance(item, Shape)] == ["a"]


def test_a_watch_from_a_list_gives_shapes(place: Place) -> None:
    """Every change after the list; one that leaves the selector is deleted."""
    place.add("a", labels={"seen": "yes"})
    since = _reader(place).list_as(Selection(WORKFLOWS, place.namespace), Shape).resource_version
    place.add("b", labels={"seen": "yes"})
    unlabelled = MergePatch({"metadata": {"labels": {"seen": "no"}}})
    place.cluster.patch(WORKFLOWS, "a", unlabelled, namespace=place.namespace)
    wrong = MergePatch({"spec": {"entrypoint": 5}})
    place.cluster.patch(WORKFLOWS, "b", wrong, namespace=place.namespace)
    events = _events(place, since, "seen=yes")
    assert [
        (event.type, event.object.metadata.name if isinstance(event.object, Shape) else event.object)
        for event in events
    ] == [
        (EventType.ADDED, "b"),
        (EventType.DELETED, "a"),
        (EventType.MODIFIED, Unread(place.namespace, "b")),
    ]


class OnlyMetadata(msgspec.Struct, frozen=True):
    """A shape that wants no more than metadata."""

    metadata: Metadata


def test_metadata_alone_is_given_in_a_shape(place: Place) -> None:
    """It is requested of many objects, and a watch continues from there."""
    place.add("a", labels={"x": "y"})
    selection = Selection(WORKFLOWS, place.namespace, labels="x", metadata_only=True)
    listing = _reader(place).list_as(selection, OnlyMetadata)
    assert listing.items == (OnlyMetadata(Metadata("a", {"x": "y"})),)
    place.add("b", labels={"x": "z"})
    events = _reader(place).watch_as(
        selection, OnlyMetadata, since=listing.resource_version, timeout=PATIENCE
    )
    first = next(event for event in events if event.type is not EventType.BOOKMARK)
    assert (first.type, first.object) == (EventType.ADDED, OnlyMetadata(Metadata("b", {"x": "z"})))


def test_pages_give_the_same_as_a_list(place: Place) -> None:
    """In pages of any size; one name alone can be requested, and a namespace that does not exist is empty."""
    for index in range(45):
        place.add(f"w{index:02}")
    reader = _reader(place)
    listed = reader.list_as(Selection(WORKFLOWS, place.namespace), Shape)
    pages = list(reader.pages_as(Selection(WORKFLOWS, place.namespace), Shape))
    assert tuple(item for page in pages for item in page.items) == listed.items
    assert all(page.resource_version for page in pages)
    (one,) = reader.pages_as(Selection(WORKFLOWS, place.namespace, name="w07"), Shape)
    assert [item.metadata.name for item in one.items if isinstance(item, Shape)] == ["w07"]
    (none,) = reader.pages_as(Selection(WORKFLOWS, "not-there"), Shape)
    assert none.items == ()
