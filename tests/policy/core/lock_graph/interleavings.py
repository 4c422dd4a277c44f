"""An oracle for deadlocks: every interleaving of one run, by how Argo takes and frees locks.

A run takes its own locks first and keeps them to the end, exit handlers included. A template takes all of its
locks together and keeps them for its whole sub-tree. Tasks start when what they depend on has ended, steps
group by group; a `when` may be true or false, a hook may start or not, and all work succeeds. In which order
Argo comes to hooks and items is in `interleaved_calls`. Written without the code under test.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from tests.policy.core.lock_graph.interleaved_calls import (
    DONE,
    LEFT,
    NOT_YET,
    OMITTED,
    SKIPPED,
    Body,
    Call,
    Hook,
    Spec,
    State,
    Visit,
    count,
    done,
    has_hook_under_way,
    moves_of_call,
    started,
)

ENDED: Final = (DONE, SKIPPED, OMITTED)
DEEPEST_CHOICE: Final = 4
"""Calls behind a `when` are passed over below this depth, so that recursion has an end."""


class Outcome(msgspec.Struct, frozen=True):
    """The result of all interleavings."""

    can_end: bool
    can_hang: bool
    states: int


class TooManyError(Exception):
    """The run has more states than a test can try."""


class Run:
    """All interleavings of one Workflow. `limits` holds the limit of each lock by Argo's name."""

    def __init__(self, spec: Spec, limits: Mapping[str, int], namespace: str, most: int) -> None:
        self._spec, self._limits, self._namespace, self._most = spec, limits, namespace, most
        self._templates = {each["name"]: each for each in spec["templates"]}
        self._bodies: dict[int, Body] = {}
        self._made: dict[Body, tuple[Call, ...]] = {}

    def outcome(self) -> Outcome:
        """Return whether some interleaving ends, and whether some hangs."""
        root = Body(self._locks(self._spec.get("synchronization")), self._spec, "run")
        first: State = ("waits", root)
        seen, work = {first}, [first]
        can_end = can_hang = False
        while work:
            state = work.pop()
            moved = False
            held = Counter[str]()
            count(state, held)
            for after in self.of_body(state, Visit(held, 0)):
                moved = True
                if after[0] == DONE:
                    can_end = True
                elif after not in seen:
                    seen.add(after)
                    work.append(after)
            can_hang = can_hang or not moved
            if len(seen) > self._most:
                raise TooManyError
        return Outcome(can_end, can_hang, len(seen))

    def begun(self, body: Body, held: Counter[str]) -> State:
        """Return the state of a body that starts: it tries to take its locks at once."""
        if any(held[lock] >= self._limits[lock] for lock in body.locks):
            return ("waits", body)
        return ("runs", body, tuple((NOT_YET,) for _ in self._calls_of(body)))

    def of_body(self, state: State, visit: Visit) -> Iterator[State]:
        """Yield every state one step further."""
        if state[0] == "waits":
            after = self.begun(state[1], visit.held)
            if visit.visited and after != state:
                yield after
        elif state[0] == "over":
            if visit.visited:
                yield (DONE, ())
        elif self._calls_of(state[1]):
            yield from self._of_calls(state, visit)
        else:
            yield ("over", state[1]) if visit.watched or not visit.visited else (DONE, ())

    def _of_calls(self, state: State, visit: Visit) -> Iterator[State]:
        _, body, now = state
        if all(each[0] in ENDED for each in now):
            if visit.visited:
                kept = Counter[str]()
                for each in now:
                    count(each, kept)
                yield done(kept)
            return
        calls = self._calls_of(body)
        outcomes = {
            call.name: DONE if each[0] == LEFT else each[0] for call, each in zip(calls, now, strict=True)
        }
        blocking: set[int] = set()
        inside = Visit(visit.held, visit.depth + 1, visit.visited, visit.watched)
        for index, (call, each) in enumerate(zip(calls, now, strict=True)):
            if each[0] == NOT_YET:
                found = self._starts(call, outcomes, inside)
            else:
                found = moves_of_call(call, each, inside, self, blocked=call.group in blocking)
            for after in found:
                yield ("runs", body, (*now[:index], after, *now[index + 1 :]))
            if call.group >= 0 and has_hook_under_way(each):
                blocking.add(call.group)

    def _starts(self, call: Call, outcomes: Mapping[str, str], visit: Visit) -> Iterator[State]:
        ready = _ready(call.depends, outcomes) if visit.visited else None
        if ready is None:
            return
        if not ready:
            yield (OMITTED,)
            return
        if call.optional:
            yield (SKIPPED,)
        if not call.optional or visit.depth <= DEEPEST_CHOICE:
            yield started(call, visit, self)

    def _calls_of(self, body: Body) -> tuple[Call, ...]:
        found = self._made.get(body)
        if found is None:
            found = self._made[body] = tuple(self._calls(body))
        return found

    def _calls(self, body: Body) -> Iterator[Call]:
        source = body.source
        if body.kind == "run":
            yield Call("main", self._named(source["entrypoint"]))
            last = self._exit(source)
            if last is not None:
                yield Call("exit", last.body, last.optional, "main")
            for number, hook in enumerate(self._hooks(source)):
                yield Call(f"hook-{number}", hook.body, optional=True)
        elif "dag" in source:
            for task in source["dag"]["tasks"]:
                depends = task.get("depends") or " && ".join(task.get("dependencies", ()))
                yield self._call(task, task["name"], depends)
        else:
            before: list[str] = []
            for number, group in enumerate(source.get("steps", ())):
                waits = " && ".join(f"({name}.Succeeded || {name}.Skipped)" for name in before)
                before = []
                for step in group:
                    for item in range(len(step.get("withItems", ())) or 1):
                        name = f"{step['name']}-{item}"
                        before.append(name)
                        yield self._call(step, name, waits, number)

    def _call(self, call: Spec, name: str, depends: str, group: int = -1) -> Call:
        body = self._body(call["inline"]) if "inline" in call else self._named(call["template"])
        return Call(
            name,
            body,
            "when" in call,
            depends,
            tuple(self._hooks(call)),
            self._exit(call),
            len(call.get("withItems", ())),
            group,
        )

    def _exit(self, call: Spec) -> Hook | None:
        if "onExit" in call:
            return Hook(self._named(call["onExit"]), optional=False)
        hook = call.get("hooks", {}).get("exit")
        return Hook(self._named(hook["template"]), optional="expression" in hook) if hook else None

    def _hooks(self, call: Spec) -> Iterator[Hook]:
        for event, hook in call.get("hooks", {}).items():
            if event != "exit":
                yield Hook(self._named(hook["template"]), late=hook["expression"].endswith('"Succeeded"'))

    def _named(self, name: str) -> Body:
        return self._body(self._templates[name])

    def _body(self, template: Spec) -> Body:
        found = self._bodies.get(id(template))
        if found is None:
            own = template.get("synchronization")
            default = self._spec.get("templateDefaults", {}).get("synchronization")
            merged = {**(default or {}), **(own or {})}
            found = self._bodies[id(template)] = Body(self._locks(merged), template)
        return found

    def _locks(self, block: Spec | None) -> frozenset[str]:
        names = [f"{self._namespace}/Mutex/{each['name']}" for each in (block or {}).get("mutexes", ())]
        for each in (block or {}).get("semaphores", ()):
            ref = each["configMapKeyRef"]
            names.append(f"{self._namespace}/ConfigMap/{ref['name']}/{ref['key']}")
        return frozenset(names)


def _ready(depends: str, outcomes: Mapping[str, str]) -> bool | None:
    """Return the value of a `depends`, None while a task that it names has not ended."""
    if not depends:
        return True
    names = {word.partition(".")[0] for word in re.findall(r"[\w.-]+", depends)}
    if any(outcomes[name] not in ENDED for name in names):
        return None

    def value(match: re.Match[str]) -> str:
        name, _, wanted = match[0].partition(".")
        outcome = outcomes[name]
        return str(outcome == wanted if wanted else outcome in (DONE, SKIPPED))

    text = re.sub(r"[\w.-]+", value, depends)
    text = text.replace("&&", " and ").replace("||", " or ").replace("!", " not ")
    return bool(eval(text, {"__builtins__": {}}))  # noqa: S307 - only True, False, and, or, not
