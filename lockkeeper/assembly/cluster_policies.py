"""Puts together the policies of a cluster in a snapshot store, for `serve --cluster` and `controller`.

The watches and the version of Argo feed the snapshot store; the parts of a leader's term that write about
policies (status, semaphores, siblings of templates) are built here because they feed it back.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import count
from threading import Event, Lock, Thread
from typing import Final

import msgspec

from lockkeeper.assembly.argo_installed import InstalledArgo
from lockkeeper.assembly.policy_folder import LoadCounter
from lockkeeper.process.console import utc_now
from lockkeeper.process.controller_log import ControllerLog
from lockkeeper.process.kubernetes_objects import NamespacedName
from policy.cluster.errors import Trouble
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    Cluster,
)
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.identities import UPSTREAM, Identities
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.read_extent import WHOLE
from policy.core.objects.workflow import config_maps_of
from policy.core.policies.conflicts import Finding, PolicyName, all_findings
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.policies.status_figures import QuotaFigures, figures, view_of
from policy.core.quota.usage_view import EMPTY_QUEUE, UNKNOWN_USAGE, UsageView
from policy.core.values.amounts import Limits
from policy.service.locks.config_map_writer import ConfigMapWriter, ProjectedCluster
from policy.service.locks.sibling_writer import SiblingWriter
from policy.service.release.release_pass import unknown_capacity
from policy.service.status.conditions import ready
from policy.service.status.metrics import ControllerMetrics
from policy.service.status.policy_status import PolicyStatusWriter
from policy.sources.cluster_objects import ClusterSource, GatheredDocuments
from policy.sources.last_good_objects import Verdict
from policy.sources.snapshot_store import Listener, Listeners, SnapshotStore, Unsubscribe
from policy.sources.yaml_positions import read_manifest
from webhook.http_errors import NotSynced
from webhook.logs import Log

_NOT_READ: Final = "the policies of the cluster are not read yet"
_ARGO_SECONDS: Final = 60.0
"""How often the Deployment of Argo is read; an upgrade takes longer than that to roll out."""
_FIGURES_AGE: Final = 4.0
"""Seconds until every Workflow that joined a queue is in its figures."""
_FIGURES_SECONDS: Final = 0.5
"""Between two updates of the figures of quotas in a webhook."""
_LOCK_POLICIES: Final = (SYNCHRONIZATION_POLICIES, CLUSTER_SYNCHRONIZATION_POLICIES)
_QUOTAS: Final = (WORKFLOW_QUOTAS, CLUSTER_WORKFLOW_QUOTAS)


class ClusterPolicies:
    """The cluster's policies in a snapshot store, updated by watches; all are read before any decision."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        argo: ArgoVersion,
        log: Log,
        recorder: ControllerMetrics | None = None,
        loads: LoadCounter | None = None,
        identities: Identities = UPSTREAM,
        deployment: NamespacedName | None = None,
    ) -> None:
        self._cluster = cluster
        self._argo = argo
        trouble = ControllerLog(log=log, recorder=recorder).trouble
        self._installed = (
            InstalledArgo(
                cluster=cluster,
                deployment=deployment,
                setting=argo,
                trouble=trouble,
                log=lambda text: log.event("argo", text),
            )
            if deployment is not None
            else None
        )
        self._compiling = Lock()
        self._gathered = GatheredDocuments((), WHOLE)
        self._identities = identities
        self._log = log
        self._loads = loads
        self._versions = count(1)
        self._of_verdicts = Listeners()
        self._found: tuple[str, Mapping[PolicyName, tuple[Finding, ...]]] = ("", {})
        self.capacity: Callable[[str], Limits | None] = unknown_capacity
        self._reported: dict[str, Mapping[PolicyName, tuple[Finding, ...]] | None] = {}
        self._compiled: Snapshot | None = None
        self.snapshots = SnapshotStore(snapshot=self._compile(self._gathered), clock=utc_now)
        self._stopped = Event()
        self._figures_moved = Event()
        self._longer_since: dict[str, float] = {}
        self._source = ClusterSource(
            cluster=cluster,
            changed=self._changed,
            on_verdict=self._log_problems,
            trouble=trouble,
            verdicts_changed=self._moved,
            argo=config_maps_of(identities.argo_controllers),
        )

    def start(self) -> None:
        """Begin to follow the cluster."""
        Thread(target=self._follow, name="policies", daemon=True).start()

    def read_figures(self) -> None:
        """Begin to show the usage that the leader writes into the status of quotas: for a webhook."""
        self.on_verdicts(self._figures_moved.set)
        Thread(target=self._follow_figures, name="figures", daemon=True).start()

    def stop(self) -> None:
        """End the watches."""
        self._source.stop()
        self._stopped.set()
        self._figures_moved.set()

    def _follow(self) -> None:
        """Read the version of Argo before anything is compiled for it, then follow the policies."""
        if self._installed is not None:
            self._argo = self._installed.read()
            Thread(target=self._follow_argo, args=(self._installed,), name="argo", daemon=True).start()
        self._source.run()

    def _follow_argo(self, installed: InstalledArgo) -> None:
        """Compile everything again when another version of Argo is installed."""
        while not self._stopped.wait(_ARGO_SECONDS):
            self.check_argo(installed.read())

    def check_argo(self, version: ArgoVersion) -> None:
        """Compile again if another version of Argo is installed now."""
        if version != self._argo:
            self._argo = version
            self._changed(self._gathered)

    def current(self) -> Snapshot:
        """Return the snapshot in force.

        Raises:
            NotSynced: the policies were not all read yet; to allow would be to admit everything.
        """
        if not self._source.synced.is_set():
            raise NotSynced(_NOT_READ)
        return self.snapshots.current()

    def wait(self, seconds: float) -> bool:
        """Wait until all policies were read."""
        return self._source.synced.wait(seconds)

    def missing(self) -> list[str]:
        """Return why nothing can be decided yet, or nothing."""
        return [] if self._source.synced.is_set() else [_NOT_READ]

    def allowed_by_nodes(self, pool: str) -> Limits | None:
        """Return what nodes allow a pool, as the term of a leader measures it; None outside of one."""
        return self.capacity(pool)

    def verdicts(self) -> tuple[Verdict, ...]:
        """Return the latest verdict on each policy, leader or not: a new leader takes them over."""
        return self._source.verdicts()

    def findings(self) -> Mapping[PolicyName, tuple[Finding, ...]]:
        """Return the findings about the policies in force; worked out once for each set, for one thread."""
        snapshot = self.snapshots.current()
        if self._found[0] != snapshot.version:
            self._found = (snapshot.version, all_findings(snapshot))
        merged = dict(self._found[1])
        for reported in self._reported.values():
            for name, findings in (reported or {}).items():
                merged[name] = merged.get(name, ()) + findings
        return merged

    def figures(self) -> Mapping[PolicyName, JsonObject]:
        """Return the figures of quotas by the latest view of usage, as their status is to have them."""
        snapshot = self.snapshots.current()
        found = figures(snapshot.usage, snapshot, utc_now(), self.capacity)
        return {name: msgspec.to_builtins(each) for name, each in found.items()}

    def _follow_figures(self) -> None:
        """Put the figures of all quotas together, once after a burst of changes."""
        while not self._stopped.wait(_FIGURES_SECONDS):
            self._figures_moved.wait(_FIGURES_SECONDS if self._longer_since else _FIGURES_AGE)
            self._figures_moved.clear()
            self.snapshots.put_usage(self._with_recent_waits(view_of(_figures_in(self.verdicts()))))

    def _with_recent_waits(self, shown: UsageView) -> UsageView:
        """Return the view with the Workflows that joined a queue here and cannot be in the figures yet.

        A queue is as long as in the figures, or as it has grown here, whichever is more, until the figures
        have had the time to include every Workflow.
        """
        now = time.monotonic()
        before = self.snapshots.current().usage
        queues = dict(shown.queues)
        for namespace, queue in before.queues.items():
            queue_shown = shown.queues.get(namespace, EMPTY_QUEUE)
            if queue.depth <= queue_shown.depth:
                self._longer_since.pop(namespace, None)
            elif now - self._longer_since.setdefault(namespace, now) < _FIGURES_AGE:
                queues[namespace] = queue
            else:
                del self._longer_since[namespace]
        return msgspec.structs.replace(shown, queues=queues)

    def status_writer(self, trouble: Trouble) -> PolicyStatusWriter:
        """Return the part of a leader's term that writes conditions and figures of policies."""
        return PolicyStatusWriter(
            cluster=self._cluster,
            verdicts=self._known_verdicts,
            findings=self.findings,
            figures=self.figures,
            clock=utc_now,
            stopwatch=time.monotonic,
            trouble=trouble,
        )

    def config_map_writer(
        self, trouble: Trouble, *, cluster: ProjectedCluster, in_use: Callable[[str], bool]
    ) -> ConfigMapWriter:
        """Return the part of a leader's term that writes semaphores into ConfigMaps."""
        return ConfigMapWriter(
            cluster=cluster,
            snapshot=self.snapshots.current,
            in_use=in_use,
            clock=utc_now,
            stopwatch=time.monotonic,
            trouble=trouble,
            found=self._listen_to("semaphores"),
        )

    def siblings(self, trouble: Trouble) -> SiblingWriter:
        """Return the part of a leader's term that writes siblings of templates."""
        return SiblingWriter(
            cluster=self._cluster,
            snapshot=self.snapshots.current,
            stopwatch=time.monotonic,
            trouble=trouble,
            found=self._listen_to("siblings"),
        )

    def _listen_to(self, part: str) -> Callable[[Mapping[PolicyName, tuple[Finding, ...]]], None]:
        """Return what receives the findings of a part of a leader's term; until then they are not known."""
        self._reported[part] = None

        def take(found: Mapping[PolicyName, tuple[Finding, ...]]) -> None:
            before, self._reported[part] = self._reported[part], found
            if before != found:
                self._moved()

        return take

    def _known_verdicts(self) -> tuple[Verdict, ...]:
        """Return the verdicts on which all is known.

        A new leader does not know the outcome of what it has not tried to write: the conditions of the leader
        before stay until then.
        """
        verdicts = self.verdicts()
        if None not in self._reported.values():
            return verdicts
        return tuple(each for each in verdicts if each.resource not in _LOCK_POLICIES)

    def on_verdicts(self, listener: Listener) -> Unsubscribe:
        """Call `listener` when verdicts, findings or the status of a policy may be others than before."""
        return self._of_verdicts.add(listener)

    def _compile(self, gathered: GatheredDocuments) -> Snapshot:
        version = str(next(self._versions))
        snapshot = take_snapshot(
            gathered.documents,
            version=version,
            argo=self._argo,
            identities=self._identities,
            before=self._compiled,
            extent=gathered.extent,
            read_manifest=read_manifest,
        )
        self._compiled = snapshot.prepare()
        return snapshot.with_usage(UNKNOWN_USAGE)

    def _changed(self, gathered: GatheredDocuments) -> None:
        with self._compiling:
            self._gathered = gathered
            self.snapshots.put_policies(self._compile(gathered))
        self._count_load(good=True)
        self._moved()

    def _count_load(self, *, good: bool) -> None:
        if self._loads is not None:
            self._loads.loaded(good=good)

    def _moved(self) -> None:
        self._of_verdicts.call()

    def _log_problems(self, verdict: Verdict) -> None:
        if verdict.problems:
            self._count_load(good=False)
            self._log.event("policies", f"{verdict}: {ready(verdict).message}", level="warning")


def _figures_in(verdicts: Iterable[Verdict]) -> dict[PolicyName, QuotaFigures]:
    """Return the figures in the status of quotas, as far as they can be read."""
    found = {}
    for verdict in verdicts:
        if verdict.resource not in _QUOTAS or not isinstance(verdict.status, dict):
            continue
        if "running" in verdict.status:
            with suppress(msgspec.ValidationError):
                figures_read = msgspec.convert(verdict.status, QuotaFigures)
                name = PolicyName(verdict.resource.kind, verdict.namespace, verdict.name)
                found[name] = figures_read
    return found
