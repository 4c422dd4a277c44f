"""What is different for a history under two sets of policies, and for whom: run by run, and for each group.

A run starts earlier or later where that is a minute or more. A group is told of where 95 of 100 of its
Workflows wait for longer or shorter by a minute and a tenth, or where others of it are denied or never start.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from policy.service.simulation.fates import DENIED, GAVE_UP, NEVER_STARTED, Fates
from policy.service.simulation.result import KINDS_OF_GROUPS, GroupResult, PolicyResult, groups_of

_MINUTE: Final = 60.0
_TENTH: Final = 0.1
_MOST: Final = 40


class Moved(msgspec.Struct, frozen=True, rename="camel"):
    """How many Workflows of a namespace ("" for all) start earlier or later, or are newly (not) refused."""

    namespace: str
    earlier: int = 0
    later: int = 0
    newly_denied: int = 0
    no_longer_denied: int = 0
    newly_lost: int = 0
    no_longer_lost: int = 0


class GroupChange(msgspec.Struct, frozen=True, rename="camel"):
    """A group that is told of: what it is (`namespace`, `pool`, `user`, ...), and both results."""

    what: str
    before: GroupResult
    after: GroupResult

    @property
    def name(self) -> str:
        """The name of the group."""
        return self.after.name

    @property
    def by(self) -> float:
        """By how many seconds 95 of 100 wait for longer."""
        return self.after.waits.p95 - self.before.waits.p95


class Comparison(msgspec.Struct, frozen=True, rename="camel"):
    """Both sets of policies beside each other: `moved` has all first, then the namespaces."""

    moved: tuple[Moved, ...]
    changes: tuple[GroupChange, ...]
    left_out: int = 0


def compare(before: PolicyResult, after: PolicyResult, fates: tuple[Fates, Fates]) -> Comparison:
    """Return what is different `after` a change of policies."""
    changes = sorted(_changes(before, after), key=lambda each: (-abs(each.by), each.what, each.name))
    return Comparison(tuple(_moved(*fates)), tuple(changes[:_MOST]), max(0, len(changes) - _MOST))


def _changes(before: PolicyResult, after: PolicyResult) -> Iterator[GroupChange]:
    for what in KINDS_OF_GROUPS:
        known = {each.name: each for each in groups_of(before, what)}
        for group in groups_of(after, what):
            if group.name in known and _differs(known[group.name], group):
                yield GroupChange(what, known[group.name], group)


def _differs(before: GroupResult, after: GroupResult) -> bool:
    by = abs(after.waits.p95 - before.waits.p95)
    if by >= _MINUTE and by >= _TENTH * before.waits.p95:
        return True
    lost = before.gave_up + before.never_started, after.gave_up + after.never_started
    return before.denied != after.denied or lost[0] != lost[1]


def _moved(before: Fates, after: Fates) -> Iterator[Moved]:
    counts: dict[str, Counter[str]] = {"": Counter()}
    for number, (old, new) in enumerate(zip(before.values, after.values, strict=True)):
        for what in _how(old, new):
            counts[""][what] += 1
            counts.setdefault(after.namespace(number), Counter())[what] += 1
    for namespace, found in sorted(counts.items()):
        yield Moved(namespace, **found)


def _how(old: float, new: float) -> Iterator[str]:
    """Yield what is different for one run."""
    if old >= 0 and new >= 0:
        if abs(new - old) >= _MINUTE:
            yield "later" if new > old else "earlier"
        return
    lost = GAVE_UP, NEVER_STARTED
    if (new == DENIED) != (old == DENIED):
        yield "newly_denied" if new == DENIED else "no_longer_denied"
    if (new in lost) != (old in lost):
        yield "newly_lost" if new in lost else "no_longer_lost"
