"""What a `podSpecPatch` sets of what rules select by: images, the ServiceAccount, claims.

It is YAML or JSON in a string, and Argo merges it into the Pod after all else. Reading YAML as a whole takes
long and is no work for a review; so the fields are looked for as they are usually written, and a patch that
could say them in another way (aliases, escapes, block scalars) counts as one that was not read.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from policy.core.lock_model.parameters import BEGIN, replaced

_LONGEST_PATCH: Final = 10_000
"""Characters of a patch that is read."""
UNKNOWN: Final = "{{unknown}}"
"""Stands for a value that is known only at run time."""
_MARK: Final = "\x00"
_IMAGE: Final = "image"
_ACCOUNTS: Final = frozenset({"serviceaccountname", "serviceaccount"})
_CLAIM: Final = "claimname"
_FIELD: Final = re.compile(
    r"""(?:^|[\s,{])["']?(image|serviceAccountName|serviceAccount|claimName)["']?[ \t]*:\s*"""
    r"""("[^"\n]*"|'[^'\n]*'|[^\s,\]}"']*)""",
    re.IGNORECASE | re.MULTILINE,
)
_OTHER_WAYS: Final = re.compile(r"\\|(?:^|[\s,\[{:-])(?:[&*!][^\s&]|\?(?:\s|$))|<<", re.MULTILINE)
_ELSEWHERE: Final = frozenset({"|", ">", "#", ""})
"""What a field begins with whose value stands on other lines."""
_SCALAR: Final = re.compile(r":[ \t]+[^\x00\n]*\x00|[\"':]\x00")


class PodPatch(msgspec.Struct, frozen=True):
    """What a patch sets; `unread` where it may set more than that."""

    images: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    unread: bool = False


_NOTHING: Final = PodPatch()
_UNREAD: Final = PodPatch(unread=True)


def read_patch(text: str) -> PodPatch:
    """Return what a patch sets; its `{{tags}}` are those whose values nobody knows."""
    if len(text) > _LONGEST_PATCH:
        return _UNREAD
    if BEGIN in text:
        text = replaced(text, lambda _: _MARK)
        if any(_MARK in line and not _SCALAR.search(line) for line in text.splitlines()):
            return _UNREAD  # What comes there may be anything.
    if text.lstrip().startswith("{") and _MARK not in text:
        return _of_json(text)
    found = _gathered((each[1].casefold(), each[2].strip("\"'")) for each in _FIELD.finditer(text))
    said = (*found.images, *found.service_accounts, *found.claims)
    odd = _OTHER_WAYS.search(text) or any(each[:1] in _ELSEWHERE for each in said)
    return msgspec.structs.replace(found, unread=True) if odd else found


def _of_json(text: str) -> PodPatch:
    try:
        return _gathered(_fields(msgspec.json.decode(text)))
    except msgspec.DecodeError:
        return _NOTHING  # Argo cannot read it either, and starts no Pod.
    except RecursionError:
        return _UNREAD


def _fields(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the fields of a JSON value by name; Go reads them whatever their case."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, list):
            left += each
        elif isinstance(each, dict):
            left += each.values()
            yield from ((key.casefold(), text) for key, text in each.items() if isinstance(text, str))


def _gathered(fields: Iterator[tuple[str, str]]) -> PodPatch:
    images: list[str] = []
    accounts: list[str] = []
    claims: list[str] = []
    for key, value in fields:
        text = value.replace(_MARK, UNKNOWN)
        if key == _IMAGE:
            images.append(text)
        elif key in _ACCOUNTS:
            accounts.append(text)
        elif key == _CLAIM:
            claims.append(text)
    return PodPatch(tuple(images), tuple(accounts), tuple(claims))
