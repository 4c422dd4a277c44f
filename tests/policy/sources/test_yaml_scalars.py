"""Scalars are what they are to the library of kubectl and Argo, of which the table holds the answers."""

import math
from typing import Final

import pytest

from policy.sources.yaml_scalars import TAG, Scalar, as_json, key_text, plain, tagged

TRUE: Final = ("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE")
FALSE: Final = ("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE")
TEXT: Final = (
    *("yEs", "oN", "oFF", "tRUE", "nULL", "none", "t", "f", "nan", "inf", "+nan", "+.nan", "=", "<<", "-"),
    *("1:30", "190:20:30", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "0o8", "0b2", "0x", "0xg", "1e"),
    *(".", "._5", ".5_0", "1.2.3", "--1", "_1", "1e999", "-1e999", ".5e999", "0x1p4", "1e+", "+", "e5"),
    *("-0b-1", "0o", "1,000", "9" * 400, f"0x{'F' * 17}", "\u0661"),
)
NUMBERS: Final[dict[str, Scalar]] = {
    "0": 0,
    "-0": 0,
    "00": 0,
    "+12": 12,
    "010": 8,
    "08": 8,
    "0_8": 8,
    "-0888": -888,
    "0o17": 15,
    "0O17": 15,
    "0b101": 5,
    "0B11": 3,
    "0b-11": -3,
    "0x1F": 31,
    "-0X1f": -31,
    "0_x1_F": 31,
    "1_000": 1000,
    "1__0_": 10,
    "1_0.2_5": 10.25,
    ".5": 0.5,
    "-.5e1": -5,
    "1.": 1,
    "1.0": 1,
    "1e3": 1000,
    "1E+3": 1000,
    "12e-1": 1.2,
    "0.1": 0.1,
    "9223372036854775807": 2**63 - 1,
    "18446744073709551615": 2**64 - 1,
    "18446744073709551616": 2.0**64,
    "+18446744073709551615": 2.0**64,
    "1e-999": 0,
    "18446744073709551616E-3": 18446744073709550,
}


@pytest.mark.parametrize("text", TRUE)
def test_every_word_for_true_is_true(text: str) -> None:
    """A label `nightly: yes` is refused by the API server, as a boolean."""
    assert plain(text) is True


@pytest.mark.parametrize("text", FALSE)
def test_every_word_for_false_is_false(text: str) -> None:
    """`suspend: no` is right."""
    assert plain(text) is False


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_every_word_for_null_is_null(text: str) -> None:
    """An entry without a value is one of them."""
    assert plain(text) is None


@pytest.mark.parametrize("text", TEXT)
def test_what_only_looks_like_a_number_or_a_word_is_text(text: str) -> None:
    """Dates, times of the day, odd cases, and numbers beyond any range."""
    assert plain(text) == text


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_a_number_is_that_of_go(text: str, value: Scalar) -> None:
    """With its prefixes and underscores; in JSON a whole number has no fraction."""
    found = as_json(plain(text))
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", [".nan", ".NaN", ".inf", "-.Inf", "+.INF"])
def test_infinity_is_a_number_that_json_cannot_hold(text: str) -> None:
    """Kubectl refuses the whole text."""
    value = plain(text)
    assert isinstance(value, float)
    assert not math.isfinite(value)
    with pytest.raises(ValueError, match="JSON cannot hold"):
        as_json(value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("str", "on", "on"),
        ("str", "", ""),
        ("int", "010", 8),
        ("bool", "off", False),
        ("null", "", None),
        ("float", "3", 3.0),
        ("float", "0x10", 16.0),
        ("timestamp", "2001-01-01", "2001-01-01"),
        ("binary", "aGk=", "hi"),
        ("binary", "/w==", "\N{REPLACEMENT CHARACTER}"),
        ("set", "on", "on"),
        ("merge", "5", "5"),
    ],
)
def test_a_tag_of_yaml_decides(name: str, text: str, value: Scalar) -> None:
    """One that the library does not know leaves the text."""
    found = tagged(name, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("int", "5.0"),
        ("int", "yes"),
        ("bool", "1"),
        ("null", "x"),
        ("float", "on"),
        ("float", str(2**64 - 1)),
        ("timestamp", "yesterday"),
        ("binary", "a"),
        ("binary", "aGk=="),
    ],
)
def test_a_tag_that_does_not_fit_is_told(name: str, text: str) -> None:
    """Kubectl refuses the whole text."""
    with pytest.raises(ValueError, match=f"tagged !!{name}, but"):
        tagged(name, text)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (True, "true"),
        (False, "false"),
        (8080, "8080"),
        (1.5, "1.5"),
        (0.1, "0.1"),
        (1e7, "1e+07"),
        (100000.0, "100000"),
        (0.00001, "1e-05"),
        (123456789.5, "1.2345679e+08"),
        (1e300, ".inf"),
        (-math.inf, "-.inf"),
        (math.nan, ".nan"),
        ("on", "on"),
    ],
)
def test_a_key_is_the_text_that_go_writes(value: Scalar, key: str) -> None:
    """Floating-point numbers are written with 32 bits."""
    assert key_text(value) == key


@pytest.mark.parametrize("value", [None, 2**64 - 1])
def test_a_key_that_is_none_in_json_is_told(value: Scalar) -> None:
    """Kubectl refuses the whole text."""
    with pytest.raises(ValueError, match="has the key"):
        key_text(value)


def test_the_prefix_of_tags_is_that_of_yaml() -> None:
    """`!!str` is short for it."""
    assert TAG == "tag:yaml.org,2002:"
