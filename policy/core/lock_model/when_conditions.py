"""How the condition of a rule (`when`) is read, checked, and written as Argo's expression.

An author writes either Argo's expr language (`workflow.parameters.env == 'prod'`) or the simple form of a
task's `when` (`{{workflow.parameters.env}} == prod`). Only what is known in every place where a lock can be
written is allowed, for Argo ends a Workflow whose lock has an expression that it cannot evaluate.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

MAX_LENGTH: Final = 1000
_SCALARS: Final = ("name", "namespace", "uid", "serviceAccountName", "mainEntrypoint")
_FUNCTIONS: Final = {
    "asInt": ("text", "number"),
    "asFloat": ("text", "number"),
    "lower": ("text", "text"),
    "upper": ("text", "text"),
    "trim": ("text", "text"),
}
"""The type that each function takes, and the one that it returns."""
_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_TEXT_TESTS: Final = frozenset({"matches", "contains", "startsWith", "endsWith"})
_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<tag>'\{\{[^{}]*\}\}'|"\{\{[^{}]*\}\}"|\{\{[^{}]*\}\})
    |(?P<text>'[^']*'|"[^"]*")
    |(?P<number>-?[0-9]+(?:\.[0-9]+)?(?![-\w.]))
    |(?P<word>[A-Za-z0-9_][-\w./:@]*)
    |(?P<sign>==|!=|<=|>=|&&|\|\||[<>!()\[\],])
    )""",
    re.VERBOSE | re.ASCII,
)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_PARAMETER: Final = re.compile(r"[-A-Za-z0-9_]+", re.ASCII)
_BRACKETS: Final = re.compile(r"\.parameters\[\s*(?:'([-\w]*)'|\"([-\w]*)\")\s*\]", re.ASCII)
_UNSAFE: Final = re.compile(r"['\"\\{}\x00-\x1f\x7f-\uffff]|[^\x00-\uffff]")
_MAX_DEPTH: Final = 20


class WhenCondition(msgspec.Struct, frozen=True):
    """A condition as Argo evaluates it, and the parameters that it needs."""

    expression: str
    workflow_parameters: frozenset[str] = frozenset()
    inputs: frozenset[str] = frozenset()

    def key(self, key: str) -> str:
        """Return the key of a semaphore: `key` where the condition is true, else the one without limit."""
        return f"{{{{= {self.expression} ? '{key}' : '{unlimited_key(key)}'}}}}"

    def or_else(self, other: "WhenCondition") -> "WhenCondition":
        """Return the condition that is true where one of the two is."""
        return WhenCondition(
            f"({self.expression}) || ({other.expression})",
            self.workflow_parameters | other.workflow_parameters,
            self.inputs | other.inputs,
        )

    @property
    def holds(self) -> str:
        """The `when` of a task that runs where the condition is true."""
        return f"{{{{= {self.expression} }}}}"

    @property
    def fails(self) -> str:
        """The `when` of a task that runs where it is false."""
        return negated(self.holds)


def negated(holds: str) -> str:
    """Return the `when` of a task that runs where one with this `when` does not."""
    return f"{{{{= !({holds[4:-3]}) }}}}"


def without_condition(name: str) -> str:
    """Return the name of a lock whose key may depend on a condition, as it is where that is true.

    It is read from its end, for a user may make the rest megabytes long.
    """
    if "{{=" not in name:
        return name
    head, colon, free = name.removesuffix("'}}").rpartition("' : '")
    expression, choice, key = head.rpartition(" ? '")
    before, begin, _ = expression.partition("{{= ")
    if not (colon and choice and begin) or free != unlimited_key(key) or not name.endswith("'}}"):
        return name
    return before + key


def depends_on_inputs(name: str) -> bool:
    """Return whether a name means something else in another template."""
    return "inputs.parameters" in name


def unlimited_key(key: str) -> str:
    """Return the key of the semaphore that is taken where a condition is false (argo-verified V.8a).

    Each key has its own: of two conditions on a template both may be false, and Argo refuses a lock that is
    twice in a block.
    """
    return f"{key}-unlimited"


class _Part(msgspec.Struct, frozen=True):
    """A part of an expression: as Argo reads it, and its type."""

    written: str
    type_: str


