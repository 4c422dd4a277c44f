"""The API server's side of a create: mutate, patch, validate, store; and it may be lost at any point.

Each webhook call has a uid of its own and a time-out after which the API server gives up, while the replica
may go on. The mutating webhook's failure is ignored, the validating one's fails the request.
"""

import base64
from collections.abc import Callable
from typing import Final

import jsonpatch
import msgspec

from policy.cluster.protocol import WORKFLOWS
from policy.core.decision.decision import Operation, Side
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.policy.service.world import labels_of, part
from tests.simulation.lives import Submission
from tests.simulation.network import Network, Sender
from tests.simulation.processes import Replica
from tests.simulation.referee import Referee
from tests.simulation.scheduler import SECOND
from tests.simulation.weather import Fault
from webhook.http_errors import ReviewError
from webhook.time_left import budget_of

TIMEOUTS: Final = {Side.MUTATE: 2, Side.VALIDATE: 5}
"""Seconds, as the webhook configurations have them."""
LONGEST_REQUEST: Final = 60 * SECOND
_KIND: Final = {"group": "argoproj.io", "version": "v1alpha1", "kind": "Workflow"}
_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"


class Dropped(Exception):  # noqa: N818 - what happened to the request
    """The request came to an end without an answer; it may have been carried out."""


class Refused(Exception):  # noqa: N818 - what happened to the request
    """Admission said no."""


class Request(msgspec.Struct, frozen=True):
    """A create, or the update `before` -> `obj`."""

    label: str
    obj: JsonObject
    namespace: str
    user: str
    submission: Submission
    before: JsonObject | None = None
    spoilt: bool = False
    """Whether another webhook takes one of our marks away again."""
    mutator_away: bool = False
    """Whether the mutating webhook cannot be reached for this request."""

    @property
    def operation(self) -> Operation:
        """What the API server is asked to do."""
        return Operation.CREATE if self.before is None else Operation.UPDATE


class Reviewed(msgspec.Struct, frozen=True):
    """A webhook's answer: the response, the call's uid, and the policies that the replica went by."""

    uid: str
    response: JsonObject
    policies: str

    @property
    def allowed(self) -> bool:
        """Whether it says yes."""
        return self.response["allowed"] is True

    def applied(self, obj: JsonObject) -> JsonObject:
        """Return the object after the patch of the answer."""
        patch = self.response.get("patch")
        if not isinstance(patch, str):
            return obj
        changed: JsonObject = jsonpatch.apply_patch(obj, msgspec.json.decode(base64.b64decode(patch)))
        return changed


