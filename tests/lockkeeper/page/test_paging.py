"""Pages of rows, and which one a link asks for."""

import pytest

from lockkeeper.page.paging import number_in, page_of


@pytest.mark.parametrize(
    ("number", "rows", "first", "page"),
    [(1, (1, 2, 3), 1, 1), (3, (7,), 7, 3), (99, (7,), 7, 3), (0, (1, 2, 3), 1, 1)],
)
def test_every_number_is_a_page(number: int, rows: tuple[int, ...], first: int, page: int) -> None:
    """What is past the last leads to the last."""
    found = page_of(range(1, 8), number, 3)
    assert (found.rows, found.first, found.page, found.pages, found.total) == (rows, first, page, 3, 7)
    assert found.last == rows[-1]


def test_of_nothing_there_is_one_page() -> None:
    """It is empty."""
    nothing: tuple[int, ...] = ()
    found = page_of(nothing, 1, 3)
    assert (found.rows, found.page, found.pages, found.total) == ((), 1, 1, 0)


@pytest.mark.parametrize(
    ("text", "number"), [("3", 3), ("", 1), ("x", 1), ("-1", 1), ("1234567", 1), ("²", 1), ("٣", 1)]
)
def test_a_number_that_cannot_be_understood_is_the_first(text: str, number: int) -> None:
    """Links may say anything."""
    assert number_in({"page": text}) == number
