"""The view of usage that is published after each pass: what is taken, what runs and who waits."""

from policy.core.quota.accounts import Account, Root
from policy.core.quota.usage_view import NamespaceQueue, UsageView
from policy.core.values.amounts import ZERO, Usage
from policy.service.release.root_state import RootState


class UsageViews:
    """The views of all roots, of which only those that changed are made anew."""

    def __init__(self) -> None:
        self._roots: dict[Root, UsageView] = {}
        self._merged: UsageView | None = None

    def put(self, root: Root, state: RootState) -> None:
        """Take the view of one root."""
        self._roots[root] = _view_of(state)
        self._merged = None

    def drop(self, root: Root) -> None:
        """Forget a root that is no more."""
        self._roots.pop(root, None)
        self._merged = None

    def merged(self) -> UsageView:
        """Return the view of all roots together."""
        if self._merged is None:
            taken: dict[Account, Usage] = {}
            queues: dict[str, NamespaceQueue] = {}
            running: dict[str, Usage] = {}
            for view in self._roots.values():
                taken.update(view.used)
                queues.update(view.queues)
                running.update(view.running)
            self._merged = UsageView(taken, queues, running)
        return self._merged


def _view_of(state: RootState) -> UsageView:
    """Return the view of one root; who is on the way counts as running."""
    running = dict(state.running)
    for load in state.going():
        running[load.namespace] = running.get(load.namespace, ZERO) + load.usage
    queues = {name: NamespaceQueue(counts) for name, counts in state.planner.pending.priorities().items()}
    return UsageView(dict(state.planner.headroom.used), queues, running)
