"""Takes the objects of JSON apart as it is read: of a List, of an array, or one after another.

Nothing but the object that is being read is kept, so a text of any length can be read. `kubectl get -o json`
writes a List, `argo archive list -o json` an array, exports have an object on each line.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

_CHUNK: Final = 1 << 20
_LARGEST: Final = 64 << 20
"""Bytes of one object; etcd stores at most some megabytes."""
_TO_BRACKET: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])', re.DOTALL)
"""Everything up to the next bracket that is in no string."""
_OTHER: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[^\s,"\x1e\xef\xbb\xbf]++', re.DOTALL)
"""A value that is no object, between objects: separators, and marks of order and of sequences, are none."""
_ITEMS_KEY: Final = re.compile(rb'"items"\s*:\s*\Z')
_OPENING: Final = b"{["
_AT_TOP: Final = 0
_IN_ARRAY: Final = 1
_IN_LIST: Final = 2
_BEHIND_LIST: Final = -1
"""How deep the objects lie; behind the items of a List there are none up to its end."""


class TruncatedJson(Exception):  # noqa: N818 - it says what the text is
    """A text ends inside of an object; `at` is the byte where that begins."""

    def __init__(self, at: int) -> None:
        self.at = at
        super().__init__(at)

    def __str__(self) -> str:
        return f"it ends in the middle of an object that begins at byte {self.at}"


def json_objects(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the objects in what `read` returns, each as its bytes, and what stands in their places.

    A number or a word there is yielded as well, so that whoever decodes it can tell of it.

    Raises:
        TruncatedJson: the text ends inside of an object, or an object is larger than any can be.
    """
    return _Scanner(read).objects()


class _Scanner:
    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = b""
        self._at = 0
        self._start: int | None = None
        self._passed = 0
        self._depth = 0
        self._items_at = _AT_TOP

    def objects(self) -> Iterator[bytes]:
        while True:
            match = _TO_BRACKET.match(self._buffer, self._at)
            if match is None:
                if not self._more():
                    break
                continue
            before, self._at = self._at, match.end()
            yield from self._others(before, match.end() - 1)
            if match[1] in _OPENING:
                self._open(match[1], before)
                continue
            self._depth = max(0, self._depth - 1)
            if self._depth == self._items_at and self._start is not None:
                yield self._buffer[self._start : self._at]
                self._start = None
            elif self._depth == 0:
                self._items_at = _AT_TOP
            elif self._depth < self._items_at:
                self._items_at = _BEHIND_LIST
        yield from self._others(self._at, len(self._buffer))
        if self._depth:
            raise TruncatedJson(self._passed + (self._start or 0))

    def _open(self, bracket: bytes, before: int) -> None:
        if self._depth == self._items_at:
            if bracket == b"[" and self._depth == _AT_TOP:
                self._items_at = _IN_ARRAY
            else:
                self._start = self._at - 1
        elif self._depth == 1 and self._items_at == _AT_TOP and bracket == b"[" and self._is_items(before):
            self._items_at, self._start = _IN_LIST, None
        self._depth += 1

    def _others(self, begin: int, end: int) -> Iterator[bytes]:
        """Yield the values between two objects, or before the first and after the last."""
        if self._depth == self._items_at:
            for found in _OTHER.finditer(self._buffer, begin, end):
                yield found[0]

    def _is_items(self, before: int) -> bool:
        """Return whether the array that begins here is that of a List."""
        return _ITEMS_KEY.search(self._buffer, before, self._at - 1) is not None

    def _more(self) -> bool:
        """Read on, and drop what is not needed any more; return whether there was anything."""
        kept = self._at if self._start is None else self._start
        if len(self._buffer) - kept > _LARGEST:
            raise TruncatedJson(self._passed + kept)
        chunk = self._read(_CHUNK)
        if not chunk:
            return False
        self._buffer = self._buffer[kept:] + chunk
        self._passed += kept
        self._at -= kept
        self._start = None if self._start is None else 0
        return True
