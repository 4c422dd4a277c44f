"""What the controller's tests need: policies, Workflows as admission leaves them, a watched cluster.

Nothing here sleeps: whoever waits, waits for an event of the watch or for a condition, with a bound.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Condition, Lock
from typing import Final

import jsonpatch
import msgspec

from policy.cluster.errors import ClusterError
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    WORKFLOWS,
    Cluster,
    JsonPatch,
    Listing,
    MergePatch,
    Patch,
    Preconditions,
    Resource,
    WatchEvent,
)
from policy.cluster.shaped_reads import Shaping
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Decision, Operation, Review, Side
from policy.core.objects import hold, well_known
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.label_selectors import LabelSelector
from policy.core.objects.workflow import Workflow
from policy.core.objects.workflow_selectors import EVERY_WORKFLOW, WorkflowSelector
from policy.core.policies.snapshot import Document, Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import (
    ClusterWorkflowQuota,
    NamespaceObject,
    PolicyMetadata,
    WorkflowQuota,
)
from policy.core.policy_kinds.quota_parts import (
    BorrowingSpec,
    ClusterWorkflowQuotaSpec,
    OnExceed,
    QuotaLimits,
    WorkflowQuotaSpec,
)
from policy.core.queue.positions import WaitReason
from policy.core.quota.usage_view import NO_USAGE, UsageView
from policy.core.values.amounts import Limits
from policy.service.release.controller import IDLE_PASS, Controller
from policy.service.release.release_pass import ReleasePass, unknown_capacity
from policy.service.status.start_board import StartBoard
from policy.service.tracking.tracked import Tracked
from policy.service.tracking.tracker import LIVE, Tracker
from policy.sources.snapshot_store import SnapshotStore

PATIENCE: Final = IDLE_PASS.total_seconds() * 0.8
"""Seconds until something that never comes fails a test; no passing test waits for it.

They end before an idle pass of the controller, so nothing that a test waits for comes by one.
"""
NOON: Final = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that moves only when the test advances it."""

    def __init__(self) -> None:
        self._now = NOON
        self._lock = Lock()

    def __call__(self) -> datetime:
        """Return the time."""
        with self._lock:
            return self._now

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        with self._lock:
            self._now += by


class Call(msgspec.Struct, frozen=True):
    """One call that a Spy has passed on; `patch` and `obj` are what was sent."""

    verb: str
    plural: str
    name: str = ""
    labels: str = ""
    patch: Patch | None = None
    obj: JsonObject | None = None

    @property
    def writes_ledger(self) -> bool:
        """Whether this is a write of a ledger."""
        return self.plural == "quotaledgers" and self.verb in ("create", "replace")

    @property
    def releases(self) -> bool:
        """Whether this is the patch that lets a Workflow go."""
        return isinstance(self.patch, JsonPatch) and any(
            each.path == hold.INSTANCE_LABEL and each.op in ("remove", "replace")
            for each in self.patch.operations
        )


def nothing(_: Call) -> None:
    """Do nothing about a call."""


class Spy(Shaping):
    """A cluster that notes every call; `before` and `after` may interfere, or raise as the network would."""

    def __init__(self, inner: Cluster) -> None:
        self.inner = inner
        self.calls: list[Call] = []
        self.before: Callable[[Call], None] = nothing
        self.after: Callable[[Call], None] = nothing

    def _note(self, call: Call) -> Call:
        self.before(call)
        self.calls.append(call)
        return call

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        """Pass on."""
        self._note(Call("get", resource.plural, name))
        return self.inner.get(resource, name, namespace=namespace)

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """Pass on."""
        call = self._note(Call("list", resource.plural, name, labels=labels))
        found = self.inner.list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )
        self.after(call)
        return found

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
        timeout: float = 60.0,
    ) -> Iterator[WatchEvent[JsonObject]]:
        """Pass on."""
        self._note(Call("watch", resource.plural, labels=labels))
        return self.inner.watch(
            resource,
            since=since,
            namespace=namespace,
            name=name,
            labels=labels,
            metadata_only=metadata_only,
            timeout=timeout,
        )

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        """Pass on."""
        call = self._note(Call("create", resource.plural, name_of(obj), obj=obj))
        made = self.inner.create(resource, obj, namespace=namespace, dry_run=dry_run)
        self.after(call)
        return made

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        """Pass on."""
        call = self._note(Call("replace", resource.plural, name_of(obj), obj=obj))
        made = self.inner.replace(resource, obj)
        self.after(call)
        return made

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        """Pass on."""
        call = self._note(Call("patch", resource.plural, name, patch=patch))
        made = self.inner.patch(resource, name, patch, namespace=namespace, subresource=subresource)
        self.after(call)
        return made

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        preconditions: Preconditions | None = None,
    ) -> None:
        """Pass on."""
        self._note(Call("delete", resource.plural, name))
        self.inner.delete(resource, name, namespace=namespace, preconditions=preconditions)


