"""What is wrong with a field of a document, and what was perhaps meant."""

import difflib
from collections.abc import Collection, Sized
from typing import Final

import msgspec

MAX_CANDIDATES: Final = 50
"""Known words among which one is looked for; among more, nothing is offered."""
LONGEST_WORD: Final = 64
"""Characters of words that are compared: the time for two words grows with the square of their length."""
_USUAL_LIKENESS: Final = 0.6


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong with a document: its field path (`spec.limits.workflows`) and a sentence."""

    path: str
    message: str


def too_many(entries: Sized, most: int, path: str) -> list[Problem]:
    """Return that a list or map is longer than its CRD allows, where it is."""
    return (
        [Problem(path, f"has {len(entries)} entries: at most {most} are allowed")]
        if len(entries) > most
        else []
    )


def nearest(word: str, known: Collection[str], *, likeness: float = _USUAL_LIKENESS) -> str:
    """Return the known word that is most like `word`, or "" where none is, or where looking would cost much.

    Words and candidates may be a user's choice: thousands of long ones would take seconds.
    """
    if len(word) > LONGEST_WORD or len(known) > MAX_CANDIDATES:
        return ""
    short = [each for each in known if len(each) <= LONGEST_WORD]
    found = difflib.get_close_matches(word, short, n=1, cutoff=likeness)
    return found[0] if found else ""
