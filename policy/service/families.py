"""Which live Workflow is the child of which: a child counts from the moment on that its parent is gone."""

from collections.abc import Iterable


class Families:
    """Children by the uid of their parent; both by uid."""

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

    def children(self, uid: str) -> Iterable[str]:
        """Return the children of a Workflow."""
        return tuple(self._children.get(uid, ()))
