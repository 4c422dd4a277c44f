"""Lists in pages: all pages of a list show the objects as they were at its first (`limit` and `continue`)."""

import base64
from collections import OrderedDict
from threading import Lock
from typing import Final

import msgspec

from lockkeeper.kube_api.answers import RequestRefused
from policy.core.objects.json_patch import JsonObject

_MOST_LISTS: Final = 100
"""Lists that are kept for their next pages; an older one has to be listed again."""
_EXPIRED: Final = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new "
    "list without the continue parameter."
)


class ListPage(msgspec.Struct, frozen=True):
    """A page: its objects, the version of the list, how many come after it, and the token for them."""

    items: tuple[JsonObject, ...]
    version: str
    remaining: int = 0
    token: str = ""

    def metadata(self, *, counted: bool) -> JsonObject:
        """Return what the metadata of the list has besides its version; with selectors nothing is counted."""
        if not self.token:
            return {}
        return {"continue": self.token, **({"remainingItemCount": self.remaining} if counted else {})}


class _KeptList(msgspec.Struct, frozen=True):
    items: tuple[JsonObject, ...]
    version: str


class ListPages:
    """Keeps the lists of which a page is still to be fetched."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[int, _KeptList] = OrderedDict()
        self._next = 0

    def first(self, items: tuple[JsonObject, ...], version: str, limit: int | None) -> ListPage:
        """Return the first page of a list, all of it without a limit."""
        if not limit or limit < 0 or limit >= len(items):
            return ListPage(items, version)
        with self._lock:
            self._next += 1
            number = self._next
            self._kept[number] = _KeptList(items, version)
            if len(self._kept) > _MOST_LISTS:
                self._kept.popitem(last=False)
        return ListPage(items[:limit], version, len(items) - limit, _token(number, limit))

    def after(self, token: str, limit: int | None) -> ListPage:
        """Return the page that a token is for. Raises RequestRefused."""
        number, begin = _read(token)
        with self._lock:
            kept = self._kept.get(number)
        if kept is None:
            raise RequestRefused(410, _EXPIRED)
        end = begin + limit if limit and limit > 0 else len(kept.items)
        if end >= len(kept.items):
            return ListPage(kept.items[begin:], kept.version)
        return ListPage(kept.items[begin:end], kept.version, len(kept.items) - end, _token(number, end))


def _token(number: int, begin: int) -> str:
    return base64.urlsafe_b64encode(f"{number}:{begin}".encode()).decode()


def _read(token: str) -> tuple[int, int]:
    try:
        number, _, begin = base64.urlsafe_b64decode(token).decode().partition(":")
        return int(number), int(begin)
    except ValueError as error:
        text = f"invalid continue token: continue key is not valid: {error}"
        raise RequestRefused(400, text) from error
