"""The story of one Workflow: what it does now, what blocks it, who goes before it, and what would help."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from policy.core.cluster_view.live_root import LiveRoot
from policy.core.cluster_view.options import Option, WhatIf, options
from policy.core.cluster_view.precedence import Ahead, Precedence
from policy.core.cluster_view.start_sentences import start_sentence
from policy.core.cluster_view.view import StartRange
from policy.core.objects import well_known
from policy.core.objects.workflow import Present, Read
from policy.core.policies.argo_limits import ArgoLimit
from policy.core.queue import wait_messages
from policy.core.queue.positions import Position, WaitReason
from policy.core.values.durations import written
from policy.core.values.prepared import prepare

_SHOWN: Final = 5
"""Workflows ahead that are named."""
_POSTPONED: Final = "too many workflows are already running"
_GIVEN_UP: Final = "lockkeeper: it waited"
_SUPERSEDED: Final = "lockkeeper: superseded"
_OVER: Final = ("Succeeded", "Failed", "Error")
_ARGO_LIMITS: Final = (
    "a limit of Argo's own is reached: parallelism or namespaceParallelism in the ConfigMap of its "
    "controller, or the label workflows.argoproj.io/parallelism-limit of the namespace"
)
_BECAUSE: Final = {
    Precedence.OWN_SHARE: "within the share of their namespace, while {name} would borrow",
    Precedence.PRIORITY: "with a higher priority",
    Precedence.AGED: "whose priority rose by waiting",
    Precedence.NAMESPACE_USED_LESS: "of namespaces that used less lately",
    Precedence.USER_USED_LESS: "of users who used less lately",
    Precedence.OLDER: "that are older",
}


class StoryState(StrEnum):
    """What a Workflow does now."""

    QUEUED = "Queued"
    ON_HOLD = "OnHold"
    NEVER_STARTS = "NeverStarts"
    MISCONFIGURED = "Misconfigured"
    RELEASING = "Releasing"
    NEW = "New"
    RUNNING = "Running"
    WAITS_FOR_LOCK = "WaitsForLock"
    WAITS_IN_ARGO = "WaitsInArgo"
    SUSPENDED = "Suspended"
    STOPPING = "Stopping"
    FINISHED = "Finished"
    GIVEN_UP = "GivenUp"
    SUPERSEDED = "Superseded"


class _SeenMetadata(Read, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    creation_timestamp: datetime | None = None


class _SeenSpec(Read, frozen=True):
    suspend: bool | None = None
    shutdown: str | None = None


class _SeenStatus(Read, frozen=True):
    phase: str | None = None
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    synchronization: Present | None = None


class SeenWorkflow(Read, frozen=True):
    """A Workflow as the cluster has it: what its story needs."""

    metadata: _SeenMetadata
    spec: _SeenSpec = _SeenSpec()
    status: _SeenStatus = _SeenStatus()

    @property
    def held(self) -> bool:
        """Whether it waits for its release."""
        return (self.metadata.labels or {}).get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE

    @property
    def waits_in_argo(self) -> bool:
        """Whether Argo says that too many run already."""
        return _POSTPONED in (self.status.message or "")

    @property
    def may_wait_for_lock(self) -> bool:
        """Whether it is under way, and Argo has written that it has to do with locks."""
        status = self.status
        return status.phase in ("Pending", "Running") and status.synchronization is not None


prepare(SeenWorkflow)


class AheadRow(msgspec.Struct, frozen=True, rename="camel"):
    """One that goes before it."""

    namespace: str
    name: str
    priority: int
    because: Precedence


class Story(msgspec.Struct, frozen=True, rename="camel"):
    """All of it: `sentences` for people, the first of them the answer; the rest for programs."""

    namespace: str
    name: str
    state: StoryState
    sentences: tuple[str, ...]
    position: int | None = None
    ahead: tuple[AheadRow, ...] = ()
    options: tuple[Option, ...] = ()
    expected: StartRange | None = None


_STATES: Final = {
    WaitReason.MISCONFIGURED: StoryState.MISCONFIGURED,
    WaitReason.ON_HOLD: StoryState.ON_HOLD,
    WaitReason.EXCEEDS_MAX_QUOTA: StoryState.NEVER_STARTS,
    WaitReason.WAITING_FOR_QUOTA: StoryState.QUEUED,
    WaitReason.WAITING_FOR_GROUP: StoryState.QUEUED,
    WaitReason.WAITING_FOR_HIGHER_PRIORITY: StoryState.QUEUED,
    WaitReason.RELEASING: StoryState.RELEASING,
}


def story_of_waiting(
    live: LiveRoot,
    position: Position,
    what_if: WhatIf,
    now: datetime,
    *,
    expected: StartRange | None = None,
    lengths_known: bool = False,
) -> Story:
    """Return the story of one that waits; `lengths_known`: it was asked when it may start."""
    waiter = position.waiter
    before = live.order.before(waiter.uid)
    rules = live.planner.pending.rules(waiter.namespace)
    depth = live.planner.pending.of(waiter.namespace).priorities.total()
    place = f"position {position.position} of {depth} in {waiter.namespace}"
    sentences = [
        f"{waiter.name} is queued for {written(now - waiter.created)}: {place}",
        wait_messages.reason(position, rules),
        *_sentence_of_ahead(waiter.name, before),
    ]
    if lengths_known and _STATES[position.reason] is StoryState.QUEUED:
        sentences.append(start_sentence(expected, now))
    found = options(live, position, what_if, now)
    if position.short and not found:
        sentences.append(f"ask whoever may change {position.short[0].demand.source}")
    return Story(
        namespace=waiter.namespace,
        name=waiter.name,
        state=_STATES[position.reason],
        sentences=tuple(sentences),
        position=position.position,
        ahead=tuple(
            AheadRow(each.waiter.namespace, each.waiter.name, each.waiter.priority, each.because)
            for each in before
        ),
        options=tuple(found),
        expected=expected,
    )


def _sentence_of_ahead(name: str, before: Sequence[Ahead]) -> list[str]:
    """Return who goes before it, and why, in one sentence."""
    if not before:
        return ["none goes before it"]
    counts = Counter(each.because for each in before)
    parts = [f"{count} {_BECAUSE[each].format(name=name)}" for each, count in counts.items()]
    named = ", ".join(f"{each.waiter.namespace}/{each.waiter.name}" for each in before[:_SHOWN])
    more = f", and {len(before) - _SHOWN} more" if len(before) > _SHOWN else ""
    verb = "goes" if len(before) == 1 else "go"
    return [f"{len(before)} {verb} before it: {', '.join(parts)} ({named}{more})"]


def story_of_other(
    seen: SeenWorkflow, now: datetime, *, locks: Sequence[str] = (), argo: ArgoLimit | None = None
) -> Story:
    """Return the story of one that does not wait for quota.

    `locks` are sentences about the locks that it waits for, and `argo` is the limit of Argo's own, if known.
    """
    state, sentences = _state(seen, now, locks)
    if state is StoryState.WAITS_IN_ARGO:
        sentences.append(
            _ARGO_LIMITS if argo is None else f"Argo lets {argo.workflows} run at once: {argo.setting}"
        )
    return Story(seen.metadata.namespace, seen.metadata.name, state, tuple(sentences))


def _state(seen: SeenWorkflow, now: datetime, locks: Sequence[str]) -> tuple[StoryState, list[str]]:
    """Return the state and the sentences, the first state that holds."""
    name = seen.metadata.name
    if seen.held:
        return StoryState.RELEASING, [f"{name} is being released: Argo starts it within seconds"]
    if seen.status.phase in _OVER:
        return _over(seen)
    if seen.spec.shutdown:
        return StoryState.STOPPING, [f"{name} is being stopped (spec.shutdown {seen.spec.shutdown})"]
    if locks:
        return StoryState.WAITS_FOR_LOCK, [f"{name} has its slot and waits for a lock", *locks]
    return _admitted(seen, now)


def _over(seen: SeenWorkflow) -> tuple[StoryState, list[str]]:
    """Return what became of one that is over."""
    name, message = seen.metadata.name, seen.status.message or ""
    for begin, state in ((_GIVEN_UP, StoryState.GIVEN_UP), (_SUPERSEDED, StoryState.SUPERSEDED)):
        if message.startswith(begin):
            return state, [f"{name} never ran", message]
    over = f"{name} is over: {seen.status.phase}{_how_long(seen)}"
    return StoryState.FINISHED, [over, message] if message else [over]


def _admitted(seen: SeenWorkflow, now: datetime) -> tuple[StoryState, list[str]]:
    """Return what Argo does with one that has its slot."""
    name, status, message = seen.metadata.name, seen.status, seen.status.message or ""
    if seen.spec.suspend:
        goes_on = f"argo resume {name} lets it go on"
        return StoryState.SUSPENDED, [f"{name} is suspended (spec.suspend) and keeps its slot: {goes_on}"]
    if seen.waits_in_argo:
        return StoryState.WAITS_IN_ARGO, [f"{name} is admitted, and Argo itself keeps it pending"]
    if not status.phase or (status.phase == "Pending" and not message):
        return StoryState.NEW, [f"{name} is admitted, and Argo's controller has not started it yet"]
    since = "" if status.started_at is None else f" for {written(now - status.started_at)}"
    runs = f"{name} runs{since}"
    return StoryState.RUNNING, [runs, message] if message else [runs]


def _how_long(seen: SeenWorkflow) -> str:
    start, end = seen.status.started_at, seen.status.finished_at
    return "" if start is None or end is None else f", it ran {written(end - start)}"
