"""Globs over names and images, several as one."""

import fnmatch
import re
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import msgspec

from policy.core.locks.tags import BEGIN, END, replaced

LONGEST_GLOB: Final = 500
"""Characters of a glob, as the CRDs say."""
LONGEST_TEXT: Final = 1000
"""Characters of a text that is looked at. No image and no name is longer, and a longer text fits every glob:
nobody gets round a rule by a text that would take a review its time."""
_UNKNOWN: Final = "\x01"
"""Stands for a tag: only `*` and `?` match it, which match whatever comes."""
_SPECIAL: Final = re.compile(r"[*?\[\]]")


class Match(IntEnum):
    """Whether something is selected; MAYBE where that depends on what is known only at run time."""

    NO = 0
    MAYBE = 1
    YES = 2


class Globs(msgspec.Struct, frozen=True):
    """Some globs, of which one has to match a text as a whole."""

    patterns: tuple[str, ...]
    compiled: re.Pattern[str]

    def fits(self, text: str) -> bool:
        """Tell whether a text matches one of them."""
        return len(text) > LONGEST_TEXT or self.compiled.fullmatch(text) is not None

    def match(self, texts: Iterable[str]) -> Match:
        """Return whether one of several texts matches; `{{tags}}` in them may become anything."""
        found = Match.NO
        for text in texts:
            if self.fits(text if BEGIN not in text else replaced(text, lambda _: _UNKNOWN)):
                return Match.YES
            if BEGIN in text and any(_could(glob, text) for glob in self.patterns):
                found = Match.MAYBE
        return found


def globs(patterns: tuple[str, ...]) -> Globs | None:
    """Return several globs as one, or None where there are none."""
    if not patterns:
        return None
    return Globs(patterns, re.compile("|".join(fnmatch.translate(glob) for glob in patterns)))


def _could(glob: str, text: str) -> bool:
    """Tell whether a text with tags may come to match: by what stands before and after all tags."""
    start, end = text[: text.find(BEGIN)], text[text.rfind(END) + len(END) :] if END in text else ""
    parts = _SPECIAL.split(glob)
    first, last = parts[0], parts[-1]
    return (start.startswith(first) or first.startswith(start)) and (end.endswith(last) or last.endswith(end))
