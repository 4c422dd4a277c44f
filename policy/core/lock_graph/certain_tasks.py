"""Which tasks of a DAG run in every run whose work succeeds, and which only in some.

This distinguishes a certain deadlock from a possible one: a call behind a `when`, in a loop over the output
of another task, or with a `depends` on a failure may never be made.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Final, TypeAlias

from policy.core.lock_graph.loop_items import may_have_no_items
from policy.core.lock_model.parameters import TagValues
from policy.core.objects.workflow import Call, Dag
from policy.core.values.budget import STEPS, UNBOUNDED, Budget, Part, paced

_Outcomes: TypeAlias = frozenset[str]
_Test: TypeAlias = Callable[[Mapping[str, str]], bool]

_RUNS: Final = "Succeeded"
_SKIPPED: Final = "Skipped"
_OMITTED: Final = "Omitted"
_CERTAIN: Final[_Outcomes] = frozenset({_RUNS})
_UNCERTAIN: Final[_Outcomes] = frozenset({_RUNS, _SKIPPED, _OMITTED})
_MAX_UNCERTAIN: Final = 6
"""Uncertain tasks of one `depends` whose outcomes are tried in every combination."""

_TOKEN: Final = re.compile(r"&&|\|\||!|\(|\)|[A-Za-z0-9_][A-Za-z0-9_.-]*")
_MAX_LENGTH: Final = 10_000
"""Characters of a `depends` that is read; of a longer one it is unknown when its task runs."""
DEEPEST: Final = 100
"""Parentheses and negations in each other that are read; deeper expressions count as unreadable."""
_NO_VALUES: Final[TagValues] = {}
_MAX_TRIED: Final = 100_000
"""Characters of a `depends` times the combinations of outcomes that are tried."""
_SATISFIES: Final[Mapping[str, _Outcomes]] = {
    "": frozenset({_RUNS, _SKIPPED}),
    "Succeeded": _CERTAIN,
    "AnySucceeded": _CERTAIN,
    "Skipped": frozenset({_SKIPPED}),
    "Omitted": frozenset({_OMITTED}),
    "Failed": frozenset(),
    "Errored": frozenset(),
    "AllFailed": frozenset(),
    "Daemoned": frozenset(),
}


class _DependsError(ValueError):
    """A `depends` that is no expression of task names."""


def maybe_skipped(call: Call, values: TagValues = _NO_VALUES) -> bool:
    """Return whether a step or task may be skipped: by its `when`, or because its loop is empty."""
    return bool(call.when) or may_have_no_items(call, values)


def certain_tasks(dag: Dag, budget: Budget = UNBOUNDED, values: TagValues = _NO_VALUES) -> list[bool]:
    """Return for each task whether it runs whenever the DAG does and all work succeeds.

    `values` are those of the tags in its template.
    """
    tasks = dag.tasks or ()
    skipped = [maybe_skipped(task, values) for task in tasks]
    if not dag.target and not any(skipped) and not any(task.depends for task in tasks):
        return [True] * len(tasks)
    known: dict[str, _Outcomes] = {}
    wanted = _wanted(dag, budget)
    maybe = {task.name or "" for task, each in zip(tasks, skipped, strict=True) if each}
    for task in _in_order(tasks, budget):
        known[task.name or ""] = _outcomes(task, known, budget, may_skip=(task.name or "") in maybe)
    return [known[task.name or ""] == _CERTAIN and (wanted is None or task.name in wanted) for task in tasks]


def always_one_of(dag: Dag, chosen: Collection[int], budget: Budget = UNBOUNDED) -> bool:
    """Return whether at least one of the chosen tasks runs, whatever the conditions of the DAG evaluate to.

    So it is where one task waits for `a.Succeeded` and another for `a.Skipped`. Of more than a few conditions
    the answer is no.
    """
    tasks = dag.tasks or ()
    wanted = _wanted(dag, budget)
    names = {tasks[index].name or "" for index in chosen}
    names = names if wanted is None else names & wanted
    ordered = list(_in_order(tasks, budget, names))
    free = [task.name or "" for task in ordered if maybe_skipped(task)]
    if not names or len(free) > _MAX_UNCERTAIN:
        return False
    try:
        tests = {task.name or "": _test(task, budget) for task in ordered}
    except _DependsError:
        return False
    for case in product((False, True), repeat=len(free)):
        skipped = {name for name, is_skipped in zip(free, case, strict=True) if is_skipped}
        outcomes: dict[str, str] = {}
        for task in paced(ordered, budget, Part.DEADLOCKS):
            name = task.name or ""
            fits = all(each in outcomes for each in dependencies_of(task)) and tests[name](outcomes)
            outcomes[name] = _OMITTED if not fits else _SKIPPED if name in skipped else _RUNS
        if not any(outcomes[name] == _RUNS for name in names):
            return False
    return True


def dependencies_of(task: Call) -> list[str]:
    """Return the names of the tasks that a task waits for."""
    if task.dependencies:
        return list(task.dependencies)
    return tasks_named_in(task.depends or "")


def tasks_named_in(depends: str) -> list[str]:
    """Return the names of the tasks in a `depends`, as often as they are there."""
    words = _TOKEN.findall(depends)[:_MAX_LENGTH]
    return [word.partition(".")[0] for word in words if word[0] not in "&|!()"]


def _in_order(tasks: Sequence[Call], budget: Budget, names: Iterable[str] | None = None) -> Iterator[Call]:
    """Yield tasks, each after those that it waits for; a cycle, which Argo refuses, in any order.

    These are all tasks, or those of the given names and what they wait for.
    """
    by_name = {task.name or "": task for task in tasks}
    done: set[str] = set()
    for first in by_name if names is None else names:
        waiting = [(first, False)]
        while waiting:
            name, ready = waiting.pop()
            if ready:
                yield by_name[name]
            elif name in by_name and name not in done:
                budget.check(Part.GRAPH)
                done.add(name)
                waiting.append((name, True))
                waiting.extend((each, False) for each in dependencies_of(by_name[name]))


def _wanted(dag: Dag, budget: Budget) -> set[str] | None:
    """Return the tasks of `target` with those that they wait for; None where all tasks run."""
    if not dag.target:
        return None
    return {task.name or "" for task in _in_order(dag.tasks or (), budget, dag.target.split())}


def _outcomes(task: Call, known: Mapping[str, _Outcomes], budget: Budget, *, may_skip: bool) -> _Outcomes:
    answers = _answers(task, known, budget)
    found: set[str] = set()
    if True in answers:
        found.update((_RUNS, _SKIPPED) if may_skip else (_RUNS,))
    if False in answers:
        found.add(_OMITTED)
    return frozenset(found)


def _answers(task: Call, known: Mapping[str, _Outcomes], budget: Budget) -> set[bool]:
    """Return whether the `depends` of a task is true: always, never, or (both) in some runs."""
    if len(task.depends or "") > _MAX_LENGTH:
        return {True, False}
    names = list(dict.fromkeys(dependencies_of(task)))
    if not names:
        return {True}
    try:
        test = _test(task, budget)
    except _DependsError:
        return {True, False}
    outcomes = [sorted(known.get(name, _UNCERTAIN)) for name in names]
    tried = prod(len(each) for each in outcomes) * len(task.depends or "")
    if sum(len(each) > 1 for each in outcomes) > _MAX_UNCERTAIN or tried > _MAX_TRIED:
        return {True, False}
    found: set[bool] = set()
    for case in product(*outcomes):
        budget.check(Part.GRAPH)
        found.add(test(dict(zip(names, case, strict=True))))
    return found


def _test(task: Call, budget: Budget) -> _Test:
    """Return what a task waits for, as a test of the outcomes of others. Raises _DependsError."""
    if task.depends and not task.dependencies:
        return _Expression(task.depends, budget).parse()
    names = task.dependencies or ()
    return lambda case: all(case[name] in _SATISFIES[""] for name in names)


class _Expression:
    """A recursive descent over `depends`: names with outcomes, `!`, `&&`, `||` and parentheses."""

    def __init__(self, text: str, budget: Budget) -> None:
        budget.check(Part.GRAPH)
        self._budget = budget
        if len(text) > _MAX_LENGTH:
            raise _DependsError(text[:_MAX_LENGTH])
        self._words: list[str] = _TOKEN.findall(text)
        if "".join(self._words) != re.sub(r"\s+", "", text):
            raise _DependsError(text)
        self._at = self._depth = 0

    def parse(self) -> _Test:
        """Return the test that the whole expression is."""
        test = self._either()
        if self._at != len(self._words):
            raise _DependsError(self._words[self._at])
        return test

    def _next(self, *words: str) -> str:
        """Return the next word if it is one of these, or "" without moving on."""
        if self._at < len(self._words) and (not words or self._words[self._at] in words):
            self._at += 1
            return self._words[self._at - 1]
        return ""

    def _either(self) -> _Test:
        tests = [self._both()]
        while self._next("||"):
            tests.append(self._both())
        return lambda case: any(test(case) for test in tests)

    def _both(self) -> _Test:
        tests = [self._one()]
        while self._next("&&"):
            tests.append(self._one())
        return lambda case: all(test(case) for test in tests)

    def _one(self) -> _Test:
        if not self._at % STEPS:
            self._budget.check(Part.GRAPH)
        word = self._next()
        if word in ("!", "("):
            return self._within(word)
        name, _, outcome = word.partition(".")
        satisfies = _SATISFIES.get(outcome)
        if not name or word in (")", "&&", "||") or satisfies is None:
            raise _DependsError(word)
        return lambda case: case[name] in satisfies

    def _within(self, sign: str) -> _Test:
        """Return the test after a `!` or a parenthesis."""
        self._depth += 1
        if self._depth >= DEEPEST:
            raise _DependsError(sign)
        inner = self._one() if sign == "!" else self._either()
        self._depth -= 1
        if sign == "!":
            return lambda case: not inner(case)
        if not self._next(")"):
            raise _DependsError(sign)
        return inner
