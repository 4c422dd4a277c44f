"""The thorough answer: every place of an object that does not decode, in the order of the object.

Slow, and only used for what the compiled decoders refuse. It keeps its own stack, because an object may be
nested deeper than Python calls.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from policy.core.argo_types import misfit_messages
from policy.core.argo_types.scalars import DECODES, whole
from policy.core.argo_types.type_table import (
    STRICT,
    STRUCTS,
    Fields,
    ListType,
    MapType,
    Scalar,
    StructType,
    Type,
)
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.values.budget import STEPS, UNBOUNDED, Budget, Part

MAX_UNKNOWN: Final = 20
"""Unknown fields of one object for which a similar one is looked for, which takes time."""
_FOLDED: Final = {name: {field.casefold(): field for field in fields} for name, fields in STRUCTS.items()}
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][\w-]*\Z", re.ASCII)


class Misfit(msgspec.Struct, frozen=True):
    """One place that does not decode: its field path, what it is for what, and the sentence with the fix."""

    path: str
    kind: str
    message: str


class Doubt(msgspec.Struct, frozen=True):
    """One place that decodes, but hardly as its author thinks."""

    path: str
    message: str


class _Path(msgspec.Struct, frozen=True, gc=False):
    """The path of a value; it is written out only where something is to be reported of it."""

    above: "_Path | None"
    step: str | int

    def __str__(self) -> str:
        steps = []
        place: _Path | None = self
        while place is not None:
            steps.append(place.step)
            place = place.above
        return "".join(_written(step) for step in reversed(steps)).removeprefix(".")


def _written(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.match(step) else f"[{json.dumps(step, ensure_ascii=False)}]"


class _WalkedValue(msgspec.Struct, frozen=True, gc=False):
    """A value to look at.

    `loose`: encoding/json reads it in any case, and takes a field whatever its case. `aside`: under a field
    that the converter drops, and that encoding/json takes for one of the table if it gets to read it.
    """

    value: JsonValue
    wanted: Type
    path: _Path | None
    loose: bool = False
    aside: bool = False

    def below(
        self, step: str | int, value: JsonValue, wanted: Type, *, loose: bool = False, aside: bool = False
    ) -> "_WalkedValue":
        """Return a place one step further down; what it is under, it stays under."""
        return _WalkedValue(value, wanted, _Path(self.path, step), loose or self.loose, aside or self.aside)


class ObjectWalk:
    """One walk through one object."""

    def __init__(self, kind: str, value: JsonValue, budget: Budget = UNBOUNDED) -> None:
        self._budget = budget
        self._left: list[Iterator[_WalkedValue | Misfit]] = [
            iter([_WalkedValue(value, StructType(kind), None)])
        ]
        self._aside: list[Misfit] = []
        self._reread = False
        self._unknown = 0
        self.doubts: list[Doubt] = []

    def misfits(self) -> Iterator[Misfit]:
        """Yield what does not decode. `doubts` is complete afterwards."""
        steps = 0
        while self._left:
            steps += 1
            if not steps % STEPS:
                self._budget.check(Part.TYPES)
            found = next(self._left[-1], None)
            if found is None:
                self._left.pop()
            elif isinstance(found, Misfit):
                yield found
            elif found.value is not None:
                misfit = self._look(found)
                if misfit is not None and found.aside:
                    self._aside.append(misfit)
                elif misfit is not None:
                    yield misfit
        if self._reread:
            yield from self._aside

    def _look(self, place: _WalkedValue) -> Misfit | None:
        """Return what is wrong with the value itself, and put what it contains next."""
        value, wanted = place.value, place.wanted
        match wanted:
            case StructType(name) if isinstance(value, dict):
                self._left.append(self._fields(value, name, place))
            case MapType(entry) if isinstance(value, dict):
                self._left.append(place.below(key, each, entry) for key, each in value.items())
            case ListType(entry) if isinstance(value, list):
                self._left.append(place.below(index, each, entry) for index, each in enumerate(value))
            case Scalar.ANY_STRING:
                self._any_string(place)
            case Scalar() if DECODES[wanted](value):
                return None
            case _:
                return Misfit(
                    str(place.path or ""),
                    misfit_messages.kind(value, wanted),
                    misfit_messages.misfit(value, wanted),
                )
        return None

    def _fields(self, value: JsonObject, name: str, place: _WalkedValue) -> Iterator[_WalkedValue | Misfit]:
        fields, strict = STRUCTS[name], name in STRICT
        loose = place.loose or strict
        for key, each in value.items():
            if key in fields:
                yield place.below(key, each, fields[key], loose=loose)
            elif strict:
                misfit = Misfit(
                    str(_Path(place.path, key)), "unknown", misfit_messages.unknown_in_step(key, fields)
                )
                if place.aside:
                    self._aside.append(misfit)
                else:
                    yield misfit
            else:
                self._doubt_unknown(key, fields, place)
                same = _FOLDED[name].get(key.casefold())
                if same is not None:
                    yield place.below(key, each, fields[same], loose=loose, aside=not loose)

    def _any_string(self, place: _WalkedValue) -> None:
        """Take note of an integer, at which Argo reads the whole object again, and of what it loses."""
        if isinstance(place.value, list | dict):
            self.doubts.append(Doubt(str(place.path or ""), misfit_messages.lost(place.value)))
        elif not place.loose and not place.aside and whole(place.value) is not None:
            self._reread = True

    def _doubt_unknown(self, key: str, fields: Fields, place: _WalkedValue) -> None:
        if self._unknown < MAX_UNKNOWN:
            self._unknown += 1
            hint = misfit_messages.unknown(key, fields)
            if hint:
                self.doubts.append(Doubt(str(_Path(place.path, key)), hint))
