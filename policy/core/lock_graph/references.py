"""Which calls a template body makes, and whether it makes them whenever it runs (argo-workflows E)."""

import re
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

EXIT_EVENT: Final = "exit"
_NO_VALUES: Final[TagValues] = {}
_LONGEST: Final = 2_000
"""Characters of an expression that is read."""
_OVER: Final = r"['\"](?:Succeeded|Failed|Error|Skipped|Omitted)['\"]"
_STATUS: Final = re.compile(
    r"(?:tasks|steps)(?:\.(?P<dotted>[\w-]+)|\[['\"](?P<bracketed>[\w-]+)['\"]\])\.status ?"
    rf"(?:== ?{_OVER}|in ?\[ ?{_OVER}(?: ?, ?{_OVER})* ?\])"
)
_OR: Final = re.compile(r"\|\||\bor\b")
_AND: Final = re.compile(r"&&|\band\b")


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
    whenever the task (by its number in a DAG) or step runs that it belongs to. Of a hook or exit handler,
    `beside` is the pointer and `of` the name of that task or step, and with `late` it starts only when that
    is over.
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
    beside: str = ""
    of: str = ""
    late: bool = False


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
    beside: str = "",
    of: str = "",
) -> Iterator[Reference]:
    """Yield the call of an `onExit`, which Argo makes however the caller ends."""
    if name:
        yield Reference(
            via=Via.EXIT,
            name="onExit",
            pointer=pointer,
            template=name,
            arguments=arguments,
            loop=loop,
            certain=certain,
            beside=beside,
            of=of,
            late=True,
        )


def of_hooks(
    hooks: Mapping[str, Hook] | None,
    pointer: str,
    *,
    loop: Call | None = None,
    certain: bool = True,
    beside: str = "",
    of: str = "",
) -> Iterator[Reference]:
    """Yield the calls of lifecycle hooks; only an exit hook without an expression is certain to fire.

    `of` is the name of the task or step that they belong to.
    """
    for event, hook in (hooks or {}).items():
        exits = event == EXIT_EVENT
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
            beside=beside,
            of=of,
            late=exits or _only_when_over(hook.expression or "", of),
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
    name = call.name or ""
    yield from of_exit(call.on_exit, f"{where}/onExit", loop=loop, certain=certain, beside=where, of=name)
    hooks = call.hooks if not call.on_exit else without_exit(call.hooks)
    yield from of_hooks(hooks, where, loop=loop, certain=certain, beside=where, of=name)


def without_exit(hooks: Mapping[str, Hook] | None) -> Mapping[str, Hook]:
    """Return the hooks that Argo runs beside an `onExit`, which takes the place of the exit hook."""
    return {event: hook for event, hook in (hooks or {}).items() if event != EXIT_EVENT}


def _only_when_over(expression: str, of: str) -> bool:
    """Return whether the expression of a hook is true only after its task or step is over.

    Each of its alternatives has to ask for that; what is written in another way may be true before.
    """
    if len(expression) > _LONGEST or "(" in expression:
        return False
    alternatives = [_AND.split(each) for each in _OR.split(" ".join(expression.split()))]
    return all(any(_asks_for_end(part, of) for part in parts) for parts in alternatives)


def _asks_for_end(part: str, of: str) -> bool:
    match = _STATUS.fullmatch(part.strip())
    return match is not None and of == (match["dotted"] or match["bracketed"])
