"""What a review is made of, found by walking the types that decode it: new fields come by themselves."""

import types
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Final, TypeAlias, Union, get_args, get_origin

import msgspec

from policy.core.argo_types.type_table import STRUCTS
from policy.core.objects.workflow import Call, Template

Json: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]
KEY: Final = "some-key"
"""The one key of every map in the example."""
_TEXTS: Final = {
    bool: True,
    int: 3,
    str: "text",
    datetime: "2026-03-01T12:00:00Z",
    msgspec.Raw: None,
    Any: None,
}


class Node(msgspec.Struct, frozen=True):
    """A place in the example: its path, the JSON kind that is read there, and what it may be besides."""

    path: Path
    kind: str
    exact: bool
    nullable: bool

    @property
    def field(self) -> str:
        """The path as Kubernetes writes it, below the request's object."""
        parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path[2:])
        return "".join(parts).removeprefix(".")


def nodes(type_: Any, path: Path = (), depth: int = 0) -> Iterator[Node]:
    """Yield every place that decoding reads, the outer ones first; templates stand in each other once."""
    inner, nullable = _without_none(type_)
    kind, exact = _kind(inner)
    yield Node(path, kind, exact, nullable)
    for step, child in _children(inner):
        deeper = depth + (inner is Template)
        if deeper <= 2 or not _is_struct(child):
            yield from nodes(child, (*path, step), deeper)


def example(type_: Any, depth: int = 0) -> Any:
    """Return a JSON value that has every place of `nodes`, of the right kinds."""
    inner, _ = _without_none(type_)
    deeper = depth + (inner is Template)
    made = {
        step: example(child, deeper)
        for step, child in _children(inner)
        if deeper <= 2 or not _is_struct(child)
    }
    if get_origin(inner) is tuple:
        return list(made.values())
    if _is_struct(inner) or get_origin(inner) is dict:
        return made
    return next(iter(inner)).value if isinstance(inner, type) and issubclass(inner, Enum) else _TEXTS[inner]


def kind_of(value: object) -> str:  # noqa: PLR0911 - one line for each of seven kinds
    """Return the JSON kind of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "float"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def replaced(whole: Any, path: Path, value: object) -> Any:
    """Return a copy of a JSON value with another value at a path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(whole, list):
        assert isinstance(step, int)
        return [replaced(each, rest, value) if index == step else each for index, each in enumerate(whole)]
    assert step in whole, f"the example lacks {path}"
    return {**whole, step: replaced(whole[step], rest, value)}


def grown(whole: Any, path: Path, value: object) -> Any:
    """Return a copy of a JSON value with a value at a path that may be missing."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        first = whole[0] if isinstance(whole, list) else None
        return [grown(first, rest, value)]
    known = whole if isinstance(whole, dict) else {}
    return {**known, step: grown(known.get(step), rest, value)}


def _children(type_: Any) -> list[tuple[str | int, Any]]:
    if _is_struct(type_):
        fields = msgspec.structs.fields(type_)
        return [(field.encode_name, field.type) for field in fields if _is_argos(type_, field.encode_name)]
    if get_origin(type_) is tuple:
        return [(0, get_args(type_)[0])]
    if get_origin(type_) is dict:
        return [(KEY, get_args(type_)[1])]
    return []


def _is_argos(type_: Any, field: str) -> bool:
    """Tell whether any value that we read is right to Argo, too; tests of its types have the others."""
    if type_ is Call:  # A step and a task are one to us.
        return all(field in STRUCTS[name] for name in ("WorkflowStep", "DAGTask"))
    return (type_, field) != (Template, "plugin")


def _kind(type_: Any) -> tuple[str, bool]:
    """Return the JSON kind of a type and whether every value of that kind is right."""
    if _is_struct(type_) or get_origin(type_) is dict:
        return "object", True
    if get_origin(type_) is tuple:
        return "array", True
    if type_ in (msgspec.Raw, Any):
        return "any", True
    if type_ is datetime or (isinstance(type_, type) and issubclass(type_, Enum)):
        return "string", False
    if type_ is int:
        return "integer", False
    names: dict[Any, str] = {bool: "boolean", str: "string"}
    return names[type_], True


def _without_none(type_: Any) -> tuple[Any, bool]:
    """Return what a type is besides null and bounds, and whether null is right."""
    if get_origin(type_) is Annotated:
        return _without_none(get_args(type_)[0])
    if get_origin(type_) not in (Union, types.UnionType):
        return type_, False
    [inner] = [each for each in get_args(type_) if each is not types.NoneType]
    return _without_none(inner)[0], True


def _is_struct(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)
