"""What is wrong with a field of a document, and which known word its author may have meant."""

import difflib
from collections.abc import Collection, Sized
from typing import Final

import msgspec

MAX_CANDIDATES: Final = 50
"""Known words that are searched for a similar one; of more, none is suggested."""
LONGEST_WORD: Final = 64
"""Characters of words that are compared: the time for two words grows with the square of their length."""
_USUAL_LIKENESS: Final = 0.6
MOST_HINTS: Final = 10
"""References of one review for which a similar key is searched; a message shows ten reasons."""


class Problem(msgspec.Struct, frozen=True):
    """A fault of a document: its field path (`spec.limits.workflows`) and a sentence."""

    path: str
    message: str


def too_many(entries: Sized, most: int, path: str) -> list[Problem]:
    """Return the problem of a list or map that is longer than its CRD allows, if it is."""
    if len(entries) <= most:
        return []
    return [Problem(path, f"has {len(entries)} entries: at most {most} are allowed")]


def nearest(word: str, known: Collection[str], *, likeness: float = _USUAL_LIKENESS) -> str:
    """Return the known word that is most like `word`, "" where none is or where the search would be slow.

    Users may choose words and candidates: thousands of long ones would take seconds.
    """
    if len(word) > LONGEST_WORD or len(known) > MAX_CANDIDATES:
        return ""
    short = [each for each in known if len(each) <= LONGEST_WORD]
    found = difflib.get_close_matches(word, short, n=1, cutoff=likeness)
    return found[0] if found else ""


class Hints(msgspec.Struct):
    """The similar keys that one review has searched, for the object before and after: the first few only.

    `found` has them by ConfigMap and the unknown key, "" where none is similar.
    """

    found: dict[tuple[str, str], str] = {}

    def near(self, config_map: str, key: str, known: Collection[str]) -> str:
        """Return the key of a ConfigMap that is like an unknown one; "" after the first few searches."""
        if (config_map, key) not in self.found and len(self.found) < MOST_HINTS:
            self.found[config_map, key] = nearest(key, known)
        return self.found.get((config_map, key), "")
