"""Whether an object decodes into Argo's Go types: one Workflow that does not stops Argo's whole controller.

    decodes("Workflow", raw)     quick; almost free for an object that is right
    examine("Workflow", raw)     slow; everything that is wrong, with the fix

The compiled decoders give the quick answer. What they refuse, `_ObjectWalk` visits value by value, in the
order of the object, on its own stack: an object may be nested deeper than Python calls. A held Workflow that
does not decode may not be released: `mismatches_of` checks one that was decoded to values already.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import msgspec

from policy.core.argo_types import mismatch_messages
from policy.core.argo_types.compiled_decoders import decode, decode_templates
from policy.core.argo_types.lost_locks import (
    BLOCK,
    decides_a_lock,
    holds_block,
    lock_word,
    lost_lock,
    misplaced_namespace,
    read_in_other_case,
)
from policy.core.argo_types.misplaced_fields import Around, misplaced
from policy.core.argo_types.type_table import (
    DECODES,
    KINDS,
    STRICT,
    STRUCTS,
    ListType,
    MapType,
    Scalar,
    StructType,
    Type,
    whole,
)
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.shared_templates import SharedTemplates
from policy.core.values.budget import STEPS, UNBOUNDED, Budget, Part
from policy.core.values.problems import Problem

MAX_MISMATCHES: Final = 100
"""Mismatches that are looked for; a message shows ten."""
MAX_STORED: Final = 1_000
"""Mismatches of a stored object with which those of an edit are compared; more are not compared."""
MAX_UNKNOWN: Final = 20
"""Unknown fields of one object, of different names, for which a similar one is searched, which takes time."""
_FOLDED: Final = {name: {field.casefold(): field for field in fields} for name, fields in STRUCTS.items()}
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][\w-]*\Z", re.ASCII)
_NUMBER: Final = re.compile(r"\[[0-9]+\]")
_NULL: Final = msgspec.Raw(b"null")


class TypeMismatch(msgspec.Struct, frozen=True):
    """A value that does not decode: its field path, its type for which type, and a sentence with the fix."""

    path: str
    kind: str
    message: str


class DecodeReport(msgspec.Struct, frozen=True):
    """What is wrong with an object: what does not decode, which locks are dropped, and what else is lost."""

    mismatches: tuple[TypeMismatch, ...] = ()
    lost_locks: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


NOTHING_WRONG: Final = DecodeReport()


def decodes(kind: str, raw: msgspec.Raw | bytes, budget: Budget = UNBOUNDED) -> bool:
    """Return whether an object of one of KINDS decodes; False for some that do, which `examine` finds."""
    try:
        decode(kind, raw, budget)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def templates_decode(templates: SharedTemplates, budget: Budget = UNBOUNDED) -> bool:
    """Return whether shared templates decode, which is found out once; False for some that do."""
    return templates.once(templates_decode, lambda: _list_decodes(templates.text, budget))


def _list_decodes(text: bytes, budget: Budget) -> bool:
    try:
        decode_templates(text, budget)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def examine(
    kind: str,
    raw: msgspec.Raw | bytes,
    old: msgspec.Raw | bytes = _NULL,
    budget: Budget = UNBOUNDED,
) -> DecodeReport:
    """Return everything that is wrong with an object, apart from what was wrong with the `old` one already.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is not readable JSON.
        TimeSpentError: there is more of it than there is time for.
    """
    if kind not in KINDS or decodes(kind, raw, budget):
        return NOTHING_WRONG
    wanted, before = msgspec.json.decode(raw), msgspec.json.decode(old)
    budget.check(Part.TYPES)
    old_walk, walk = _ObjectWalk(kind, before, budget), _ObjectWalk(kind, wanted, budget)
    stored = frozenset((each.path, each.kind) for each in islice(old_walk.mismatches(), MAX_STORED))
    if len(stored) == MAX_STORED:
        return NOTHING_WRONG
    new = (each for each in walk.mismatches() if (each.path, each.kind) not in stored)
    mismatches = tuple(islice(new, MAX_MISMATCHES))
    known = frozenset(map(_anywhere, (*old_walk.warnings, *old_walk.lost_locks)))
    lost = tuple(each for each in walk.lost_locks if _anywhere(each) not in known)
    return DecodeReport(
        mismatches, lost, tuple(each for each in walk.warnings if _anywhere(each) not in known)
    )


def _anywhere(problem: Problem) -> str:
    """Return what a problem is, wherever in a list: a template that only moved brings nothing new."""
    return _NUMBER.sub("[]", f"{problem.path}: {problem.message}")


def report_of(kind: str, value: JsonValue) -> DecodeReport:
    """Return everything that is wrong with an object of one of KINDS that was decoded to values."""
    walk = _ObjectWalk(kind, value)
    mismatches = tuple(islice(walk.mismatches(), MAX_MISMATCHES))
    return DecodeReport(mismatches, tuple(walk.lost_locks), tuple(walk.warnings))


def mismatches_of(kind: str, value: JsonValue) -> tuple[TypeMismatch, ...]:
    """Return what does not decode in an object that was decoded to values; nothing for other kinds."""
    return tuple(islice(_ObjectWalk(kind, value).mismatches(), MAX_MISMATCHES)) if kind in KINDS else ()


def _written(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.match(step) else f"[{json.dumps(step, ensure_ascii=False)}]"


class _WalkedValue(msgspec.Struct, frozen=True, gc=False):
    """A value to check.

    `loose`: encoding/json always reads it, and ignores the case of field names. `aside`: it is below a field
    that the converter drops, and that encoding/json, if it reads the object, takes for a field of the table.
    """

    value: JsonValue
    wanted: Type
    above: "_WalkedValue | None" = None
    step: str | int = ""
    loose: bool = False
    aside: bool = False

    def below(
        self, step: str | int, value: JsonValue, wanted: Type, *, loose: bool = False, aside: bool = False
    ) -> "_WalkedValue":
        """Return a value one level below; `loose` and `aside` hold for all that is below."""
        return _WalkedValue(value, wanted, self, step, loose or self.loose, aside or self.aside)

    def path(self, *below: str) -> str:
        """Return the field path of the value, or of a field below it."""
        steps: list[str | int] = [*below]
        place = self
        while place.above is not None:
            steps.append(place.step)
            place = place.above
        return "".join(_written(step) for step in reversed(steps)).removeprefix(".")

    def structs(self) -> Iterator[tuple[str, Callable[[], str]]]:
        """Yield the structs from this one up, each with what returns its field path."""
        place: _WalkedValue | None = self
        while place is not None:
            if isinstance(place.wanted, StructType):
                yield place.wanted.name, place.path
            place = place.above

    def around(self) -> Iterator[Around]:
        """Yield the structs from this one up, as `structs`, each with its value."""
        place: _WalkedValue | None = self
        while place is not None:
            if isinstance(place.wanted, StructType) and isinstance(place.value, dict):
                yield place.wanted.name, place.value, place.path
            place = place.above


class _ObjectWalk:
    """One walk through one object, on a stack of its own."""

    def __init__(self, kind: str, value: JsonValue, budget: Budget = UNBOUNDED) -> None:
        self._budget = budget
        root = _WalkedValue(value, StructType(kind))
        self._left: list[Iterator[_WalkedValue | TypeMismatch]] = [iter([root])]
        self._aside: list[TypeMismatch] = []
        self._reread = False
        self._unknown: dict[tuple[str, str, bool], tuple[str, str]] = {}
        self.warnings: list[Problem] = []
        self.lost_locks: list[Problem] = []

    def mismatches(self) -> Iterator[TypeMismatch]:
        """Yield what does not decode; `warnings` is complete at the end."""
        steps = 0
        while self._left:
            steps += 1
            if not steps % STEPS:
                self._budget.check(Part.TYPES)
            found = next(self._left[-1], None)
            if found is None:
                self._left.pop()
            elif isinstance(found, TypeMismatch):
                yield found
            elif found.value is not None:
                mismatch = self._look(found)
                if mismatch is not None and found.aside:
                    self._aside.append(mismatch)
                elif mismatch is not None:
                    yield mismatch
        if self._reread:
            yield from self._aside

    def _look(self, place: _WalkedValue) -> TypeMismatch | None:
        """Return what is wrong with the value itself; what it contains is checked next."""
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
                path = place.path()
                kind, message = mismatch_messages.mismatch(value, wanted, path)
                return TypeMismatch(path, kind, message)
        return None

    def _fields(
        self, value: JsonObject, name: str, place: _WalkedValue
    ) -> Iterator[_WalkedValue | TypeMismatch]:
        fields, strict = STRUCTS[name], name in STRICT
        loose = place.loose or strict
        for key, each in value.items():
            if key in fields:
                yield place.below(key, each, fields[key], loose=loose)
            elif strict:
                message = mismatch_messages.unknown_in_step(key, fields)
                mismatch = TypeMismatch(place.path(key), "unknown", message)
                if place.aside:
                    self._aside.append(mismatch)
                else:
                    yield mismatch
            else:
                same = _FOLDED[name].get(key.casefold())
                self._unknown_field(key, each, name, place, read_as=same if loose else None)
                if same is not None:
                    yield place.below(key, each, fields[same], loose=loose, aside=not loose)

    def _any_string(self, place: _WalkedValue) -> None:
        """Warn of a list or map, which Argo loses; note an integer, for which it reads the object again."""
        if isinstance(place.value, list | dict):
            self._warn(place.path(), mismatch_messages.lost(place.value))
        elif not place.loose and not place.aside and whole(place.value) is not None:
            self._reread = True

    def _unknown_field(
        self, key: str, value: JsonValue, name: str, place: _WalkedValue, *, read_as: str | None
    ) -> None:
        """Note a field that is dropped; one that encoding/json takes for another (`read_as`) is none."""
        above = place.above.wanted if place.above is not None else None
        of_lock = decides_a_lock(name, above.name if isinstance(above, StructType) else "")
        if read_as is not None:
            if read_as == BLOCK or of_lock:
                self._warn(place.path(key), read_in_other_case(key, read_as))
            return
        like, hint = self._similar(key, name, of_lock=of_lock)
        lost = ""
        if len(self.lost_locks) < MAX_MISMATCHES:
            lost = lost_lock(key, value, place.structs(), like)
        if lost:
            below = (BLOCK, key) if holds_block(value) else (key,)
            self.lost_locks.append(Problem(place.path(*below), lost))
            return
        # Unknown names without end are not all looked for, here neither (`MAX_UNKNOWN`).
        if not of_lock and (name, key, of_lock) in self._unknown and len(self.warnings) < MAX_MISMATCHES:
            hint = misplaced(key, place.around()) or hint
        if hint:
            self._warn(place.path(key), hint)

    def _similar(self, key: str, name: str, *, of_lock: bool) -> tuple[str, str]:
        """Return the word for locks that an unknown field is like, and the sentence about it, if any."""
        known = self._unknown.get((name, key, of_lock))
        if known is None:
            if len(self._unknown) >= MAX_UNKNOWN:
                return "", ""
            hint = misplaced_namespace(key, name) if of_lock else ""
            hint = hint or mismatch_messages.unknown(key, STRUCTS[name], always=of_lock)
            known = self._unknown[name, key, of_lock] = lock_word(key), hint
        return known

    def _warn(self, path: str, message: str) -> None:
        if len(self.warnings) < MAX_MISMATCHES:
            self.warnings.append(Problem(path, message))
