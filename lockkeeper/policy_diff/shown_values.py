"""Values, sides and numbers in the words that all formats for people have."""

import json

from lockkeeper.policy_diff.differences import DecidedSide
from policy.core.objects.json_patch import JsonValue


def shown(value: JsonValue) -> str:
    """Return a value in one line."""
    if value is None:
        return "(absent)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def side_words(side: DecidedSide, what: str) -> list[str]:
    """Return one list of a side, each entry as a sentence."""
    if what == "reasons":
        return [f"{each.code}: {each}" for each in side.reasons]
    found: tuple[str, ...] = getattr(side, what)
    return list(found)


def count(number: int, what: str) -> str:
    """Return a number of objects."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
