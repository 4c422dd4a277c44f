"""Our own application of patches gives what another library makes of them."""

from typing import Final

import jsonpatch
import msgspec
import pytest

from policy.core.patched import patched
from policy.core.patches import JsonObject, Op, PatchOp, with_entries

GIVEN: Final[JsonObject] = {"a": {"b/c": [1, {"d": None}], "~": 2}, "list": ["x", "y"]}


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
    """Copies share nothing with what they were made of, and what was given stays as it was."""
    before = msgspec.json.encode(GIVEN)
    assert patched(GIVEN, patch) == jsonpatch.apply_patch(GIVEN, msgspec.to_builtins(list(patch)))
    assert msgspec.json.encode(GIVEN) == before


@pytest.mark.parametrize("path", ["/b/c", "/list/7/x"])
def test_a_place_that_does_not_exist_is_an_error(path: str) -> None:
    """Nothing is made up on the way."""
    with pytest.raises(LookupError):
        patched(GIVEN, [PatchOp(Op.ADD, path, 1)])


def test_entries_go_into_a_map_that_the_patch_makes_itself() -> None:
    """A second operation that makes the map would wipe the first one's entries out."""
    made = PatchOp(Op.ADD, "/m", {"a": "1"})
    other = PatchOp(Op.ADD, "/n", 1)
    assert with_entries((other, made), "/m", None, [("b", "2")]) == (
        other,
        PatchOp(Op.ADD, "/m", {"a": "1", "b": "2"}),
    )
    assert with_entries((), "/m", None, [("b", "2")]) == (PatchOp(Op.ADD, "/m", {"b": "2"}),)
    assert with_entries((), "/m", {"b": "2"}, [("b", "2")]) == ()
