"""How `{{tags}}` in names of locks are filled in, as far as their values are known at admission.

A value that is not known stays as its `{{tag}}`, written as the outermost caller would write it; so two names
that become the same text are the same lock, whatever the value will be (argo-workflows C.4).

A user may send a text of megabytes, so its tags are found in one pass. Argo's template engine reads a tag
from `{{` to the next `}}`; an expression that looks for both begins again at every `{{`, which takes hours
where there are many of them and no end.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from policy.core.lock_model.lock_names import parameterised
from policy.core.objects.parameter_text import parameter_text
from policy.core.objects.workflow import Parameters, Template

BEGIN: Final = "{{"
END: Final = "}}"
TagValues: TypeAlias = Mapping[str, str]
"""Values by the name in the tag, such as `workflow.parameters.env` or `inputs.parameters.db`."""

_INPUTS: Final = "inputs.parameters."
_WORKFLOW: Final = "workflow.parameters."
NAMESPACE_TAG: Final = "workflow.namespace"
_LONGEST_VALUE: Final = 253
"""Characters of a value that may become a part of a name; a longer one is left unknown."""

_LASTING: Final = re.compile(r"\{\{=?\s*workflow\.(?!outputs)[\w.-]+\s*\}\}")
_INPUT: Final = re.compile(r"inputs\.parameters(?:\.([\w-]+)|\[['\"]([\w-]+)['\"]\])")
ITEM: Final = "item"
"""The tag of the item of a loop; `item.key` is that of a field, where the item is a map."""
_ITEM: Final = re.compile(r"=?\s*item(?:\.([\w.-]+)|\[['\"]([\w.-]+)['\"]\])?\s*")
_BRACKETS: Final = re.compile(r"\[(?:'([\w.-]+)'|\"([\w.-]+)\")\]")
_CHOICE: Final = re.compile(r"=[^?]*\?\s*'([^'{}]*)'\s*:\s*'([^'{}]*)'\s*")


def tags(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each tag begins and ends, its braces included."""
    at = text.find(BEGIN)
    while at >= 0:
        end = text.find(END, at + len(BEGIN))
        if end < 0:
            return
        yield at, end + len(END)
        at = text.find(BEGIN, end + len(END))


def replaced(text: str, new: Callable[[str], str]) -> str:
    """Return a text with every tag replaced; `new` gets a tag with its braces."""
    parts: list[str] = []
    last = 0
    for begin, end in tags(text):
        parts += (text[last:begin], new(text[begin:end]))
        last = end
    return "".join(parts) + text[last:] if parts else text


def inner(tag: str) -> str:
    """Return what is between the braces of a tag."""
    return tag[len(BEGIN) : -len(END)]


def fill_tags(text: str, values: TagValues) -> str:
    """Return a text with every tag filled in whose value is known."""
    if not parameterised(text):
        return text

    def known(tag: str) -> str:
        body = inner(tag)
        if body.startswith("=") and "[" in body:  # Only an expression may name a field in brackets.
            body = _BRACKETS.sub(r".\1\2", body)
        return values.get(body.removeprefix("=").strip(), tag)

    return replaced(text, known)


def choices(text: str) -> tuple[str, ...]:
    """Return what a text with `{{= condition ? 'one' : 'other'}}` in it may become, else the text itself."""
    begin, end = next(tags(text), (0, 0))
    choice = _CHOICE.fullmatch(inner(text[begin:end])) if end else None
    if choice is None:
        return (text,)
    before, after = text[:begin], text[end:]
    return tuple(dict.fromkeys(f"{before}{each}{after}" for each in choice.groups()))


def inputs_in(text: str) -> set[str]:
    """Return the names of the input parameters that a text depends on."""
    if not parameterised(text) or "inputs.parameters" not in text:
        return set()
    return {first or second for first, second in _INPUT.findall(text)}


def depends_on(text: str) -> set[str]:
    """Return the tags of inputs (`inputs.parameters.x`) and of items (`item`, `item.key`) in a text."""
    if not parameterised(text):
        return set()
    found = {f"{_INPUTS}{name}" for name in inputs_in(text)}
    if ITEM in text:
        for begin, end in tags(text):
            item = _ITEM.fullmatch(inner(text[begin:end]))
            if item is not None:
                key = item[1] or item[2]
                found.add(f"{ITEM}.{key}" if key else ITEM)
    return found


def is_item(tag: str) -> bool:
    """Return whether a tag, without its braces, is that of an item or of a field of it."""
    return tag == ITEM or tag.startswith(f"{ITEM}.")


def input_of(tag: str) -> str | None:
    """Return the name of the input in a tag from `depends_on`, None where it is none."""
    return tag[len(_INPUTS) :] if tag.startswith(_INPUTS) else None


def input_named(tag: str) -> str | None:
    """Return the name of the input that a tag names, None where it names something else."""
    found = _INPUT.fullmatch(tag)
    return None if found is None else found[1] or found[2]


def workflow_values(arguments: Iterable[Parameters | None], namespace: str) -> dict[str, str]:
    """Return the values that are valid in a whole run; of several arguments of one name the first counts."""
    values = {NAMESPACE_TAG: namespace}
    for each in arguments:
        for parameter in (each.parameters if each is not None else None) or ():
            text = parameter_text(parameter.value)
            if text is not None and len(text) <= _LONGEST_VALUE and not parameterised(text):
                values.setdefault(f"{_WORKFLOW}{parameter.name}", text)
    return values


def bind_input(template: Template, name: str, given: Any, outer: TagValues, where: str) -> str:
    """Return the value of an input of a template that is called at `where`, and `given` this argument.

    `outer` are the values in the caller. A value that only the run gives (another task's output) is marked
    with where it was given, so that equal texts of two calls do not count as the same value.
    """
    text = parameter_text(given)
    if text is None:
        own = (template.inputs.parameters if template.inputs else None) or ()
        declared = next((each for each in own if each.name == name), None)
        if declared is not None:
            text = parameter_text(declared.value)
            text = parameter_text(declared.default) if text is None else text
    if text is None or len(text) > _LONGEST_VALUE:
        text = f"{{{{{_INPUTS}{name}}}}}"
    return placed(fill_tags(text, outer), where)


def as_written(name: str) -> str:
    """Return the name of a lock as its author wrote it, without the marks of where values were given."""
    return replaced(name, lambda tag: f"{tag.partition('@')[0]}}}}}" if "@" in tag else tag)


def placed(text: str, where: str) -> str:
    """Return a text with where it was given after each tag that may mean something else elsewhere."""
    if not parameterised(text):
        return text

    def marked(tag: str) -> str:
        lasting = "@" in tag or _LASTING.fullmatch(tag)
        return tag if lasting else f"{{{{{inner(tag).strip()}@{where}}}}}"

    return replaced(text, marked)