class Told:
    """Notes what the leader reports: the Reporter and the Trouble of a test."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.released_names: list[str] = []
        self.messages: list[tuple[str, str]] = []
        self.reasons: list[tuple[str, WaitReason, str]] = []
        self.given_up: list[tuple[str, str]] = []
        self.ended_names: list[tuple[str, str]] = []
        self.superseding: list[tuple[str, str]] = []
        self.failures: list[tuple[str, ClusterError]] = []
        self.passed: list[tuple[str, str]] = []
        self.troubles: list[str] = []
        self.expired_reservations = 0

    def released(self, workflow: Tracked, took: timedelta) -> None:  # noqa: ARG002 - a protocol
        """Note a release."""
        with self.changed:
            self.released_names.append(workflow.name)
            self.changed.notify_all()

    def waits(self, workflow: Tracked, message: str) -> None:
        """Note a message."""
        with self.changed:
            self.messages.append((workflow.name, message))
            self.changed.notify_all()

    def reason(self, workflow: Tracked, reason: WaitReason, text: str) -> None:
        """Note why a Workflow waits."""
        with self.changed:
            self.reasons.append((workflow.name, reason, text))
            self.changed.notify_all()

    def gave_up(self, workflow: Tracked, message: str) -> None:
        """Note that a Workflow has waited for too long."""
        with self.changed:
            self.given_up.append((workflow.name, message))
            self.changed.notify_all()

    def ended(self, workflow: Tracked, message: str) -> None:
        """Note that a Workflow ended because its user wanted that."""
        with self.changed:
            self.ended_names.append((workflow.name, message))
            self.changed.notify_all()

    def superseded(self, workflow: Tracked, message: str) -> None:
        """Note that a newer Workflow of the same key supersedes one."""
        with self.changed:
            self.superseding.append((workflow.name, message))
            self.changed.notify_all()

    def failed(self, workflow: Tracked, error: ClusterError) -> None:
        """Note a failure."""
        with self.changed:
            self.failures.append((workflow.name, error))
            self.changed.notify_all()

    def bypassed_admission(self, workflow: Tracked, message: str) -> None:
        """Note that a Workflow bypassed admission."""
        with self.changed:
            self.passed.append((workflow.name, message))
            self.changed.notify_all()

    def expired(self, reservations: int) -> None:
        """Note reservations that ran out."""
        with self.changed:
            self.expired_reservations += reservations
            self.changed.notify_all()

    def trouble(self, doing: str, error: ClusterError) -> None:
        """Note trouble of the loop."""
        with self.changed:
            self.troubles.append(f"{doing}: {error.message}")
            self.changed.notify_all()

    def until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Wait until what was reported meets the condition."""
        with self.changed:
            return self.changed.wait_for(condition, seconds)


def quota(
    namespace: str,
    name: str,
    *,
    workflows: int | None = None,
    tasks: int | None = None,
    per_user: int | None = None,
    on_exceed: OnExceed = OnExceed.QUEUE,
    selector: WorkflowSelector = EVERY_WORKFLOW,
) -> WorkflowQuota:
    """Return a quota of one namespace."""
    spec = WorkflowQuotaSpec(
        selector=selector,
        limits=QuotaLimits(workflows, tasks),
        per_user=QuotaLimits(per_user),
        on_exceed=on_exceed,
    )
    return WorkflowQuota(PolicyMetadata(name, namespace), spec)


