"""Patches are explicit operations that other libraries read as we mean them."""

from typing import Final

import jsonpatch
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonpointer import JsonPointer

from policy.core.objects import json_patch
from policy.core.objects.json_patch import (
    JsonObject,
    JsonValue,
    Op,
    PatchOp,
    pointer,
    set_entries,
    with_entries,
)
from tests.policy.core.builders import patched

keys = st.text(alphabet="a/~01 .é-", max_size=6)
maps = st.dictionaries(keys, st.sampled_from(("x", "y")), max_size=4)
GIVEN: Final[JsonObject] = {"a": {"b/c": [1, {"d": None}], "~": 2}, "list": ["x", "y"]}


@given(st.lists(keys, min_size=1, max_size=5))
def test_a_pointer_is_read_back_part_by_part(parts: list[str]) -> None:
    """Whatever is in a key, the jsonpointer library finds the same parts in our pointer."""
    assert JsonPointer(pointer(*parts)).parts == parts


@given(st.lists(keys, min_size=1, max_size=4))
def test_a_pointer_leads_to_the_value_under_its_keys(parts: list[str]) -> None:
    """A pointer resolves through nested objects, slashes and tildes in keys included."""
    document: JsonValue = "here"
    for part in reversed(parts):
        document = {part: document, "other": None} if part != "other" else {part: document}
    assert JsonPointer(pointer(*parts)).resolve(document) == "here"


def test_slashes_and_tildes_are_escaped_as_in_rfc_6901() -> None:
    """The order of escapes matters: `~1` in a key may not turn into a slash."""
    assert (
        pointer("metadata", "labels", "lockkeeper.dev/x~1y", 0) == "/metadata/labels/lockkeeper.dev~1x~01y/0"
    )
    assert pointer() == ""


@given(st.one_of(st.none(), maps), maps)
def test_entries_are_set_and_setting_them_again_changes_nothing(
    present: dict[str, str] | None, wanted: dict[str, str]
) -> None:
    """Applied by jsonpatch, the map has every entry, retains the others, and a second pass is empty."""
    document: JsonObject = {"map": None if present is None else dict(present)}
    patch = set_entries("/map", present, wanted.items())
    changed = patched(document, patch)["map"]
    expected = {**(present or {}), **wanted}
    assert changed == (expected or present)
    assert set_entries("/map", changed, wanted.items()) == []


@given(maps)
def test_an_absent_map_is_created_with_one_operation(wanted: dict[str, str]) -> None:
    """Adding under a path that is not there would fail, so the whole map is added."""
    changed = patched({}, set_entries("/map", None, wanted.items()))
    assert changed == ({"map": wanted} if wanted else {})


@pytest.mark.parametrize(
    ("operation", "wire"),
    [
        (PatchOp(Op.REMOVE, "/a"), b'{"op":"remove","path":"/a"}'),
        (PatchOp(Op.ADD, "/a", None), b'{"op":"add","path":"/a","value":null}'),
        (PatchOp(Op.TEST, "/a", 1), b'{"op":"test","path":"/a","value":1}'),
    ],
)
def test_an_operation_is_written_as_in_rfc_6902(operation: PatchOp, wire: bytes) -> None:
    """`remove` has no value, and a null value is written: they are different things."""
    assert msgspec.json.encode(operation) == wire


def test_a_test_operation_stops_the_patch_where_the_object_moved_on() -> None:
    """What we emit as `test` is one for the library that represents the API server."""
    with pytest.raises(jsonpatch.JsonPatchTestFailed):
        patched({"a": 2}, [PatchOp(Op.TEST, "/a", 1)])


@pytest.mark.parametrize(
    "patch",
    [
        (),
        (PatchOp(Op.ADD, "/a/new", {"k": 1}),),
        (PatchOp(Op.ADD, "/list/-", "z"), PatchOp(Op.ADD, "/list/0", "w"), PatchOp(Op.REMOVE, "/list/1")),
        (PatchOp(Op.REPLACE, "/a/~0", 3), PatchOp(Op.REPLACE, "/a/b~1c/0", 2)),
        (PatchOp(Op.COPY, "/a/copy", from_="/a/b~1c/1"), PatchOp(Op.ADD, "/a/copy/d", 1)),
        (PatchOp(Op.COPY, "/list/-", from_="/list/0"), PatchOp(Op.REPLACE, "/list/2", "name")),
        (PatchOp(Op.REMOVE, "/a/b~1c/1/d"),),
    ],
)
def test_operations_make_what_another_library_makes_of_them(patch: tuple[PatchOp, ...]) -> None:
    """Copies share nothing with their source, and the given object does not change."""
    before = msgspec.json.encode(GIVEN)
    assert json_patch.patched(GIVEN, patch) == jsonpatch.apply_patch(GIVEN, msgspec.to_builtins(list(patch)))
    assert msgspec.json.encode(GIVEN) == before


@pytest.mark.parametrize("path", ["/b/c", "/list/7/x"])
def test_a_place_that_does_not_exist_is_an_error(path: str) -> None:
    """No parent is created."""
    with pytest.raises(LookupError):
        json_patch.patched(GIVEN, [PatchOp(Op.ADD, path, 1)])


def test_entries_are_added_to_a_map_that_the_patch_itself_creates() -> None:
    """A second operation that creates the map would remove the entries of the first."""
    made = PatchOp(Op.ADD, "/m", {"a": "1"})
    other = PatchOp(Op.ADD, "/n", 1)
    assert with_entries((other, made), "/m", None, [("b", "2")]) == (
        other,
        PatchOp(Op.ADD, "/m", {"a": "1", "b": "2"}),
    )
    assert with_entries((), "/m", None, [("b", "2")]) == (PatchOp(Op.ADD, "/m", {"b": "2"}),)
    assert with_entries((), "/m", {"b": "2"}, [("b", "2")]) == ()
