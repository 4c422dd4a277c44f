"""Looks at held Workflows that bypassed admission, before they may go: Argo may be unable to decode them.

One such Workflow stops Argo's controller for everybody. What admission held, it has looked at; of the others
the object is read, each version once, and until that is done it waits without a slot.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError, NotFound
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.queue.wait_messages import NOT_LOOKED_AT
from policy.service.release.release_sender import Reporter, fault_in
from policy.service.tracking.tracked import Tracked, track
from policy.service.tracking.tracker import WorkflowChange

MOST_AT_ONCE: Final = 20
"""Objects that one pass reads at most: releases must not wait for thousands."""
RETRY_AFTER: Final = timedelta(seconds=1)


class _Looked(msgspec.Struct, frozen=True):
    """What was found in one version of an object: why it may not go, or nothing."""

    version: str | None
    fault: str


class Inspector:
    """Knows what stands in the held Workflows that bypassed admission."""

    def __init__(self, *, cluster: Cluster, reporter: Reporter) -> None:
        self._cluster = cluster
        self._reporter = reporter
        self._looked: dict[str, _Looked] = {}
        self._due: dict[str, Tracked] = {}
        self._again: datetime | None = None

    def fault(self, workflow: Tracked) -> str:
        """Return why one that is held may not go, or nothing."""
        if workflow.admitted or workflow.hold is None:
            return ""
        looked = self._looked.get(workflow.uid)
        known = looked is not None and looked.version == workflow.hold.version
        return looked.fault if looked is not None and known else NOT_LOOKED_AT

    def see(self, changes: Iterable[WorkflowChange]) -> None:
        """Take note of what is to be looked at."""
        for each in changes:
            after = each.after
            if after is not None and self.fault(after) == NOT_LOOKED_AT:
                self._due[after.uid] = after
            elif self._due or self._looked:
                self._forget(each)

    def look(self, now: datetime) -> list[str]:
        """Read some of them; returns of which something new is known, by uid."""
        if self._again is not None and now < self._again:
            return []
        found = []
        self._again = None
        for uid, workflow in list(self._due.items())[:MOST_AT_ONCE]:
            try:
                obj = self._cluster.get(WORKFLOWS, workflow.name, namespace=workflow.namespace)
            except NotFound:
                del self._due[uid]
                continue
            except ClusterError as error:
                self._reporter.failed(workflow, error)
                self._again = now + RETRY_AFTER
                break
            del self._due[uid]
            seen = track(obj)
            if seen.uid == uid and seen.hold is not None:  # Else it has changed; the watch tells how.
                self._looked[uid] = _Looked(seen.hold.version, fault_in(obj))
                found.append(uid)
        return found

    def next_look(self, now: datetime) -> datetime | None:
        """Return when there is more to be looked at."""
        return (self._again or now) if self._due else None

    def _forget(self, change: WorkflowChange) -> None:
        """Let go of what is known of one that is over or was let go."""
        tracked = change.after or change.before
        if tracked is not None:
            self._due.pop(tracked.uid, None)
            if change.after is None or not change.after.held:
                self._looked.pop(tracked.uid, None)
