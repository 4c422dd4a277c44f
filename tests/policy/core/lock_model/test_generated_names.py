"""Generated names follow from their parts, and are recognised without trust in them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.lock_model.generated_names import (
    MAX_NAME,
    base_name,
    can_name,
    generated_name,
    is_generated,
    is_layer,
)
from policy.core.objects.json_patch import JsonObject
from tests.policy.core.builders import template_of

NAMES = st.from_regex(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,110}", fullmatch=True)
ARGO = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")


@given(NAMES, st.lists(st.text(max_size=9), max_size=3))
def test_a_name_is_valid_for_argo_and_gives_its_base_back(base: str, what: list[str]) -> None:
    """The same parts give the same name; a name from a generated template is one from its base."""
    name = generated_name(base, *what)
    assert ARGO.fullmatch(name)
    assert len(name) <= MAX_NAME
    assert name == generated_name(base, *what)
    assert is_generated(name)
    assert base_name(name) == base_name(base)
    assert generated_name(name, *what) == name


@given(NAMES, st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=3))
def test_other_parts_give_another_name(base: str, what: list[str]) -> None:
    """So a copy with one lock is not confused with a copy with another."""
    assert generated_name(base, *what) != generated_name(base, *what, "more")


@pytest.mark.parametrize(
    "name", ["load", "load-lk", "load-lk0000000000", "-lk4bc4c52687", "load-lk4bc4C52687"]
)
def test_a_name_that_only_looks_alike_is_its_own(name: str) -> None:
    """The check of the base must fit."""
    assert base_name(name) == name


@pytest.mark.parametrize("name", ["", "a" * 117, "a_b", "-a", "a.b", "{{x}}"])
def test_what_argo_would_not_take_is_no_base(name: str) -> None:
    """No name is generated from it."""
    assert not can_name(name)


BASE = generated_name("load", "base")
WRAP = generated_name("load", "wrap")


def _dag(name: str, *tasks: JsonObject) -> JsonObject:
    return {"name": name, "dag": {"tasks": list(tasks)}}


@pytest.mark.parametrize(
    ("template", "layer"),
    [
        (_dag("load", {"name": "base", "template": BASE}), True),
        (_dag(WRAP, {"name": "base", "template": "load"}), True),
        (_dag(WRAP, {"name": "base", "templateRef": {"name": "lib", "template": "load"}}), True),
        (_dag("load", {"name": "locked", "template": BASE}, {"name": "free", "template": WRAP}), True),
        (_dag("load", {"name": "base", "template": "save"}), False),
        (_dag("load", {"name": "base", "template": "load"}), False),
        (_dag("other", {"name": "base", "template": BASE}), False),
        (_dag("load", {"name": "base", "template": BASE}, {"name": "more", "template": "x"}), False),
        (_dag("load", {"name": "first", "template": BASE}), False),
        ({"name": WRAP, "container": {"image": "a"}}, False),
    ],
)
def test_a_layer_is_a_dag_that_does_nothing_but_call_its_base(template: JsonObject, layer: bool) -> None:  # noqa: FBT001
    """Rules do not select it; a user who writes one has only added a level."""
    assert is_layer(template_of(template)) is layer
