"""Names of locks with parameters in them: filled in as far as the values are known at admission.

A value that is not known stays as its `{{tag}}`, written as the outermost caller would write it; so two names
that come out as the same text are the same lock, whatever the value will be (argo-workflows C.4).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from policy.core.locks.naming import parameterised
from policy.core.workflow import Parameters, Template

Values: TypeAlias = Mapping[str, str]
"""What tags stand for, such as `workflow.parameters.env` or `inputs.parameters.db`."""

INPUTS: Final = "inputs.parameters."
WORKFLOW: Final = "workflow.parameters."
NO_VALUES: Final[Values] = {}
LONGEST_VALUE: Final = 253
"""Characters of a value that may become a part of a name; a longer one is left unknown."""

LONGEST_TEXT: Final = 2_000
"""Characters of a text that tags are looked for in. The search for the end of an open one goes to the end of
the text, from each that begins, so a text of nothing but braces would take the square of its length.
"""
_TAG: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_LASTING: Final = re.compile(r"\{\{=?\s*workflow\.(?!outputs)[\w.-]+\s*\}\}")
_INPUT: Final = re.compile(r"inputs\.parameters(?:\.([\w-]+)|\[['\"]([\w-]+)['\"]\])")
_PLACE: Final = re.compile(r"@[^{}]*\}\}")
_CHOICE: Final = re.compile(r"=[^?]*\?\s*'([^'{}]*)'\s*:\s*'([^'{}]*)'\s*")


def fill(text: str, values: Values) -> str:
    """Return a text with every tag filled in whose value is known."""
    if not parameterised(text) or len(text) > LONGEST_TEXT:
        return text

    def known(match: re.Match[str]) -> str:
        return values.get(match[1].removeprefix("=").strip(), match[0])

    return _TAG.sub(known, text)


def choices(text: str) -> tuple[str, ...]:
    """Return what a text with `{{= condition ? 'one' : 'other'}}` in it may become, else the text itself."""
    match = _TAG.search(text) if len(text) <= LONGEST_TEXT else None
    choice = _CHOICE.fullmatch(match[1]) if match else None
    if match is None or choice is None:
        return (text,)
    before, after = text[: match.start()], text[match.end() :]
    return tuple(dict.fromkeys(f"{before}{each}{after}" for each in choice.groups()))


def inputs_in(text: str) -> set[str]:
    """Return the names of the input parameters that a text depends on."""
    if not parameterised(text) or "inputs.parameters" not in text:
        return set()
    return {first or second for first, second in _INPUT.findall(text)}


def text_of(value: Any) -> str | None:
    """Return a parameter's value as Argo reads it, or None where there is none to go by."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    return None


def workflow_values(arguments: Iterable[Parameters | None], namespace: str) -> dict[str, str]:
    """Return the values that hold in a whole run; of the given arguments the first to name one wins."""
    values = {"workflow.namespace": namespace}
    for each in arguments:
        for parameter in (each.parameters if each is not None else None) or ():
            text = text_of(parameter.value)
            if text is not None and len(text) <= LONGEST_VALUE and not parameterised(text):
                values.setdefault(f"{WORKFLOW}{parameter.name}", text)
    return values


def bind(
    template: Template,
    wanted: Iterable[str],
    arguments: Parameters | None,
    outer: Values,
    where: str,
) -> dict[str, str]:
    """Return the values of the wanted inputs of a template that is called at `where`.

    `outer` holds in the caller. A value that only the run gives (an item, another task's output) is marked
    with where it was given, so that equal texts of two calls are not taken for the same value.
    """
    given = {each.name: each.value for each in (arguments.parameters if arguments else None) or ()}
    own = {each.name: each for each in (template.inputs.parameters if template.inputs else None) or ()}
    bound: dict[str, str] = {}
    for name in wanted:
        text = text_of(given.get(name))
        if text is None and name in own:
            text = text_of(own[name].value)
            text = text_of(own[name].default) if text is None else text
        if text is None or len(text) > LONGEST_VALUE:
            text = f"{{{{{INPUTS}{name}}}}}"
        bound[f"{INPUTS}{name}"] = _placed(fill(text, outer), where)
    return bound


def unbound(wanted: Iterable[str], where: str) -> dict[str, str]:
    """Return values for inputs that anybody may give, or that are too many to follow."""
    return {f"{INPUTS}{name}": _placed(f"{{{{{INPUTS}{name}}}}}", where) for name in wanted}


def shown(name: str) -> str:
    """Return the name of a lock as its author wrote it, without the marks of where values were given."""
    return _PLACE.sub("}}", name) if len(name) <= LONGEST_TEXT else f"{name[:LONGEST_TEXT]}…"


def _placed(text: str, where: str) -> str:
    """Return a text with where it was given after each tag that may stand for something else elsewhere."""
    if not parameterised(text) or len(text) > LONGEST_TEXT:
        return text

    def placed(match: re.Match[str]) -> str:
        lasting = "@" in match[1] or _LASTING.fullmatch(match[0])
        return match[0] if lasting else f"{{{{{match[1].strip()}@{where}}}}}"

    return _TAG.sub(placed, text)
