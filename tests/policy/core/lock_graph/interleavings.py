"""An oracle for deadlocks: every interleaving of one run, by how Argo takes and frees locks.

A run takes its own locks first and keeps them to the end, exit handlers included. A template takes all of its
locks together and keeps them for its whole sub-tree. Tasks start when what they depend on has ended, steps
group by group; a `when` may be true or false, and all work succeeds. Written without the code under test.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

Spec: TypeAlias = Mapping[str, Any]
State: TypeAlias = tuple[Any, ...]

DONE: Final = "Succeeded"
SKIPPED: Final = "Skipped"
OMITTED: Final = "Omitted"
NOT_YET: Final = "NotYet"
ENDED: Final = (DONE, SKIPPED, OMITTED)
DEEPEST_CHOICE: Final = 4
"""Calls behind a `when` are passed over below this depth, so that recursion has an end."""


class Part(msgspec.Struct, frozen=True):
    """One call of a body: its name, what runs, whether it may be skipped, and what it waits for."""

    name: str
    body: "Body"
    optional: bool = False
    depends: str = ""


class Body(msgspec.Struct, frozen=True, eq=False):
    """What runs under a set of locks: calls, created when they are first needed."""

    locks: frozenset[str]
    source: Spec
    kind: str = "template"


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
        self._made: dict[Body, tuple[Part, ...]] = {}

    def outcome(self) -> Outcome:
        """Return whether some interleaving ends, and whether some hangs."""
        root = Body(self._locks(self._spec.get("synchronization")), self._spec, "run")
        first: State = ("waits", root)
        seen, work = {first}, [first]
        can_end = can_hang = False
        while work:
            state = work.pop()
            moved = False
            held: Counter[str] = Counter()
            _count(state, held)
            for after in self._moves(state, held, 0):
                moved = True
                if after == (DONE,):
                    can_end = True
                elif after not in seen:
                    seen.add(after)
                    work.append(after)
            can_hang = can_hang or not moved
            if len(seen) > self._most:
                raise TooManyError
        return Outcome(can_end, can_hang, len(seen))

    def _moves(self, state: State, held: Counter[str], depth: int) -> Iterator[State]:
        """Yield every state one step further: ("waits", body), ("runs", body, parts) or (outcome,)."""
        if state[0] == "waits":
            if all(held[lock] < self._limits[lock] for lock in state[1].locks):
                start = tuple((NOT_YET,) for _ in self._parts(state[1]))
                yield ("runs", state[1], start)
            return
        if state[0] != "runs":
            return
        _, body, now = state
        if all(each[0] in ENDED for each in now):
            yield (DONE,)
            return
        parts = self._parts(body)
        outcomes = {part.name: each[0] for part, each in zip(parts, now, strict=True)}
        for index, (part, each) in enumerate(zip(parts, now, strict=True)):
            for after in self._part_moves(part, each, outcomes, held, depth + 1):
                yield ("runs", body, (*now[:index], after, *now[index + 1 :]))

    def _part_moves(
        self, part: Part, now: State, outcomes: Mapping[str, str], held: Counter[str], depth: int
    ) -> Iterator[State]:
        if now[0] != NOT_YET:
            yield from self._moves(now, held, depth)
            return
        ready = _ready(part.depends, outcomes)
        if ready is None:
            return
        if not ready:
            yield (OMITTED,)
            return
        if part.optional:
            yield (SKIPPED,)
        if not part.optional or depth <= DEEPEST_CHOICE:
            yield ("waits", part.body)

    def _parts(self, body: Body) -> tuple[Part, ...]:
        found = self._made.get(body)
        if found is None:
            found = self._made[body] = tuple(self._calls(body))
        return found

    def _calls(self, body: Body) -> Iterator[Part]:
        source = body.source
        if body.kind == "run":
            yield Part("main", self._named(source["entrypoint"]))
            for index, name in enumerate(self._exits(source)):
                yield Part(f"exit-{index}", self._named(name[0]), name[1], "main")
            yield from self._hooks(source, "")
        elif "dag" in source:
            for task in source["dag"]["tasks"]:
                yield from self._call(task, task.get("depends") or " && ".join(task.get("dependencies", ())))
        else:
            before: list[str] = []
            for group in source.get("steps", ()):
                waits = " && ".join(f"({name}.Succeeded || {name}.Skipped)" for name in before)
                before = [step["name"] for step in group]
                for step in group:
                    yield from self._call(step, waits)

    def _call(self, call: Spec, depends: str) -> Iterator[Part]:
        body = self._body(call["inline"]) if "inline" in call else self._named(call["template"])
        yield Part(call["name"], body, "when" in call, depends)
        for index, (name, optional) in enumerate(self._exits(call)):
            yield Part(
                f"{call['name']}-exit-{index}", self._named(name), optional, f"{call['name']}.Succeeded"
            )
        yield from self._hooks(call, depends)

    def _exits(self, call: Spec) -> Iterator[tuple[str, bool]]:
        if "onExit" in call:
            yield call["onExit"], False
        for event, hook in call.get("hooks", {}).items():
            if event == "exit":
                yield hook["template"], "expression" in hook

    def _hooks(self, call: Spec, depends: str) -> Iterator[Part]:
        for event, hook in call.get("hooks", {}).items():
            if event != "exit":
                name = f"{call.get('name', '')}-hook-{event}"
                yield Part(name, self._named(hook["template"]), optional=True, depends=depends)

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


def _count(state: State, held: Counter[str]) -> None:
    """Count the holders of each lock."""
    if state[0] == "runs":
        held.update(state[1].locks)
        for each in state[2]:
            _count(each, held)


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
