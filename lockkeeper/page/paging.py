"""One page of many rows: what a browser shows at once, and where the others are."""

from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar

import msgspec

Row = TypeVar("Row")
_MOST_DIGITS: Final = 6
"""Of the number of a page in a link; more is nobody's page."""


class OnePage(msgspec.Struct, Generic[Row], frozen=True):
    """One page: `total` are the rows of all pages, `first` is the number of the first that is shown."""

    rows: tuple[Row, ...]
    total: int
    first: int
    page: int
    pages: int

    @property
    def last(self) -> int:
        """The number of the last row that is shown."""
        return self.first + len(self.rows) - 1


def page_of(rows: Sequence[Row], number: int, size: int) -> OnePage[Row]:
    """Return a page of so many rows; the last where there are fewer pages."""
    pages = max(1, -(-len(rows) // size))
    page = min(max(1, number), pages)
    begin = (page - 1) * size
    return OnePage(tuple(rows[begin : begin + size]), len(rows), begin + 1, page, pages)


def number_in(query: Mapping[str, str]) -> int:
    """Return the number of the page that a link asks for; the first where that cannot be understood."""
    text = query.get("page", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 1
