"""What to write in place of a value of the wrong type: only what Argo accepts in that field.

A text shows what its author means in some fields alone: words of a command, names of tasks, a length of time
where Argo wants seconds. Where it does not, the form is told and no value.
"""

import json
import re
import shlex
from typing import Final

from policy.core.objects.json_patch import JsonValue

_SHOWN: Final = 60
"""Characters of a text that is repeated in a sentence."""
_SECONDS: Final = re.compile(r"seconds|.*Seconds|secondsAfter.*")
"""Fields that are a number of seconds."""
_LENGTH: Final = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,7})m)?(?:(\d{1,9})s)?", re.ASCII)
_UNITS: Final = (86_400, 3600, 60, 1)
_WHOLE: Final = re.compile(r"[+-]?\d{1,30}", re.ASCII)
_NAMES: Final = ("dependencies",)
"""Lists of names, which have neither blanks nor commas."""
_WORDS: Final = ("command",)
"""Lists of the words of one command line."""
_ONE_TEXT: Final = ("schedules",)
"""Lists of texts that have blanks themselves."""
_ANY_LIST: Final = 'a list, an entry for each of them, as ["a", "b"]'


def field_of(path: str) -> str:
    """Return the name of the field at the end of a path, without the number of an entry."""
    return re.sub(r"(?:\[\d+\])+\Z", "", path).rpartition(".")[2]


def list_of_strings(text: str, field: str) -> str:
    """Return the list to write in place of a text where Argo reads a list of strings."""
    found = _entries(text.strip(), field) if len(text) <= _SHOWN else None
    return json.dumps(found, ensure_ascii=False) if found else _ANY_LIST


def _entries(text: str, field: str) -> list[str] | None:
    """Return the strings that a text stands for, None where that is not certain."""
    if text.startswith("["):
        return _listed(text)
    if field in _ONE_TEXT or not re.search(r"[\s,]", text):
        return [text] if text else None
    if field in _NAMES:
        return [each for each in re.split(r"[\s,]+", text) if each]
    if field in _WORDS:
        try:
            return shlex.split(text)
        except ValueError:
            return None  # A quotation mark is open.
    return None


def _listed(text: str) -> list[str] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(each, str) for each in found) else None


def integer(value: JsonValue, field: str, bounds: tuple[int, int]) -> str:
    """Return what to write where Argo reads a whole number."""
    low, high = bounds
    seconds = _SECONDS.fullmatch(field) is not None
    number = "a number of seconds" if seconds else "a number"
    if not isinstance(value, str):
        return "a number without a fraction" if isinstance(value, float) else number
    text = value.strip()
    if _WHOLE.fullmatch(text):
        inside = low <= int(text) <= high
        return f"{int(text)}, without quotes" if inside else f"one from {low} to {high}"
    if "{{" in text:
        return f"{number}; nothing is filled in here"
    length = _seconds_in(text) if seconds else None
    if length is not None and low <= length <= high:
        return f"{length}, the number of seconds, without quotes"
    return number


def _seconds_in(text: str) -> int | None:
    """Return how long a text such as 1h30m is."""
    match = _LENGTH.fullmatch(text.replace(" ", "")) if text else None
    if match is None:
        return None
    return sum(int(count or 0) * unit for count, unit in zip(match.groups(), _UNITS, strict=True))


def quoted(value: bool | float, longest: int) -> str:  # noqa: FBT001 - a value of a manifest
    """Return what to write where Argo reads a string, of a number or a boolean.

    The number 1.10 is read as 1.1, and of a long one not all digits are shown: so only quotes are told.
    """
    if isinstance(value, float) or value.bit_length() > longest:
        return "it in quotes, as it stands there"
    return f'"{json.dumps(value)}"'
