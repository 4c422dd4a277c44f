"""Argo's two languages in small: tags and expressions in texts, and the `when` and `depends` of tasks.

Written from Argo's documentation and not from our code, for it is what our code is tested with.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

_TAG: Final = re.compile(r"\{\{(?P<expression>=)?\s*(?P<inner>.*?)\s*\}\}")
_TOKEN: Final = re.compile(
    r"""\s*('[^']*'|"[^"]*"|==|!=|<=|>=|&&|\|\||[-\w.]+(?:\[(?:'[^']*'|"[^"]*")\])*(?:\.[-\w]+)*|[!()?:<>\[\],])"""
)
_FUNCTIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "asInt": int,
    "asFloat": float,
    "lower": lambda value: text(value).lower(),
}
Env = Mapping[str, Any]
"""Variables by their dotted name, as in `inputs.parameters.a`."""


class Unknown(Exception):  # noqa: N818 - what Argo says of it, too
    """A variable that is not there, or a text that cannot be evaluated."""


def fill(value: Any, env: Env) -> Any:
    """Return a JSON value with its tags replaced; tags of what is not known stay, as in Argo."""
    if isinstance(value, str):
        return _TAG.sub(lambda found: _filled(found, env), value)
    if isinstance(value, dict):
        return {key: fill(each, env) for key, each in value.items()}
    return [fill(each, env) for each in value] if isinstance(value, list) else value


def _filled(found: re.Match[str], env: Env) -> str:
    try:
        return text(evaluate(found["inner"], env) if found["expression"] else env[found["inner"]])
    except (KeyError, Unknown):
        return found[0]


def text(value: Any) -> str:
    """Return a value as Argo writes it into a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def evaluate(expression: str, env: Env, *, bare: bool = False) -> Any:
    """Return what an expression gives; with `bare`, words without quotes are texts, as in `when`.

    Raises:
        Unknown: something in it is not known.
    """
    tokens = _TOKEN.findall(expression)
    if "".join(tokens) != re.sub(r"\s+", "", expression) and "'" not in expression:
        raise Unknown(expression)
    reader = _Reader(tokens, env, bare=bare)
    found = reader.ternary()
    if reader.tokens:
        raise Unknown(expression)
    return found


class _Reader:
    """Evaluates while it reads; both ways of a choice are read, and one may be unknown."""

    def __init__(self, tokens: list[str], env: Env, *, bare: bool) -> None:
        self.tokens, self._env, self._bare = list(tokens), env, bare

    def ternary(self) -> Any:
        condition = self._or()
        if not self._take("?"):
            return condition
        ways = [self._or_unknown(), self._take(":") and self._or_unknown()]
        chosen = ways[0] if condition else ways[1]
        if isinstance(chosen, Unknown):
            raise chosen
        return chosen

    def _or_unknown(self) -> Any:
        try:
            return self.ternary()
        except Unknown as unknown:
            return unknown

    def _or(self) -> Any:
        value = self._and()
        while self._take("||"):
            other = self._and()
            value = bool(value) or bool(other)
        return value

    def _and(self) -> Any:
        value = self._comparison()
        while self._take("&&"):
            other = self._comparison()
            value = bool(value) and bool(other)
        return value

    def _comparison(self) -> Any:
        left = self._one()
        for sign in ("==", "!="):
            if self._take(sign):
                same = text(left) == text(self._one())
                return same == (sign == "==")
        for sign in ("<=", ">=", "<", ">"):
            if self._take(sign):
                one, other = float(left), float(self._one())
                return {"<=": one <= other, ">=": one >= other, "<": one < other, ">": one > other}[sign]
        if self._take("in"):
            return self._member(left)
        return left

    def _member(self, left: Any) -> bool:
        self._take("[")
        members = [self._one()]
        while self._take(","):
            members.append(self._one())
        self._take("]")
        return left in members

    def _one(self) -> Any:
        if self._take("!"):
            return not self._one()
        if self._take("("):
            value = self.ternary()
            self._take(")")
            return value
        if not self.tokens:
            raise Unknown("the end")
        word = self.tokens.pop(0)
        if word[0] in "'\"":
            return word[1:-1]
        if word in {"true", "false"}:
            return word == "true"
        return self._variable(word)

    def _variable(self, word: str) -> Any:
        if word in _FUNCTIONS and self._take("("):
            value = self.ternary()
            self._take(")")
            return _FUNCTIONS[word](value)
        dotted = re.sub(r"\[(?:'([^']*)'|\"([^\"]*)\")\]", r".\1\2", word)
        if dotted in self._env:
            return self._env[dotted]
        if self._bare or re.fullmatch(r"-?[0-9.]+", word):
            return word
        raise Unknown(word)

    def _take(self, token: str) -> bool:
        if not self.tokens or self.tokens[0] != token:
            return False
        self.tokens.pop(0)
        return True
