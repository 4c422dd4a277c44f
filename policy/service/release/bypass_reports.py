"""Which live Workflows bypassed admission: each is counted, and reported once; nothing else is done to it.

They are reported a few at a time, because a webhook that was down for an hour leaves thousands.
"""

from collections import Counter, deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from policy.core.policies.governing_quotas import bypass_message, bypassed_quota, policy_edited_at
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.compiled_quota import CompiledQuota
from policy.service.release.release_sender import Reporter
from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import Tracker, WorkflowChange

REPORT_EVERY: Final = timedelta(seconds=1)
MOST_REPORTED: Final = 5
"""Each second at most: half of the events that are written, so that others are written as well."""
MOST_UNREPORTED: Final = 100
"""Of one namespace that wait to be reported. More are only counted: thousands of one event are of no use."""


class BypassReports:
    """What one leader knows of such Workflows. `counts` is how many of them are live, by namespace."""

    def __init__(self, *, reporter: Reporter, now: datetime) -> None:
        self._reporter = reporter
        self._compiled: object = None
        self._quotas: dict[str, tuple[CompiledQuota, ...]] | None = None
        self._changed_at: dict[tuple[str, str], datetime] = {}
        self._found: dict[str, str] = {}
        self._unreported: dict[str, deque[tuple[Tracked, str]]] = {}  # By namespace, with the message.
        self._reported_at = now - REPORT_EVERY
        self.counts: Counter[str] = Counter()

    def observe(self, changes: Iterable[WorkflowChange], snapshot: Snapshot, now: datetime) -> None:
        """Find those that bypassed admission among what has changed; nearly all of it was admitted."""
        if self._compiled is not snapshot.compiled:
            self._compiled = snapshot.compiled
            self._note_quotas(snapshot, now)
        for each in changes:
            after = each.after
            if after is None or after.admitted or after.held:
                if each.before is not None and each.before.uid in self._found:
                    self._forget(each.before.uid)
            elif after.uid not in self._found:
                self._check(after, snapshot)

    def report(self, tracker: Tracker, now: datetime) -> None:
        """Report some that were not reported yet, one of each namespace in turn."""
        if not self._unreported or now - self._reported_at < REPORT_EVERY:
            return
        self._reported_at = now
        reported = 0
        while self._unreported and reported < MOST_REPORTED:
            namespace = next(iter(self._unreported))
            waiting = self._unreported.pop(namespace)
            workflow, message = waiting.popleft()
            if waiting:
                self._unreported[namespace] = waiting  # At the end: the others are first.
            if workflow.uid in self._found and tracker.get(workflow.uid) is not None:
                reported += 1
                self._reporter.bypassed_admission(workflow, message)

    def next_round(self) -> datetime | None:
        """Return when more are to be reported."""
        return self._reported_at + REPORT_EVERY if self._unreported else None

    def _note_quotas(self, snapshot: Snapshot, now: datetime) -> None:
        """Record the quotas in force: what changes in this term is known to govern since now.

        Of earlier changes only the time of a policy's edit is known, not that a namespace moved then.
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
                    self._changed_at[namespace, quota.source] = now
        self._changed_at = {key: since for key, since in self._changed_at.items() if key[0] in self._quotas}

    def _check(self, workflow: Tracked, snapshot: Snapshot) -> None:
        namespace = workflow.namespace

        def since(quota: CompiledQuota) -> datetime | None:
            changed = self._changed_at.get((namespace, quota.source))
            return changed or policy_edited_at(quota, namespace, snapshot)

        quotas = snapshot.policies(namespace).quotas
        quota = bypassed_quota(quotas, workflow.labels, workflow.created, since)
        if quota is None:
            return
        self._found[workflow.uid] = namespace
        self.counts[namespace] += 1
        waiting = self._unreported.setdefault(namespace, deque())
        if len(waiting) < MOST_UNREPORTED:
            waiting.append((workflow, bypass_message(quota)))

    def _forget(self, uid: str) -> None:
        namespace = self._found.pop(uid)
        self.counts[namespace] -= 1
        if not self.counts[namespace]:
            del self.counts[namespace]
