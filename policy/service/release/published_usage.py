"""The view of usage that a leader publishes after each pass: of all roots together, and who waits why."""

from collections.abc import Container, Mapping
from datetime import datetime, timedelta
from typing import Final

from policy.core.queue.waits import all_waits, waits_in
from policy.core.quota.accounts import Account, Root
from policy.core.quota.usage_view import NamespaceQueue, UsageView, Waits
from policy.core.values.amounts import Usage
from policy.service.release.root_state import RootState

MEASURE_EVERY: Final = timedelta(seconds=10)
"""How often it is worked out since when and why Workflows wait."""


class PublishedUsage:
    """The views of the roots, each as it was when its state changed last."""

    def __init__(self) -> None:
        self._views: dict[Root, UsageView] = {}
        self._waits: dict[Root, Waits] = {}
        self._unmeasured: set[Root] = set()
        self._measured_at: datetime | None = None

    def changed(self, root: Root, state: RootState) -> None:
        """Take the view of a root anew."""
        self._views[root] = state.view()
        self._unmeasured.add(root)

    def keep(self, roots: Container[Root]) -> None:
        """Forget the views of all other roots."""
        self._views = {root: view for root, view in self._views.items() if root in roots}

    def view(
        self, states: Mapping[Root, RootState], now: datetime, not_admitted: Mapping[str, int]
    ) -> UsageView:
        """Return the view of all roots together, with how many were not admitted."""
        self._measure_waits(states, now)
        taken: dict[Account, Usage] = {}
        queues: dict[str, NamespaceQueue] = {}
        running: dict[str, Usage] = {}
        for view in self._views.values():
            taken.update(view.used)
            queues.update(view.queues)
            running.update(view.running)
        return UsageView(
            taken,
            queues,
            running,
            not_admitted=dict(not_admitted),
            live=True,
            waits=all_waits(self._waits.values()),
        )

    def _measure_waits(self, states: Mapping[Root, RootState], now: datetime) -> None:
        """Work out since when and why Workflows wait: once in a while, since it goes over all of them."""
        if self._measured_at is not None and now - self._measured_at < MEASURE_EVERY:
            return
        self._measured_at = now
        for root in self._unmeasured:
            state = states.get(root)
            if state is not None:
                self._waits[root] = waits_in(state.planner)
        for root in self._waits.keys() - states.keys():
            del self._waits[root]
        self._unmeasured.clear()
