"""Values of parameters become the texts that Argo makes of them."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.objects.parameter_text import parameter_text


@pytest.mark.parametrize(
    ("json", "text"),
    [
        ('"main"', "main"),
        ('""', ""),
        ('"1.0"', "1.0"),
        ("true", "true"),
        ("false", "false"),
        ("7", "7"),
        ("-12", "-12"),
        ("1.0", "1"),
        ("1.10", "1.1"),
        ("1e3", "1000"),
        ("1e-7", "0.0000001"),
        ("1e21", "1000000000000000000000"),
        ("123456.789", "123456.789"),
        ("-0.0", "-0"),
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
    ],
)
def test_scalars_are_written_as_argo_writes_them(json: str, text: str) -> None:
    """Go reads each number as a float64 and prints it in the shortest way without an exponent."""
    assert parameter_text(msgspec.json.decode(json)) == text


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, 10**400])
def test_what_argo_reads_no_text_of_has_none(value: Any) -> None:
    """A list is no value of a parameter, and no float is so large."""
    assert parameter_text(value) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_in_its_text(value: float) -> None:
    """The digits are enough to read the same number back, and there is no exponent among them."""
    text = parameter_text(value)
    assert text is not None
    assert float(text) == value
    assert "e" not in text
