"""Which values a call gives to the body that it runs, for the tags that names of locks depend on.

These are inputs, by the arguments of the call, and in an inline body also the item of a loop: Argo fills in
the text of an inline template with all the rest of the task or step that has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from policy.core.lock_graph.loop_items import loops
from policy.core.lock_graph.references import Reference
from policy.core.lock_model.parameters import (
    TagValues,
    bind_input,
    depends_on,
    fill_tags,
    input_of,
    is_item,
    placed,
)
from policy.core.objects.workflow import Call, Parameters, Template

NO_ITEM: Final[TagValues] = {}


def lock_tags(names: Iterable[str], *, inline: bool) -> set[str]:
    """Return the tags that the names of a body's locks depend on.

    Where the body is not inline, nothing fills in an item.
    """
    found = {tag for name in names for tag in depends_on(name)}
    return found if inline else {tag for tag in found if not is_item(tag)}


def passed_tags(reference: Reference, wanted: Iterable[str], *, inline: bool) -> set[str]:
    """Return the tags of the caller on which those of what it calls depend.

    `inline` says whether the caller is an inline body itself, and so may be in a loop of another.
    """
    given = _given(reference.arguments)
    found: set[str] = set()
    for tag in wanted:
        name = input_of(tag)
        text = given.get(name) if name is not None else None
        if isinstance(text, str):
            found |= depends_on(text)
        if reference.inline is not None:
            found.add(tag)
    if reference.loop is not None and any(map(is_item, found)):
        found |= _loop_tags(reference.loop)
    return found if inline else {tag for tag in found if not is_item(tag)}


def _loop_tags(call: Call) -> set[str]:
    """Return the tags in what says which items a loop has."""
    if call.with_items:
        return depends_on(msgspec.json.encode(call.with_items).decode())
    if call.with_param:
        return depends_on(call.with_param)
    return depends_on(msgspec.json.encode(call.with_sequence).decode())


class CallValues:
    """Gives the values of one call, for each item of its loop."""

    __slots__ = ("_caller", "_given", "_outer", "_reference", "_template", "_wanted", "_where")

    def __init__(
        self,
        template: Template,
        wanted: Sequence[str],
        reference: Reference,
        arguments: Parameters | None,
        *,
        caller: Template,
        outer: TagValues,
        where: str,
    ) -> None:
        self._template, self._wanted, self._reference = template, wanted, reference
        self._caller, self._outer, self._where = caller, outer, where
        self._given = _given(arguments)

    @property
    def depends_on_item(self) -> bool:
        """Whether the values differ from item to item."""
        reference = self._reference
        if reference.loop is None or not loops(reference.loop):
            return False
        texts = [each for each in self._given.values() if isinstance(each, str)]
        inline = reference.inline is not None and any(map(is_item, self._wanted))
        return inline or any(is_item(tag) for text in texts for tag in depends_on(text))

    def of(self, item: TagValues) -> dict[str, str]:
        """Return the values for an item, as far as they are known."""
        known = {**item, **self._outer} if item else self._outer
        found: dict[str, str] = {}
        for tag in self._wanted:
            name = input_of(tag)
            if name is not None:
                found[tag] = self._input(name, tag, known)
            elif tag in known:
                found[tag] = placed(fill_tags(known[tag], self._outer), self._where)
            elif self._reference.loop is not None:
                found[tag] = placed(f"{{{{{tag}}}}}", self._where)
        return found

    def _input(self, name: str, tag: str, known: TagValues) -> str:
        if self._reference.inline is not None and tag in self._outer:
            own = _declares(self._template, name) and not _declares(self._caller, name)
            if not own:  # Argo has filled it in with the rest of the caller.
                return self._outer[tag]
        return bind_input(self._template, name, self._given.get(name), known, self._where)


def open_values(wanted: Iterable[str], where: str) -> dict[str, str]:
    """Return values for tags that other objects may give, or that are too many to follow."""
    return {tag: placed(f"{{{{{tag}}}}}", where) for tag in wanted}


def _given(arguments: Parameters | None) -> Mapping[str | None, object]:
    return {each.name: each.value for each in (arguments.parameters if arguments else None) or ()}


def _declares(template: Template, name: str) -> bool:
    return any(each.name == name for each in (template.inputs.parameters if template.inputs else None) or ())
