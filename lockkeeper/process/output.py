"""Results on standard output: columns for people, JSON for programs."""

from collections.abc import Sequence

import msgspec


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as columns, two blanks apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def as_json(value: object) -> str:
    """Return what a program reads, indented."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


class UsageError(Exception):
    """Something that the caller asked for cannot be done; each of its lines says what to do."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__(*lines)

    def __str__(self) -> str:
        return "\n".join(self.lines)
