"""Objects out of JSON of any length: of a List, of an array, or one after another, however it is cut."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockkeeper.histories.json_objects import TruncatedJson, json_objects

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), _VALUES, max_size=4), max_size=5)


def by_pieces(text: bytes, size: int) -> Callable[[int], bytes]:
    """Return what reads a text in pieces of a size, whatever was asked for."""
    file = BytesIO(text)
    return lambda _: file.read(size)


def found(text: str, size: int = 7) -> list[Any]:
    """Return the objects in a text that is read in small pieces."""
    return [json.loads(each) for each in json_objects(by_pieces(text.encode(), size))]


@given(_OBJECTS, st.integers(1, 40), st.sampled_from([None, 2]))
def test_all_objects_of_every_form_are_found(
    objects: list[dict[str, Any]], size: int, indent: int | None
) -> None:
    """As kubectl writes them, as argo does, and as exports do; strings hold brackets and quotes."""
    listed = {"apiVersion": "v1", "kind": "List", "items": objects, "metadata": {"resourceVersion": ""}}
    for text in (json.dumps(listed, indent=indent), json.dumps(objects, indent=indent)):
        assert found(text, size) == objects
    lines = "\n".join(json.dumps(each, indent=indent) for each in objects)
    assert found(lines, size) == [each for each in objects if "items" not in each]


def test_one_workflow_alone_is_one_object() -> None:
    """`kubectl get wf NAME -o json`; arrays in it are no list of Workflows."""
    assert found('{"kind": "Workflow", "spec": {"items": [{"a": 1}]}}') == [
        {"kind": "Workflow", "spec": {"items": [{"a": 1}]}}
    ]


@pytest.mark.parametrize(
    "text", ['[{"a": 1}, 5, null, ["x", 2], "b, {c}"]', '5\n{"a": 1}\nnull ["x", 2]\n"b, {c}"']
)
@pytest.mark.parametrize("size", [1, 7, 100])
def test_what_is_no_object_is_given_in_its_place(text: str, size: int) -> None:
    """Whoever decodes it says that it was left out."""
    whole = found(text, size)
    assert [each for each in whole if each != {"a": 1}] in (
        [5, None, ["x", 2], "b, {c}"],
        [5, None, "x", 2, "b, {c}"],  # An array that follows others is taken for one of objects.
    )
    assert whole.count({"a": 1}) == 1


def test_what_follows_the_items_of_a_list_is_none_of_them() -> None:
    """Nor is what is in it."""
    assert found('{"items": [{"a": 1}, 7], "metadata": {"b": {"c": 2}, "d": [3]}}') == [{"a": 1}, 7]


def test_a_text_that_ends_too_early_says_where() -> None:
    """What came before is told first."""
    objects = json_objects(by_pieces(b'[{"a": 1}, {"b": ', 4))
    assert next(objects) == b'{"a": 1}'
    with pytest.raises(TruncatedJson, match="an object that begins at byte 11"):
        next(objects)


def test_only_the_object_that_is_read_is_kept() -> None:
    """A history may be larger than the memory: no more is asked for before the last was taken."""
    asked = 0

    def read(_: int) -> bytes:
        nonlocal asked
        asked += 1
        return b'{"a": "' + b"x" * 100 + b'"}\n' if asked < 10_000 else b""

    objects = json_objects(read)
    next(objects)
    assert asked == 1
