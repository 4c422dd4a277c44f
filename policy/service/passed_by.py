"""Reports live Workflows that came past admission, each once: they count, and nothing is done to them.

They are told a few at a time, because a webhook that was away for an hour leaves thousands; all are counted.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from policy.core import passing_by
from policy.core.compiled_quotas import CompiledQuota
from policy.core.snapshot import Snapshot
from policy.service.letting_go import Reporter
from policy.service.tracked import Tracked
from policy.service.tracker import Change, Tracker

TELL_EVERY: Final = timedelta(seconds=1)
TOLD_AT_ONCE: Final = 5
"""Told each second at most: half of the events that are written, so that others are told of as well."""
MOST_UNTOLD: Final = 100
"""Of one namespace that wait to be told. More are counted only: nobody reads thousands of the same event."""


class Untold(msgspec.Struct, frozen=True):
    """A Workflow that is to be told of, and what."""

    workflow: Tracked
    message: str


class PassedBy:
    """What one leader knows of such Workflows. `counted` is how many of them live, by namespace."""

    def __init__(self, *, reporter: Reporter, now: datetime) -> None:
        self._reporter = reporter
        self._compiled: object = None
        self._quotas: dict[str, tuple[CompiledQuota, ...]] | None = None
        self._moved: dict[tuple[str, str], datetime] = {}
        self._found: dict[str, str] = {}
        self._untold: dict[str, deque[Untold]] = {}
        self._told_at = now - TELL_EVERY
        self.counted: Counter[str] = Counter()

    def see(self, changes: Iterable[Change], snapshot: Snapshot, now: datetime) -> None:
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

    def tell(self, tracker: Tracker, now: datetime) -> None:
        """Report some that were not reported yet, of one namespace after the other."""
        if not self._untold or now - self._told_at < TELL_EVERY:
            return
        self._told_at = now
        told = 0
        while self._untold and told < TOLD_AT_ONCE:
            namespace = next(iter(self._untold))
            waiting = self._untold.pop(namespace)
            each = waiting.popleft()
            if waiting:
                self._untold[namespace] = waiting  # At the end: the others come first.
            if each.workflow.uid in self._found and tracker.get(each.workflow.uid) is not None:
                told += 1
                self._reporter.passed_by(each.workflow, each.message)

    def next_round(self) -> datetime | None:
        """Return when more are to be told."""
        return self._told_at + TELL_EVERY if self._untold else None

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
            return moved or passing_by.edited_at(quota, namespace, snapshot)

        quotas = snapshot.policies(namespace).quotas
        quota = passing_by.not_asked(quotas, workflow.labels, workflow.created, since)
        if quota is None:
            return
        self._found[workflow.uid] = namespace
        self.counted[namespace] += 1
        waiting = self._untold.setdefault(namespace, deque())
        if len(waiting) < MOST_UNTOLD:
            waiting.append(Untold(workflow, passing_by.message(quota)))

    def _forget(self, uid: str) -> None:
        namespace = self._found.pop(uid)
        self.counted[namespace] -= 1
        if not self.counted[namespace]:
            del self.counted[namespace]
