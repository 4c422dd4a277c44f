"""Which items the loop of a task or step runs over, as far as they are written down.

Argo takes `withItems`, else the JSON list in `withParam`, else `withSequence`; it gives each run the values
of `{{item}}` and, where the item is a map, of `{{item.key}}`. Items that only the run gives are unknown here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

import msgspec

from policy.core.lock_model.lock_names import parameterised
from policy.core.lock_model.parameters import ITEM, TagValues, fill_tags
from policy.core.objects.workflow import Call, NumberSequence

MAX_ITEMS: Final = 100
"""Items of one loop that are looked at one by one; the rest counts as known only at run time."""
_LONGEST: Final = 100_000
"""Characters of a `withParam` that is read."""
_LONGEST_VALUE: Final = 253
"""Characters of an item that may become a part of a name; a longer one is left unknown."""
_LONGEST_SHOWN: Final = 40
_PLAIN_NUMBERS: Final = 1e15
"""Below it, Go and Python write a number with a fraction alike, but for very small ones."""
_NO_VALUES: Final[TagValues] = {}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_FORMAT: Final = re.compile(
    r"(?P<before>(?:[^%\"\\\x00-\x1f]|%%)*)(?P<verb>%v|%[-+ 0]*[0-9]{0,2}(?:\.[0-9]{0,2})?[dxXo])"
    r"(?P<after>(?:[^%\"\\\x00-\x1f]|%%)*)",
    re.ASCII,
)
"""The formats of numbers that are the same in Go and in Python, with one number in them."""
_COMPARISON: Final = re.compile(
    r"\s*(?:(?P<a>[A-Za-z_]\w*)|'(?P<b>[^'\"\\{}]*)')\s*(?P<sign>==|!=)"
    r"\s*(?:(?P<c>[A-Za-z_]\w*)|'(?P<d>[^'\"\\{}]*)')\s*",
    re.ASCII,
)
"""A `when` that compares two words, with or without quotes."""
_ESCAPED: Final = re.compile(r"[\"\\<>&\x00-\x1f\u2028\u2029]")
"""Characters that Go writes otherwise in JSON than they are."""
_Items: TypeAlias = Sequence[Any] | Iterator[Any]


class LoopItem(msgspec.Struct, frozen=True):
    """One item of a loop: what Argo calls the run that has it, and the values of its tags that are known.

    With `skipped`, the `when` of the call is false for it, whatever else happens.
    """

    name: str
    values: TagValues
    skipped: bool = False


def loops(call: Call) -> bool:
    """Return whether Argo runs a task or step once for each of some items."""
    return bool(call.with_items or call.with_param) or call.with_sequence is not None


def may_have_no_items(call: Call, values: TagValues = _NO_VALUES) -> bool:
    """Return whether a call may run not at all, because it is a loop over what may be an empty list."""
    if call.with_items or not (call.with_param or call.with_sequence is not None):
        return False
    items = _written(call, values)
    return items is None or next(iter(items), None) is None


def items_of(call: Call, values: TagValues) -> Iterator[LoopItem] | None:
    """Return the first MAX_ITEMS items of a loop and one more if there are more; None where they are unknown.

    `values` are those of the tags in the template that makes the call.
    """
    items = _written(call, values)
    if items is None:
        return None
    return (
        _loop_item(f"{call.name or ''}({number}:{_shown(item)})", _values_of(item), call.when)
        for number, item in enumerate(islice(items, MAX_ITEMS + 1))
    )


def _loop_item(name: str, values: TagValues, when: str | None) -> LoopItem:
    """Return an item; its `when` is evaluated where it compares two words, as Argo does."""
    found = _COMPARISON.fullmatch(fill_tags(when, values)) if when and len(when) <= _LONGEST_VALUE else None
    if found is None:
        return LoopItem(name, values)
    same = (found["a"] or found["b"] or "") == (found["c"] or found["d"] or "")
    return LoopItem(name, values, skipped=same is not (found["sign"] == "=="))


def _written(call: Call, values: TagValues) -> _Items | None:
    """Return the items as they are written, or None where only the run gives them."""
    if call.with_items:
        listed = call.with_items if isinstance(call.with_items, list) else None
        return None if listed is None else (_filled(item, values) for item in listed)
    if call.with_param:
        return _in_text(call.with_param, values)
    return _in_sequence(call.with_sequence, values) if call.with_sequence is not None else None


def _filled(item: Any, values: TagValues) -> Any:
    """Return an item with the tags in its texts filled in."""
    if isinstance(item, str):
        return fill_tags(item, values)
    if isinstance(item, list):
        return [_filled(each, values) for each in item]
    if isinstance(item, dict):
        return {key: _filled(each, values) for key, each in item.items()}
    return item


def _in_text(text: str, values: TagValues) -> Sequence[Any] | None:
    if len(text) > _LONGEST:
        return None
    filled = fill_tags(text, values)
    if parameterised(filled):
        return None
    try:
        return msgspec.json.decode(filled, type=list[Any])
    except msgspec.MsgspecError:
        return None


def _in_sequence(sequence: NumberSequence, values: TagValues) -> Iterator[str] | None:
    """Return the numbers of a sequence as Argo counts them, down where the end comes before the start."""
    start = 0 if sequence.start is None else _integer(sequence.start, values)
    last = _integer(sequence.end if sequence.end is not None else sequence.count, values)
    found = _FORMAT.fullmatch(fill_tags(sequence.format or "%d", values)[:_LONGEST_VALUE])
    if start is None or last is None or found is None:
        return None
    if sequence.end is None:
        if last == 0:
            return iter(())
        last = start + last - 1
    numbers = range(start, last + 1) if start <= last else range(start, last - 1, -1)
    form = found["before"] + found["verb"].replace("v", "d") + found["after"]
    return (form % number for number in numbers)


def _integer(value: Any, values: TagValues) -> int | None:
    """Return a number that may be written as a text, as Go reads it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = fill_tags(value, values) if isinstance(value, str) else ""
    return int(text) if _INTEGER.fullmatch(text) else None


