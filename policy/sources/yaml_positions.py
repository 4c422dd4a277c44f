"""YAML (and JSON) text as plain values, with the line and column of every field.

Scalars have the meaning that kubectl gives them in its conversion to JSON: dates stay strings, and the only
booleans are true and false. YAML 1.1's yes, no, on and off stay strings: a schema then requires the
plain word, where guessing would turn the label `no` into `false`.
"""

import json
import math
import re
from contextlib import suppress
from typing import Final, TypeAlias

import msgspec
import yaml

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML built without libyaml reads the same, ten times slower.
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

MAX_DEPTH: Final = 100
"""Nesting that no policy needs; libyaml's composer overflows the C stack at some ten thousand levels."""
_MAX_DIGITS: Final = 1000
"""Digits of an integer; Python refuses to print, and so to report, one of several thousand."""
_MAX_COPIES: Final = 100_000
"""Nodes that aliases may add to one document; ten lines of aliases can mean billions of nodes."""

_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = {
    "null": r"(?:~|null|Null|NULL|)",
    "bool": r"(?:true|True|TRUE|false|False|FALSE)",
    "int": r"[-+]?(?:0b[01][01_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|0o?[0-7][0-7_]*|0|[1-9][0-9_]*)",
    "float": r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*|(?=[eE])))(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "merge": r"<<",
}
_PATTERNS: Final = {name: re.compile(f"(?:{pattern})\\Z", re.ASCII) for name, pattern in _SCALARS.items()}
_STRINGS: Final = frozenset({f"{_TAG}str", f"{_TAG}timestamp", "!"})
_KINDS: Final = {
    "null": "null",
    "bool": "a boolean",
    "int": "an integer",
    "float": "a number",
    "map": "a map",
    "seq": "a list",
}
_LEADING_ZERO: Final = re.compile(r"[-+]?0[0-7]+\Z", re.ASCII)
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_LAST_STEP: Final = re.compile(r'(?:\.?[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]+\]|\["(?:[^"\\]|\\.)*"\])\Z')
_SURROGATES: Final = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE
)


class TextPlace(msgspec.Struct, frozen=True):
    """A place in a text; both numbers count from 1."""

    line: int
    column: int


class Fault(msgspec.Struct, frozen=True):
    """Something in the text that has no value: where it is, the field path as far as known, a sentence.

    A `repeated` key has one, the last; kubectl takes it where it is not strict.
    """

    mark: TextPlace
    path: str
    message: str
    repeated: bool = False


class ParsedDocument(msgspec.Struct, frozen=True):
    """One document: its value, the place of each field path, and what could not be read (null instead)."""

    value: Json
    marks: dict[str, TextPlace]
    faults: tuple[Fault, ...] = ()

    def locate(self, path: str) -> TextPlace:
        """Return the place of a field, or of the nearest field around it where it is missing."""
        while path and path not in self.marks:
            step = _LAST_STEP.search(path)
            path = path[: step.start()] if step else ""
        return self.marks.get(path, TextPlace(1, 1))


class ParsedText(msgspec.Struct, frozen=True):
    """The documents of a text up to its first syntax error, and that error."""

    documents: tuple[ParsedDocument, ...] = ()
    fault: Fault | None = None


def child(path: str, key: str) -> str:
    """Return the path of a map's entry: `spec.limits`, or `labels["app.kubernetes.io/name"]`."""
    if not _PLAIN_KEY.match(key):
        return f"{path}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{path}.{key}" if path else key


def item(path: str, index: int) -> str:
    """Return the path of a list's item: `spec.inject[0]`."""
    return f"{path}[{index}]"


def parse(content: bytes) -> ParsedText:
    """Return every document of a YAML or JSON text with the places of its fields; never raises."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return ParsedText(
            (), Fault(_mark_at(content[: error.start].decode("utf-8-sig")), "", "is not UTF-8 text")
        )
    if text.lstrip()[:1] in ("{", "["):
        text = _SURROGATES.sub(_joined, text)
    documents: list[ParsedDocument] = []
    # A text that is not YAML stops the composer at the same place, which describes it better.
    with suppress(yaml.YAMLError):
        too_deep = _too_deep(text)
        if too_deep is not None:
            return ParsedText((), too_deep)
    try:
        # One document after the other, so that those before a syntax error are returned.
        documents.extend(
            _Builder().document(root) for root in yaml.compose_all(text, Loader=_KubernetesLoader)
        )
    except yaml.YAMLError as error:
        return ParsedText(tuple(documents), _syntax_fault(error, text))
    return ParsedText(tuple(documents))


class _KubernetesLoader(_SafeLoader):
    """The safe loader with go-yaml's rules for which plain scalars are not strings."""

    # The key None means any first character.
    yaml_implicit_resolvers = {None: [(_TAG + name, regex) for name, regex in _PATTERNS.items()]}  # noqa: RUF012


