"""Checks plain values against the policy structs and reports everything that does not fit, at once.

msgspec stops at its first error and names Python types; an author needs all errors, in YAML's words.
"""

import functools
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from msgspec import inspect

from policy.core.objects.workflow import Read
from policy.core.policy_kinds import kinds
from policy.core.values.budget import UNBOUNDED, Budget, Part, paced
from policy.core.values.problems import Problem, nearest
from policy.sources.yaml_positions import Json, child, item

T = TypeVar("T")

_OBJECT_META: Final = frozenset(
    {
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "ownerReferences",
        "selfLink",
    }
)
_STATUS: Final = frozenset({"status"})
_IGNORED_FIELDS: Final[Mapping[type, frozenset[str]]] = {
    kinds.PolicyMetadata: _OBJECT_META,
    kinds.WorkflowQuota: _STATUS,
    kinds.ClusterWorkflowQuota: _STATUS,
    kinds.SynchronizationPolicy: _STATUS,
    kinds.ClusterSynchronizationPolicy: _STATUS,
    kinds.ConfigMap: frozenset({"apiVersion", "kind", "binaryData", "immutable"}),
    kinds.NamespaceObject: frozenset({"apiVersion", "kind", "spec", "status"}),
}
"""Fields that a struct lacks because nothing reads them, and that Kubernetes may have put there."""

_SHOWN: Final = 60
_SCALARS: Final[Mapping[type[inspect.Type], tuple[str, tuple[type, ...]]]] = {
    inspect.StrType: ("a string", (str,)),
    inspect.IntType: ("an integer", (int,)),
    inspect.FloatType: ("a number", (int, float)),
    inspect.BoolType: ("a boolean", (bool,)),
    inspect.NoneType: ("null", (type(None),)),
}
_BOOLEAN_WORDS: Final = frozenset({"yes", "no", "on", "off", "y", "n", "true", "false"})


def walk(
    value: Json, expected: type, path: str = "", *, most: int | None = None, budget: Budget = UNBOUNDED
) -> list[Problem]:
    """Return everything about a value that does not fit a struct type, with field paths below `path`.

    Null for an optional field counts as absent. It stops after `most` problems. A value without
    problems can be given to `decode`.

    Raises:
        TypeError: the struct uses a type that no policy has used so far.
    """
    return list(itertools.islice(_check(value, _schema(expected), path, budget), most))


def decode(value: Json, expected: type[T]) -> T:
    """Return the struct for a value that `walk` found nothing wrong with.

    Raises:
        msgspec.ValidationError: the value does not fit; `walk` returns why.
    """
    return msgspec.convert(_without_nulls(value), expected)


@functools.cache  # A pure function of the type: every document needs it.
def _schema(expected: type) -> inspect.Type:
    return inspect.type_info(expected)


def _without_nulls(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _without_nulls(entry) for key, entry in value.items() if entry is not None}
    return [_without_nulls(entry) for entry in value] if isinstance(value, list) else value


def _check(value: Json, schema: inspect.Type, path: str, budget: Budget) -> Iterator[Problem]:
    match schema:
        case inspect.StructType():
            yield from _struct(value, schema, path, budget)
        case inspect.UnionType():
            yield from _union(value, schema, path, budget)
        case inspect.VarTupleType() | inspect.ListType():
            yield from _list(value, schema.item_type, path, budget)
        case inspect.DictType():
            yield from _map(value, schema.value_type, path, budget)
        case inspect.EnumType() | inspect.LiteralType():
            yield from _choice(value, _allowed(schema), path)
        case inspect.DateTimeType():
            yield from _date(value, path)
        case inspect.AnyType() | inspect.RawType():
            return
        case _:
            yield from _scalar(value, schema, path)


def _struct(value: Json, schema: inspect.StructType, path: str, budget: Budget) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _mismatch(value, "a map", path)
        return
    fields = {field.encode_name: field for field in schema.fields}
    for key, entry in paced(value.items(), budget, Part.READING):
        where = child(path, key)
        field = fields.get(key)
        if field is None:
            yield from _unknown(schema.cls, key, fields, where)
        elif entry is None and field.required:
            yield Problem(where, "is required, but null here")
        elif entry is not None:
            yield from _check(entry, field.type, where, budget)
    for name, field in fields.items():
        if field.required and name not in value:
            yield Problem(child(path, name), "is required, but missing")


def _unknown(cls: type, key: str, known: Mapping[str, object], path: str) -> Iterator[Problem]:
    # Argo's objects are Argo's to check: of them only a few fields are read.
    if issubclass(cls, Read) or key in _IGNORED_FIELDS.get(cls, ()):
        return
    yield Problem(path, f"unknown field{did_you_mean(key, known)}")


