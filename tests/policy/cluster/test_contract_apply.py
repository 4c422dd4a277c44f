"""What every cluster does with server-side apply, as far as Lockkeeper relies on it."""

from typing import cast

import pytest

from policy.cluster.errors import Conflict
from policy.cluster.protocol import CONFIG_MAPS, Applying, MergePatch
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.cluster.conftest import Place, field

OURS = "ours"
THEIRS = "theirs"


def _apply(place: Place, manager: str, *, force: bool = False, label: str = "", **data: str) -> JsonObject:
    """Apply a ConfigMap named a."""
    metadata: JsonObject = {"name": "a", "namespace": place.namespace}
    if label:
        metadata["labels"] = {"by": label}
    obj: JsonObject = {"apiVersion": CONFIG_MAPS.api_version, "kind": CONFIG_MAPS.kind, "metadata": metadata}
    if data:
        obj["data"] = {**data}
    cluster = cast("Applying", place.cluster)
    return cluster.apply(CONFIG_MAPS, obj, field_manager=manager, force=force)


def _data(place: Place) -> JsonValue:
    return field(place.get("a", CONFIG_MAPS), "data")


def test_an_object_that_is_not_there_is_created(place: Place) -> None:
    """With name, namespace and uid."""
    made = _apply(place, OURS, label="us", key="1")
    assert field(made, "data") == {"key": "1"}
    assert field(made, "metadata", "labels") == {"by": "us"}
    assert field(made, "metadata", "uid")
    assert place.get("a", CONFIG_MAPS) == made


def test_what_others_set_stays(place: Place) -> None:
    """Two managers write one object side by side."""
    _apply(place, THEIRS, other="x")
    _apply(place, OURS, key="1")
    assert _data(place) == {"key": "1", "other": "x"}


def test_to_apply_the_same_again_writes_nothing(place: Place) -> None:
    """The version stays, so no watcher is woken."""
    made = _apply(place, OURS, key="1")
    assert _apply(place, OURS, key="1") == made


def test_a_field_that_is_no_longer_given_is_removed(place: Place) -> None:
    """But only where no other manager owns it too."""
    _apply(place, THEIRS, shared="x", other="y")
    _apply(place, OURS, key="1", shared="x")
    _apply(place, OURS)
    assert _data(place) == {"shared": "x", "other": "y"}


def test_the_last_field_takes_the_map_with_it_or_leaves_it_empty(place: Place) -> None:
    """Both are read as no data."""
    _apply(place, OURS, key="1")
    _apply(place, OURS)
    assert not _data(place)


def test_another_value_of_a_foreign_field_is_a_conflict(place: Place) -> None:
    """And nothing of the whole apply is written, unless it is forced."""
    _apply(place, THEIRS, key="1")
    with pytest.raises(Conflict, match=THEIRS):
        _apply(place, OURS, key="2", mine="x")
    assert _data(place) == {"key": "1"}
    _apply(place, OURS, force=True, key="2", mine="x")
    assert _data(place) == {"key": "2", "mine": "x"}
    with pytest.raises(Conflict, match=OURS):
        _apply(place, THEIRS, key="3")


def test_an_object_that_was_created_without_apply_has_another_owner(place: Place) -> None:
    """Its creator owns its fields."""
    place.add_config_map("a", key="1")
    with pytest.raises(Conflict):
        _apply(place, OURS, key="2")
    _apply(place, OURS, mine="x")
    assert _data(place) == {"key": "1", "mine": "x"}


def test_a_change_without_apply_takes_over_the_field(place: Place) -> None:
    """An edit by hand is respected; once the field is removed we may set it again."""
    _apply(place, OURS, key="1", stays="x")
    edit = MergePatch({"data": {"key": "5"}})
    place.cluster.patch(CONFIG_MAPS, "a", edit, namespace=place.namespace)
    with pytest.raises(Conflict):
        _apply(place, OURS, key="1", stays="x")
    _apply(place, OURS, stays="y")
    assert _data(place) == {"key": "5", "stays": "y"}
    remove = MergePatch({"data": {"key": None}})
    place.cluster.patch(CONFIG_MAPS, "a", remove, namespace=place.namespace)
    _apply(place, OURS, key="1", stays="y")
    assert _data(place) == {"key": "1", "stays": "y"}


def test_the_owners_of_fields_are_in_the_metadata(place: Place) -> None:
    """Lists of metadata carry it too, so that ours are found cheaply."""
    _apply(place, THEIRS, other="y")
    _apply(place, OURS, key="1")
    listing = place.cluster.list(CONFIG_MAPS, namespace=place.namespace, name="a", metadata_only=True)
    (found,) = listing.items
    managed = field(found, "metadata", "managedFields")
    assert isinstance(managed, list)
    owned = {
        str(field(each, "manager")): sorted(keys)
        for each in managed
        if isinstance(keys := field(each, "fieldsV1", "f:data"), dict)
    }
    assert {name: [key for key in keys if key != "."] for name, keys in owned.items()} == {
        OURS: ["f:key"],
        THEIRS: ["f:other"],
    }
