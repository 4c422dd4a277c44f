"""The naming rule of keys: a pattern that a policy's author wrote, matched in linear time.

Python's `re` tries every way to match, which can be exponentially many for a pattern of ten characters. With
one, the author of a policy could stop every review, for `re` lets no other thread run meanwhile. RE2 reads
each character once, whatever the pattern is; it supports neither look-around nor back-references.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

LONGEST_PATTERN: Final = 200
"""Characters of a pattern, as the CRDs say."""
LONGEST_KEY: Final = 253
"""Characters of a ConfigMap's key; a longer text is no key, and follows no rule."""
_MOST_MEMORY: Final = 1 << 18
"""Bytes that a pattern may take while it is compiled and matched; RE2's own bound is 8 MiB."""
MAX_REMEMBERED: Final = 1000
_Search: TypeAlias = Callable[[str], object]
"""Returns something where a pattern is found in a text, else None."""
_PLACEHOLDER: Final = re.compile(r"<[^<>]+>")
_WORD: Final = "[a-z0-9]+"
_WORDS: Final = "[a-z0-9]+(?:-[a-z0-9]+)*"
_UNKNOWN_TO_RE2: Final = (
    (("invalid perl operator: (?=", "invalid perl operator: (?!"), "look-ahead"),
    (("invalid perl operator: (?<",), "look-behind"),
    (("invalid escape sequence: \\Z",), "\\Z (write $)"),
)
_INSTEAD: Final = "write out the names that are right, as in ^(db|gpu)-[a-z]+$"


class KeyRule:
    """A naming rule: `text` is as its author wrote it. Answers about keys are remembered.

    The engine is loaded when the first key is checked.
    """

    def __init__(self, text: str, expression: str) -> None:
        self.text = text
        self._expression = expression
        self._search: _Search | None = None
        self._remembered: dict[str, bool] = {}

    @property
    def expression(self) -> str:
        """The rule as a regular expression of RE2, which is searched for in a key."""
        return self._expression

    def allows(self, key: str) -> bool:
        """Return whether a key follows the rule."""
        found = self._remembered.get(key)
        if found is None:
            if len(key) > LONGEST_KEY:
                return False
            if self._search is None:
                self._search = _engine(self._expression)
            found = self._search(key) is not None
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyRule) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def key_rule(text: str) -> KeyRule:
    """Return the rule of `validate.keyPattern`: a regular expression (from `^`) or `<placeholders>`.

    With placeholders, the last may be several words joined by `-`, the others are one word.

    Raises:
        ValueError: the text is neither, or longer than a pattern may be.
    """
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"it has {len(text)} characters, and {LONGEST_PATTERN} are the most")
    if text.startswith("^"):
        return KeyRule(text, text)
    if not _PLACEHOLDER.search(text):
        raise ValueError("start it with ^ (a regular expression) or use <placeholders>")
    literals = [re.escape(literal) for literal in _PLACEHOLDER.split(text)]
    words = [_WORD] * (len(literals) - 2) + [_WORDS]
    body = "".join(part for pair in zip(literals, [*words, ""], strict=True) for part in pair)
    return KeyRule(text, rf"^{body}\z")


def checked_key_rule(text: str) -> KeyRule:
    """Return the rule of a pattern, compiled at once, so that its author sees what is wrong with it.

    Raises:
        ValueError: it is no pattern that can be matched; the text has the reason, and what to write.
    """
    rule = key_rule(text)
    if text.startswith("^"):
        _engine(text)
    return rule


def _engine(expression: str) -> _Search:
    """Return the search of an expression compiled by RE2.

    Raises:
        ValueError: RE2 cannot read it.
    """
    import re2  # noqa: PLC0415 - most starts of the program, and most clusters, have no such pattern

    options = re2.Options()
    options.max_mem = _MOST_MEMORY
    options.log_errors = False
    options.never_capture = True
    try:
        search: _Search = re2.compile(expression, options).search
    except re2.error as error:
        raise ValueError(_reason(error.args[0] if error.args else "")) from error
    return search


def _reason(fault: bytes | str) -> str:
    """Return RE2's error about a pattern as a sentence."""
    text = fault.decode(errors="replace") if isinstance(fault, bytes) else fault
    for starts, name in _UNKNOWN_TO_RE2:
        if text.startswith(starts):
            return f"it has {name}, which RE2 does not know: {_INSTEAD}"
    if text.startswith("invalid escape sequence: \\") and text[-1:].isdigit():
        return f"it has a back-reference ({text[-2:]}), which RE2 does not know: {_INSTEAD}"
    return text
