"""Kubernetes events about Workflows, for `kubectl describe`: how they look, and how fast they are written.

Which are written is decided by `lockkeeper.process.controller_log` and `locks.lock_watch`. They are a
courtesy: written by a thread of their own, at a bounded rate, and dropped where there are too many. What a
user has to know is in the Workflow's own status.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from queue import Full, Queue
from threading import Event
from typing import Final

import msgspec

from policy.cluster.errors import AlreadyExists, ClusterError
from policy.cluster.protocol import EVENTS, WORKFLOWS, Cluster
from policy.core.objects.json_patch import JsonObject
from policy.service.tracking.tracked import Tracked

MOST_NOTE: Final = 1024
"""Bytes of a note, by the API's validation."""
MOST_PENDING: Final = 1000
_PAUSE: Final = 0.1
"""Seconds after each event, so that there are at most ten a second."""
_CONTROLLER: Final = "lockkeeper.dev/controller"


class EventSeverity(StrEnum):
    """`type` of an event."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Action(StrEnum):
    """`action` of an event: what its Workflow was doing."""

    QUEUEING = "Queueing"
    WAITING = "Waiting"


class ReportedEvent(msgspec.Struct, frozen=True):
    """What is reported of a Workflow: a reason in one word, and a sentence.

    `once` gives the event its name, where the same is to be reported once and not each time.
    """

    namespace: str
    name: str
    uid: str
    reason: str
    note: str
    type: EventSeverity
    at: datetime
    action: Action = Action.QUEUEING
    once: str = ""


class EventWriter:
    """The work of one term: writes events until it is stopped. `me` names the process that writes."""

    def __init__(self, *, cluster: Cluster, clock: Callable[[], datetime], me: str) -> None:
        self._cluster = cluster
        self._clock = clock
        self._me = me
        self._pending: Queue[ReportedEvent | None] = Queue(MOST_PENDING)
        self._stopped = Event()

    def report(
        self,
        workflow: Tracked,
        reason: str,
        note: str,
        type_: EventSeverity = EventSeverity.NORMAL,
        *,
        once: bool = False,
    ) -> None:
        """Queue an event to be written soon; it is dropped where too many are queued already.

        What is reported `once` is not reported again while its event exists, by another leader neither.
        """
        reported = ReportedEvent(
            namespace=workflow.namespace,
            name=workflow.name,
            uid=workflow.uid,
            reason=reason,
            note=note,
            type=type_,
            at=self._clock(),
            once=f"{workflow.uid}/{reason}" if once else "",
        )
        try:
            self._pending.put_nowait(reported)
        except Full:
            return

    def stop(self) -> None:
        """End the work; what is not written by then is dropped."""
        self._stopped.set()
        try:
            self._pending.put_nowait(None)
        except Full:
            return  # The queue is not empty, so the thread is not blocked.

    def run(self) -> None:
        """Write events until stopped; one that cannot be written is dropped."""
        while not self._stopped.is_set():
            reported = self._pending.get()
            if reported is None or self._stopped.is_set():
                return
            try:
                self._cluster.create(EVENTS, event_of(reported, me=self._me), namespace=reported.namespace)
            except AlreadyExists:
                continue
            except ClusterError:
                self._stopped.wait(_PAUSE)
            self._stopped.wait(_PAUSE)


def event_of(reported: ReportedEvent, *, me: str) -> JsonObject:
    """Return the event; the same reported at the same time has the same name."""
    at = reported.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    once = reported.once or f"{reported.uid}/{reported.reason}/{at}/{reported.note}"
    digest = sha256(once.encode()).hexdigest()[:16]
    note = reported.note.encode()[:MOST_NOTE].decode(errors="ignore")
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"name": f"{reported.name[:200]}.{digest}", "namespace": reported.namespace},
        "eventTime": at,
        "type": reported.type.value,
        "reason": reported.reason,
        "action": reported.action.value,
        "note": note,
        "reportingController": _CONTROLLER,
        "reportingInstance": me[:128],
        "regarding": {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "namespace": reported.namespace,
            "name": reported.name,
            "uid": reported.uid,
        },
    }
