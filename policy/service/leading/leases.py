"""A Lease as leader election sees it: pure rules for when it may be taken, and the object to write.

The rules are client-go's (tools/leaderelection): a lease has expired when it was not seen to change for its
whole duration by the watcher's own clock, so clocks that disagree between machines do no harm. A lease
alone does not make a limit exact; ledgers fence a leader that does not know yet that it was deposed
(docs/protocol.md).
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from policy.cluster.protocol import Resource
from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare

LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
DURATION: Final = timedelta(seconds=4)
RETRY: Final = timedelta(milliseconds=500)
"""A killed leader is replaced within the duration and one retry: its last renewal is seen one retry late.

So within the five seconds that are promised, with half a second for a machine that is busy.
"""
RENEW_WITHIN: Final = timedelta(seconds=3)
"""A leader that could not renew for so long stops by itself, before another may take the lease."""


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`coordination.k8s.io/v1` LeaseSpec; an empty holder means that the lease was given up."""

    holder_identity: str = ""
    lease_duration_seconds: int = 0
    acquire_time: str = ""
    renew_time: str = ""
    lease_transitions: int = 0


class LeaseMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that a compare-and-swap needs."""

    name: str
    namespace: str = ""
    resource_version: str = ""


class Lease(msgspec.Struct, frozen=True):
    """A Lease object."""

    metadata: LeaseMetadata
    spec: LeaseSpec = LeaseSpec()


prepare(Lease)


class LeaseStep(StrEnum):
    """What a candidate does about a lease."""

    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


class Sighting(msgspec.Struct, frozen=True):
    """A lease and the watcher's stopwatch, in seconds, when it was first seen in this state."""

    lease: Lease
    since: float


def observe(before: Sighting | None, lease: Lease, now: float) -> Sighting:
    """Return the sighting of a lease: the old one while nothing about the lease has changed."""
    if before is not None and before.lease.metadata.resource_version == lease.metadata.resource_version:
        return before
    return Sighting(lease, now)


def next_step(seen: Sighting, me: str, now: float) -> LeaseStep:
    """Return what the candidate `me` does about a lease that was seen."""
    spec = seen.lease.spec
    if spec.holder_identity == me:
        return LeaseStep.RENEW
    if not spec.holder_identity or now - seen.since >= spec.lease_duration_seconds:
        return LeaseStep.TAKE
    return LeaseStep.WAIT


def new_lease(name: str, namespace: str, me: str, now: datetime) -> JsonObject:
    """Return the object that takes a lease which does not exist yet."""
    spec = LeaseSpec(me, int(DURATION.total_seconds()), _micro_time(now), _micro_time(now))
    return _object(LeaseMetadata(name, namespace), spec)


def taken(lease: Lease, me: str, now: datetime) -> JsonObject:
    """Return the object that takes a lease from whoever had it."""
    spec = LeaseSpec(
        me,
        int(DURATION.total_seconds()),
        _micro_time(now),
        _micro_time(now),
        lease.spec.lease_transitions + 1,
    )
    return _object(lease.metadata, spec)


def renewed(lease: Lease, now: datetime) -> JsonObject:
    """Return the object that keeps a lease."""
    return _object(lease.metadata, msgspec.structs.replace(lease.spec, renew_time=_micro_time(now)))


def given_up(lease: Lease, now: datetime) -> JsonObject:
    """Return the object that gives a lease up, so that the next leader need not wait."""
    spec = msgspec.structs.replace(
        lease.spec, holder_identity="", lease_duration_seconds=1, renew_time=_micro_time(now)
    )
    return _object(lease.metadata, spec)


def _object(metadata: LeaseMetadata, spec: LeaseSpec) -> JsonObject:
    described: JsonObject = {"name": metadata.name, "namespace": metadata.namespace}
    if metadata.resource_version:
        described["resourceVersion"] = metadata.resource_version
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": described,
        "spec": msgspec.to_builtins(spec),
    }


def _micro_time(now: datetime) -> str:
    """Return a `metav1.MicroTime`."""
    return now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
