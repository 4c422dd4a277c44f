"""Answers of the Kubernetes API: bytes to objects, pages, watch events and errors."""

from typing import Any, Final, Generic, TypeVar

import msgspec

from policy.cluster.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from policy.cluster.protocol import EventType, Item_co, Selection, Shape, Unread, WatchEvent
from policy.cluster.shaped_reads import shaped
from policy.core.objects.json_patch import JsonObject

SUCCESSES: Final = range(200, 300)
_CLIENT_ERRORS: Final = range(400, 500)
_BY_CODE: Final[dict[int, type[ClusterError]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    410: Gone,
    429: TooManyRequests,
}
"""All other 4xx mean that the request itself is wrong; everything else, that the outcome is unknown."""
_LOGIN: Final = "the cluster does not know who asks: log in again, or correct the user of the context"
_EXCERPT: Final = 300
"""How much of an answer that is no Status is shown, in characters."""
_Wanted = TypeVar("_Wanted")


class Page(msgspec.Struct, Generic[Item_co], frozen=True):
    """One page of a list; `after` is the token for the next one, "" on the last."""

    items: tuple[Item_co, ...]
    resource_version: str
    after: str


class _ListMetadata(
    msgspec.Struct, frozen=True, rename={"resource_version": "resourceVersion", "after": "continue"}
):
    """The metadata of a list."""

    resource_version: str = ""
    after: str = ""


class _ListOf(msgspec.Struct, Generic[Item_co], frozen=True):
    """A list of objects. An empty one may be null."""

    metadata: _ListMetadata
    items: tuple[Item_co, ...] | None = None


class _MetadataOnly(msgspec.Struct, frozen=True):
    """An object of which only the metadata is read."""

    metadata: dict[str, Any]


class _WatchLine(msgspec.Struct, frozen=True):
    """One line of a watch; what the object is depends on the type."""

    type: str
    object: msgspec.Raw


class _EventMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that every event has."""

    resource_version: str


class _Bookmark(msgspec.Struct, frozen=True):
    """An object of which only the version is read."""

    metadata: _EventMetadata


class _ErrorStatus(msgspec.Struct, frozen=True):
    """The answer of the API when it refuses."""

    message: str = ""
    reason: str = ""
    code: int = 0


_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_OBJECT_LIST: Final = msgspec.json.Decoder(_ListOf[dict[str, Any]])
_RAW_LIST: Final = msgspec.json.Decoder(_ListOf[msgspec.Raw])
_METADATA_ONLY: Final = msgspec.json.Decoder(_MetadataOnly)
_METADATA_ONLY_LIST: Final = msgspec.json.Decoder(_ListOf[_MetadataOnly])
_WATCH_LINE: Final = msgspec.json.Decoder(_WatchLine)
_BOOKMARK: Final = msgspec.json.Decoder(_Bookmark)
_ERROR_STATUS: Final = msgspec.json.Decoder(_ErrorStatus)


def decoded_object(body: bytes) -> JsonObject:
    """Return the object that an answer is. Raises Unavailable when it is none."""
    return _decoded(body, _OBJECT)


def decoded_page(body: bytes, selection: Selection) -> Page[JsonObject]:
    """Return one page of a list. Raises Unavailable when the answer is none."""
    if selection.metadata_only:
        parts = _decoded(body, _METADATA_ONLY_LIST)
        items = tuple(_partial(item.metadata, selection) for item in parts.items or ())
        return Page(items, parts.metadata.resource_version, parts.metadata.after)
    whole = _decoded(body, _OBJECT_LIST)
    items = tuple(_named(item, selection) for item in whole.items or ())
    return Page(items, whole.metadata.resource_version, whole.metadata.after)


def decoded_event(line: bytes, selection: Selection) -> WatchEvent[JsonObject]:
    """Return the event that one line of a watch is.

    Raises:
        ClusterError: the line reports that the watch failed: Gone, or another error of its status.
        Unavailable: the line is no event.
    """
    kind, obj, version = _event(line)
    if selection.metadata_only:
        return WatchEvent(kind, _partial(_decoded(obj, _METADATA_ONLY).metadata, selection), version)
    return WatchEvent(kind, _named(_decoded(obj, _OBJECT), selection), version)


class PagesAs(Generic[Shape]):
    """Decodes the pages of one list in a shape, each at once: only the structs of the shape are created."""

    def __init__(self, shape: type[Shape]) -> None:
        self._shape = shape
        # A type of this list's own, not `_ListOf`: threads may not share what is not prepared.
        items = tuple[shape, ...] | None  # type: ignore[valid-type] # it is known at run time only
        page = msgspec.defstruct("PageAs", [("metadata", _ListMetadata), ("items", items, None)], frozen=True)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(page)

    def decoded(self, body: bytes) -> Page[Shape | Unread]:
        """Return one page. Raises Unavailable when the answer is none.

        Where one of the objects does not fit, each is decoded by itself.
        """
        try:
            page = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raw = _decoded(body, _RAW_LIST)
            items = tuple(shaped(item, self._shape) for item in raw.items or ())
            return Page(items, raw.metadata.resource_version, raw.metadata.after)
        return Page(page.items or (), page.metadata.resource_version, page.metadata.after)


def decoded_event_as(line: bytes, shape: type[Shape]) -> WatchEvent[Shape | Unread]:
    """Return the event that one line of a watch is, in a shape.

    Raises:
        ClusterError: the line reports that the watch failed.
        Unavailable: the line is no event.
    """
    kind, obj, version = _event(line)
    found = Unread() if kind is EventType.BOOKMARK else shaped(obj, shape)
    return WatchEvent(kind, found, version)


def failure(code: int, body: bytes) -> ClusterError:
    """Return the error that an answer with this HTTP status means."""
    try:
        status = _ERROR_STATUS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        status = _ErrorStatus(body[:_EXCERPT].decode(errors="replace"))
    message = f"{status.message or 'no reason given'} (HTTP {code})"
    if code == Unauthorized.code:
        return Unauthorized(f"{message}: {_LOGIN}")
    if status.reason == "AlreadyExists":
        return AlreadyExists(message)
    return _BY_CODE.get(code, Invalid if code in _CLIENT_ERRORS else Unavailable)(message)


def _event(line: bytes) -> tuple[EventType, msgspec.Raw, str]:
    """Return what one line of a watch has: the type, the object, and its version."""
    sent = _decoded(line, _WATCH_LINE)
    if sent.type == "ERROR":
        status = _decoded(sent.object, _ERROR_STATUS)
        raise failure(status.code, bytes(sent.object))
    try:
        kind = EventType(sent.type)
    except ValueError:
        raise Unavailable(f"the API server sent a watch event of an unknown type: {sent.type}") from None
    return kind, sent.object, _decoded(sent.object, _BOOKMARK).metadata.resource_version


def _named(item: dict[str, Any], selection: Selection) -> JsonObject:
    """Return the item with its kind: the built-in kinds leave that out in lists."""
    item.setdefault("apiVersion", selection.resource.api_version)
    item.setdefault("kind", selection.resource.kind)
    return item


def _partial(metadata: dict[str, Any], selection: Selection) -> JsonObject:
    """Return an object of its metadata alone; its kind is that of the resource, not PartialObjectMetadata."""
    return {
        "apiVersion": selection.resource.api_version,
        "kind": selection.resource.kind,
        "metadata": metadata,
    }


def _decoded(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[_Wanted]) -> _Wanted:
    """Decode an answer. Raises Unavailable when it is something else: a proxy in between, for instance."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unavailable(f"the API server answered something that cannot be read: {error}") from error
