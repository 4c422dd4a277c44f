"""Leader election over the Cluster protocol: who may take the Lease, and when a term begins and ends.

The rules are client-go's (tools/leaderelection): a lease has expired when it was not seen to change for its
whole duration by the watcher's own clock, so clocks that disagree between machines do no harm. A lease
alone does not make a limit exact; ledgers fence a leader that does not know yet that it was deposed
(docs/protocol.md).
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Event, Thread
from typing import Final

import msgspec

from policy.cluster.errors import AlreadyExists, ClusterError, Conflict, NotFound, Trouble
from policy.cluster.protocol import Cluster, Resource
from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare
from policy.service.leading.term_works import Work

LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
DURATION: Final = timedelta(seconds=4)
_RETRY: Final = timedelta(milliseconds=500)
"""A killed leader is replaced within the duration and one retry: its last renewal is seen one retry late.

So within the five seconds that are promised, with half a second for a busy machine.
"""
RENEW_WITHIN: Final = timedelta(seconds=3)
"""A leader that could not renew for this long stops by itself, before another may take the lease."""


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`coordination.k8s.io/v1` LeaseSpec; an empty holder means that the lease was given up."""

    holder_identity: str = ""
    lease_duration_seconds: int = 0
    acquire_time: str = ""
    renew_time: str = ""
    lease_transitions: int = 0


class LeaseMetadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The metadata that a compare-and-swap needs."""

    name: str
    namespace: str = ""
    resource_version: str = ""


class Lease(msgspec.Struct, frozen=True):
    """A Lease object."""

    metadata: LeaseMetadata
    spec: LeaseSpec = LeaseSpec()


prepare(Lease)


class _LeaseStep(StrEnum):
    """What a candidate does about a lease."""

    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


class _Sighting(msgspec.Struct, frozen=True):
    """A lease, and the watcher's stopwatch in seconds when it was first seen in this state."""

    lease: Lease
    since: float


def _observe(before: _Sighting | None, lease: Lease, now: float) -> _Sighting:
    """Return the sighting of a lease: the old one while nothing about the lease has changed."""
    if before is not None and before.lease.metadata.resource_version == lease.metadata.resource_version:
        return before
    return _Sighting(lease, now)


def _next_step(seen: _Sighting, me: str, now: float) -> _LeaseStep:
    """Return what the candidate `me` does about a lease that was seen."""
    spec = seen.lease.spec
    if spec.holder_identity == me:
        return _LeaseStep.RENEW
    if not spec.holder_identity or now - seen.since >= spec.lease_duration_seconds:
        return _LeaseStep.TAKE
    return _LeaseStep.WAIT


def new_lease(name: str, namespace: str, me: str, now: datetime) -> JsonObject:
    """Return the object that takes a lease which does not exist yet."""
    return _object(LeaseMetadata(name, namespace), _spec(me, now, transitions=0))


def _taken(lease: Lease, me: str, now: datetime) -> JsonObject:
    """Return the object that takes a lease from its last holder."""
    return _object(lease.metadata, _spec(me, now, transitions=lease.spec.lease_transitions + 1))


def renewed(lease: Lease, now: datetime) -> JsonObject:
    """Return the object that renews a lease."""
    return _object(lease.metadata, msgspec.structs.replace(lease.spec, renew_time=_micro_time(now)))


def given_up(lease: Lease, now: datetime) -> JsonObject:
    """Return the object that gives a lease up, so that the next leader need not wait."""
    spec = msgspec.structs.replace(
        lease.spec, holder_identity="", lease_duration_seconds=1, renew_time=_micro_time(now)
    )
    return _object(lease.metadata, spec)


def _spec(me: str, now: datetime, *, transitions: int) -> LeaseSpec:
    time = _micro_time(now)
    return LeaseSpec(me, int(DURATION.total_seconds()), time, time, transitions)


def _object(metadata: LeaseMetadata, spec: LeaseSpec) -> JsonObject:
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": msgspec.to_builtins(metadata),
        "spec": msgspec.to_builtins(spec),
    }


def _micro_time(now: datetime) -> str:
    """Return a `metav1.MicroTime`."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Elector:
    """A candidate named `me`; `start` returns the work of each new term."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        namespace: str,
        name: str,
        me: str,
        start: Callable[[], Work],
        clock: Callable[[], datetime],
        stopwatch: Callable[[], float],
        trouble: Trouble,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._me = me
        self._start = start
        self._clock = clock
        self._stopwatch = stopwatch
        self._trouble = trouble
        self._seen: _Sighting | None = None
        self._renewed_at = 0.0
        self._stopped = Event()
        self.ended = Event()
        self._work: Work | None = None
        self._working: Thread | None = None

    @property
    def leading(self) -> bool:
        """Whether the work is being done here."""
        return self._working is not None and self._working.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """End the work, give the lease up, and end the loop."""
        self._stopped.set()

    def run(self) -> None:
        """Campaign, lead and campaign again until stopped; `ended` is set when the lease is given up."""
        try:
            while not self._stopped.is_set():
                self.step()
                self._stopped.wait(_RETRY.total_seconds())
            self._resign()
        finally:
            self.ended.set()

    def step(self) -> None:
        """Read the lease once, and take it, renew it or leave it; start or end the work accordingly."""
        try:
            holding = self._campaign()
        except ClusterError as error:
            self._trouble("leader election", error)
            since = self._stopwatch() - self._renewed_at
            holding = self.leading and since < RENEW_WITHIN.total_seconds()
        if holding and not self.leading:
            self._begin()
        elif not holding and self.leading:
            self._end()

    def _campaign(self) -> bool:
        """Return whether the lease is ours after reading it once."""
        now = self._stopwatch()
        try:
            lease = self._read()
        except NotFound:
            return self._write(new_lease(self._name, self._namespace, self._me, self._clock()), new=True)
        self._seen = _observe(self._seen, lease, now)
        match _next_step(self._seen, self._me, now):
            case _LeaseStep.TAKE:
                return self._write(_taken(lease, self._me, self._clock()))
            case _LeaseStep.RENEW if self._working is not None and not self.leading:
                self._resign()  # The work ended by itself: another leader fenced it off, or it has a bug.
                return False
            case _LeaseStep.RENEW:
                return self._write(renewed(lease, self._clock()))
            case _LeaseStep.WAIT:
                return False

    def _read(self) -> Lease:
        return msgspec.convert(self._cluster.get(LEASES, self._name, namespace=self._namespace), Lease)

    def _write(self, obj: JsonObject, *, new: bool = False) -> bool:
        """Write the lease; False where another candidate was first."""
        started = self._stopwatch()
        try:
            if new:
                self._cluster.create(LEASES, obj, namespace=self._namespace)
            else:
                self._cluster.replace(LEASES, obj)
        except (AlreadyExists, Conflict, NotFound):
            return False
        self._renewed_at = started
        return True

    def _begin(self) -> None:
        self._work = self._start()
        self._working = Thread(target=self._work.run, name="leader", daemon=True)
        self._working.start()

    def _end(self) -> None:
        if self._work is not None:
            self._work.stop()
        if self._working is not None:
            self._working.join()
        self._work = self._working = None

    def _resign(self) -> None:
        """End the work first, then give the lease up: never two at work."""
        self._end()
        try:
            lease = self._read()
            if lease.spec.holder_identity == self._me:
                self._cluster.replace(LEASES, given_up(lease, self._clock()))
        except ClusterError as error:
            self._trouble("giving the lease up", error)
