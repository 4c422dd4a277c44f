"""Whether an object decodes, answered quickly by decoders that are compiled from the table at import.

Templates are decoded one by one, and those that decode are remembered: most Workflows repeat them. The
decoders never accept what Argo does not decode. They refuse a little more: fields that the table lacks, which
encoding/json may take for others, a time on the 29th of February, a whole number written 5.0. So
`decodability` checks again what they refuse.
"""

import keyword
import re
from collections.abc import Collection, Mapping
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Final, ForwardRef, Optional

import msgspec

from policy.core.argo_types.type_table import (
    BASE64,
    BOUNDS,
    KINDS,
    QUANTITY,
    STRUCTS,
    ListType,
    MapType,
    Scalar,
    StructType,
    Type,
)
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced

_RECURSIVE: Final = "Template"
"""The struct that contains itself, through `inline`."""
_TEMPLATES: Final = ListType(StructType(_RECURSIVE))
"""The templates of a spec, which are decoded one by one."""
_SPECS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "Workflow": (("spec",), ("status", "storedWorkflowTemplateSpec")),
    "WorkflowTemplate": (("spec",),),
    "ClusterWorkflowTemplate": (("spec",),),
    "CronWorkflow": (("spec", "workflowSpec"),),
}
"""Paths of the specs that have templates."""
_REMEMBERED: Final = 4_096
_LONGEST: Final = 4_096
"""The number of templates that are remembered, and the bytes of each: 16 MiB at most."""
_TIME: Final = (
    r"[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_ANY_QUANTITY: Final = re.compile(QUANTITY, re.ASCII)
_AMOUNTS: Final = (
    *range(65),
    *range(70, 1000, 10),
    *(2**power for power in range(7, 14)),
    *range(1000, 10_001, 500),
)
_UNITS: Final = ("", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti")


class _Quantity(Enum):
    """A quantity as an enumeration: the most frequent ones are members, others are matched by a pattern.

    A template has three or four of them, and a pattern for each costs as much as all of its other fields.
    """

    @classmethod
    def _missing_(cls, value: object) -> "_Quantity | None":
        return cls["OTHER"] if isinstance(value, str) and _ANY_QUANTITY.fullmatch(value) else None


def _quantity() -> Any:
    common = (f"{amount}{unit}" for amount in _AMOUNTS for unit in _UNITS)
    members = {"OTHER": "0.0", **{text: text for text in common}}
    return _Quantity("Quantity", members)  # type: ignore[call-arg]  # The functional form of an Enum.


def _matching(pattern: str) -> Any:
    return Annotated[str, msgspec.Meta(pattern=rf"\A(?:{pattern})\Z")]


def _integer(scalar: Scalar) -> Any:
    low, high = BOUNDS[scalar]
    return Annotated[int, msgspec.Meta(ge=low, le=min(high, BOUNDS[Scalar.INT64][1]))]


_SCALARS: Final[Mapping[Scalar, Any]] = {
    Scalar.STRING: str,
    Scalar.BOOL: bool,
    **{scalar: _integer(scalar) for scalar in BOUNDS},
    Scalar.BYTES: _matching(BASE64),
    Scalar.TIME: _matching(_TIME),
    Scalar.QUANTITY: _quantity() | int | float,
    Scalar.INT_OR_STRING: str | _integer(Scalar.INT32),
    Scalar.ANY_STRING: str | int | float | bool,
    Scalar.PLUGIN: Annotated[dict[str, msgspec.Raw], msgspec.Meta(min_length=1, max_length=1)],
}


def _optional(wanted: Any) -> Any:
    return Optional[wanted]  # noqa: UP045 - `| None` is no operation of a ForwardRef.


_STRUCTS: Final[dict[str, Any]] = {}
"""The msgspec struct of each struct of the table; complete after import."""


def _struct(name: str) -> Any:
    """Return the msgspec struct of a name; those that it contains are built first."""
    if name not in _STRUCTS:
        fields = [_field(field, wanted) for field, wanted in STRUCTS[name].items()]
        _STRUCTS[name] = msgspec.defstruct(
            name, fields, module=__name__, frozen=True, gc=False, forbid_unknown_fields=True
        )
    return _STRUCTS[name]


def _field(name: str, wanted: Type) -> tuple[str, Any, Any]:
    attribute = f"{name}_" if keyword.iskeyword(name) else name
    return attribute, _nullable(wanted), msgspec.field(name=name, default=None)


def _nullable(wanted: Type) -> Any:
    """Return what decodes a type; Go decodes null as the zero of every type."""
    match wanted:
        case Scalar.RAW:
            return msgspec.Raw
        case ListType() if wanted == _TEMPLATES:
            return _optional(list[msgspec.Raw])
        case ListType(entry):
            return _optional(list[_nullable(entry)])  # type: ignore[misc]  # A type that is computed.
        case MapType(entry):
            return _optional(dict[str, _nullable(entry)])  # type: ignore[misc]  # The same.
        case StructType(name):
            return _optional(ForwardRef(name) if name == _RECURSIVE else _struct(name))
        case Scalar():
            return _optional(_SCALARS[wanted])


Template: Final = _struct(_RECURSIVE)
"""Has this name in this module because msgspec looks up here the struct that contains itself."""
_TEMPLATE: Final = msgspec.json.Decoder(_optional(Template))
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_DECODERS: Final[Mapping[str, msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(_struct(kind)) for kind in sorted(KINDS)
}
"""A decoder for each kind of object, built at import: two threads must not prepare a struct at once."""


def decode(kind: str, raw: msgspec.Raw | bytes, budget: Budget = UNBOUNDED) -> None:
    """Decode an object to see whether it decodes.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it may not decode.
    """
    obj = _DECODERS[kind].decode(raw)
    for path in _SPECS[kind]:
        spec = obj
        for field in path:
            spec = getattr(spec, field, None)
        _decode_each(getattr(spec, "templates", None) or (), budget)


def decode_templates(text: bytes, budget: Budget = UNBOUNDED) -> None:
    """Decode a list of templates to see whether each decodes. Raises as `decode`."""
    _decode_each(_LIST.decode(text), budget)


def _decode_each(templates: Collection[msgspec.Raw], budget: Budget) -> None:
    for template in paced(templates, budget, Part.TYPES):
        content = bytes(template)
        if len(content) > _LONGEST:
            _TEMPLATE.decode(content)
        else:
            decode_template(content)


@lru_cache(maxsize=_REMEMBERED)  # A pure function of the bytes; what raises is not remembered.
def decode_template(template: bytes) -> None:
    """Decode a template that may be decoded again. Raises as `decode`."""
    _TEMPLATE.decode(template)
