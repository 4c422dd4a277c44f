"""What fits a terminal: its width, bars, and lines that are cut or wrapped; plain text in a pipe."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, TextIO

import msgspec

from lockkeeper.process.console import aligned
from policy.core.values.durations import written

_BAR: Final = 10
"""Places of a bar."""
_PLAIN_WIDTH: Final = 0
_NARROWEST: Final = 20
_WIDTH_FOR_BARS: Final = 70
"""A narrower terminal has the room for numbers alone."""
_CUT: Final = "…"


class Terminal(msgspec.Struct, frozen=True):
    """Where output goes: its `width` in columns, 0 where nothing is cut, and whether a person looks at it."""

    width: int = _PLAIN_WIDTH
    person: bool = False

    @staticmethod
    def of(stream: TextIO = sys.stdout, environment: Mapping[str, str] = os.environ) -> "Terminal":
        """Return what a stream leads to; `NO_COLOR` makes it plain, as in a pipe."""
        if not stream.isatty():
            return Terminal()
        return Terminal(max(_NARROWEST, shutil.get_terminal_size().columns), "NO_COLOR" not in environment)

    def table(self, rows: Sequence[Sequence[str]]) -> str:
        """Return rows as columns; lines that are too long are cut."""
        return "\n".join(map(self._cut, aligned(rows).splitlines()))

    def sentence(self, text: str, *, indent: str = "") -> str:
        """Return a sentence, wrapped where it is too long."""
        if not self.width:
            return f"{indent}{text}"
        return textwrap.fill(
            text,
            self.width,
            initial_indent=indent,
            subsequent_indent=" " * len(indent),
            break_on_hyphens=False,
        )

    def bar(self, used: int, limit: int | None) -> str:
        """Return `8/10`, with a bar before it where a person looks; no limit is shown as `-`."""
        if limit is None:
            return f"{used}/-"
        if not self.person or self.width < _WIDTH_FOR_BARS:
            return f"{used}/{limit}"
        filled = _BAR if used >= limit else used * _BAR // limit
        return f"{'█' * filled}{'░' * (_BAR - filled)} {used}/{limit}"

    def _cut(self, line: str) -> str:
        return line if not self.width or len(line) <= self.width else line[: self.width - 1] + _CUT


def age(since: datetime, now: datetime) -> str:
    """Return how long ago something was."""
    return written(max(now - since, now - now))


def lines(parts: Iterable[str]) -> str:
    """Return texts, one below the other, without those that are empty."""
    return "\n".join(each for each in parts if each)