class ApiServer:
    """Carries out requests in the actor of whoever makes them."""

    def __init__(
        self, *, network: Network, referee: Referee, replicas: Callable[[], list[Replica]], copied_marks: bool
    ) -> None:
        self._network = network
        self._referee = referee
        self._replicas = replicas
        self._marks_may_slip_through = copied_marks
        self._calls = 0

    def carry_out(self, request: Request) -> JsonObject:
        """Return the object as stored.

        Raises:
            Refused: admission said no.
            Dropped: no answer.
            ClusterError: the store said no.
        """
        began = self._network.scheduler.now
        self._travel(request)
        if request.submission.bypass:
            return self._store(request, request.obj, request.submission)
        obj, mutating = self._mutate(request)
        self._travel(request)
        submission = self._validate(request, obj, mutating)
        self._travel(request)
        self._linger(request)
        if self._network.scheduler.now - began > LONGEST_REQUEST:
            raise Dropped
        return self._store(request, obj, submission)

    def _mutate(self, request: Request) -> tuple[JsonObject, str]:
        """Return the object after the mutating side, and the uid of its call where it answered."""
        answer = None if request.mutator_away else self._call(Side.MUTATE, request, request.obj)
        if answer is None:
            if well_known.RESERVATION in labels_of(request.obj) and not self._marks_may_slip_through:
                raise Dropped
            return self._named(request, request.obj), ""
        if not answer.allowed:
            raise Refused(str(part(answer.response, "status", "message")))
        obj = answer.applied(request.obj)
        if request.spoilt:
            annotations = part(obj, "metadata", "annotations")
            if isinstance(annotations, dict):
                annotations.pop(well_known.USER, None)
        return self._named(request, obj), answer.uid

    def _validate(self, request: Request, obj: JsonObject, mutating: str) -> Submission:
        answer = self._call(Side.VALIDATE, request, obj)
        if answer is None:
            raise Refused("the validating webhook did not answer")
        if not answer.allowed:
            if mutating:
                self._referee.refused(mutating)
            raise Refused(str(part(answer.response, "status", "message")))
        return msgspec.structs.replace(request.submission, policies=answer.policies)

    def _store(self, request: Request, obj: JsonObject, submission: Submission) -> JsonObject:
        network = self._network
        network.scheduler.note(f"{request.operation.value} {request.label}")
        if request.before is None:
            stored = network.cluster.create(WORKFLOWS, obj, namespace=request.namespace)
        else:
            stored = network.cluster.replace(WORKFLOWS, obj)
        self._referee.submitting(submission)
        network.wrote(WORKFLOWS, stored, Sender("", submission.policies))
        self._travel(request)
        return stored

    def _call(self, side: Side, request: Request, obj: JsonObject) -> Reviewed | None:
        """Ask a webhook; None where it did not answer in time or could not."""
        scheduler = self._network.scheduler
        self._calls += 1
        label = f"{side.value} {request.label}"
        replicas = self._replicas()
        if not replicas:
            return None
        uid = f"{side.value}-{self._calls}"
        if side is Side.MUTATE:
            self._referee.asked[uid] = request.submission
        replica = self._network.choices.pick(f"{scheduler.current.name} {scheduler.current.turns}", replicas)
        body = msgspec.json.encode(review_of(uid, request, obj))
        answers: list[Reviewed] = []

        def handle() -> None:
            self._network.sky.moment()
            answer = self._ask(replica, body, side)
            self._network.sky.moment()
            if answer is not None:
                answers.append(Reviewed(uid, answer, scheduler.current.memory.get("policies", "")))

        name = f"{replica.process.name}/{label}"
        actor = scheduler.spawn(name, handle, process=replica.process)
        scheduler.join(actor, TIMEOUTS[side] * SECOND)
        answer = answers[0] if actor.done and answers else None
        verdict = "does not answer" if answer is None else "allows" if answer.allowed else "refuses"
        scheduler.note(f"{replica.process.name} {verdict}: {label} ({uid})")
        return answer

    def _ask(self, replica: Replica, body: bytes, side: Side) -> JsonObject | None:
        try:
            answer = replica.answer(body, side, budget_of(f"timeout={TIMEOUTS[side]}s"))
        except ReviewError as error:
            self._network.scheduler.note(f"answers {error.status}: {error.message}")
            return None
        response: JsonObject = msgspec.json.decode(answer)["response"]
        return response

    def _named(self, request: Request, obj: JsonObject) -> JsonObject:
        """Return the object with a name made from its generateName, as the API server does after mutating."""
        metadata = obj["metadata"]
        if not isinstance(metadata, dict) or metadata.get("name"):
            return obj
        roll = self._network.choices.roll(f"{request.label} name {self._calls}")
        suffix = "".join(_LETTERS[int(roll[place] * len(_LETTERS))] for place in range(5))
        return {**obj, "metadata": {**metadata, "name": f"{metadata['generateName']}{suffix}"}}

    def _travel(self, request: Request) -> None:
        """Let a part of the request's way pass, on which it may be lost. Raises Dropped."""
        network = self._network
        question = f"{network.scheduler.current.name}.{network.scheduler.current.turns} api"
        if network.sky.strikes(Fault.DROPPED, network.choices.roll(question)[0], question):
            network.scheduler.note(f"{request.label} is lost")
            raise Dropped
        network.sky.moment()

    def _linger(self, request: Request) -> None:
        """Let the store take very long, now and then: up to the API server's longest request."""
        network = self._network
        question = f"{network.scheduler.current.name}.{network.scheduler.current.turns} store"
        if network.sky.strikes(Fault.LATE, network.choices.roll(question)[0], question):
            delay = network.sky.lateness(question, LONGEST_REQUEST)
            network.scheduler.note(f"{request.label} lingers {delay / SECOND:.1f} s")
            network.scheduler.pause(delay)


def review_of(uid: str, request: Request, obj: JsonObject) -> JsonObject:
    """Return the AdmissionReview of a call."""
    metadata = obj["metadata"]
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": uid,
            "kind": {**_KIND},
            "name": name,
            "namespace": request.namespace,
            "operation": request.operation.value,
            "userInfo": {"username": request.user},
            "object": obj,
            "oldObject": request.before,
            "dryRun": False,
        },
    }
