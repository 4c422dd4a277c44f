"""The known word that is most like one that is not known: what is offered as "did you mean"."""

import difflib
from collections.abc import Collection
from typing import Final

MAX_CANDIDATES: Final = 50
"""Known words among which one is looked for; among more, nothing is offered."""
LONGEST_WORD: Final = 64
"""Characters of words that are compared: the time for two words grows with the square of their length."""
_USUAL_LIKENESS: Final = 0.6


def nearest(word: str, known: Collection[str], *, likeness: float = _USUAL_LIKENESS) -> str:
    """Return the known word that is most like `word`, or "" where none is, or where looking would cost much.

    Words and candidates may be somebody's choice: thousands of long ones would take seconds.
    """
    if len(word) > LONGEST_WORD or len(known) > MAX_CANDIDATES:
        return ""
    short = [each for each in known if len(each) <= LONGEST_WORD]
    found = difflib.get_close_matches(word, short, n=1, cutoff=likeness)
    return found[0] if found else ""