class _Unbuildable(Exception):  # noqa: N818 - it never leaves this module
    """A node without a value; the fault has the reason."""

    def __init__(self, node: yaml.Node, path: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(_mark(node), path, message)


class _TooManyCopies(_Unbuildable):
    """Aliases add more nodes than a document may have; nothing more of it is built."""


class _Builder:
    """Builds one document's value from its nodes, noting places and faults on the way."""

    def __init__(self) -> None:
        self._marks: dict[str, TextPlace] = {}
        self._faults: list[Fault] = []
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._visits = 0

    def document(self, root: yaml.Node) -> ParsedDocument:
        self._marks[""] = _mark(root)
        try:
            value = self._value(root, "")
        except _TooManyCopies as error:
            return ParsedDocument(None, {}, (error.fault,))
        return ParsedDocument(value, self._marks, tuple(self._faults))

    def _value(self, node: yaml.Node, path: str) -> Json:
        try:
            if isinstance(node, yaml.ScalarNode):
                self._visit(node, path)
                return _scalar(node, path)
            self._enter(node, path)
        except _TooManyCopies:
            raise
        except _Unbuildable as error:
            self._faults.append(error.fault)
            return None
        try:
            return self._map(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        finally:
            self._open.discard(id(node))

    def _visit(self, node: yaml.Node, path: str) -> None:
        # A node met again is one that an alias repeats, for the composer returns the same object for it.
        self._visits += 1
        self._seen.add(id(node))
        if self._visits - len(self._seen) > _MAX_COPIES:
            raise _TooManyCopies(node, path, f"aliases repeat more than {_MAX_COPIES} values: write them out")

    def _enter(self, node: yaml.Node, path: str) -> None:
        self._visit(node, path)
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            raise _Unbuildable(node, path, f"has the tag {_tag(node)}, which has no meaning here: remove it")
        if id(node) in self._open:
            raise _Unbuildable(node, path, "contains itself through an alias: write it out")
        if len(self._open) >= MAX_DEPTH:
            raise _Unbuildable(node, path, f"is nested more than {MAX_DEPTH} levels deep")
        self._open.add(id(node))

    def _list(self, node: yaml.Node, path: str) -> Json:
        values: list[Json] = []
        for index, entry in enumerate(node.value):
            where = item(path, index)
            self._marks[where] = _mark(entry)
            values.append(self._value(entry, where))
        return values

    def _map(self, node: yaml.Node, path: str) -> Json:
        values: dict[str, Json] = {}
        for key, (key_node, value_node) in self._entries(node, path).items():
            where = child(path, key)
            self._marks[where] = _mark(key_node)
            values[key] = self._value(value_node, where)
        return values

    def _entries(self, node: yaml.Node, path: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return a map's entries by key, merged ones after its own; wrong and repeated keys become faults."""
        own: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merges: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            self._visit(key_node, path)
            if key_node.tag not in _STRINGS and key_node.tag != f"{_TAG}merge":
                shown = f"{key_node.value!r} " if isinstance(key_node, yaml.ScalarNode) else ""
                self._fault(
                    key_node, path, f"has the key {shown}which is {_kind(key_node)}, not a string: quote it"
                )
                continue
            entries = merges if key_node.tag == f"{_TAG}merge" else own
            first = entries.get(key_node.value)
            if first is not None:
                line = first[0].start_mark.line + 1
                where = child(path, key_node.value)
                message = f"is given twice, first in line {line}: remove one of them"
                self._fault(key_node, where, message, repeated=True)
            entries[key_node.value] = (key_node, value_node)
        for key_node, value_node in merges.values():
            for merged, entry in self._merged(key_node, value_node, path).items():
                own.setdefault(merged, entry)
        return own

    def _merged(
        self, key_node: yaml.Node, value_node: yaml.Node, path: str
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return the entries that `<<` brings; of several sources the first that has a key wins."""
        sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._fault(key_node, child(path, "<<"), "merges what is not a map: give an alias of a map")
                continue
            try:
                self._enter(source, path)
            except _TooManyCopies:
                raise
            except _Unbuildable as error:
                self._faults.append(error.fault)
                continue
            for key, entry in self._entries(source, path).items():
                entries.setdefault(key, entry)
            self._open.discard(id(source))
        return entries

    def _fault(self, node: yaml.Node, path: str, message: str, *, repeated: bool = False) -> None:
        self._faults.append(Fault(_mark(node), path, message, repeated))


def _scalar(node: yaml.ScalarNode, path: str) -> Json:
    """Return the value of a scalar by its tag, explicit or found by the patterns."""
    if node.tag in _STRINGS or node.tag == f"{_TAG}merge":
        return str(node.value)
    name = node.tag.removeprefix(_TAG)
    if name not in _PATTERNS:
        raise _Unbuildable(node, path, f"has the tag {_tag(node)}, which has no meaning here: remove it")
    try:
        return _number(name, node.value) if name in ("int", "float") else _word(name, node.value)
    except ValueError as error:
        raise _Unbuildable(node, path, str(error)) from None


def _word(name: str, text: str) -> bool | None:
    if not _PATTERNS[name].match(text):
        raise ValueError(f"is tagged !!{name}, but {text!r} is none")
    return None if name == "null" else text.lower() == "true"


def _number(name: str, text: str) -> int | float:
    is_integer = _PATTERNS["int"].match(text)
    if not is_integer and (name == "int" or not _PATTERNS["float"].match(text)):
        raise ValueError(f"is tagged !!{name}, but {text!r} is none")
    digits = text.replace("_", "").lower()
    number = _integer(digits) if is_integer else float(re.sub(r"\.(?=inf|nan)", "", digits))
    if name == "int":
        return number
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"is {text[:20]}, which JSON cannot hold: quote it, or give a smaller number")
    return number


def _integer(digits: str) -> int:
    """Return an integer with an optional base prefix; a leading 0 alone means octal, as in Go."""
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"has {len(digits)} digits, too many for a number: quote it")
    return int(digits, 8 if _LEADING_ZERO.match(digits) else 0)


def _syntax_fault(error: yaml.YAMLError, text: str) -> Fault:
    """Return where and why the text stops being YAML."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = TextPlace(error.problem_mark.line + 1, error.problem_mark.column + 1)
        context = f" ({error.context})" if error.context else ""
        tab = text.splitlines()[mark.line - 1 : mark.line]
        at_tab = tab and tab[0][mark.column - 1 : mark.column] == "\t"
        advice = ": indent with spaces, not tabs" if at_tab else ""
        return Fault(mark, "", f"is not YAML: {error.problem}{context}{advice}")
    # A reader error only knows the offset, which libyaml counts in bytes.
    position = getattr(error, "position", 0)
    reason = getattr(error, "reason", str(error))
    return Fault(_mark_at(text.encode()[:position].decode(errors="ignore")), "", f"is not YAML: {reason}")


def _too_deep(text: str) -> Fault | None:
    """Look for nesting beyond the limit in the events, whose parser needs no stack, unlike the composer.

    Raises:
        yaml.YAMLError: the text stops being YAML before its nesting goes beyond the limit.
    """
    depth = 0
    for event in yaml.parse(text, Loader=_KubernetesLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                return Fault(_mark(event), "", f"is nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


def _joined(match: re.Match[str]) -> str:
    """Return a JSON surrogate pair as YAML writes it: one escape of eight digits."""
    backslashes, high, low = match.groups()
    code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)
    return f"{backslashes}\\U{code:08x}"


def _mark(of: yaml.Node | yaml.Event) -> TextPlace:
    start = of.start_mark
    return TextPlace(start.line + 1, start.column + 1) if start is not None else TextPlace(1, 1)


def _mark_at(before: str) -> TextPlace:
    return TextPlace(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _tag(node: yaml.Node) -> str:
    return str(node.tag).replace(_TAG, "!!")


def _kind(node: yaml.Node) -> str:
    return _KINDS.get(node.tag.removeprefix(_TAG), _tag(node))
