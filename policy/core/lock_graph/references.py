"""Which calls a template body makes, and whether it makes them whenever it runs (argo-workflows E)."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.lock_graph.certain_tasks import certain_tasks, maybe_skipped
from policy.core.lock_graph.loop_items import loops
from policy.core.lock_model.parameters import TagValues
from policy.core.objects.json_patch import pointer as escaped
from policy.core.objects.workflow import Call, Hook, Parameters, Template, TemplateRef
from policy.core.values.budget import UNBOUNDED, Budget

_EXIT_EVENT: Final = "exit"
_NO_VALUES: Final[TagValues] = {}


class Via(StrEnum):
    """The kinds of call."""

    ENTRYPOINT = "entrypoint"
    TASK = "task"
    STEP = "step"
    HOOK = "hook"
    EXIT = "exit handler"
    ROOT = "template"


class Reference(msgspec.Struct, frozen=True):
    """One call: what it names, where it is written, and whether its caller always makes it (`certain`).

    Exactly one of `template`, `ref` and `inline` names what is called. `loop` is the task or step whose items
    it is made for, where that has items. With `follows`, the call is made
    whenever the task (by its number in a DAG) or step runs that it belongs to.
    """

    via: Via
    name: str
    pointer: str
    template: str | None = None
    ref: TemplateRef | None = None
    inline: Template | None = None
    arguments: Parameters | None = None
    loop: Call | None = None
    certain: bool = True
    follows: bool = True
    task: int | None = None


def references(
    template: Template, pointer: str, budget: Budget = UNBOUNDED, values: TagValues = _NO_VALUES
) -> Iterator[Reference]:
    """Yield the calls of a template body, in the order in which they are written.

    `values` are those of the tags in it, on which it may depend whether a loop has items.
    """
    if template.dag is not None:
        certain = certain_tasks(template.dag, budget, values)
        for index, task in enumerate(template.dag.tasks or ()):
            for each in of_call(task, Via.TASK, f"{pointer}/dag/tasks/{index}", certain=certain[index]):
                yield each if certain[index] else msgspec.structs.replace(each, task=index)
    for group_index, group in enumerate(template.steps or ()):
        for index, step in enumerate(group):
            where = f"{pointer}/steps/{group_index}/{index}"
            yield from of_call(step, Via.STEP, where, certain=not maybe_skipped(step, values))


def of_exit(
    name: str | None,
    pointer: str,
    arguments: Parameters | None = None,
    *,
    loop: Call | None = None,
    certain: bool = True,
) -> Iterator[Reference]:
    """Yield the call of an `onExit`, which Argo makes however the caller ends."""
    if name:
        yield Reference(Via.EXIT, "onExit", pointer, name, arguments=arguments, loop=loop, certain=certain)


def of_hooks(
    hooks: Mapping[str, Hook] | None, pointer: str, *, loop: Call | None = None, certain: bool = True
) -> Iterator[Reference]:
    """Yield the calls of lifecycle hooks; only an exit hook without an expression is certain to fire."""
    for event, hook in (hooks or {}).items():
        exits = event == _EXIT_EVENT
        follows = exits and not hook.expression
        yield Reference(
            via=Via.EXIT if exits else Via.HOOK,
            name=event,
            pointer=f"{pointer}/hooks{escaped(event)}",
            template=hook.template,
            ref=hook.template_ref,
            arguments=hook.arguments,
            loop=loop,
            certain=certain and follows,
            follows=follows,
        )


def of_call(call: Call, via: Via, where: str, *, certain: bool) -> Iterator[Reference]:
    """Yield the calls that a task or step makes: the one of its template, `onExit`, and hooks."""
    loop = call if loops(call) else None
    yield Reference(
        via=via,
        name=call.name or "",
        pointer=where,
        template=call.template,
        ref=call.template_ref,
        inline=call.inline,
        arguments=call.arguments,
        loop=loop,
        certain=certain,
    )
    yield from of_exit(call.on_exit, f"{where}/onExit", loop=loop, certain=certain)
    yield from of_hooks(call.hooks, where, loop=loop, certain=certain)