def pool(
    name: str,
    *,
    workflows: int | None = None,
    tasks: int | None = None,
    on_exceed: OnExceed = OnExceed.QUEUE,
    members: LabelSelector | None = None,
    borrows: int | None = None,
) -> ClusterWorkflowQuota:
    """Return a pool over the namespaces with the label `pool: NAME`, or those that `members` selects.

    With `borrows`, members may go so many Workflows beyond their own quotas.
    """
    spec = ClusterWorkflowQuotaSpec(
        namespace_selector=LabelSelector({"pool": name}) if members is None else members,
        limits=QuotaLimits(workflows, tasks),
        on_exceed=on_exceed,
        borrowing=None if borrows is None else BorrowingSpec(borrowing_limit=QuotaLimits(borrows)),
    )
    return ClusterWorkflowQuota(PolicyMetadata(name), spec)


def member(name: str, of: str) -> NamespaceObject:
    """Return a namespace that belongs to a pool."""
    return NamespaceObject(PolicyMetadata(name, labels={"pool": of}))


def snapshot_of(*documents: Document) -> Snapshot:
    """Return the snapshot of some policies."""
    return take_snapshot(documents, version="test", argo=DEFAULT_VERSION)


def draft(
    name: str,
    *,
    tasks: int | None = 1,
    priority: int | None = None,
    labels: dict[str, str] | None = None,
) -> JsonObject:
    """Return a Workflow as its author writes it."""
    spec: JsonObject = {"entrypoint": "main", "templates": [{"name": "main", "container": {"image": "i"}}]}
    if tasks is not None:
        spec["parallelism"] = tasks
    if priority is not None:
        spec["priority"] = priority
    metadata: JsonObject = {"name": name}
    if labels is not None:
        metadata["labels"] = {**labels}
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": metadata,
        "spec": spec,
    }


def review_of(
    obj: JsonObject, *, namespace: str, user: str, uid: str, side: Side = Side.MUTATE, dry_run: bool = False
) -> Review:
    """Return the review of an object's create."""
    workflow = msgspec.json.decode(msgspec.json.encode(obj), type=Workflow)
    return Review(uid, side, Operation.CREATE, namespace, user, dry_run, workflow)


def patched(obj: JsonObject, decision: Decision) -> JsonObject:
    """Return the object as the API server has it after a decision's patch."""
    changed: JsonObject = jsonpatch.apply_patch(obj, msgspec.to_builtins(list(decision.patch)))
    return changed


def submit(
    cluster: Cluster, snapshot: Snapshot, obj: JsonObject, *, namespace: str, user: str = "ann"
) -> JsonObject:
    """Create a Workflow as admission leaves it, with nothing reserved, and return it as stored."""
    review = review_of(obj, namespace=namespace, user=user, uid=f"create-{name_of(obj)}")
    decision = apply_policies(review, snapshot, NOON)
    assert decision.allowed, decision.reasons
    return cluster.create(WORKFLOWS, patched(obj, decision), namespace=namespace)


def complete(cluster: Cluster, name: str, *, namespace: str) -> JsonObject:
    """Let a Workflow finish, as Argo's controller marks it."""
    value: JsonObject = {"metadata": {"labels": {well_known.COMPLETED: "true"}}}
    return cluster.patch(WORKFLOWS, name, MergePatch(value), namespace=namespace)


def part(obj: JsonValue, *path: str) -> JsonValue:
    """Return what is at a path of an object, None where there is nothing."""
    for step in path:
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def name_of(obj: JsonObject) -> str:
    """Return an object's name."""
    return str(part(obj, "metadata", "name") or "")


