"""What is written as YAML is read back as the same values by kubectl's rules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockkeeper.process.yaml_output import as_yaml
from policy.sources.yaml_positions import Json, parse
from policy.sources.yaml_scalars import plain

WORDS = ("y", "N", "yes", "off", "08", "1e3", "0o17", "010", "1_000", "0x1F", "~", "", ".5", "+.inf", "1:30")
TEXTS = st.text(max_size=12) | st.text("0123456789abcdefxoyne+-._:~ ", max_size=6) | st.sampled_from(WORDS)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_values_come_back_as_they_were(value: Json) -> None:
    """What `review -o yaml` shows can be applied."""
    parsed = parse(as_yaml({"value": value}).encode())
    assert parsed.fault is None
    assert [document.value for document in parsed.documents] == [{"value": value}]


@pytest.mark.parametrize("word", [word for word in WORDS if plain(word) != word])
def test_a_word_that_is_no_text_to_kubectl_is_quoted(word: str) -> None:
    """PyYAML alone leaves some of them without quotes."""
    assert as_yaml([word]) == f"- '{word}'\n"
    assert as_yaml({"k": word, "l": "plain"}) == f"k: '{word}'\nl: plain\n"
