"""The known word that is most like one that is not known: what is offered as "did you mean"."""

import difflib
from collections.abc import Collection
from typing import Final

import msgspec

MAX_CANDIDATES: Final = 50
"""Known words among which one is looked for; among more, nothing is offered."""
LONGEST_WORD: Final = 64
"""Characters of words that are compared: the time for two words grows with the square of their length."""
USUAL_LIKENESS: Final = 0.6
MOST_HINTS: Final = 10
"""References of one review for which a near key is looked for; a message shows ten reasons."""


class Hints(msgspec.Struct):
    """The near keys that one review has looked for, of the object before and after: the first few only.

    `found` has them by ConfigMap and the key that was asked for, "" where none is near.
    """

    found: dict[tuple[str, str], str] = {}

    def near(self, config_map: str, key: str, known: Collection[str]) -> str:
        """Return the key of a ConfigMap that was meant by another, for the first few that ask, else ""."""
        if (config_map, key) not in self.found and len(self.found) < MOST_HINTS:
            self.found[config_map, key] = nearest(key, known)
        return self.found.get((config_map, key), "")


def nearest(word: str, known: Collection[str], *, likeness: float = USUAL_LIKENESS) -> str:
    """Return the known word that is most like `word`, or "" where none is, or where looking would cost much.

    Words and candidates may be somebody's choice: thousands of long ones would take seconds.
    """
    if len(word) > LONGEST_WORD or len(known) > MAX_CANDIDATES:
        return ""
    short = [each for each in known if len(each) <= LONGEST_WORD]
    found = difflib.get_close_matches(word, short, n=1, cutoff=likeness)
    return found[0] if found else ""
