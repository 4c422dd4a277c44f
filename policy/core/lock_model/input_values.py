"""Which values the parameters of a spec's templates have in its runs, as far as they are written there.

An input has the value that a call gives it, and a template that is called twice has two. What only the run
gives (an item, an output) stays as its `{{tag}}`.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from policy.core.lock_model.parameters import (
    BEGIN,
    NAMESPACE_TAG,
    choices,
    inner,
    input_named,
    tags,
    workflow_values,
)
from policy.core.lock_model.template_bodies import all_bodies, calls
from policy.core.objects.parameter_text import parameter_text
from policy.core.objects.workflow import Hook, Parameters, Template, WorkflowSpec

_MAX_VARIANTS: Final = 20
"""Variants of a text that are followed; with more, it counts as known only at run time."""
_MAX_TAGS: Final = 20
_MAX_LENGTH: Final = 10_000
_MAX_DEPTH: Final = 20
"""Calls that a value is followed through."""
_MAX_LOOKED_AT: Final = 20_000
"""Values in calls that are looked at for one object; what comes after counts as known only at run time."""


class Caller(msgspec.Struct, frozen=True):
    """A call: the template that makes it, None for the spec itself, and what it passes."""

    template: Template | None
    arguments: Parameters | None


class CalledWith:
    """The values of one spec's templates; looked for when a text needs them."""

    __slots__ = ("_calls", "_known", "_left", "_namespace", "_open_ended", "_spec", "_values")

    def __init__(self, spec: WorkflowSpec, namespace: str, *, open_ended: bool) -> None:
        self._spec, self._namespace, self._open_ended = spec, namespace, open_ended
        self._left = _MAX_LOOKED_AT
        self._values: dict[str, str] | None = None
        self._calls: dict[str, list[Caller]] | None = None
        self._known: dict[tuple[int, str], tuple[str, ...]] = {}

    def variants(
        self, text: str, template: Template | None, caller: Caller | None = None, depth: int = 0
    ) -> tuple[str, ...]:
        """Return what a text of a template may become; `caller` is the only call there is, if it is given."""
        if BEGIN not in text:
            return (text,)
        found = list(tags(text))
        if len(text) > _MAX_LENGTH or len(found) > _MAX_TAGS:
            return (text,)
        heads, last = [""], 0
        for begin, end in found:
            options = self._tag(text[begin:end], template, caller, depth)
            heads = [f"{head}{text[last:begin]}{option}" for head in heads for option in options]
            if len(heads) > _MAX_VARIANTS:
                return (text,)
            last = end
        return tuple(f"{head}{text[last:]}" for head in heads)

    def _tag(self, tag: str, template: Template | None, caller: Caller | None, depth: int) -> tuple[str, ...]:
        body = inner(tag).removeprefix("=").strip()
        if self._values is None:
            self._values = workflow_values((self._spec.arguments,), self._namespace)
            if not self._namespace:  # A template of the cluster runs in many.
                del self._values[NAMESPACE_TAG]
        value = self._values.get(body)
        if value is not None:
            return (value, tag) if self._open_ended else (value,)
        name = input_named(body)
        if name is not None and template is not None:
            return self._input(name, tag, template, caller, depth)
        return choices(tag)

    def _input(
        self, name: str, tag: str, template: Template, caller: Caller | None, depth: int
    ) -> tuple[str, ...]:
        """Return the values of an input of a template."""
        if caller is not None:
            return self._passed(name, tag, template, caller, depth)
        key = (id(template), name)
        known = self._known.get(key)
        if known is None:
            self._known[key] = (tag,)  # What calls itself with a value of its own is not followed.
            found: dict[str, None] = {}
            for each in self._callers(template):
                found.update(dict.fromkeys(self._passed(name, tag, template, each, depth)))
                if len(found) > _MAX_VARIANTS or self._left < 0:
                    found = {tag: None}
                    break
            if self._open_ended:
                found[tag] = None
            known = self._known[key] = tuple(found)
        return known

    def _passed(self, name: str, tag: str, template: Template, caller: Caller, depth: int) -> tuple[str, ...]:
        """Return the values of an input in one call: what is passed, else what the template has."""
        self._left -= 1
        if self._left < 0:
            return (tag,)
        value = parameter_text(_value(caller.arguments, name))
        if value is None:
            value = parameter_text(_value(template.inputs, name))
            return (tag,) if value is None else self.variants(value, None)
        if BEGIN not in value:
            return (value,)
        return (tag,) if depth >= _MAX_DEPTH else self.variants(value, caller.template, depth=depth + 1)

    def _callers(self, template: Template) -> list[Caller]:
        """Return the calls of a template; one that is called from nowhere in this spec has its own values."""
        if self._calls is None:
            self._calls = {}
            for name, caller in _all_calls(self._spec):
                self._calls.setdefault(name, []).append(caller)
        return self._calls.get(template.name or "") or [Caller(None, None)]


def _all_calls(spec: WorkflowSpec) -> Iterator[tuple[str, Caller]]:
    for name in (spec.entrypoint, spec.on_exit):
        if name:
            yield name, Caller(None, spec.arguments)
    yield from _hooks(spec.hooks, None)
    for place in all_bodies(spec):
        for call, _ in calls(place.template, place.pointer):
            if call.template:
                yield call.template, Caller(place.template, call.arguments)
            if call.on_exit:
                yield call.on_exit, Caller(place.template, call.arguments)
            yield from _hooks(call.hooks, place.template)


def _hooks(hooks: dict[str, Hook] | None, template: Template | None) -> Iterator[tuple[str, Caller]]:
    for hook in (hooks or {}).values():
        if hook.template:
            yield hook.template, Caller(template, hook.arguments)


def _value(given: Parameters | None, name: str) -> Any:
    """Return the value of a parameter, or its default."""
    for each in (given.parameters if given is not None else None) or ():
        if each.name == name:
            return each.value if each.value is not None else each.default
    return None