def _union(value: Json, schema: inspect.UnionType, path: str, budget: Budget) -> Iterator[Problem]:
    members = [member for member in schema.types if not isinstance(member, inspect.NoneType)]
    if value is None and len(members) < len(schema.types):
        return
    if len(members) == 1:
        yield from _check(value, members[0], path, budget)
    elif all(any(_check(value, member, path, budget)) for member in members):
        words = [word for member in members for word in _allowed(member)]
        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        yield _mismatch(value, " or ".join(map(_name, members)), path, hint)


def _list(value: Json, entry_type: inspect.Type, path: str, budget: Budget) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield _mismatch(value, "a list", path)
        return
    for index, entry in enumerate(paced(value, budget, Part.READING)):
        yield from _check(entry, entry_type, item(path, index), budget)


def _map(value: Json, entry_type: inspect.Type, path: str, budget: Budget) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _mismatch(value, "a map", path)
        return
    for key, entry in paced(value.items(), budget, Part.READING):
        yield from _check(entry, entry_type, child(path, key), budget)


def _choice(value: Json, allowed: Sequence[str], path: str) -> Iterator[Problem]:
    if value in allowed:
        return
    hint = did_you_mean(value, allowed) if isinstance(value, str) and len(allowed) > 1 else ""
    yield _mismatch(value, _alternatives(allowed), path, hint)


def _date(value: Json, path: str) -> Iterator[Problem]:
    try:
        msgspec.convert(value, datetime)
    except msgspec.ValidationError:
        yield _mismatch(value, "a date and time such as 2024-01-31T08:00:00Z", path)


def _scalar(value: Json, schema: inspect.Type, path: str) -> Iterator[Problem]:
    name, accepted = _SCALARS.get(type(schema), ("", ()))
    if not accepted:
        raise TypeError(f"the schema walker does not know {schema!r}, met at {path or 'the top'}")
    if type(value) not in accepted:
        yield _mismatch(value, name, path)
    elif isinstance(schema, inspect.IntType) and isinstance(value, int):
        yield from _bounds(value, schema, path)


def _bounds(value: int, schema: inspect.IntType, path: str) -> Iterator[Problem]:
    if schema.ge is not None and value < schema.ge:
        yield Problem(path, f"must be at least {schema.ge}; found {value}")
    if schema.le is not None and value > schema.le:
        yield Problem(path, f"must be at most {schema.le}; found {value}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?` for the nearest known word, or nothing where none is near."""
    plain = {_plain(candidate): candidate for candidate in known}
    found = nearest(_plain(word), plain)
    return f'; did you mean "{plain[found]}"?' if found else ""


def _plain(word: str) -> str:
    # max_tasks, MaxTasks and max-tasks all mean maxTasks.
    return word.replace("_", "").replace("-", "").casefold()


def _mismatch(value: Json, expected: str, path: str, hint: str = "") -> Problem:
    return Problem(path, f"must be {expected}; found {_found(value)}{hint or _advice(value, expected)}")


def _found(value: Json) -> str:
    """Return a value in YAML's words, short enough for one line."""
    if value is None:
        return "null"
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return f"the string {json.dumps(_shortened(value), ensure_ascii=False)}"
    if isinstance(value, bool | float):
        return f"the {'boolean' if isinstance(value, bool) else 'number'} {json.dumps(value)}"
    # Python refuses to print integers of several thousand digits.
    digits = str(value) if value.bit_length() < _SHOWN else "of many digits"
    return f"the integer {digits}"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _advice(value: Json, expected: str) -> str:
    """Return how to repair a value that quotes, or their absence, gave another type."""
    if isinstance(value, str):
        if "integer" in expected and value.lstrip("-").isdecimal():
            return ": write it without quotes"
        if "boolean" in expected and value.casefold() in _BOOLEAN_WORDS:
            return ": write true or false, without quotes"
    elif expected == "a string" and isinstance(value, int | float):
        return ": put it in quotes"
    return ""


def _allowed(schema: inspect.Type) -> list[str]:
    if isinstance(schema, inspect.EnumType):
        return [str(member.value) for member in schema.cls]
    return [str(value) for value in schema.values] if isinstance(schema, inspect.LiteralType) else []


def _alternatives(allowed: Sequence[str]) -> str:
    quoted = [f'"{word}"' for word in allowed]
    return quoted[0] if len(quoted) == 1 else f"one of {', '.join(quoted)}"


def _name(schema: inspect.Type) -> str:
    if words := _allowed(schema):
        return _alternatives(words)
    match schema:
        case inspect.StructType() | inspect.DictType():
            return "a map"
        case inspect.VarTupleType() | inspect.ListType():
            return "a list"
        case _:
            return _SCALARS.get(type(schema), ("something else", ()))[0]
