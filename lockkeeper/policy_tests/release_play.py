"""In which order the Workflows of a case get their slot: the webhook, the ledger and the leader's own passes.

All of it runs in memory, under a clock that this module moves. Each Workflow is created through both sides of
the webhook; after each, and after each end of one that runs, the leader makes a pass.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Final

import jsonpatch
import msgspec

from lockkeeper.policy_tests.reading import Subject
from lockkeeper.reviewing.assumptions import RunningWorkflows
from policy.cluster.errors import ClusterError
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.decision.decision import Decision, Side
from policy.core.objects import hold, well_known
from policy.core.objects.json_parts import map_at, metadata_of
from policy.core.objects.json_patch import JsonObject, Op
from policy.core.objects.workflow import Read, Workflow
from policy.core.policies.snapshot import Snapshot
from policy.core.queue.positions import WaitReason
from policy.core.values.amounts import Amount
from policy.service.release.release_pass import ReleasePass
from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import LIVE, Tracker
from policy.sources.snapshot_store import SnapshotStore
from webhook.review import Reviewing, decide_without_ledger, review
from webhook.wire import Received, admission_review, decode

_BUDGET: Final = timedelta(seconds=30)
_ONE_SECOND: Final = timedelta(seconds=1)
_NOT_RELEASED: Final = "waits"
_COMPLETED: Final[JsonObject] = {"metadata": {"labels": {well_known.COMPLETED: "true"}}}


class PlayedCase(msgspec.Struct, frozen=True):
    """Who got a slot, in that order, and of each other Workflow what became of it."""

    released: tuple[str, ...]
    others: dict[str, str]


class _Refusal(Read, frozen=True):
    """What a denial says."""

    message: str = ""


class _DecidedResponse(Read, frozen=True):
    """The part of an AdmissionResponse that the API server acts by."""

    allowed: bool
    patch: str = "W10="
    status: _Refusal = _Refusal()


class _DecidedReview(Read, frozen=True):
    """The answer of the webhook."""

    response: _DecidedResponse


def play_case(
    subjects: Sequence[Subject],
    running: Iterable[RunningWorkflows],
    snapshot: Snapshot,
    namespace: str,
    at: datetime,
) -> PlayedCase:
    """Let all Workflows pass, one after the other, and end one after the other."""
    play = _CasePlay(snapshot, namespace, at)
    workflows = [each for each in subjects if each.manifest.kind == WORKFLOWS.kind]
    play.assume(running, workflows)
    for each in workflows:
        play.create(each)
    play.end_all()
    return play.played([each.manifest.name for each in workflows])


class _CasePlay:
    """One play; also the record of the reviews, and the reporter of the leader."""

    def __init__(self, snapshot: Snapshot, namespace: str, at: datetime) -> None:
        self._now = at
        self._namespace = namespace
        self._snapshot = snapshot
        self._released: list[str] = []
        self._running: list[tuple[str, str]] = []
        self._others: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._requests = count(1)
        self._cluster = MemoryCluster(clock=self._clock, rng=Random(1))  # noqa: S311 - uids, the same each time
        self._tracker = Tracker()
        ledgers = Ledgers(cluster=self._cluster, clock=self._clock)
        store = SnapshotStore(snapshot=snapshot, clock=self._clock)
        self._reviewing = Reviewing(
            snapshot=store.current,
            reservations=ledgers,
            clock=self._clock,
            stopwatch=lambda: 0.0,
            recorder=self,
        )
        self._pass = ReleasePass(
            cluster=self._cluster,
            ledgers=ledgers,
            snapshot=store.current,
            clock=self._clock,
            publish=store.put_usage,
            reporter=self,
        )

    def _clock(self) -> datetime:
        return self._now

    def assume(self, running: Iterable[RunningWorkflows], like: Sequence[Subject]) -> None:
        """Let as many run as is assumed, each like the first Workflow of its namespace, or of the case."""
        places = [(each, each.manifest.namespace_or(self._namespace)) for each in like]
        named = {each.namespace for each in running}
        for assumed in running:
            where = [assumed.namespace] if assumed.namespace else [name for _, name in places]
            for namespace in dict.fromkeys(where):
                if not assumed.namespace and namespace in named:
                    continue
                models = [each for each, name in places if name == namespace] or like
                for number in range(assumed.workflows):
                    self._assume_one(models[0], namespace, number, assumed)
        self._work()

    def create(self, subject: Subject) -> None:
        """Create a Workflow through both sides of the webhook, as the API server does."""
        self._now += subject.after
        manifest = subject.manifest
        namespace = manifest.namespace_or(self._namespace)
        name = f"{manifest.name}0" if manifest.name.endswith("-") else manifest.name
        self._names[name] = manifest.name
        obj = _with_name(manifest.value, name, namespace)
        for side in (Side.MUTATE, Side.VALIDATE):
            answer = self._ask(obj, namespace, subject.user, side)
            if not answer.allowed:
                self._others[manifest.name] = f"denied: {answer.status.message}"
                return
            obj = jsonpatch.apply_patch(obj, msgspec.json.decode(base64.b64decode(answer.patch)))
        self._cluster.create(WORKFLOWS, obj, namespace=namespace)
        if not _is_held(obj):
            self._got_slot(namespace, name)
        self._work()

    def end_all(self) -> None:
        """Let all that run end, the oldest first."""
        while self._running:
            namespace, name = self._running.pop(0)
            self._now += _ONE_SECOND
            self._cluster.patch(WORKFLOWS, name, MergePatch(_COMPLETED), namespace=namespace)
            self._work()

    def played(self, names: Iterable[str]) -> PlayedCase:
        """Return what became of each."""
        others = {each: self._others.get(each, _NOT_RELEASED) for each in names if each not in self._released}
        return PlayedCase(tuple(self._released), others)

    # What the webhook and the leader tell.

    def reviewed(self, received: Received, decision: Decision, seconds: float) -> None:
        """Take no note: what was decided is in the answer."""

    def released(self, workflow: Tracked, took: timedelta) -> None:  # noqa: ARG002 - a protocol
        """Take note of who was released."""
        self._got_slot(workflow.namespace, workflow.name)

    def waits(self, workflow: Tracked, message: str) -> None:
        """Keep why one waits."""
        self._others[self._names[workflow.name]] = message

    def reason(self, workflow: Tracked, reason: WaitReason, text: str) -> None:
        """Take no note: `waits` has the whole sentence."""

    def gave_up(self, workflow: Tracked, message: str) -> None:
        """Keep why one never runs."""
        self._others[self._names[workflow.name]] = message

    def ended(self, workflow: Tracked, message: str) -> None:
        """Keep why one never runs."""
        self._others[self._names[workflow.name]] = message

    def superseded(self, workflow: Tracked, message: str) -> None:
        """Keep why one never runs, or is asked to end."""
        self._others[self._names[workflow.name]] = message

    def failed(self, workflow: Tracked, error: ClusterError) -> None:
        """Keep why one could not be released."""
        self._others[self._names[workflow.name]] = error.message

    def bypassed_admission(self, workflow: Tracked, message: str) -> None:
        """Take no note: those that are assumed to run were not created through the webhook."""

    def expired(self, reservations: int) -> None:
        """Take no note: a case ends before a reservation does."""

    # How it is done.

    def _got_slot(self, namespace: str, name: str) -> None:
        self._running.append((namespace, name))
        self._released.append(self._names[name])

    def _ask(self, obj: JsonObject, namespace: str, user: str, side: Side) -> _DecidedResponse:
        envelope = admission_review(obj, namespace=namespace, uid=f"review-{next(self._requests)}", user=user)
        answer = review(msgspec.json.encode(envelope), side, _BUDGET, self._reviewing)
        return msgspec.json.decode(answer, type=_DecidedReview).response

    def _work(self) -> None:
        """Make a pass over all that is live, as a leader does that lists it each time."""
        self._see()
        while self._pass.fence_new(self._tracker) or self._tracker.outdated:
            self._see()
        self._see()
        self._pass.run_pass(self._tracker)

    def _see(self) -> None:
        self._tracker.reset(self._cluster.list(WORKFLOWS, labels=LIVE, metadata_only=True))

    def _assume_one(self, model: Subject, namespace: str, number: int, assumed: RunningWorkflows) -> None:
        """Store one as it is after its release."""
        name = f"assumed-{namespace}-{number + 1}"
        obj = _with_name(model.manifest.value, name, namespace)
        envelope = admission_review(obj, namespace=namespace, uid=name, user=model.user)
        received = decode(msgspec.json.encode(envelope), Side.MUTATE)
        decision = decide_without_ledger(received.review, received.fault, self._snapshot, self._now)
        if not decision.allowed:
            return  # What it is like is refused, so nothing of the case waits for its slot.
        obj = jsonpatch.apply_patch(obj, msgspec.to_builtins(list(decision.patch)))
        obj = jsonpatch.apply_patch(obj, list(self._release(obj, number, assumed)))
        self._cluster.create(WORKFLOWS, obj, namespace=namespace)
        self._running.append((namespace, name))

    def _release(self, obj: JsonObject, number: int, assumed: RunningWorkflows) -> Iterator[JsonObject]:
        """Yield the operations of a release, without the tests of what was stored before."""
        workflow = msgspec.json.decode(msgspec.json.encode(obj), type=Workflow)
        if workflow.metadata is None or not _is_held(obj):
            return
        tasks = None
        if assumed.tasks is not None:
            each, left = divmod(assumed.tasks, assumed.workflows)
            tasks = Amount(each + (number < left))
        has_status = workflow.status is not None
        for operation in hold.release_patch(workflow.metadata, self._now, has_status=has_status, tasks=tasks):
            if operation.op is not Op.TEST:
                yield msgspec.to_builtins(operation)


def _with_name(value: JsonObject, name: str, namespace: str) -> JsonObject:
    metadata = dict(metadata_of(value))
    metadata.pop("generateName", None)
    return {**value, "metadata": {**metadata, "name": name, "namespace": namespace}}


def _is_held(obj: JsonObject) -> bool:
    return hold.is_held({key: str(value) for key, value in map_at(obj, "metadata", "labels").items()})
