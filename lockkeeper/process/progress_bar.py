"""A line on standard error that shows how far a command is; nothing where that is no terminal."""

import sys
from typing import Final

_WIDTH: Final = 30


class ProgressBar:
    """A bar of what is done; `unit` is what is counted."""

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._shown = ""
        self._terminal = sys.stderr.isatty()

    def show(self, done: int, of: int) -> None:
        """Show how many are done; the line is written where it changes only."""
        if not self._terminal:
            return
        full = min(_WIDTH, _WIDTH * done // max(1, of))
        line = f"\rlockkeeper: [{'#' * full}{'.' * (_WIDTH - full)}] {done} of {of} {self._unit}"
        if line != self._shown:
            self._shown = line
            print(line, end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            self._shown = ""
            print(file=sys.stderr, flush=True)
