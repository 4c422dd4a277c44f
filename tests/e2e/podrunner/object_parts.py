"""What objects of every kind have, in the shape that the podrunner reads them."""

import msgspec


class Part(msgspec.Struct, frozen=True, rename="camel"):
    """Base of the structs here: immutable, camelCase on the wire."""


class Metadata(Part, frozen=True):
    """Who an object is; the deletion's grace period is in seconds."""

    name: str
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None


class FieldPath(Part, frozen=True):
    """A field of the Pod itself."""

    field_path: str
