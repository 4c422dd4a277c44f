"""Results on standard output, for people."""

from lockkeeper.process.console import aligned


def test_columns_are_aligned_without_blanks_at_the_end() -> None:
    """A terminal of any width shows them as they are."""
    assert aligned([("a", "b"), ("longer", "")]) == "a       b\nlonger"