def _values_of(item: Any) -> TagValues:
    """Return the values of the tags of an item; what Argo writes in its own way is left unknown."""
    found = {ITEM: _text(item)}
    if isinstance(item, dict):
        found.update((f"{ITEM}.{key}", _inside(each)) for key, each in item.items())
    return {tag: text for tag, text in found.items() if text is not None and len(text) <= _LONGEST_VALUE}


def _text(item: Any) -> str | None:
    return _json(item) if isinstance(item, (list, dict)) or item is None else _scalar(item)


def _scalar(value: Any) -> str | None:
    """Return a text, a number or a boolean as the JSON of it reads in Go."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, float) and abs(value) < _PLAIN_NUMBERS:
        return str(int(value)) if value.is_integer() else str(value)
    return None


def _inside(value: Any) -> str | None:
    """Return a value of a map; Argo leaves texts in it as JSON has them."""
    text = _text(value)
    return None if text is None or (isinstance(value, str) and _ESCAPED.search(text)) else text


def _json(value: Any) -> str | None:
    """Return a list or map as Go writes it, None where there is what Go writes in its own way."""
    return msgspec.json.encode(value, order="deterministic").decode() if _plain(value) else None


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_plain, value)) and all(map(_plain, value.values()))
    if isinstance(value, list):
        return all(map(_plain, value))
    return not isinstance(value, float) and not (isinstance(value, str) and _ESCAPED.search(value))


def _shown(item: Any) -> str:
    """Return an item as it stands in the name of its run, shortened."""
    if isinstance(item, Mapping):
        text = ",".join(sorted(f"{key}:{_text(each)}" for key, each in item.items()))
    else:
        text = _text(item) or "..."
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
