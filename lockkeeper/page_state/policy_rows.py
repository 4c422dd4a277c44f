"""Policies with the conditions that the controller wrote into their status."""

from collections.abc import Iterator
from typing import Final

import msgspec

from lockkeeper.page_state.last_read import AtOneTime
from policy.cluster.errors import Forbidden, NotFound
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    Cluster,
    Resource,
)
from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare

_KINDS: Final = (
    CLUSTER_WORKFLOW_QUOTAS,
    WORKFLOW_QUOTAS,
    CLUSTER_SYNCHRONIZATION_POLICIES,
    SYNCHRONIZATION_POLICIES,
)
_GOOD: Final = {"Ready": "True"}
"""What the status of a condition is where all is well; that of the others is False."""


class _Condition(msgspec.Struct, frozen=True, rename="camel"):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    generation: int = 0


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    conditions: tuple[_Condition, ...] = ()
    observed_generation: int | None = None


class _SeenPolicy(msgspec.Struct, frozen=True):
    metadata: _Metadata
    status: _Status | None = None


prepare(_SeenPolicy)


class ConditionRow(msgspec.Struct, frozen=True):
    """A condition; `good` is whether it says that all is well."""

    type: str
    status: str
    reason: str
    message: str
    good: bool


class PolicyRow(msgspec.Struct, frozen=True):
    """A policy; `seen` is whether the controller has seen it as it was written last."""

    kind: str
    namespace: str
    name: str
    conditions: tuple[ConditionRow, ...]
    seen: bool

    @property
    def good(self) -> bool:
        """Whether it is in force as it is written, and nothing is to be said of it."""
        return self.seen and bool(self.conditions) and all(each.good for each in self.conditions)


class SeenPolicies(AtOneTime, frozen=True):
    """All policies at one time; `unread` are sentences about the kinds that could not be read."""

    rows: tuple[PolicyRow, ...]
    unread: tuple[str, ...]
    mark: str


def read_policies(cluster: Cluster, namespace: str) -> tuple[tuple[PolicyRow, ...], tuple[str, ...]]:
    """Return the policies that are about a namespace, or with "" about all, and what could not be read.

    Raises:
        ClusterError: the cluster does not answer.
    """
    rows: list[PolicyRow] = []
    unread = []
    for kind in _KINDS:
        try:
            listing = cluster.list(kind, namespace=namespace if kind.namespaced else "")
        except Forbidden as error:
            unread.append(f"{kind.plural}: {error.message}")
            continue
        except NotFound:
            unread.append(f"{kind.plural}: this cluster does not serve this kind; lockkeeper check tells why")
            continue
        rows.extend(_rows(kind, listing.items))
    return tuple(rows), tuple(unread)


def _rows(kind: Resource, items: tuple[JsonObject, ...]) -> Iterator[PolicyRow]:
    for item in items:
        try:
            policy = msgspec.convert(item, _SeenPolicy)
        except msgspec.ValidationError:
            continue
        metadata, status = policy.metadata, policy.status or _Status()
        observed = status.observed_generation
        yield PolicyRow(
            kind.kind,
            metadata.namespace,
            metadata.name,
            tuple(_row(each) for each in status.conditions),
            seen=bool(status.conditions) and (observed is None or observed >= metadata.generation),
        )


def _row(found: _Condition) -> ConditionRow:
    good = found.status == _GOOD.get(found.type, "False")
    return ConditionRow(found.type, found.status, found.reason, found.message, good)
