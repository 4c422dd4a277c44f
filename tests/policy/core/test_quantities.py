"""Quantities of CPU as Kubernetes writes them, against fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.core.quantities import millicores

SUFFIXES = {
    "": Fraction(1),
    **{
        name: Fraction(10) ** power
        for name, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
    },
    **{name: Fraction(1024) ** power for power, name in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


@pytest.mark.parametrize(
    ("text", "thousandths"),
    [
        ("4", 4000),
        ("3920m", 3920),
        ("0.5", 500),
        (".5", 500),
        ("2.", 2000),
        ("1e3", 1_000_000),
        ("1E-1", 100),
        ("2k", 2_000_000),
        ("1500u", 1),
        ("999999n", 0),
        ("1Ki", 1_024_000),
        ("+1", 1000),
        ("0", 0),
    ],
)
def test_a_quantity_reads_as_kubernetes_reads_it(text: str, thousandths: int) -> None:
    """Whole cores, thousandths, fractions, exponents and suffixes."""
    assert millicores(text) == thousandths


@given(st.integers(0, 10**9), st.integers(0, 9999), st.sampled_from(sorted(SUFFIXES)))
def test_the_number_is_exact_and_rounded_down(whole: int, fraction: int, suffix: str) -> None:
    """No float is in between, however large or small it is."""
    exact = Fraction(f"{whole}.{fraction:04}") * SUFFIXES[suffix] * 1000
    assert millicores(f"{whole}.{fraction:04}{suffix}") == exact.__floor__()


@pytest.mark.parametrize(
    "text", ["", ".", "m", "-1", "1 m", "1x", "1e", "1mm", "\uff11", "1e999", "0x10", "NaN"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    """A node that says such a thing carries nothing; nobody guesses."""
    with pytest.raises(ValueError, match="is no quantity of CPU"):
        millicores(text)
