"""The items of a loop are read as Argo reads them, and only where they are written down."""

from itertools import islice
from typing import Final

import msgspec
import pytest

from policy.core.lock_graph.loop_items import MAX_ITEMS, items_of, may_have_no_items
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.workflow import Call

VALUES: Final = {"workflow.parameters.env": "prod", "inputs.parameters.list": '["a","b"]'}


def _call(**fields: JsonValue) -> Call:
    return msgspec.convert({"name": "each", **fields}, Call)


def _items(**fields: JsonValue) -> list[str] | None:
    found = items_of(_call(**fields), VALUES)
    return None if found is None else [each.values.get("item", "?") for each in found]


@pytest.mark.parametrize(
    ("written", "texts"),
    [
        (["staging", "prod"], ["staging", "prod"]),
        ([1, 1.5, 2.0, True, "1"], ["1", "1.5", "2", "true", "1"]),
        ([["a", 1], {"b": "x", "a": 2}], ['["a",1]', '{"a":2,"b":"x"}']),
        (
            ["{{workflow.parameters.env}}", "{{tasks.a.outputs.result}}"],
            ["prod", "{{tasks.a.outputs.result}}"],
        ),
        ([{"a": "<"}, "x" * 300], ["?", "?"]),
    ],
)
def test_items_of_a_list_become_texts(written: list[JsonValue], texts: list[str]) -> None:
    """As Argo prints them; what it prints in its own way is left unknown."""
    assert _items(withItems=written) == texts


def test_items_that_are_no_list_are_unknown() -> None:
    """Argo cannot decode them; that is told elsewhere."""
    assert _items(withItems="{{workflow.parameters.env}}") is None


def test_fields_of_a_map_have_tags_of_their_own() -> None:
    """Each by its key, and the whole as JSON."""
    found = items_of(_call(withItems=[{"env": "{{workflow.parameters.env}}", "n": 3}]), VALUES)
    assert found is not None
    (item,) = found
    assert item.values == {"item": '{"env":"prod","n":3}', "item.env": "prod", "item.n": "3"}
    assert item.name == "each(0:env:prod,n:3)"


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ('["a", "b"]', ["a", "b"]),
        ("[1, {}]", ["1", "{}"]),
        ("{{inputs.parameters.list}}", ["a", "b"]),
        ('["{{workflow.parameters.env}}"]', ["prod"]),
        ("[]", []),
        ("{{tasks.a.outputs.result}}", None),
        ('["{{tasks.a.outputs.result}}"]', None),
        ("{}", None),
        ("no JSON", None),
    ],
)
def test_a_with_param_is_read_where_its_text_is_known(text: str, texts: list[str] | None) -> None:
    """By itself, or by parameters that are known; what is no list ends in Argo with an error."""
    assert _items(withParam=text) == texts


@pytest.mark.parametrize(
    ("sequence", "texts"),
    [
        ({"count": 3}, ["0", "1", "2"]),
        ({"count": "2", "start": "5"}, ["5", "6"]),
        ({"start": "1", "end": "3"}, ["1", "2", "3"]),
        ({"start": 2, "end": -1}, ["2", "1", "0", "-1"]),
        ({"end": 0}, ["0"]),
        ({"count": 0}, []),
        ({"count": -1}, ["0", "-1", "-2"]),
        ({"count": 2, "format": "env-%03d!"}, ["env-000!", "env-001!"]),
        ({"start": 254, "end": 255, "format": "%02X"}, ["FE", "FF"]),
        ({"count": 1, "format": "%v%%"}, ["0%"]),
        ({"count": 1, "format": "%s"}, None),
        ({"count": 1, "format": "plain"}, None),
        ({"count": 1, "format": "%d-%d"}, None),
        ({"count": 1, "format": "%999999999d"}, None),
        ({"count": "{{inputs.parameters.n}}"}, None),
        ({"count": "3.0"}, None),
        ({}, None),
    ],
)
def test_sequences_count_as_argo_counts(sequence: JsonObject, texts: list[str] | None) -> None:
    """Up and down, with the formats that are the same in Go and here."""
    assert _items(withSequence=sequence) == texts


def test_of_a_million_items_few_are_looked_at() -> None:
    """A small object makes no large work."""
    found = items_of(_call(withSequence={"count": 10**15}), {})
    assert found is not None
    assert len(list(islice(found, 10**6))) == MAX_ITEMS + 1


@pytest.mark.parametrize(
    ("fields", "empty"),
    [
        ({}, False),
        ({"withItems": ["a"]}, False),
        ({"withItems": []}, False),
        ({"withParam": '["a"]'}, False),
        ({"withParam": "[]"}, True),
        ({"withParam": "{{tasks.a.outputs.result}}"}, True),
        ({"withSequence": {"count": 1}}, False),
        ({"withSequence": {"count": 0}}, True),
        ({"withSequence": {"count": "{{inputs.parameters.n}}"}}, True),
    ],
)
def test_a_loop_over_items_that_are_written_down_runs(fields: JsonObject, *, empty: bool) -> None:
    """An empty `withItems` is no loop: Argo runs the task once."""
    assert may_have_no_items(_call(**fields)) is empty


@pytest.mark.parametrize(
    ("when", "left"),
    [
        ("{{item}} != prod", ["staging"]),
        ("'{{item}}' == 'prod'", ["prod"]),
        ("'{{item}}' == prod", ["prod"]),
        ("{{item}} == {{inputs.parameters.env}}", ["staging", "prod"]),
        ("{{item}} == prod || true", ["staging", "prod"]),
        ("{{item}} =~ prod", ["staging", "prod"]),
    ],
)
def test_an_item_whose_condition_is_false_is_skipped(when: str, left: list[str]) -> None:
    """Where it compares the item with a word; all else is known at run time."""
    found = items_of(_call(withItems=["staging", "prod"], when=when), {})
    assert found is not None
    assert [each.values["item"] for each in found if not each.skipped] == left
