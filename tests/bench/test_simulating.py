"""The benchmark of simulations measures what it says, on a history that is small."""

import pytest

from bench import simulating


def test_every_figure_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Ratios are what holds on any machine."""
    simulating.main(["--runs", "100"])
    told = capsys.readouterr().out
    for name in ("msgspec alone", "embedded mode", "a tenth of the history", "memory", "CPU time"):
        assert name in told
