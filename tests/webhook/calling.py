"""The webhook's application on a stopped clock and an in-memory ledger, called without a server."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import jsonpatch
import msgspec

from lockkeeper.assembly.webhook import ReviewRecorder
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.decision.decision import Decision, ReservationRequest
from policy.core.policies.snapshot import Snapshot
from policy.core.quota.accounts import Root
from policy.core.quota.demands import Shortfall
from policy.core.quota.ledger import Reservation
from tests.webhook.oracle import Json, patch_of, verify_admission_response
from tests.webhook.reviews import admission_review, encoded, snapshot_of
from webhook.callers import ROUTES, Callers, UnknownCallers
from webhook.logs import Log
from webhook.metrics import Metrics
from webhook.probes import create_app
from webhook.reservations import NothingStored, Reservations, StoredReservations
from webhook.review import Reviewing
from webhook.routes import Admission
from webhook.serving.application import WsgiApplication
from webhook.serving.http_messages import JSON, Head
from webhook.turns import ALONE, Turn
from webhook.wire import Received

START: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


class Reply(msgspec.Struct, frozen=True):
    """What the application answered."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        """The number of the status line."""
        return int(self.line.split(" ", 1)[0])


class SlowLedgers:
    """Ledgers of which every answer takes `delay` on the tests' clock."""

    def __init__(self, inner: Ledgers, clock: Clock, delay: timedelta) -> None:
        self._inner = inner
        self._clock = clock
        self._delay = delay

    def reserve(self, request: ReservationRequest, *, deadline: datetime | None = None) -> list[Shortfall]:
        """Reserve after the delay."""
        self._clock.move(self._delay)
        return self._inner.reserve(request, deadline=deadline)

    def probe(self, request: ReservationRequest) -> list[Shortfall]:
        """Probe after the delay."""
        self._clock.move(self._delay)
        return self._inner.probe(request)

    def holds(self, request: ReservationRequest) -> bool:
        """Look after the delay."""
        self._clock.move(self._delay)
        return self._inner.holds(request)

    def cancel(self, request: ReservationRequest) -> None:
        """Cancel after the delay."""
        self._clock.move(self._delay)
        self._inner.cancel(request)


class Webhook:
    """The admission application with its parts in reach; every 200 of an admission route is verified."""

    def __init__(
        self,
        policies: str = "",
        *,
        snapshot: Callable[[], Snapshot] | None = None,
        callers: Callers | None = None,
        stored: StoredReservations | None = None,
    ) -> None:
        self.clock = Clock()
        self.lines: list[bytes] = []
        self.metrics = Metrics()
        self.not_ready: list[str] = []
        self.decisions: list[Decision] = []
        self.ledgers = Ledgers(
            cluster=MemoryCluster(clock=self.clock, rng=Random(1)),
            clock=self.clock,
            led=False,
        )
        self.log = Log(write=self.lines.append, clock=self.clock)
        self._recorder = ReviewRecorder(metrics=self.metrics, log=self.log, joined=lambda *_: None)
        compiled = snapshot_of(policies)
        self._snapshot: Callable[[], Snapshot] = snapshot or (lambda: compiled)
        self._ticks = 0
        self._callers = callers
        self._stored = stored or NothingStored()
        self.serve_with(self.ledgers)

    def serve_with(self, reservations: Reservations) -> None:
        """Serve with another ledger from now on."""
        self.app = Admission(
            parts=Reviewing(
                snapshot=self._snapshot,
                reservations=reservations,
                clock=self.clock,
                stopwatch=self._tick,
                recorder=self,
                stored=self._stored,
            ),
            log=self.log,
            metrics=self.metrics,
            other=WsgiApplication(create_app(render=self.metrics.render, not_ready=lambda: self.not_ready)),
            callers=self._callers,
            unknown=UnknownCallers(warn=lambda text: self.log.event("stranger", text), stopwatch=lambda: 0.0),
        )

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Keep the decision, then count and log it as the product does."""
        self.decisions.append(decision)
        self._recorder.reviewed(received, decision, seconds)

    def call(
        self, method: str, path: str, body: bytes = b"", *, media_type: str = JSON, turn: Turn = ALONE
    ) -> Reply:
        """Make one request, as a server does: the head first, and the body where it is wanted."""
        path, _, query = path.partition("?")
        head = Head(method, path, query, media_type.partition(";")[0].strip().lower(), len(body))
        answer = self.app.answer_head(head, "", turn) or self.app.answer(head, body, turn)
        headers = {
            "content-type": answer.media_type,
            **{name.lower(): value for name, value in answer.headers},
        }
        reply = Reply(answer.status, headers, answer.body)
        if reply.status == 200 and path in ROUTES:
            verify_admission_response(answer.body, request=json.loads(body), mutating=path == "/mutate")
        return reply

    def post(
        self, body: bytes, path: str = "/mutate", media_type: str = JSON, *, turn: Turn = ALONE
    ) -> Reply:
        """POST a body."""
        return self.call("POST", path, body, media_type=media_type, turn=turn)

    def response(self, review: Json, path: str = "/mutate") -> Json:
        """Return the response to a review, which must be a 200."""
        reply = self.post(encoded(review), path)
        assert reply.status == 200, reply.body
        response: Json = json.loads(reply.body)["response"]
        return response

    def mutate(self, obj: object, **request: Any) -> Json:
        """Return the mutating response to a create."""
        return self.response(admission_review(obj, **request), "/mutate")

    def validate(self, obj: object, **request: Any) -> Json:
        """Return the validating response to a create."""
        return self.response(admission_review(obj, **request), "/validate")

    def mutated(self, obj: Json, **request: Any) -> Json:
        """Return the object as the mutating side, which must allow it, leaves it."""
        response = self.mutate(obj, **request)
        assert response["allowed"], response
        changed: Json = jsonpatch.apply_patch(obj, patch_of(response))
        return changed

    def logged(self) -> list[Json]:
        """Return the log lines so far; each must be one whole line of JSON."""
        assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in self.lines)
        return [json.loads(line) for line in self.lines]

    def reserved(self, root: Root | None = None) -> dict[str, Reservation]:
        """Return the reservations in a ledger, that of the namespace `team` where none is named."""
        return dict(self.ledgers.read(root or Root.of_namespace("team")).reservations)

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a metric, 0 where it was never set."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def _tick(self) -> float:
        self._ticks += 1
        return self._ticks / 1000
