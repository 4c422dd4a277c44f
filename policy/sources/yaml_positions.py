"""YAML (and JSON) text as plain values, with the line and column of every field.

Everything means what it means to kubectl, which makes JSON of it: scalars as `yaml_scalars` says, the
last of two entries with one key, and what `<<` merges over the entries before it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec
import yaml
from yaml.composer import ComposerError

from policy.sources.yaml_scalars import TAG, Scalar, as_json, key_text, plain, tagged

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML built without libyaml reads the same, ten times slower.
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"

MAX_DEPTH: Final = 100
"""Nesting that no policy needs."""
_MAX_COPIES: Final = 100_000
"""Nodes that aliases may add to one document; ten lines of aliases can mean billions of nodes."""

_PLAIN: Final = "plain"
"""The tag of a scalar without quotes and tag; no tag of YAML is written so."""
_NOT_TEXT: Final = (bool, int, float)
_MERGE: Final = "<<"
_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_LAST_STEP: Final = re.compile(r'(?:\.?[A-Za-z_][A-Za-z0-9_-]*|\[[^"\]]+\]|\["(?:[^"\\]|\\.)*"\])\Z')
_TAG_FIRST: Final = re.compile(r"(?:^|[:\[,-])\s*\{\{")
_QUOTES: Final = "put a value that begins with {{ in quotes"
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
    """One document: its value, the place of each field path, and what could not be read (null instead).

    `words` has the text of each scalar that reads as another than it is: `yes`, of which true is the value.
    """

    value: Json
    marks: dict[str, TextPlace]
    faults: tuple[Fault, ...] = ()
    words: dict[str, str] = {}

    @property
    def has_a_value(self) -> bool:
        """Whether all of it could be read; a repeated key has a value, the last."""
        return all(fault.repeated for fault in self.faults)

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
    try:
        # One document after the other, so that those before a syntax error are returned.
        documents.extend(_Builder().document(root) for root in _roots(text))
    except _TooDeep as error:
        return ParsedText((), error.fault)
    except yaml.YAMLError as error:
        return ParsedText(tuple(documents), _syntax_fault(error, text))
    return ParsedText(tuple(documents))


def read_manifest(text: str) -> list[Json]:
    """Return the objects in a field that has YAML, as resource templates have; none of one that is none."""
    parsed = parse(text.encode(errors="replace"))
    if parsed.fault is not None:
        return []
    return [document.value for document in parsed.documents if document.value is not None]


_Entries: TypeAlias = dict[str, tuple[yaml.Node, yaml.Node]]
"""The entries of a map: the nodes of the key and the value, by the key of JSON's map."""


class _Unbuildable(Exception):  # noqa: N818 - it never leaves this module
    """A node without a value; the fault has the reason."""

    def __init__(self, node: yaml.Node | yaml.Event, path: str, message: str) -> None:
        super().__init__(message)
        self.fault = Fault(_mark(node), path, message)


class _TooDeep(_Unbuildable):
    """A text is nested so deep that nothing of it is built."""


class _TooManyCopies(_Unbuildable):
    """Aliases add more nodes than a document may have; nothing more of it is built."""


class _Builder:
    """Builds one document's value from its nodes, noting places and faults on the way."""

    def __init__(self) -> None:
        self._marks: dict[str, TextPlace] = {}
        self._faults: list[Fault] = []
        self._words: dict[str, str] = {}
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._visits = 0

    def document(self, root: yaml.Node) -> ParsedDocument:
        self._marks[""] = _mark(root)
        try:
            value = self._value(root, "")
        except _TooManyCopies as error:
            return ParsedDocument(None, {}, (error.fault,))
        return ParsedDocument(value, self._marks, tuple(self._faults), self._words)

    def _value(self, node: yaml.Node, path: str) -> Json:
        try:
            if isinstance(node, yaml.ScalarNode):
                self._visit(node, path)
                value = _scalar(node, path)
                if type(value) in _NOT_TEXT and node.value != json.dumps(value):
                    self._words[path] = node.value
                return value
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
        # A node met again is one that an alias repeats.
        self._visits += 1
        self._seen.add(id(node))
        if self._visits - len(self._seen) > _MAX_COPIES:
            raise _TooManyCopies(node, path, f"aliases repeat more than {_MAX_COPIES} values: write them out")

    def _enter(self, node: yaml.Node, path: str) -> None:
        self._visit(node, path)
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

    def _entries(self, node: yaml.Node, path: str) -> _Entries:
        """Return a map's entries by key, of which the last counts; wrong and repeated keys become faults."""
        entries: _Entries = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            self._visit(key_node, path)
            if _is_merge(key_node):
                entries.update(self._merged(key_node, value_node, path))
                continue
            try:
                key = _key(key_node, path)
            except _Unbuildable as error:
                self._faults.append(error.fault)
                continue
            line = _mark(key_node).line
            if key in lines:
                where = f"lines {lines[key]} and {line}" if lines[key] != line else f"line {line}"
                message = f"is given twice, in {where}, and the last counts: remove one"
                self._fault(key_node, child(path, key), message, repeated=True)
            lines.setdefault(key, line)
            entries[key] = (key_node, value_node)
        return entries

    def _merged(self, key_node: yaml.Node, value_node: yaml.Node, path: str) -> _Entries:
        """Return the entries that `<<` brings; of several sources the first that has a key wins."""
        # A list that stands before the key is an alias, which may only be one of a map.
        listed = isinstance(value_node, yaml.SequenceNode) and not _before(value_node, key_node)
        sources = value_node.value if listed else [value_node]
        entries: _Entries = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._fault(key_node, child(path, _MERGE), "merges what is not a map: give an alias of a map")
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


