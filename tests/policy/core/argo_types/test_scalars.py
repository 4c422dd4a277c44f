"""Plain values: which decode as each of Argo's scalars. Every row was tried on Argo 4.1.2's own types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.argo_types.scalars import DECODES, whole
from policy.core.argo_types.type_table import Scalar
from policy.core.objects.json_patch import JsonValue


@pytest.mark.parametrize(
    ("scalar", "right", "wrong"),
    [
        (Scalar.STRING, ["", "5", "{{x}}"], [5, 1.5, True, [], {}]),
        (Scalar.BOOL, [True, False], ["true", 1, 0, [], {}]),
        (Scalar.INT32, [0, -1, 5.0, 2**31 - 1, -(2**31)], [2**31, -(2**31) - 1, 1.5, "5", True, [5], {}]),
        (Scalar.INT64, [2**63 - 1, -(2**63)], [2**63, -(2**63) - 1, 1e21, "5", False]),
        (Scalar.UINT64, [0, 2**64 - 1], [-1, 2**64, 0.5, "5"]),
        (
            Scalar.BYTES,
            ["", "aGVsbG8=", "aGVs\nbG8=", "aGVsbG9=", [104, 255]],
            ["a", "aGVsbG8", "aGVsb/G8=", [256], 5],
        ),
        (Scalar.INT_OR_STRING, ["", "50%", 5, -1, 7.0], [1.5, True, 2**31, [], {}]),
        (Scalar.ANY_STRING, ["", 5, 1.5, 2**70, True, [], {}], []),
        (Scalar.PLUGIN, [{"slack": {}}, {"slack": None}], [{}, {"a": 1, "b": 2}, [], "slack", 5]),
        (Scalar.RAW, ["", 5, 1.5, True, [], {}], []),
    ],
)
def test_a_scalar_takes_what_argo_decodes(
    scalar: Scalar, right: list[JsonValue], wrong: list[JsonValue]
) -> None:
    """No more, or the controller stops; no less, or a right object is refused."""
    decodes = DECODES[scalar]
    assert [value for value in right if not decodes(value)] == []
    assert [value for value in wrong if decodes(value)] == []


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T08:00:00Z",
        "2024-02-29T23:59:59.123456789+14:00",
        "2000-02-29T00:00:00-05:30",
        "0000-12-31T00:00:00Z",
        "2026-04-30T8:00:00Z",
        "2026-04-30T08:00:00,5Z",
        "2026-04-30T08:00:00+24:60",
    ],
)
def test_a_time_reads_as_go_reads_rfc_3339(text: str) -> None:
    """Go takes an hour of one digit, a comma, and odd zones."""
    assert DECODES[Scalar.TIME](text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31T08:00Z",
        "2026-01-31T08:00:00",
        "2026-01-31 08:00:00Z",
        "2026-01-31t08:00:00z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T08:60:00Z",
        "2026-01-31T08:00:60Z",
        "2026-01-31T08:00:00+25:00",
        "2026-01-31T08:00:00Z ",
        1_769_846_400,
        True,
    ],
)
def test_what_is_no_time_is_refused(text: JsonValue) -> None:
    """Days that a month does not have, leap seconds, and everything that only looks like it."""
    assert not DECODES[Scalar.TIME](text)


@pytest.mark.parametrize(
    "value",
    ["1", "500m", "1.5Gi", "1e3", "1E-3", ".5", "5.", "+1k", "-2Ki", "1E", " 5 ", "00012", "1n", 5, 0.5],
)
def test_a_quantity_reads_as_kubernetes_reads_it(value: JsonValue) -> None:
    """Numbers as well, and spaces around it."""
    assert DECODES[Scalar.QUANTITY](value)


@pytest.mark.parametrize(
    "value", ["", "-", "m", "2GB", "1 Gi", "5x", "1e", "1.5.0", "1e99999999", "\uff11", True, [], {}]
)
def test_what_is_no_quantity_is_refused(value: JsonValue) -> None:
    """An exponent of many digits too: Argo would compute the power for hours."""
    assert not DECODES[Scalar.QUANTITY](value)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans())
def test_a_whole_number_is_the_same_number(value: float) -> None:
    """A boolean is none, though Python counts it as one."""
    number = whole(value)
    if isinstance(value, bool):
        assert number is None
    elif number is None:
        assert isinstance(value, float)
        assert not value.is_integer()
    else:
        assert number == value
