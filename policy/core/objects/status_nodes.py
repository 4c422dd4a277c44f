"""The nodes of a status: the record of a run, from which Argo continues at a retry.

Argo stores them in the status, compressed if they are many, or in its database. A record in the database
cannot be compared here, nor one that is not compressed with gzip (the default), nor one that is longer than
`LONGEST` or has more than `MOST_OBJECTS`.
"""

import binascii
import zlib
from collections.abc import Mapping
from typing import Final

import msgspec

from policy.core.objects.semantic_equality import Parts, canonical, changed, value_of
from policy.core.values.budget import STEPS, UNBOUNDED, Budget, Part

NODES: Final = "nodes"
_COMPRESSED: Final = "compressedNodes"
OFFLOADED: Final = "offloadNodeStatusVersion"
PLACES: Final = frozenset({NODES, _COMPRESSED, OFFLOADED})
LONGEST: Final = 16 << 20
"""Bytes of a record that is read; Argo compresses what is longer than 1 MiB to less than that."""
MOST_OBJECTS: Final = 300_000
"""JSON objects in a record that is read; Argo writes some for each node, of hundreds of bytes."""
MOST_REWRITTEN: Final = 1 << 20
"""Bytes of parts that are decoded to be compared, because they may mean the same in another form."""
_GZIP: Final = 16 + zlib.MAX_WBITS
_RESET: Final = frozenset({"phase", "message", "startedAt", "finishedAt"})
"""Parts that a retry resets on the nodes that remain (`resetNode`, workflow/util/util.go)."""
_THINNED: Final = ("children", "outboundNodes")
"""Lists from which a retry takes the nodes that it removes."""
_SUSPEND: Final = b'"Suspend"'
_RUNNING: Final = b'"Running"'
Nodes = Mapping[str, Parts]
_DECODER: Final = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]] | None)
_TEXT: Final = msgspec.json.Decoder(str | None)
_NAMES: Final = msgspec.json.Decoder(list[str] | None)


class _BytesLeft(msgspec.Struct):
    """The bytes that may still be decoded."""

    left: int = MOST_REWRITTEN


def is_offloaded(status: Parts) -> bool:
    """Return whether the nodes are in Argo's database."""
    return _text(status.get(OFFLOADED)) != ""


def nodes_in(status: Parts) -> Nodes | None:
    """Return the nodes of a status, None if they cannot be read here."""
    if is_offloaded(status):
        return None
    try:
        nodes = decoded(status.get(NODES))
        packed = "" if nodes else _text(status.get(_COMPRESSED))  # Argo reads them in this order.
        return nodes if not packed else _unpacked(packed)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, zlib.error, ValueError):
        return None


def decoded(raw: msgspec.Raw | None) -> Nodes:
    """Return nodes by their ids.

    Raises:
        msgspec.ValidationError: they do not decode.
    """
    return (_DECODER.decode(raw) if raw is not None else None) or {}


def not_reset(before: Nodes, after: Nodes, budget: Budget = UNBOUNDED) -> str | None:
    """Return the id of a node that no retry would leave in this state, None if there is none.

    A retry removes nodes, and resets others to run again; it clears the input of a suspended step.
    """
    bound = _BytesLeft()
    for number, (name, node) in enumerate(after.items()):
        if not number % STEPS:
            budget.check(Part.COMPARING)
        old = before.get(name)
        if old is None:
            return name
        if node != old and not _is_reset(old, node, bound, budget):
            return name
    return None


def _is_reset(old: Parts, new: Parts, bound: _BytesLeft, budget: Budget) -> bool:
    if not _same(old.get("phase"), new.get("phase")) and bytes(new.get("phase", b"")) != _RUNNING:
        return False
    free = {*_RESET, "outputs"} if bytes(old.get("type", b"")) == _SUSPEND else _RESET
    for part in (old.keys() | new.keys()) - free:
        before, after = old.get(part), new.get(part)
        if _same(before, after):
            continue
        bound.left -= len(bytes(before or b"")) + len(bytes(after or b""))
        if bound.left < 0:
            return False
        if part in _THINNED:
            if not set(_names(after)) <= set(_names(before)):
                return False
        elif changed({part: before or _NULL}, {part: after or _NULL}, budget):
            return False
    return True


_NULL: Final = msgspec.Raw(b"null")


def _same(one: msgspec.Raw | None, other: msgspec.Raw | None) -> bool:
    return bytes(one or b"") == bytes(other or b"")


def _names(raw: msgspec.Raw | None) -> list[str]:
    try:
        return (_NAMES.decode(raw) if raw is not None else None) or []
    except msgspec.ValidationError:
        return [str(canonical(value_of(raw or _NULL)))]


def _text(raw: msgspec.Raw | None) -> str:
    """Return a text; for another type its bytes, so that only an absent or empty value is empty."""
    try:
        return (_TEXT.decode(raw) if raw is not None else None) or ""
    except msgspec.ValidationError:
        return bytes(raw or b"").decode()


def _unpacked(packed: str) -> Nodes | None:
    reader = zlib.decompressobj(_GZIP)
    text = reader.decompress(binascii.a2b_base64(packed, strict_mode=True), LONGEST)
    if not reader.eof or reader.unused_data or text.count(b"{") > MOST_OBJECTS:
        return None
    return decoded(msgspec.Raw(text))
