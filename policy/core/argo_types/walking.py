"""The thorough answer: every place of an object that does not decode, in the order of the object.

Slow, and only asked for what the compiled decoders refuse. It keeps its own stack, because an object may be
nested deeper than Python calls.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from policy.core.argo_types import wording
from policy.core.argo_types.scalars import DECODES, whole
from policy.core.argo_types.table import STRICT, STRUCTS, Fields, ListType, MapType, Scalar, StructType, Type
from policy.core.patches import JsonObject, JsonValue

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


class _Path(msgspec.Struct, frozen=True):
    """Where a value stands; it is written out only where something is to be said of it."""

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


class _Place(msgspec.Struct, frozen=True):
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
    ) -> "_Place":
        """Return a place one step further down; what it is under, it stays under."""
        return _Place(value, wanted, _Path(self.path, step), loose or self.loose, aside or self.aside)


class Walk:
    """One walk through one object."""

    def __init__(self, kind: str, value: JsonValue) -> None:
        self._stack = [_Place(value, StructType(kind), None)]
        self._aside: list[Misfit] = []
        self._reread = False
        self._unknown = 0
        self.doubts: list[Doubt] = []

    def misfits(self) -> Iterator[Misfit]:
        """Yield what does not decode. `doubts` is complete afterwards."""
        while self._stack:
            place = self._stack.pop()
            if place.value is None:
                continue
            for found in self._look(place):
                if place.aside:
                    self._aside.append(found)
                else:
                    yield found
        if self._reread:
            yield from self._aside

    def _look(self, place: _Place) -> Iterator[Misfit]:
        value, wanted = place.value, place.wanted
        match wanted:
            case StructType(name) if isinstance(value, dict):
                yield from self._struct(value, name, place)
            case MapType(entry) if isinstance(value, dict):
                self._push([place.below(key, each, entry) for key, each in value.items()])
            case ListType(entry) if isinstance(value, list):
                self._push([place.below(index, each, entry) for index, each in enumerate(value)])
            case Scalar.ANY_STRING:
                self._any_string(place)
            case Scalar() if DECODES[wanted](value):
                return
            case _:
                yield Misfit(str(place.path), wording.kind(value, wanted), wording.misfit(value, wanted))

    def _struct(self, value: JsonObject, name: str, place: _Place) -> Iterator[Misfit]:
        fields, strict = STRUCTS[name], name in STRICT
        loose = place.loose or strict
        places = []
        for key, each in value.items():
            if key in fields:
                places.append(place.below(key, each, fields[key], loose=loose))
            elif strict:
                yield Misfit(str(_Path(place.path, key)), "unknown", wording.unknown_in_step(key, fields))
            else:
                same = _FOLDED[name].get(key.casefold())
                if same is not None:
                    places.append(place.below(key, each, fields[same], loose=loose, aside=not loose))
                self._doubt_unknown(key, fields, place)
        self._push(places)

    def _push(self, places: list[_Place]) -> None:
        self._stack.extend(reversed(places))

    def _any_string(self, place: _Place) -> None:
        """Take note of an integer, at which Argo reads the whole object anew, and of what it loses."""
        if isinstance(place.value, list | dict):
            self.doubts.append(Doubt(str(place.path), wording.lost(place.value)))
        elif not place.loose and not place.aside and whole(place.value) is not None:
            self._reread = True

    def _doubt_unknown(self, key: str, fields: Fields, place: _Place) -> None:
        if self._unknown < MAX_UNKNOWN:
            self._unknown += 1
            hint = wording.unknown(key, fields)
            if hint:
                self.doubts.append(Doubt(str(_Path(place.path, key)), hint))
