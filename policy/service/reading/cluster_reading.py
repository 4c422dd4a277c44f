"""Reads what the view is made of: quotas, namespaces, live Workflows and ledgers, as far as rights allow."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import msgspec

from policy.cluster.errors import Forbidden, NotFound
from policy.cluster.ledgers import Ledgers
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    NAMESPACES,
    QUOTA_LEDGERS,
    RUN_LENGTHS,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    Cluster,
    Listing,
    Resource,
    Selection,
    Unread,
)
from policy.cluster.stored_lengths import read_lengths
from policy.core.cluster_view.run_lengths import RunLengths
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.conflicts import PolicyName
from policy.core.policies.governing_quotas import label_keys
from policy.core.policies.snapshot import Document, Snapshot, take_snapshot
from policy.core.policies.status_figures import QuotaFigures
from policy.core.quota.accounts import Root
from policy.core.quota.ledger import Ledger
from policy.core.values.problems import Problem
from policy.service.reading.needed_roles import missing_kind, with_role
from policy.service.tracking.live_metadata import LiveMetadata
from policy.service.tracking.tracker import LIVE, Tracker
from policy.sources.last_good_objects import LastGoodObjects

_FEW: Final = 20
"""Members of a pool whose Workflows are read namespace by namespace; more are read in one list."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What was read at one time.

    `namespaces` are those whose Workflows were read, None where it is all of them. `figures` are those in the
    status of quotas. `unread` has a sentence for each thing that the caller may not read. Where
    `knows_members` is False, a pool has members that are not known. `lengths` say how long runs take, None
    where they were not read.
    """

    at: datetime
    snapshot: Snapshot
    tracker: Tracker
    namespaces: frozenset[str] | None
    ledgers: Mapping[Root, Ledger]
    figures: Mapping[PolicyName, QuotaFigures]
    knows_members: bool = True
    unread: tuple[str, ...] = ()
    lengths: RunLengths | None = None

    def knows(self, namespace: str) -> bool:
        """Return whether the Workflows of a namespace were read."""
        return self.namespaces is None or namespace in self.namespaces


class ClusterReader:
    """Reads a cluster for the view of one namespace, or of all of them ("")."""

    def __init__(self, *, cluster: Cluster, ledgers: Ledgers, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._ledgers = ledgers
        self._clock = clock
        self._unread: list[str] = []
        self._knows_members = True

    def read(self, namespace: str = "", *, lengths: bool = False) -> Reading:
        """Return what there is; with the `lengths` of runs where starts are to be expected by them.

        Raises:
            ClusterError: the cluster does not answer, or does not let the caller read the Workflows.
        """
        self._unread, self._knows_members = [], True
        objects = {
            WORKFLOW_QUOTAS: self._everywhere_or_here(WORKFLOW_QUOTAS, namespace),
            CLUSTER_WORKFLOW_QUOTAS: self._pools(),
            NAMESPACES: self._namespaces(namespace),
        }
        snapshot = take_snapshot(self._documents(objects), version="read", argo=DEFAULT_VERSION)
        tracker, namespaces = self._workflows(snapshot, namespace)
        return Reading(
            at=self._clock(),
            snapshot=snapshot,
            tracker=tracker,
            namespaces=namespaces,
            ledgers=self._read_ledgers(),
            figures=_figures(objects),
            knows_members=self._knows_members,
            lengths=self._lengths() if lengths else None,
            unread=tuple(self._unread),
        )

    # Policies and namespaces.

    def _everywhere_or_here(self, resource: Resource, namespace: str) -> Sequence[JsonObject]:
        """Return the objects of all namespaces, or where that is not allowed, those of this one."""
        try:
            return self._cluster.list(resource).items
        except NotFound as error:
            raise missing_kind(resource, error) from error
        except Forbidden:
            if not namespace:
                raise
        return self._cluster.list(resource, namespace=namespace).items

    def _pools(self) -> Sequence[JsonObject]:
        """Return the pools; without them nothing could be said of what waits in one."""
        try:
            return self._cluster.list(CLUSTER_WORKFLOW_QUOTAS).items
        except NotFound as error:
            raise missing_kind(CLUSTER_WORKFLOW_QUOTAS, error) from error
        except Forbidden as error:
            raise Forbidden(with_role(error)) from error

    def _namespaces(self, namespace: str) -> Sequence[JsonObject]:
        """Return the namespaces, or the one that is asked for; one without its labels is in no pool."""
        try:
            return self._cluster.list(NAMESPACES).items
        except Forbidden:
            self._knows_members = False
            with suppress(Forbidden, NotFound):
                return (self._cluster.get(NAMESPACES, namespace),) if namespace else ()
        self._unread.append("namespaces: no right to read them; which pool they are in is not known")
        return ()

    def _documents(self, objects: Mapping[Resource, Iterable[JsonObject]]) -> list[Document]:
        """Return the good documents, as the webhook takes them; the others are told."""
        found: list[Document] = []
        for resource, items in objects.items():
            good = LastGoodObjects(resource=resource)
            good.reset(items)
            found.extend(good.documents.values())
            self._unread += [
                f"{each} is left out, as it is wrong: {_sentence(each.problems[0])}"
                for each in good.verdicts.values()
                if each.problems
            ]
        return found

    # Workflows and ledgers.

    def _workflows(self, snapshot: Snapshot, namespace: str) -> tuple[Tracker, frozenset[str] | None]:
        """Return the live Workflows of the roots that are asked for, and of which namespaces they are."""
        tracker = Tracker()
        tracker.keep_labels(label_keys(snapshot))
        wanted = _members(snapshot, namespace)
        found: list[LiveMetadata | Unread] = []
        if wanted is None:
            try:
                found.extend(self._live(tracker, ""))
            except Forbidden:
                if not namespace:
                    raise
                wanted = _members(snapshot, namespace, most=None) or {namespace}
        read_here = set()
        for each in sorted(wanted or ()):
            try:
                found.extend(self._live(tracker, each))
                read_here.add(each)
            except Forbidden:
                if each == namespace:
                    raise
        tracker.reset(Listing(tuple(found), ""))
        tracker.take_changes()
        in_pool = bool(namespace and snapshot.policies(namespace).pool)
        if wanted is not None and (len(read_here) < len(wanted) or (in_pool and not self._knows_members)):
            self._unread.append(
                "workflows of other namespaces of the pool: no right to list them; of these only the counts "
                "in the status of the pool are known"
            )
        return tracker, None if wanted is None else frozenset(read_here)

    def _live(self, tracker: Tracker, namespace: str) -> Iterable[LiveMetadata | Unread]:
        selection = Selection(WORKFLOWS, namespace, LIVE, metadata_only=True)
        try:
            for page in self._cluster.pages_as(selection, tracker.shape):
                yield from page.items
        except NotFound as error:
            raise missing_kind(WORKFLOWS, error) from error

    def _read_ledgers(self) -> Mapping[Root, Ledger]:
        try:
            return self._ledgers.all()
        except Forbidden:
            self._unread.append(
                f"{QUOTA_LEDGERS.plural}: no right to list them; who used less lately is not known, so the "
                "order of equal priorities may be another"
            )
            return {}

    def _lengths(self) -> RunLengths | None:
        try:
            return read_lengths(self._cluster)
        except Forbidden:
            self._unread.append(
                f"{RUN_LENGTHS.plural}: no right to read how long runs take, so no start is told; the "
                "ClusterRole lockkeeper-pools gives that right"
            )
            return None


def _members(snapshot: Snapshot, namespace: str, most: int | None = _FEW) -> set[str] | None:
    """Return the namespaces of the root of one; None where all are to be read, because they are many."""
    if not namespace:
        return None
    root = snapshot.policies(namespace).root
    if not root.pool:
        return {namespace}
    known = {namespace, *snapshot.namespace_labels}
    members = {each for each in known if snapshot.policies(each).root == root}
    return None if most is not None and len(members) > most else members


def _sentence(problem: Problem) -> str:
    return f"{problem.path}: {problem.message}" if problem.path else problem.message


def _figures(objects: Mapping[Resource, Iterable[JsonObject]]) -> dict[PolicyName, QuotaFigures]:
    """Return the figures in the status of quotas, as far as they can be read."""
    found = {}
    for resource in (WORKFLOW_QUOTAS, CLUSTER_WORKFLOW_QUOTAS):
        for item in objects[resource]:
            status, metadata = item.get("status"), item.get("metadata")
            if not (isinstance(status, dict) and "running" in status and isinstance(metadata, dict)):
                continue
            with suppress(msgspec.ValidationError):
                figures = msgspec.convert(status, QuotaFigures)
                name = PolicyName(
                    resource.kind, str(metadata.get("namespace", "")), str(metadata.get("name"))
                )
                found[name] = figures
    return found
