"""Objects of a cluster decoded into narrow structs, straight from their bytes."""

import msgspec

from policy.cluster.protocol import Shape, Unread
from policy.core.prepared import prepare


class Named(msgspec.Struct, frozen=True):
    """The metadata that says which object it is."""

    namespace: str = ""
    name: str = ""


class Object(msgspec.Struct, frozen=True):
    """An object of which only that is read."""

    metadata: Named = Named()


prepare(Object)


def shaped(raw: bytes | msgspec.Raw, shape: type[Shape]) -> Shape | Unread:
    """Return an object in a shape, or which object it is that does not fit.

    Raises:
        msgspec.DecodeError: it is no JSON object at all.
    """
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError:
        known = msgspec.json.decode(raw, type=Object).metadata
        return Unread(known.namespace, known.name)
