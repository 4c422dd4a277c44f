"""A quota root where nobody else writes its ledger, so that no write is needed before a release."""

from datetime import datetime

from policy.core.policies.snapshot import NamespacePolicies
from policy.service.release.root_state import MOST_RELEASES, RootState


class LoneRoot(RootState):
    """The leader's own state of a root; what its planner releases is released at once."""

    def policies(self, namespace: str) -> NamespacePolicies:
        """Return what governs a namespace here."""
        return self._in_force.snapshot.policies(namespace)

    def move_limits(self, now: datetime) -> bool:
        """Put the limits of `now` in force; return whether these may be others than before."""
        return self._in_force.put(self.planner, now, None)

    def release(self, now: datetime, most: int = MOST_RELEASES) -> list[str]:
        """Release what may start now; return the uids in the planner's order."""
        planned = self.planner.plan(now, most)
        for waiter in planned:
            tracked = self._find(waiter.uid)
            if tracked is not None:
                self._releasing[waiter.uid] = (tracked.release, self.load(tracked))
        return [waiter.uid for waiter in planned]
