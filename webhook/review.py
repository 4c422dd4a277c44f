"""THE PATH of a review: bytes -> decode -> snapshot -> judge (pure) -> settle -> encode -> bytes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from policy.core.decision import Decision, Side
from policy.core.snapshot import Snapshot
from webhook import wire
from webhook.failure import OutOfTime
from webhook.judging import judge
from webhook.relating import NoRelatives, Relatives, relate
from webhook.reserving import NothingStored, Reservations, Stored, settle


class Recorder(Protocol):
    """Where the outcome of a review is counted and logged."""

    def reviewed(self, received: wire.Received, decision: Decision, seconds: float) -> None:
        """Take note of one answered review."""
        ...


class Reviewing(msgspec.Struct, frozen=True):
    """What a review depends on: the current snapshot, the ledger, clocks, the record, and the cluster."""

    snapshot: Callable[[], Snapshot]
    reservations: Reservations
    clock: Callable[[], datetime]
    stopwatch: Callable[[], float]
    recorder: Recorder
    relatives: Relatives = NoRelatives()
    stored: Stored = NothingStored()


def review(body: bytes, side: Side, budget: timedelta, parts: Reviewing) -> bytes:
    """Answer one AdmissionReview within `budget`.

    Raises:
        BadRequest: the body is no review.
        OutOfTime, LedgerUnavailable: no answer in time; the failure policy decides.
    """
    started = parts.stopwatch()
    now = parts.clock()
    deadline = now + budget
    received, snapshot = wire.decode(body, side), parts.snapshot()
    related = relate(received.review, snapshot, parts.relatives)
    received = received if related is received.review else msgspec.structs.replace(received, review=related)
    decision = judge(received, snapshot, now)
    decision = settle(decision, received.review, parts.reservations, deadline, parts.stored)
    answer = wire.encode(received, decision)
    if parts.clock() > deadline:
        raise OutOfTime(f"the review took longer than {budget.total_seconds():g} s")
    parts.recorder.reviewed(received, decision, parts.stopwatch() - started)
    return answer
