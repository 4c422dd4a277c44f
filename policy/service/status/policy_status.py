"""Which statuses of policies are written, and when: those that differ from the conditions and figures of now.

There is no queue. Every pass compares the latest verdict on each policy with the status that the cluster
showed last, so a new leader writes only what differs, and a write is done when the watch shows it. Each write
requires the version that it was compared with: nothing unseen is overwritten.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from policy.cluster.errors import ClusterError, Conflict, NotFound, Trouble
from policy.cluster.protocol import STATUS, Cluster, MergePatch
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata
from policy.core.policies.conflicts import Finding, PolicyName
from policy.core.values.backoff import RetryTimes
from policy.service.leading.term_works import Passes
from policy.service.status.conditions import status_to_write
from policy.sources.last_good_objects import Verdict

_SETTLE: Final = 0.2
"""Seconds from a change to the pass over it: a burst makes one pass, and other replicas have seen it."""
_PAUSE: Final = 0.05
"""Seconds after each write, so that there are at most twenty a second."""
_FIGURES_EVERY: Final = 2.0
"""Seconds between two writes of a policy that change figures alone."""
FIRST_DELAY: Final = 1.0
LAST_DELAY: Final = 300.0
"""Seconds until a write that failed is tried again: the first, doubled each time up to the last."""


class _OwnWrite(msgspec.Struct, frozen=True):
    """A policy as our own write left it, valid until the watch shows another version than `seen`."""

    seen: str
    version: str
    status: JsonObject


class PolicyStatusWriter(Passes):
    """The work of one term: `run` writes until `stop`; `wake` makes a pass soon.

    `verdicts`, `findings` and `figures` return what is known now; there are `pause` seconds after each write.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        verdicts: Callable[[], tuple[Verdict, ...]],
        findings: Callable[[], Mapping[PolicyName, tuple[Finding, ...]]],
        figures: Callable[[], Mapping[PolicyName, JsonObject]] = dict,
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        trouble: Trouble,
        pause: float = _PAUSE,
    ) -> None:
        self._cluster = cluster
        self._verdicts = verdicts
        self._findings = findings
        self._figures = figures
        self._clock = clock
        self._stopwatch = stopwatch
        self._trouble = trouble
        self._pause = pause
        self._written: dict[str, _OwnWrite] = {}
        self._delayed: RetryTimes[str, float, str] = RetryTimes(first=FIRST_DELAY, last=LAST_DELAY)
        """Writes that failed, with the version of the policy: one that has changed is written at once."""
        self._written_at: dict[str, float] = {}
        self._resting: dict[str, float] = {}
        super().__init__(settle=_SETTLE)

    def run_pass(self) -> float | None:
        """Write every status that is not as it should be; return the seconds until one is due, if any."""
        verdicts = self._verdicts()
        self._forget({verdict.uid for verdict in verdicts})
        findings, figures = self._findings(), self._figures()
        for verdict in verdicts:
            if self._stopped.is_set():
                return None
            name = PolicyName(verdict.resource.kind, verdict.namespace, verdict.name)
            self._update(self._as_written(verdict), findings.get(name, ()), figures.get(name))
        due = self._delayed.next_due()
        left = [each - self._stopwatch() for each in (due, *self._resting.values()) if each is not None]
        return max(0.0, min(left)) if left else None

    def _update(self, verdict: Verdict, findings: tuple[Finding, ...], figures: JsonObject | None) -> None:
        """Write the status of one policy, if that is needed and due."""
        wanted = status_to_write(verdict, findings, now=self._clock(), figures=figures)
        if wanted is None:
            self._delayed.forget(verdict.uid)
            self._resting.pop(verdict.uid, None)
            return
        if not wanted.urgent and self._stopwatch() < self._written_at.get(verdict.uid, 0.0) + _FIGURES_EVERY:
            self._resting[verdict.uid] = self._written_at[verdict.uid] + _FIGURES_EVERY
            return
        self._resting.pop(verdict.uid, None)
        delay = self._delayed.get(verdict.uid)
        if (
            delay is not None
            and delay.about in ("", verdict.resource_version)
            and self._stopwatch() < delay.due
        ):
            return  # It failed, and is not to be tried again yet.
        try:
            self._write(verdict, wanted.status)
        except ClusterError as error:
            self._put_off(verdict, error)
        else:
            self._delayed.forget(verdict.uid)
            self._written_at[verdict.uid] = self._stopwatch()
        self._stopped.wait(self._pause)

    def _write(self, verdict: Verdict, status: JsonObject) -> None:
        patch = MergePatch({"metadata": {"resourceVersion": verdict.resource_version}, "status": status})
        stored = self._cluster.patch(
            verdict.resource, verdict.name, patch, namespace=verdict.namespace, subresource=STATUS
        )
        version = msgspec.convert(stored.get("metadata"), Metadata).resource_version or ""
        answered = stored.get("status")
        seen = self._written[verdict.uid].seen if verdict.uid in self._written else verdict.resource_version
        self._written[verdict.uid] = _OwnWrite(seen, version, answered if isinstance(answered, dict) else {})

    def _as_written(self, verdict: Verdict) -> Verdict:
        """Return the verdict with the status that we wrote, until the watch shows it or something newer."""
        own = self._written.get(verdict.uid)
        if own is None:
            return verdict
        if own.seen != verdict.resource_version:
            del self._written[verdict.uid]
            return verdict
        return msgspec.structs.replace(verdict, resource_version=own.version, status=own.status)

    def _put_off(self, verdict: Verdict, error: ClusterError) -> None:
        """Try again later. The watch shows an object that was changed or deleted, so that is not reported."""
        passing = isinstance(error, Conflict | NotFound)
        seen = verdict.resource_version if passing else ""
        failure = self._delayed.failed(verdict.uid, self._stopwatch(), seen)
        if not passing or failure.times > 1:
            self._trouble(f"writing the status of {verdict}", error)

    def _forget(self, present: set[str]) -> None:
        """Forget policies that were deleted."""
        self._written = {uid: each for uid, each in self._written.items() if uid in present}
        self._delayed.keep(present)
        self._written_at = {uid: each for uid, each in self._written_at.items() if uid in present}
        self._resting = {uid: each for uid, each in self._resting.items() if uid in present}