def parse_condition(text: str) -> WhenCondition:
    """Return the condition in the text of a rule's `when`.

    Raises:
        ValueError: it is none; the text has the reason.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters")
    plain = text.strip()
    if plain.startswith("{{=") and plain.endswith("}}") and plain.count("{{") == 1:
        plain = plain[3:-2]
    return _Reader(plain).condition()


class _Reader:
    """Reads one condition by recursive descent; `||` binds loosest, then `&&`, then comparisons."""

    def __init__(self, text: str) -> None:
        self._simple = "{{" in text
        self._tokens = list(_tokens(_BRACKETS.sub(r".parameters.\1\2", text)))
        self._at = 0
        self._depth = 0
        self._workflow: set[str] = set()
        self._inputs: set[str] = set()

    def condition(self) -> WhenCondition:
        whole = self._any()
        if self._at < len(self._tokens):
            raise ValueError(f"{self._tokens[self._at][1]!r} is not expected there")
        _demand(whole, "truth")
        written = whole.written[1:-1] if whole.written.startswith("(") else whole.written
        return WhenCondition(written, frozenset(self._workflow), frozenset(self._inputs))

    def _any(self) -> _Part:
        return self._joined("||", self._all)

    def _all(self) -> _Part:
        return self._joined("&&", self._compared)

    def _joined(self, sign: str, read: Callable[[], _Part]) -> _Part:
        part = read()
        while self._take(sign):
            other = read()
            _demand(part, "truth")
            _demand(other, "truth")
            part = _Part(f"({part.written} {sign} {other.written})", "truth")
        return part

    def _compared(self) -> _Part:
        left = self._one()
        word = self._peek()
        if word in _COMPARISONS:
            self._at += 1
            return self._comparison(left, word, self._one())
        if word in _TEXT_TESTS:
            self._at += 1
            right = self._one()
            _demand(left, "text")
            _demand(right, "text")
            return _Part(f"({left.written} {word} {right.written})", "truth")
        if word == "in":
            self._at += 1
            return self._member(left)
        return left

    def _comparison(self, left: _Part, sign: str, right: _Part) -> _Part:
        ordered = sign not in {"==", "!="}
        if self._simple:  # As Argo's `when`: what looks like numbers is compared as numbers.
            if ordered:
                left, right = (_as_number(each) for each in (left, right))
            else:
                left, right = (_as_text(each) for each in (left, right))
        if left.type_ != right.type_:
            raise ValueError(
                f"{left.written} is a {left.type_} and {right.written} a {right.type_}: parameters are "
                "texts, so put the other in quotes, or compare asInt(...) with a number"
            )
        if ordered and left.type_ != "number":
            raise ValueError(f"{sign} compares numbers: write asInt({left.written})")
        return _Part(f"({left.written} {sign} {right.written})", "truth")

    def _member(self, left: _Part) -> _Part:
        self._demand_sign("[")
        members = [self._one()]
        while self._take(","):
            members.append(self._one())
        self._demand_sign("]")
        for each in members:
            _demand(each, left.type_)
        return _Part(f"({left.written} in [{', '.join(each.written for each in members)}])", "truth")

    def _one(self) -> _Part:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"is nested more than {_MAX_DEPTH} deep")
        part = self._simplest()
        self._depth -= 1
        return part

    def _simplest(self) -> _Part:
        if self._at >= len(self._tokens):
            raise ValueError("ends too early" if self._tokens else "is empty: give a condition")
        kind, lexeme = self._tokens[self._at]
        self._at += 1
        match kind:
            case "tag":
                return self._reference(lexeme.strip("'\"{} "))
            case "text":
                return _Part(_quoted(lexeme[1:-1]), "text")
            case "number":
                return _Part(lexeme, "number")
            case "word":
                return self._word(lexeme)
        if lexeme == "!":
            part = self._one()
            _demand(part, "truth")
            return _Part(f"!({part.written})", "truth")
        if lexeme == "(":
            part = self._any()
            self._demand_sign(")")
            return part
        raise ValueError(f"{lexeme!r} is not expected there")

    def _word(self, word: str) -> _Part:
        if word in {"true", "false"} and not self._simple:
            return _Part(word, "truth")
        if word in _FUNCTIONS and self._take("("):
            takes, returned = _FUNCTIONS[word]
            part = self._one()
            self._demand_sign(")")
            _demand(part, takes)
            return _Part(f"{word}({part.written})", returned)
        if self._simple:
            return _Part(_quoted(word), "text")
        return self._reference(word)

    def _reference(self, path: str) -> _Part:
        """Return a variable of Argo's that is known wherever a lock is taken."""
        match path.split(".", 2):
            case ["workflow", scalar] if scalar in _SCALARS:
                return _Part(path, "text")
            case ["workflow" | "inputs" as where, "parameters", name] if _PARAMETER.fullmatch(name):
                (self._workflow if where == "workflow" else self._inputs).add(name)
                spelt = f".{name}" if _NAME.fullmatch(name) else f"['{name}']"
                return _Part(f"{where}.parameters{spelt}", "text")
        known = ", ".join(f"workflow.{each}" for each in _SCALARS)
        raise ValueError(
            f"{path!r} is not known where locks are taken: use workflow.parameters.NAME, "
            f"inputs.parameters.NAME, {known}, or put it in quotes"
        )

    def _peek(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _take(self, sign: str) -> bool:
        if self._peek() != sign:
            return False
        self._at += 1
        return True

    def _demand_sign(self, sign: str) -> None:
        if not self._take(sign):
            raise ValueError(f"{self._peek() or 'the end'!r} stands where {sign!r} is expected")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            rest = text[at:].strip()
            hint = ": compare with ==" if rest.startswith("=") else ""
            raise ValueError(f"cannot be read from {rest[:20]!r} on{hint}")
        at = found.end()
        kind = found.lastgroup or ""
        yield kind, found[kind]


def _quoted(text: str) -> str:
    if _UNSAFE.search(text):
        raise ValueError(f"{text!r} has characters that a condition cannot hold")
    return f"'{text}'"


def _demand(part: _Part, type_: str) -> None:
    if part.type_ != type_:
        raise ValueError(f"{part.written} is a {part.type_} where a {type_} is expected")


def _as_number(part: _Part) -> _Part:
    """Return what is compared by size in the simple form as a number."""
    if part.type_ != "text":
        return part
    if part.written.startswith("'"):
        raise ValueError(f"{part.written} is no number, and < and > compare numbers")
    return _Part(f"asFloat({part.written})", "number")


def _as_text(part: _Part) -> _Part:
    return _Part(_quoted(part.written), "text") if part.type_ == "number" else part
