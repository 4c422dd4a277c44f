"""Parts of JSON are found where they are, and are nothing where the form is another one."""

import pytest

from policy.core.objects.json_parts import map_at, metadata_of, name_of, part
from policy.core.objects.json_patch import JsonObject

OBJECT: JsonObject = {"metadata": {"name": "w", "labels": {"a": "b"}}, "spec": [1], "status": None}


def test_a_part_is_what_its_keys_lead_to() -> None:
    """None is also what stands behind something that is no map."""
    assert part(OBJECT, "metadata", "labels", "a") == "b"
    assert part(OBJECT) == OBJECT
    assert [part(OBJECT, each, "x") for each in ("metadata", "spec", "status", "none")] == [None] * 4


@pytest.mark.parametrize("keys", [("spec",), ("status",), ("none", "x"), ("metadata", "name")])
def test_what_is_no_map_is_an_empty_one(keys: tuple[str, ...]) -> None:
    """So what is in it can be asked for at once."""
    assert map_at(OBJECT, *keys) == {}
    assert map_at(OBJECT, "metadata", "labels") == {"a": "b"}


def test_an_object_without_metadata_has_no_name() -> None:
    """As one that is named by the API server."""
    assert (name_of(OBJECT), metadata_of(OBJECT)["name"]) == ("w", "w")
    nameless: list[JsonObject] = [{}, {"metadata": []}, {"metadata": {"name": None}}]
    assert [name_of(each) for each in nameless] == ["", "", ""]
