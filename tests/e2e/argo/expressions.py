"""The expressions of the double: a small part of Argo's, for keys of locks, conditions and dependencies.

Known are texts, numbers, names, `== != < <= > >= && || !`, brackets and `a ? b : c`. What is not known raises
UnknownError, and whoever asked leaves the text as it stands.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

Value: TypeAlias = str | float | bool
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>'[^']*'|"[^"]*")|(?P<number>-?\d+(?:\.\d+)?(?![-\w.]))|(?P<name>[A-Za-z_][-\w.]*)"""
    r"""|(?P<index>\[\s*['"](?P<key>[^'"]*)['"]\s*\])|(?P<sign>==|!=|<=|>=|&&|\|\||[<>!()?:]))"""
)
_TAG: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_COMPARISONS: Final = ("==", "!=", "<=", ">=", "<", ">")
_TRUTH: Final = {"true": True, "false": False}


class UnknownError(Exception):
    """Something in an expression is not known here."""


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its tags filled in: names, and expressions after `=`; unknown ones stay."""

    def fill(tag: re.Match[str]) -> str:
        inner = tag[1].strip()
        if not inner.startswith("="):
            return values.get(inner, tag[0])
        try:
            return written(evaluated(inner[1:], values))
        except UnknownError:
            return tag[0]

    return _TAG.sub(fill, text)


def holds(condition: str, values: Mapping[str, str]) -> bool:
    """Tell whether the `when` of a task holds; one that is not understood does."""
    try:
        return evaluated(filled(condition, values), values, words=True) is True
    except UnknownError:
        return True


def written(value: Value) -> str:
    """Return a value as it is put into a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else value


def evaluated(text: str, values: Mapping[str, str], *, words: bool = False) -> Value:
    """Return what an expression comes to; with `words` an unknown name is the text that it is.

    Raises:
        UnknownError: it cannot be told.
    """
    parser = _Parser(text, values, words=words)
    value = parser.choice()
    if parser.token is not None:
        raise UnknownError(text)
    return value


class _Parser:
    """Reads one expression from left to right."""

    def __init__(self, text: str, values: Mapping[str, str], *, words: bool) -> None:
        self._text = text
        self._values = values
        self._words = words
        self._at = 0
        self.token: re.Match[str] | None = None
        self._next()

    def choice(self) -> Value:
        """Read `a ? b : c`, or what is weaker."""
        value = self._either()
        if not self._takes("?"):
            return value
        first = self.choice()
        self._demand(":")
        second = self.choice()
        return first if value is True else second

    def _either(self) -> Value:
        value = self._both()
        while self._takes("||"):
            other = self._both()
            value = value is True or other is True
        return value

    def _both(self) -> Value:
        value = self._negated()
        while self._takes("&&"):
            other = self._negated()
            value = value is True and other is True
        return value

    def _negated(self) -> Value:
        return self._negated() is not True if self._takes("!") else self._compared()

    def _compared(self) -> Value:
        left = self._atom()
        for sign in _COMPARISONS:
            if self._takes(sign):
                return _compare(sign, left, self._atom())
        return left

    def _atom(self) -> Value:
        token = self.token
        if self._takes("("):
            value = self.choice()
            self._demand(")")
            return value
        if token is None or token["sign"]:
            raise UnknownError(self._text)
        self._next()
        if token["text"] is not None:
            return str(token["text"][1:-1])
        if token["number"] is not None:
            return float(token["number"])
        name = str(token["name"] or "")
        while self.token is not None and self.token["index"]:
            name = f"{name}.{self.token['key']}"
            self._next()
        return self._named(name)

    def _named(self, name: str) -> Value:
        if name in _TRUTH:
            return _TRUTH[name]
        if name in self._values:
            return self._values[name]
        if self._words and name:
            return name
        raise UnknownError(name)

    def _takes(self, sign: str) -> bool:
        if self.token is None or self.token["sign"] != sign:
            return False
        self._next()
        return True

    def _demand(self, sign: str) -> None:
        if not self._takes(sign):
            raise UnknownError(self._text)

    def _next(self) -> None:
        if not self._text[self._at :].strip():
            self.token = None
            return
        self.token = _TOKEN.match(self._text, self._at)
        if self.token is None:
            raise UnknownError(self._text)
        self._at = self.token.end()


def _compare(sign: str, left: Value, right: Value) -> bool:
    if sign in ("==", "!="):
        same = left == right or written(left) == written(right)
        return same if sign == "==" else not same
    try:
        one, other = float(left), float(right)
    except ValueError as error:
        raise UnknownError(sign) from error
    return {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[sign]
