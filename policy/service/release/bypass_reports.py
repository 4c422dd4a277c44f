"""Reports live Workflows that bypassed admission, each once: they count, and nothing is done to them.

They are reported a few at a time, because a webhook that was away for an hour leaves thousands; all are
counted.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.core.policies.governing import bypass_message, bypassed_quota, policy_edited_at
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.compiled_quota import CompiledQuota
from policy.service.release.release_sender import Reporter
from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import Tracker, WorkflowChange

REPORT_EVERY: Final = timedelta(seconds=1)
REPORTED_AT_ONCE: Final = 5
"""Each second at most: half of the events that are written, so that there is room for others as well."""
MOST_UNREPORTED: Final = 100
"""Of one namespace that wait to be reported. More are counted only: nobody reads thousands of one event."""


class _Unreported(msgspec.Struct, frozen=True):
    """A Workflow that is to be reported, and with which message."""

    workflow: Tracked
    message: str


class Bypasses:
    """What one leader knows of such Workflows. `counted` is how many of them live, by namespace."""

    def __init__(self, *, reporter: Reporter, now: datetime) -> None:
        self._reporter = reporter
        self._compiled: object = None
        self._quotas: dict[str, tuple[CompiledQuota, ...]] | None = None
        self._moved: dict[tuple[str, str], datetime] = {}
        self._found: dict[str, str] = {}
        self._unreported: dict[str, deque[_Unreported]] = {}
        self._reported_at = now - REPORT_EVERY
        self.counted: Counter[str] = Counter()

    def see(self, changes: Iterable[WorkflowChange], snapshot: Snapshot, now: datetime) -> None:
        """Look at what has changed; nearly all of it was admitted."""
        if self._compiled is not snapshot.compiled:
            self._compiled = snapshot.compiled
            self._note_quotas(snapshot, now)
        for each in changes:
            after = each.after
            if after is None or after.admitted or after.held:
                if each.before is not None and each.before.uid in self._found:
                    self._forget(each.before.uid)
            elif after.uid not in self._found:
                self._look_at(after, snapshot)

    def report(self, tracker: Tracker, now: datetime) -> None:
        """Report some that were not reported yet, of one namespace after the other."""
        if not self._unreported or now - self._reported_at < REPORT_EVERY:
            return
        self._reported_at = now
        reported = 0
        while self._unreported and reported < REPORTED_AT_ONCE:
            namespace = next(iter(self._unreported))
            waiting = self._unreported.pop(namespace)
            each = waiting.popleft()
            if waiting:
                self._unreported[namespace] = waiting  # At the end: the others come first.
            if each.workflow.uid in self._found and tracker.get(each.workflow.uid) is not None:
                reported += 1
                self._reporter.bypassed_admission(each.workflow, each.message)

    def next_round(self) -> datetime | None:
        """Return when more are to be reported."""
        return self._reported_at + REPORT_EVERY if self._unreported else None

    def shown(self) -> Mapping[str, int]:
        """Return how many live, by namespace."""
        return dict(self.counted)

    def _note_quotas(self, snapshot: Snapshot, now: datetime) -> None:
        """Take note of the quotas in force: what changes in this term is known to govern since now.

        What changed before is known by when a policy was edited, but not that a namespace moved then.
        """
        before = self._quotas
        namespaces = {*snapshot.quotas, *snapshot.namespace_labels}
        self._quotas = {each: snapshot.policies(each).quotas for each in namespaces}
        if before is None:
            return
        for namespace, quotas in self._quotas.items():
            known = {quota.source: quota for quota in before.get(namespace, ())}
            for quota in quotas:
                if known.get(quota.source) != quota:
                    self._moved[namespace, quota.source] = now
        self._moved = {key: since for key, since in self._moved.items() if key[0] in self._quotas}

    def _look_at(self, workflow: Tracked, snapshot: Snapshot) -> None:
        namespace = workflow.namespace

        def since(quota: CompiledQuota) -> datetime | None:
            moved = self._moved.get((namespace, quota.source))
            return moved or policy_edited_at(quota, namespace, snapshot)

        quotas = snapshot.policies(namespace).quotas
        quota = bypassed_quota(quotas, workflow.labels, workflow.created, since)
        if quota is None:
            return
        self._found[workflow.uid] = namespace
        self.counted[namespace] += 1
        waiting = self._unreported.setdefault(namespace, deque())
        if len(waiting) < MOST_UNREPORTED:
            waiting.append(_Unreported(workflow, bypass_message(quota)))

    def _forget(self, uid: str) -> None:
        namespace = self._found.pop(uid)
        self.counted[namespace] -= 1
        if not self.counted[namespace]:
            del self.counted[namespace]
