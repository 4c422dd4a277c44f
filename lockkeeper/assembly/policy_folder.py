"""Puts together the policies of a folder: read once, or in a snapshot store that follows the files.

For `review`, `serve --policies` and `run`; those of a cluster are put together in `cluster_policies`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from lockkeeper.assembly.policy_changes import in_force, policies_of, policy_changes
from lockkeeper.process.console import utc_now
from policy.core.lock_review.siblings import with_siblings
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.identities import UPSTREAM, Identities
from policy.core.objects.read_extent import ONLY_FILES, WHOLE, Extent
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE, Policy
from policy.sources.directory import Loaded, PolicyErrors, SourceError
from policy.sources.directory_reload import DirectorySource
from policy.sources.documents import Document
from policy.sources.snapshot_store import SnapshotStore
from policy.sources.yaml_positions import read_manifest
from webhook.logs import Log

RELOAD_SECONDS: Final = 1.0
"""How often a folder of policies is checked: a stat of each file."""


class LoadCounter(Protocol):
    """Counts changes of the policies, for metrics."""

    def loaded(self, *, good: bool) -> None:
        """Policies were loaded, or refused."""


class Beside(msgspec.Struct, frozen=True):
    """What a command reads beside its policies: documents, how much, and what is known with them applied."""

    documents: Sequence[Document] = ()
    extent: Extent = ONLY_FILES
    applied: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot

    def joined(self, loaded: Sequence[Document]) -> Sequence[Document]:
        """Return all documents; a policy takes the place of one of its kind and name."""
        replaced = {_identity(each) for each in self.documents if isinstance(each, Policy)}
        kept = (each for each in loaded if not (isinstance(each, Policy) and _identity(each) in replaced))
        return (*kept, *self.documents)


_NOTHING_BESIDE: Final = Beside()


def _identity(policy: Policy) -> tuple[str, str, str]:
    return (policy.kind, policy.metadata.namespace, policy.metadata.name)


def _snapshot_of(
    argo: ArgoVersion,
    identities: Identities = UPSTREAM,
    *,
    alone: bool = False,
    beside: Beside | None = None,
) -> Callable[[Loaded], Snapshot]:
    """Return the function that compiles loaded documents for an installed Argo.

    Where the files are `alone`, without a cluster, siblings of templates count as written. What is not among
    the files and what is read `beside` them may be in the cluster.
    """
    latest: list[Snapshot] = []

    def compile_loaded(loaded: Loaded) -> Snapshot:
        snapshot = take_snapshot(
            loaded.documents if beside is None else beside.joined(loaded.documents),
            version=loaded.fingerprint,
            argo=argo,
            identities=identities,
            before=latest[-1] if latest else None,
            read_manifest=read_manifest,
            extent=WHOLE if beside is None else beside.extent,
        )
        if beside is not None:
            snapshot = beside.applied(snapshot)
        if alone:
            snapshot = with_siblings(snapshot)
        latest[:] = [snapshot.prepare()]
        return snapshot

    return compile_loaded


def load_once(
    policies: Path,
    argo: ArgoVersion,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    allow_empty: bool = True,
    note: Callable[[str], object] | None = None,
    beside: Beside = _NOTHING_BESIDE,
) -> Snapshot:
    """Load a file or folder of policies once; `note` is told what is no error.

    Raises:
        PolicyErrors: something is wrong in the files, or there is no policy though there must be one.
    """

    def ignore(_: object) -> None:
        """Record nothing: there is no later change of a folder that is read once."""

    compile_loaded = _snapshot_of(argo, alone=True, beside=beside)

    def checked(loaded: Loaded) -> Snapshot:
        if not (allow_empty or policies_of(loaded.documents)):
            message = "there is no policy in it; if that is right, say so with --allow-empty"
            raise PolicyErrors([SourceError(str(policies), 0, 0, "", message)])
        if note is not None:
            for each in loaded.unplaced:
                note(str(each))
            if not policies_of(loaded.documents):
                note(in_force(()))
        return compile_loaded(loaded)

    source = DirectorySource(
        policies, compile=checked, on_change=ignore, on_error=ignore, namespace=namespace
    )
    return source.load()


class FolderPolicies:
    """A folder of policies in force: the snapshot store that reviews read, updated by reloads.

    Every later change is logged, and printed by `report`.
    """

    def __init__(
        self,
        *,
        folder: Path,
        argo: ArgoVersion,
        log: Log,
        metrics: LoadCounter,
        report: Callable[[str], None] | None = None,
        identities: Identities = UPSTREAM,
        alone: bool = False,
        namespace: str = DEFAULT_NAMESPACE,
    ) -> None:
        self._before = self._loaded = Loaded()
        self._log = log
        self._metrics = metrics
        self._report = report
        compile_loaded = _snapshot_of(argo, identities, alone=alone)

        def compile_and_keep(loaded: Loaded) -> Snapshot:
            snapshot = compile_loaded(loaded)
            self._before, self._loaded = self._loaded, loaded
            return snapshot

        self.source = DirectorySource(
            folder,
            compile=compile_and_keep,
            on_change=self._changed,
            on_error=self._refused,
            namespace=namespace,
        )
        self.snapshots: SnapshotStore | None = None

    def load(self) -> SnapshotStore:
        """Load for the first time. Raises PolicyErrors."""
        self.snapshots = SnapshotStore(snapshot=self.source.load(), clock=utc_now)
        return self.snapshots

    def _changed(self, snapshot: Snapshot) -> None:
        self._metrics.loaded(good=True)
        if self.snapshots is not None:
            self.snapshots.put_policies(snapshot)
            changes = policy_changes(self._before, self._loaded)
            level = "info" if policies_of(self._loaded.documents) else "warning"
            self._log_change(f"policies changed: {changes}, version {snapshot.version[:12]}", level)

    def _refused(self, errors: PolicyErrors) -> None:
        self._metrics.loaded(good=False)
        if self.snapshots is not None:
            self._log_change(
                f"changed policies are refused, the last good ones stay in force: {errors}", "warning"
            )

    def _log_change(self, message: str, level: str) -> None:
        self._log.event("policies", message, level=level)
        if self._report is not None:
            self._report(message)