def _scalar(node: yaml.ScalarNode, path: str) -> Scalar:
    """Return the value of a scalar as JSON holds it."""
    try:
        return as_json(_value_of(node))
    except ValueError as error:
        raise _Unbuildable(node, path, str(error)) from None


def _key(node: yaml.Node, path: str) -> str:
    """Return the key of JSON's map that a key becomes."""
    if not isinstance(node, yaml.ScalarNode):
        fix = "write a string" + (f", and {_QUOTES}" if isinstance(node, yaml.MappingNode) else "")
        raise _Unbuildable(node, path, f"has a key that is {_kind(node)}: {fix}")
    try:
        return key_text(_value_of(node))
    except ValueError as error:
        raise _Unbuildable(node, path, str(error)) from None


def _value_of(node: yaml.ScalarNode) -> Scalar:
    """Return the value of a scalar; a tag of somebody's own means nothing, and the value is the text."""
    if node.tag == _PLAIN:
        # What is in quotes has this tag where it is tagged "!", which says that it is text.
        return str(node.value) if node.style else plain(node.value)
    return tagged(node.tag.removeprefix(TAG), node.value) if node.tag.startswith(TAG) else str(node.value)


def _before(node: yaml.Node, other: yaml.Node) -> bool:
    return bool(node.start_mark.index < other.start_mark.index)


def _is_merge(node: yaml.Node) -> bool:
    return node.value == _MERGE and node.tag in (_PLAIN, f"{TAG}merge")


def _syntax_fault(error: yaml.YAMLError, text: str) -> Fault:
    """Return where and why the text stops being YAML."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = TextPlace(error.problem_mark.line + 1, error.problem_mark.column + 1)
        context = f" ({error.context})" if error.context else ""
        lines = text.splitlines()[mark.line - 1 : mark.line]
        return Fault(mark, "", f"is not YAML: {error.problem}{context}{_advice(''.join(lines), mark)}")
    # A reader error only knows the offset, which libyaml counts in bytes.
    position = getattr(error, "position", 0)
    reason = getattr(error, "reason", str(error))
    return Fault(_mark_at(text.encode()[:position].decode(errors="ignore")), "", f"is not YAML: {reason}")


def _advice(line: str, mark: TextPlace) -> str:
    if line[mark.column - 1 : mark.column] == "\t":
        return ": indent with spaces, not tabs"
    return f": {_QUOTES}" if _TAG_FIRST.search(line[: mark.column]) else ""


def _roots(text: str) -> Iterator[yaml.Node]:
    """Yield the root of each document.

    PyYAML's own composer refuses an anchor that is given again, of which the Go library takes the last, and
    overflows the C stack where a text is nested deep.

    Raises:
        _TooDeep: it is nested beyond the limit.
        yaml.YAMLError: it is not YAML from some place on.
    """
    anchors: dict[str, yaml.Node] = {}
    open_nodes: list[tuple[yaml.Node, list[yaml.Node]]] = []
    root: yaml.Node = yaml.ScalarNode(_PLAIN, "")
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.NodeEvent):
            node = _node_of(event, anchors)
            if open_nodes:
                open_nodes[-1][1].append(node)
            else:
                root = node
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append((node, []))
                if len(open_nodes) > MAX_DEPTH:
                    raise _TooDeep(event, "", f"is nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            node, inside = open_nodes.pop()
            is_map = isinstance(node, yaml.MappingNode)
            node.value = list(zip(inside[::2], inside[1::2], strict=True)) if is_map else inside
        elif isinstance(event, yaml.DocumentEndEvent):
            anchors = {}
            yield root


def _node_of(event: yaml.NodeEvent, anchors: dict[str, yaml.Node]) -> yaml.Node:
    """Return the node that an event begins; that of an alias is the node itself that it repeats."""
    # Both of PyYAML's parsers give marks; its types know those of one.
    start: Any = event.start_mark
    end: Any = event.end_mark
    if isinstance(event, yaml.AliasEvent):
        if event.anchor not in anchors:
            raise ComposerError(None, None, f"found undefined alias {event.anchor!r}", start)
        return anchors[event.anchor]
    node: yaml.Node
    if isinstance(event, yaml.ScalarEvent):
        tag = event.tag or (_PLAIN if event.implicit[0] else f"{TAG}str")
        node = yaml.ScalarNode(tag, event.value, start, end, event.style)
    elif isinstance(event, yaml.MappingStartEvent):
        node = yaml.MappingNode("", [], start, end)
    else:
        node = yaml.SequenceNode("", [], start, end)
    if event.anchor is not None:
        anchors[event.anchor] = node
    return node


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


def _kind(node: yaml.Node) -> str:
    return "a map" if isinstance(node, yaml.MappingNode) else "a list"
