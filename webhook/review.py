"""THE PATH of a review: bytes -> decode -> snapshot -> judge (pure) -> settle -> encode -> bytes."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from policy.core.budget import Part, TimeSpentError
from policy.core.decision import Decision, Side
from policy.core.snapshot import Snapshot
from policy.core.unreadable import UnreadableError
from webhook import wire
from webhook.failure import BadRequest, OutOfTime
from webhook.judging import judge
from webhook.long_reviews import UNLIMITED, Lane, TimeLeft
from webhook.relating import NoRelatives, Relatives, relate
from webhook.reserving import NothingStored, Reservations, Stored, settle


class Recorder(Protocol):
    """Where the outcome of a review is counted and logged."""

    def reviewed(self, received: wire.Received, decision: Decision, seconds: float) -> None:
        """Take note of one answered review."""
        ...


class Reviewing(msgspec.Struct, frozen=True):
    """What a review depends on: the current snapshot, the ledger, three clocks, the record, and the cluster.

    `monotonic` is what the time of a review is measured by: real time, by which the API server waits, too.
    """

    snapshot: Callable[[], Snapshot]
    reservations: Reservations
    clock: Callable[[], datetime]
    stopwatch: Callable[[], float]
    recorder: Recorder
    relatives: Relatives = NoRelatives()
    stored: Stored = NothingStored()
    monotonic: Callable[[], float] = time.monotonic


def review(body: bytes, side: Side, budget: timedelta, parts: Reviewing, lane: Lane = UNLIMITED) -> bytes:
    """Answer one AdmissionReview within `budget`.

    Raises:
        BadRequest: the body is no review.
        OutOfTime, LedgerUnavailable: no answer in time; the failure policy decides.
    """
    started, seconds = parts.stopwatch(), budget.total_seconds()
    now = parts.clock()
    deadline = now + budget
    time_left = TimeLeft(parts.monotonic, seconds, lane)
    try:
        received, snapshot = wire.decode(body, side, time_left), parts.snapshot()
        related = relate(received.review, snapshot, parts.relatives)
        received = (
            received if related is received.review else msgspec.structs.replace(received, review=related)
        )
        decision = judge(received, snapshot, now)
        time_left.check(Part.LEDGER)
        decision = settle(decision, received.review, parts.reservations, deadline, parts.stored)
        if parts.clock() > deadline:
            raise OutOfTime(seconds, Part.LEDGER)
        answer = wire.encode(received, decision)
        time_left.check(Part.ANSWER)
    except TimeSpentError as spent:
        raise OutOfTime(seconds, spent.part) from spent
    except UnreadableError as error:
        raise BadRequest(error.message) from error
    except RecursionError as error:
        raise BadRequest("the object is nested too deep to be read") from error
    finally:
        time_left.done()
    parts.recorder.reviewed(received, decision, parts.stopwatch() - started)
    return answer
