"""The referee of groups: counts who runs by the key that is recorded on each Workflow, and by nothing else.

Of ledgers it reads only whether a child has its own slot. A group is judged while it is as it was when the
run began.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from policy.core.quota.ledger import Reservation
from tests.simulation.lives import Facts, Life, Submission
from tests.simulation.policies import NAMESPACES, Book, Scope, Version

SUPERSEDED: Final = "lockkeeper: superseded by "


class KeyReferee:
    """Judges keys of groups after every write of a Workflow."""

    def __init__(self, *, lives: Mapping[str, Life], book: Book) -> None:
        self._lives = lives
        self._book = book
        self._steady: tuple[Scope, ...] = ()
        self._of = 0

    def broken(self) -> Iterator[tuple[str, str]]:
        """Yield the rule and the finding where more of one key run than its group allows."""
        for scope in self._unchanged():
            families: dict[str, dict[str, list[Life]]] = {}
            for life in self._lives.values():
                if life.running and not life.bypass and (key := scope.key(life.subject)):
                    pair = (scope.group.key, key)
                    if self._outran(life, pair):
                        continue
                    families.setdefault(key, {}).setdefault(self._head(life, pair).uid, []).append(life)
            for key, found in families.items():
                tasks = sum(self._tasks(uid, family) for uid, family in found.items())
                most = scope.group
                if len(found) > (most.workflows or len(found)) or tasks > (most.tasks or tasks):
                    names = ", ".join(sorted(str(life) for family in found.values() for life in family))
                    yield "KEY", f"{names} run with {tasks} tasks and the key {key} of {scope}"

    def starts(self, life: Life, reservation: Reservation | None) -> None:
        """Note by which keys a Workflow runs that are those of its root, and not reserved for itself."""
        root = self._lives.get(life.root)
        own = {each.key for each in reservation.accounts} if reservation is not None else set()
        above = () if root is None else root.subject.keys
        life.outran = root is not None and not root.running
        life.shared = tuple(each for each in life.subject.keys if each in above and each[1] not in own)

    def changed(self, life: Life, facts: Facts) -> Iterator[str]:
        """Yield which recorded keys are others now; who runs again while nothing governs it has none."""
        now = dict(facts.keys)
        for text, value in life.subject.keys:
            if now.get(text) != value and (text in now or not life.done):
                yield f"{life} had the key {value} ({text}) and has {now.get(text)}"

    def unrecorded(self, life: Life, submission: Submission, version: Version | None) -> Iterator[str]:
        """Yield which keys are not recorded on a Workflow that those who admitted it saw."""
        recorded = dict(life.subject.keys)
        for scope in () if version is None or submission.bypass else version.scopes(life.namespace):
            wanted = scope.key(submission.subject)
            if wanted and recorded.get(scope.group.key) != wanted:
                yield f"{life} is admitted with the key {wanted}, and has {recorded.get(scope.group.key)}"

    def superseded(self, life: Life, *, was_held: bool) -> str:
        """Return what is wrong with the end of a Workflow that was superseded, or nothing."""
        if not life.message.startswith(SUPERSEDED):
            return ""
        by = life.message.removeprefix(SUPERSEDED).partition(",")[0].split(" ")[0]
        newer = [
            each
            for each in self._lives.values()
            if each.name == by
            and each.created >= life.created
            and {*each.subject.keys} & {*life.subject.keys}
        ]
        if not was_held:
            return f"{life} ran when {by} superseded it"
        return "" if newer else f"{life} was superseded by {by}, which is not newer or has another key"

    def _head(self, life: Life, pair: tuple[str, str]) -> Life:
        """Return by whose slot a Workflow runs under a key: its own, or that of the one above."""
        root = self._lives.get(life.root)
        return self._head(root, pair) if root is not None and pair in life.shared else life

    def _outran(self, life: Life, pair: tuple[str, str]) -> bool:
        """Return whether a child was on its way when its root ended, or is below one."""
        root = self._lives.get(life.root)
        return root is not None and pair in life.shared and (life.outran or self._outran(root, pair))

    def _tasks(self, head: str, family: list[Life]) -> int:
        """Return the tasks of a Workflow; of its children when it is over, which are bounded by it.

        Several that are created in the same instant may have more: a leader counts these for themselves.
        """
        bound = self._lives[head].subject.tasks
        return (
            bound if self._lives[head] in family else min(bound, sum(each.subject.tasks for each in family))
        )

    def _unchanged(self) -> tuple[Scope, ...]:
        """Return the groups that have been in force as they are since the run began."""
        versions = self._book.versions
        if self._of != len(versions):
            self._of = len(versions)
            found = [_scopes(each) for each in versions.values()]
            self._steady = tuple(scope for scope in found[0] if all(scope in each for each in found))
        return self._steady


def _scopes(version: Version) -> list[Scope]:
    return list(dict.fromkeys(scope for name in NAMESPACES for scope in version.scopes(name)))
