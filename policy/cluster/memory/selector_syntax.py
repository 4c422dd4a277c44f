"""Label selectors as the API takes them in a query string: `a=b,c!=d,e in (x,y),f notin (z),g,!h`.

The grammar is that of apimachinery (`labels.Parse`) without its two numeric comparisons. The result is the
same predicate that `matchLabels` and `matchExpressions` give, so both spellings mean the same everywhere.
"""

import re
from typing import Final

from policy.core.objects.label_selectors import LabelSelector, Operator, Predicate, Requirement

_MAX_NAME: Final = 63
"""Longest label value, and longest name part of a label key, in characters."""
_MAX_PREFIX: Final = 253
"""Longest prefix (the DNS subdomain before the slash) of a label key, in characters."""

_WORD: Final = r"[^ \t\r\n,()=!<>]+"
_REQUIREMENT: Final = re.compile(
    rf"""
    \s*(?:
      !\s*(?P<absent>{_WORD})
    | (?P<key>{_WORD})(?:
        \s+(?P<set>in|notin)\s*\((?P<members>[^()]*)\)
      | \s*(?P<sign>==|=|!=)\s*(?P<value>(?:{_WORD})?)
      )?
    )\s*(?P<end>,|\Z)
    """,
    re.VERBOSE | re.ASCII,
)
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PREFIX: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")


def parse_selector(text: str) -> Predicate:
    """Return the predicate over labels of a selector string; the empty string matches all.

    Raises ValueError, with what could not be read and where, for anything that the API would refuse.
    """
    return LabelSelector(match_expressions=parse_requirements(text)).matches


def parse_requirements(text: str) -> tuple[Requirement, ...]:
    """Return the requirements of a selector string in order, all of which must hold. Raises ValueError."""
    if not text.strip():
        return ()
    found = []
    position = 0
    while True:
        match = _REQUIREMENT.match(text, position)
        if match is None:
            raise ValueError(
                f"label selector {text!r}: a requirement such as a=b, a!=b, a in (b,c), a or !a is expected "
                f"at position {position}, found {text[position:]!r}"
            )
        found.append(_requirement(text, match))
        # Only a comma announces more, so a comma at the very end fails in the next round.
        if not match["end"]:
            return tuple(found)
        position = match.end()


def _requirement(text: str, match: re.Match[str]) -> Requirement:
    """Return what one match of the grammar means, with key and values checked. Raises ValueError."""
    if match["absent"] is not None:
        return Requirement(_key(text, match["absent"]), Operator.DOES_NOT_EXIST)
    key = _key(text, match["key"])
    if match["set"] is not None:
        if not match["members"].strip():
            raise ValueError(f"label selector {text!r}: {match['set']} needs at least one value")
        values = tuple(_value(text, member.strip()) for member in match["members"].split(","))
        return Requirement(key, Operator.IN if match["set"] == "in" else Operator.NOT_IN, values)
    if match["sign"] is not None:
        value = _value(text, match["value"])
        return Requirement(key, Operator.NOT_IN if match["sign"] == "!=" else Operator.IN, (value,))
    return Requirement(key, Operator.EXISTS)


def _key(text: str, key: str) -> str:
    """Return the label key, `name` or `prefix/name`, when it is one. Raises ValueError."""
    prefix, slash, name = key.rpartition("/")
    fits = len(name) <= _MAX_NAME and _NAME.fullmatch(name)
    if slash:
        fits = fits and len(prefix) <= _MAX_PREFIX and _PREFIX.fullmatch(prefix)
    if not fits:
        raise ValueError(f"label selector {text!r}: {key!r} is not a label key")
    return key


def _value(text: str, value: str) -> str:
    """Return the label value, which may be empty, when it is one. Raises ValueError."""
    if value and (len(value) > _MAX_NAME or not _NAME.fullmatch(value)):
        raise ValueError(f"label selector {text!r}: {value!r} is not a label value")
    return value
