"""The Go types of Argo and Kubernetes, parsed from the text of the two tables.

An entry names a struct and its fields, `Name = field field:type ...`; indented lines continue it. A field
without a type is a string. A type is a scalar, the name of a struct, `[type]` for a list or `{type}` for a
map from strings. `+Other` embeds the fields of a struct above it, as Go does.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from policy.core.argo_types.argo_table import ARGO, EARLIER
from policy.core.argo_types.kubernetes_table import KUBERNETES


class Scalar(StrEnum):
    """A type without fields; the values are the words of the table."""

    STRING = "string"
    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    UINT64 = "uint64"
    BYTES = "bytes"
    TIME = "time"
    QUANTITY = "quantity"
    INT_OR_STRING = "intstr"
    ANY_STRING = "any"
    PLUGIN = "plugin"
    RAW = "raw"


class StructType(msgspec.Struct, frozen=True):
    """A struct of the table, by name: a template contains templates."""

    name: str


class ListType(msgspec.Struct, frozen=True):
    """A list of values of one type."""

    entry: "Type"


class MapType(msgspec.Struct, frozen=True):
    """A map from strings to values of one type."""

    entry: "Type"


Type: TypeAlias = Scalar | StructType | ListType | MapType
Fields: TypeAlias = Mapping[str, Type]

KINDS: Final = frozenset({"Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate", "CronWorkflow"})
"""The kinds of object that are checked, each a struct of the table."""
STRICT: Final = frozenset({"WorkflowStep"})
"""Structs that do not decode with an unknown field: Argo reads steps by a decoder of its own.

That decoder is encoding/json, which also takes `Name` for `name`, in a step and in everything below it.
"""


def read(*texts: str) -> dict[str, dict[str, Type]]:
    """Return the structs that texts describe; a struct that several describe has the fields of all."""
    structs: dict[str, dict[str, Type]] = {}
    for name, words in _entries("\n".join(texts)):
        fields: dict[str, Type] = {}
        for word in words:
            field, _, written = word.partition(":")
            fields |= structs[field[1:]] if field[0] == "+" else {field: _type(written or Scalar.STRING)}
        structs.setdefault(name, {}).update(sorted(fields.items()))
    return structs


def _entries(text: str) -> Iterator[tuple[str, list[str]]]:
    for entry in text.replace("\n  ", " ").splitlines():
        name, sign, fields = entry.partition(" =")
        if sign:
            yield name, fields.split()


def _type(written: str) -> Type:
    if written.startswith("["):
        return ListType(_type(written[1:-1]))
    if written.startswith("{"):
        return MapType(_type(written[1:-1]))
    try:
        return Scalar(written)
    except ValueError:
        return StructType(written)


STRUCTS: Final[Mapping[str, Fields]] = read(KUBERNETES, ARGO, EARLIER)