def labels_of(obj: JsonObject) -> dict[str, str]:
    """Return an object's labels."""
    found = part(obj, "metadata", "labels")
    return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def is_held(obj: JsonObject) -> bool:
    """Return whether an object waits."""
    return labels_of(obj).get("workflows.argoproj.io/controller-instanceid") == "lockkeeper-hold"


def memory(clock: Callable[[], datetime] | None = None, *, seed: int = 1) -> MemoryCluster:
    """Return an empty cluster."""
    return MemoryCluster(clock=clock or Clock(), rng=Random(seed))


def eventually(cluster: Cluster, condition: Callable[[], bool], resource: Resource = WORKFLOWS) -> bool:
    """Wait for a condition that changes of a kind of object can make true."""
    since = cluster.list(resource).resource_version
    if condition():
        return True
    return any(condition() for _ in cluster.watch(resource, since=since, timeout=PATIENCE))


class Leader:
    """A leader driven by hand: a release pass over a cluster, with a tracker that is listed when asked to."""

    def __init__(
        self,
        cluster: Cluster,
        snapshot: Snapshot,
        clock: Clock,
        *,
        capacity: Callable[[str], Limits | None] = unknown_capacity,
    ) -> None:
        self.cluster = cluster
        self.snapshot = snapshot
        self.clock = clock
        self.told = Told()
        self.view: UsageView = NO_USAGE
        self.ledgers = Ledgers(cluster=cluster, clock=clock, leads=True)
        self.tracker = Tracker()
        self.starts = StartBoard()
        self.release_pass = ReleasePass(
            cluster=cluster,
            ledgers=self.ledgers,
            snapshot=lambda: self.snapshot,
            clock=clock,
            publish=self._publish,
            reporter=self.told,
            capacity=capacity,
            starts=self.starts,
        )

    def _publish(self, view: UsageView) -> None:
        self.view = view

    def see(self) -> None:
        """List what is live."""
        self.tracker.reset(self.cluster.list(WORKFLOWS, labels=LIVE, metadata_only=True))

    def lead(self) -> None:
        """Fence every root, and list after it."""
        self.see()
        while self.release_pass.fence_new(self.tracker):
            self.see()

    def work(self) -> int:
        """Make a pass on what is there now."""
        self.lead()
        self.see()
        return self.release_pass.run_pass(self.tracker)

    def held(self, namespace: str) -> dict[str, bool]:
        """Return for every Workflow of a namespace whether it waits."""
        listing = self.cluster.list(WORKFLOWS, namespace=namespace)
        return {name_of(item): is_held(item) for item in listing.items}


class Stage:
    """A controller over a snapshot store, ready to run in a thread."""

    def __init__(self, cluster: Cluster, snapshot: Snapshot, clock: Clock) -> None:
        self.cluster = cluster
        self.told = Told()
        self.snapshots = SnapshotStore(snapshot=snapshot, clock=clock)
        self.ledgers = Ledgers(cluster=cluster, clock=clock, leads=True)
        self.release_pass = ReleasePass(
            cluster=cluster,
            ledgers=self.ledgers,
            snapshot=self.snapshots.current,
            clock=clock,
            publish=self.snapshots.put_usage,
            reporter=self.told,
        )
        self.controller = Controller(
            cluster=cluster, release_pass=self.release_pass, clock=clock, trouble=self.told.trouble
        )
        self.snapshots.on_policies(self.controller.wake)

    @contextmanager
    def running(self, close: Callable[[], None]) -> Iterator[Future[None]]:
        """Run the loop; afterwards stop it, close the cluster and see every thread end.

        An error of the loop is the caller's to find in the future.
        """
        before = set(threading.enumerate())
        with ThreadPoolExecutor(1) as threads:
            loop = threads.submit(self.controller.run)
            try:
                yield loop
            finally:
                self.controller.stop()
                loop.exception(PATIENCE)
                close()
        for thread in set(threading.enumerate()) - before:
            if thread.name.startswith("workflow-watch-"):
                thread.join(PATIENCE)
                assert not thread.is_alive(), f"{thread.name} outlives its controller and the cluster"
