"""What decodes raises no alarm, and what does not is found where it is, in drawn objects and examples."""

import json
from pathlib import Path
from typing import Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy.core.argo_types.decodability import NOTHING_WRONG, decodes, examine
from policy.core.argo_types.type_table import KINDS, StructType
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.policy.core.argo_types.drawing import fitting, places, with_value, written, wrong

KIND: Final = st.sampled_from(sorted(KINDS))


@given(KIND.flatmap(lambda kind: st.tuples(st.just(kind), fitting(StructType(kind)))))
def test_an_object_that_fits_raises_no_alarm(drawn: tuple[str, JsonValue]) -> None:
    """Whatever its fields are."""
    kind, obj = drawn
    assert examine(kind, json.dumps(obj).encode()) == NOTHING_WRONG


@given(KIND.flatmap(lambda kind: st.tuples(st.just(kind), fitting(StructType(kind)))), st.data())
def test_a_value_that_does_not_fit_is_found_at_its_place(
    drawn: tuple[str, JsonValue], data: st.DataObject
) -> None:
    """And nothing else is found, and the quick answer does not miss it."""
    kind, obj = drawn
    spoil(kind, obj, data)


@pytest.fixture(scope="module")
def examples(corpus: Path) -> tuple[tuple[str, JsonObject], ...]:
    """Return Argo's examples of the kinds that are checked, as JSON."""
    files = sorted((corpus / "examples").rglob("*.yaml"))
    documents = (each for file in files for each in yaml.load_all(file.read_bytes(), Loader=yaml.CSafeLoader))
    return tuple(
        (each["kind"], json.loads(json.dumps(each, default=str)))
        for each in documents
        if each and each["kind"] in KINDS
    )


def test_none_of_argos_examples_gets_an_error_or_a_warning(
    examples: tuple[tuple[str, JsonObject], ...],
) -> None:
    """Most of them do not even need the thorough look."""
    assert len(examples) > 200
    for kind, obj in examples:
        raw = json.dumps(obj).encode()
        assert examine(kind, raw) == NOTHING_WRONG, obj["metadata"]
        assert decodes(kind, raw), obj["metadata"]


@given(st.data())
def test_a_spoiled_example_is_found_at_its_place(
    examples: tuple[tuple[str, JsonObject], ...], data: st.DataObject
) -> None:
    """As an author would spoil it: one value of another type."""
    kind, obj = data.draw(st.sampled_from(examples))
    spoil(kind, obj, data)


def spoil(kind: str, obj: JsonValue, data: st.DataObject) -> None:
    """Put a wrong value somewhere into an object that decodes, and expect it to be found there."""
    spots = [(steps, wanted) for steps, wanted in places(obj, StructType(kind)) if wrong(wanted)]
    if not spots:
        return
    steps, wanted = data.draw(st.sampled_from(spots))
    raw = json.dumps(with_value(obj, steps, data.draw(st.sampled_from(wrong(wanted))))).encode()
    assert [each.path for each in examine(kind, raw).mismatches] == [written(steps)]
    assert not decodes(kind, raw)
    assert examine(kind, raw, old=raw) == NOTHING_WRONG
