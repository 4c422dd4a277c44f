"""Selector strings mean what Kubernetes means by them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policy.cluster.memory.selector_syntax import parse_requirements, parse_selector
from policy.core.objects.label_selectors import Operator, Requirement

KEYS = ("a", "b", "in", "notin", "lockkeeper.dev/team", "A_b-c.d")
VALUES = ("", "x", "y", "in", "v1.2_3-4")
GAPS = ("", " ", "\t", " \n ")

Clause = tuple[str, str, tuple[str, ...]]
"""A key, an operator as it is written, and its values."""

keys = st.sampled_from(KEYS)
clauses = st.one_of(
    st.tuples(keys, st.sampled_from(("=", "==", "!=")), st.tuples(st.sampled_from(VALUES))),
    st.tuples(
        keys,
        st.sampled_from(("in", "notin")),
        # A lone empty value in parentheses reads as no value at all.
        st.lists(st.sampled_from(VALUES), min_size=1, max_size=3).map(tuple).filter(lambda v: v != ("",)),
    ),
    st.tuples(keys, st.sampled_from(("exists", "!")), st.just(())),
)


def _written(clause: Clause, gap: str) -> str:
    """Return the clause as a string, with a gap wherever white space may stand."""
    key, operator, values = clause
    if operator == "exists":
        return f"{gap}{key}{gap}"
    if operator == "!":
        return f"{gap}!{gap}{key}{gap}"
    if operator in ("in", "notin"):
        members = ",".join(f"{gap}{value}{gap}" for value in values)
        return f"{gap}{key} {gap}{operator}{gap}({members}){gap}"
    return f"{gap}{key}{gap}{operator}{gap}{values[0]}{gap}"


def _holds(clause: Clause, labels: dict[str, str]) -> bool:
    """Return the meaning of the clause as the documentation of Kubernetes has it, word by word."""
    key, operator, values = clause
    if operator == "exists":
        return key in labels
    if operator == "!":
        return key not in labels
    if operator in ("!=", "notin"):
        return key not in labels or labels[key] not in values
    return key in labels and labels[key] in values


@given(
    wanted=st.lists(clauses, max_size=4),
    gap=st.sampled_from(GAPS),
    labels=st.dictionaries(keys, st.sampled_from(VALUES)),
)
def test_a_selector_string_means_all_of_its_clauses(
    wanted: list[Clause], gap: str, labels: dict[str, str]
) -> None:
    """All clauses must hold, whatever the white space between them."""
    selector = ",".join(_written(clause, gap) for clause in wanted)
    assert parse_selector(selector)(labels) == all(_holds(clause, labels) for clause in wanted)


@given(st.text(alphabet="ab/.-_=!,() \tin", max_size=30))
@example("a=b,")
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    """What is read survives being written plainly and read again."""
    try:
        found = parse_requirements(text)
    except ValueError as error:
        assert repr(text) in str(error)  # noqa: PT017 - most texts are refused, but not all
        return
    plain = ",".join(_plain(requirement) for requirement in found)
    assert parse_requirements(plain) == found


def _plain(requirement: Requirement) -> str:
    """Return the requirement as a selector string."""
    match requirement.operator:
        case Operator.EXISTS:
            return requirement.key
        case Operator.DOES_NOT_EXIST:
            return f"!{requirement.key}"
        case Operator.IN | Operator.NOT_IN if len(requirement.values) == 1:
            sign = "=" if requirement.operator is Operator.IN else "!="
            return f"{requirement.key}{sign}{requirement.values[0]}"
        case _:
            word = requirement.operator.lower()
            return f"{requirement.key} {word} ({','.join(requirement.values)})"


@pytest.mark.parametrize(
    "text",
    [
        "=",
        ",",
        "a,",
        ",a",
        "a,,b",
        "!",
        "!!a",
        "a=b=c",
        "a===b",
        "!a=b",
        "a b",
        "a in",
        "a in b",
        "a in ()",
        "a in ( )",
        "a in (b",
        "a in b)",
        "ain (b)",
        "a In (b)",
        "a in (b c)",
        "a in ((b))",
        "a>1",
        "a=b c",
        "-a",
        "a.",
        "/a",
        "a/",
        "a/b/c",
        "UPPER/a",
        "a..b/c",
        "a=-b",
        "a=b/c",
        "a=ä",
        "a" * 64,
        "a=" + "b" * 64,
        "a" * 254 + "/b",
    ],
)
def test_a_malformed_selector_is_a_value_error_that_quotes_it(text: str) -> None:
    """The message shows the selector, so it can be found."""
    with pytest.raises(ValueError, match="label selector") as caught:
        parse_selector(text)
    assert repr(text) in str(caught.value)


def test_the_message_has_the_place_where_reading_stopped() -> None:
    """The position counts characters from 0."""
    with pytest.raises(ValueError, match=r"at position 4, found 'b c'"):
        parse_selector("a=1,b c")


def test_the_longest_keys_and_values_are_read() -> None:
    """The limits of Kubernetes are inclusive."""
    key = "a" * 253 + "/" + "b" * 63
    assert parse_selector(f"{key}={'c' * 63}")({key: "c" * 63})
