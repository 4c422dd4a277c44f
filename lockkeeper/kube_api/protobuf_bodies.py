"""Reads bodies in protobuf: `kubectl create namespace` and the like send nothing else.

The messages are those of Kubernetes (k8s.io/api, generated.proto): four bytes, then one that carries the
type and the object. Known are the few kinds that kubectl makes from its arguments and that are served here;
anything else is refused, so that no field is lost.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import msgspec

from lockkeeper.kube_api.answers import RequestRefused
from lockkeeper.kube_api.requests import ApiRequest
from policy.core.objects.json_patch import JsonObject, JsonValue

PROTOBUF: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\x00"
_REFUSED: Final = "lockkeeper run cannot read this body: use a file instead, as in kubectl create -f FILE"
_VARINT, _BYTES = 0, 2
_MORE: Final = 0x80
_MOST_BITS: Final = 64


class _WireField(msgspec.Struct, frozen=True):
    """A field of a message: its name, and how its value is read."""

    name: str
    type: str = "text"
    message: Mapping[int, "_WireField"] | None = None
    repeated: bool = False


_Message: TypeAlias = Mapping[int, _WireField]
_OWNER: Final[_Message] = {
    1: _WireField("kind"),
    3: _WireField("name"),
    4: _WireField("uid"),
    5: _WireField("apiVersion"),
    6: _WireField("controller", "bool"),
    7: _WireField("blockOwnerDeletion", "bool"),
}
_METADATA: Final[_Message] = {
    1: _WireField("name"),
    2: _WireField("generateName"),
    3: _WireField("namespace"),
    5: _WireField("uid"),
    6: _WireField("resourceVersion"),
    11: _WireField("labels", "map"),
    12: _WireField("annotations", "map"),
    13: _WireField("ownerReferences", message=_OWNER, repeated=True),
    14: _WireField("finalizers", repeated=True),
}
_TYPE: Final[_Message] = {1: _WireField("apiVersion"), 2: _WireField("kind")}
_ENVELOPE: Final[_Message] = {1: _WireField("type", message=_TYPE), 2: _WireField("raw", "bytes")}
_ATTRIBUTES: Final[_Message] = {
    1: _WireField("namespace"),
    2: _WireField("verb"),
    3: _WireField("group"),
    4: _WireField("version"),
    5: _WireField("resource"),
    6: _WireField("subresource"),
    7: _WireField("name"),
}
_PATHS: Final[_Message] = {1: _WireField("path"), 2: _WireField("verb")}
_MAY: Final[_Message] = {
    1: _WireField("resourceAttributes", message=_ATTRIBUTES),
    2: _WireField("nonResourceAttributes", message=_PATHS),
}
_KINDS: Final[Mapping[str, _Message]] = {
    "Namespace": {1: _WireField("metadata", message=_METADATA)},
    "ConfigMap": {
        1: _WireField("metadata", message=_METADATA),
        2: _WireField("data", "map"),
        3: _WireField("binaryData", "bytes map"),
        4: _WireField("immutable", "bool"),
    },
    "SelfSubjectAccessReview": {
        1: _WireField("metadata", message=_METADATA),
        2: _WireField("spec", message=_MAY),
    },
}


def in_json(request: ApiRequest) -> ApiRequest:
    """Return a request with its body in JSON, where it is in protobuf. Raises RequestRefused."""
    if not request.content_type.startswith(PROTOBUF) or not request.body.startswith(_MAGIC):
        return request
    try:
        envelope = _read(request.body.removeprefix(_MAGIC), _ENVELOPE)
        identity, raw = envelope.get("type"), str(envelope.get("raw") or "")
        named = identity if isinstance(identity, dict) else {}
        obj = _read(base64.b64decode(raw), _KINDS[str(named.get("kind"))])
    except (LookupError, ValueError):
        raise RequestRefused(415, _REFUSED) from None
    body = msgspec.json.encode({**named, **obj})
    return msgspec.structs.replace(request, body=body, content_type="application/json")


def _read(data: bytes, message: _Message) -> JsonObject:
    """Return a message as JSON; fields that are not known and have no content are left out.

    Raises:
        LookupError: there is a field that is not known, or the end is missing.
        ValueError: something in it is no value of its kind.
    """
    found: JsonObject = {}
    for number, value in _fields(data):
        field = message.get(number)
        if field is None:
            if not _is_empty(value):
                raise LookupError(number)
            continue
        read = _value(value, field)
        before = found.get(field.name)
        if isinstance(before, dict) and isinstance(read, dict):
            read = {**before, **read}
        elif field.repeated:
            read = [*(before if isinstance(before, list) else []), read]
        if read not in ("", {}):
            found[field.name] = read
    return found


def _is_empty(value: bytes | int) -> bool:
    """Tell whether a value has no content: as kubectl sends the parts of an object that it does not set."""
    if isinstance(value, int) or not value:
        return not value
    try:
        return all(_is_empty(each) for _, each in _fields(value))
    except (LookupError, ValueError):
        return False


def _value(value: bytes | int, field: _WireField) -> JsonValue:
    if field.type == "bool":
        return bool(value)
    if not isinstance(value, bytes):
        raise LookupError(field.name)  # noqa: TRY004 - what was sent is wrong, and not the call
    if field.message is not None:
        return _read(value, field.message)
    if field.type.endswith("map"):
        entry = _read(
            value,
            {1: _WireField("key"), 2: _WireField("value", "bytes" if "bytes" in field.type else "text")},
        )
        return {str(entry.get("key", "")): entry.get("value", "")}
    return base64.b64encode(value).decode() if field.type == "bytes" else value.decode()


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Yield the fields of a message, each with its number."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        value, position = _varint(data, position)
        if kind == _VARINT:
            yield number, value
        elif kind == _BYTES:
            end = position + value
            if end > len(data):
                raise LookupError(number)
            yield number, data[position:end]
            position = end
        else:
            raise ValueError(kind)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, and where it ends."""
    value = shift = 0
    while shift < _MOST_BITS:
        byte = data[position]
        position += 1
        value |= (byte & (_MORE - 1)) << shift
        if byte < _MORE:
            return value, position
        shift += 7
    raise ValueError(position)
