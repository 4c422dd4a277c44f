"""Which live Workflow was admitted as the child of which, and so who stands in the line of whom."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

Runs: TypeAlias = Callable[[str], bool]
"""Tells of a uid whether that Workflow has a slot for others: it lives, and does not wait."""


class Families:
    """Children by the uid of the one that they were charged to; both by uid.

    A line may have several levels: who lost his root has children of his own, and finds himself below that
    root again when it is retried.
    """

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._children: dict[str, set[str]] = {}

    def put(self, uid: str, parent: str) -> None:
        """Take note of whose child a Workflow is; "" is nobody's."""
        if self._parents.get(uid, "") == parent:
            return
        self.remove(uid)
        if parent:
            self._parents[uid] = parent
            self._children.setdefault(parent, set()).add(uid)

    def remove(self, uid: str) -> None:
        """Forget a Workflow as a child."""
        parent = self._parents.pop(uid, "")
        if parent:
            self._children[parent].discard(uid)
            if not self._children[parent]:
                del self._children[parent]

    def parent(self, uid: str) -> str:
        """Return whose child a Workflow is, or ""."""
        return self._parents.get(uid, "")

    def children(self, uid: str) -> tuple[str, ...]:
        """Return the children of a Workflow."""
        return tuple(self._children.get(uid, ()))

    def members(self) -> Iterable[str]:
        """Return all who are children."""
        return tuple(self._parents)

    def root(self, uid: str, runs: Runs) -> str | None:
        """Return the root of the line that a Workflow stands in; None where they go in a circle.

        Only somebody who writes our marks past admission could make a circle.
        """
        seen = {uid}
        while runs(above := self.parent(uid)):
            if above in seen:
                return None
            seen.add(above)
            uid = above
        return uid

    def line(self, root: str, runs: Runs) -> Iterator[str]:
        """Yield all below a Workflow, each once: children of those that run, and their children."""
        seen, rest = {root}, [root]
        while rest:
            uid = rest.pop()
            if not runs(uid):
                continue
            for each in self.children(uid):
                if each not in seen:
                    seen.add(each)
                    rest.append(each)
                    yield each
