"""Reads what a review needs to know of other Workflows: the owner of a new one, and who has a reservation."""

from typing import Final

import msgspec

from policy.cluster.errors import NotFound
from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS, Cluster
from policy.core.admission.child_exemption import MAX_DEPTH
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.owners import STORED_SPEC, STORED_TEMPLATES, Related, has_slot, metadata_of, root_of
from policy.core.objects.workflow import CronWorkflow, Metadata, OwnerReference, Read, Workflow
from policy.core.values.prepared import prepare

_DEFAULT_CONCURRENCY: Final = "Allow"
_LIVE: Final = f"{well_known.COMPLETED}!=true"
_PARENT: Final = msgspec.json.Decoder(Workflow)


class _MetadataAlone(Read, frozen=True):
    """A PartialObjectMetadata."""

    metadata: Metadata


prepare(_MetadataAlone)


class ClusterRelatives:
    """Reads owners from the cluster. Every method may raise the errors of `policy.cluster.errors`."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster

    def of_child(self, namespace: str, owner: OwnerReference) -> Related:
        """Return the Workflow that owns a new one, the root Workflow, and all that run under its slot."""
        try:
            parent = _parent(self._cluster.get(WORKFLOWS, owner.name, namespace=namespace))
        except (NotFound, msgspec.ValidationError):
            return Related()
        above = metadata_of(parent)
        if above.uid != owner.uid or not has_slot(above):
            return Related(parent=parent)
        root = self._root(namespace, above)
        if root is None:
            return Related(parent=parent)
        selector = f"{_LIVE},{well_known.CHILD_OF}={root.uid}"
        return Related(parent=parent, root=root, line=self._metadata(namespace, labels=selector))

    def of_run(self, namespace: str, owner: OwnerReference) -> Related:
        """Return the policy of the CronWorkflow that owns a run, and its other runs that are not over."""
        try:
            obj = self._cluster.get(CRON_WORKFLOWS, owner.name, namespace=namespace)
            cron = msgspec.convert(obj, CronWorkflow)
        except (NotFound, msgspec.ValidationError):
            return Related()
        policy = (cron.spec.concurrency_policy if cron.spec else None) or _DEFAULT_CONCURRENCY
        found = self._metadata(namespace, labels=f"{_LIVE},{well_known.CRON_WORKFLOW}={owner.name}")
        runs = [run for run in found if any(each.uid == owner.uid for each in run.owner_references or ())]
        return Related(policy=policy, runs=tuple(runs))

    def _root(self, namespace: str, parent: Metadata) -> Metadata | None:
        """Return under whose slot a parent runs: its own where its root has none; None if that is unknown.

        A root may have become a child itself: it lost its own root, had children, and that was retried.
        """
        at = parent
        for _ in range(MAX_DEPTH):
            charged = root_of(at)
            if charged is None:
                return at
            name, uid = charged
            if not name:
                return None
            found = [each for each in self._metadata(namespace, name=name) if each.uid == uid]
            if not found or not has_slot(found[0]):
                return at
            at = found[0]
        return None

    def _metadata(self, namespace: str, *, name: str = "", labels: str = "") -> tuple[Metadata, ...]:
        listing = self._cluster.list(
            WORKFLOWS, namespace=namespace, name=name, labels=labels, metadata_only=True
        )
        return tuple([msgspec.convert(_alone(each), _MetadataAlone).metadata for each in listing.items])


class StoredWorkflows:
    """Reads whether a reservation is that of a stored Workflow: then the leader alone gives it back.

    May raise the errors of `policy.cluster.errors`.
    """

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster

    def carries(self, namespace: str, name: str, reservation: str) -> bool:
        """Return whether the Workflow of that name is stored with that reservation."""
        try:
            obj = self._cluster.get(WORKFLOWS, name, namespace=namespace)
            labels = msgspec.convert(_alone(obj), _MetadataAlone).metadata.labels or {}
        except NotFound:
            return False
        except msgspec.ValidationError:
            return True  # It is there, and nothing is known of it: what it may have stays reserved.
        return labels.get(well_known.RESERVATION) == reservation


def _parent(obj: JsonObject) -> Workflow:
    """Return a Workflow with what its status stores of templates, and nothing else of that: it may be large.

    The status is kept as bytes, so the object has to become bytes again: `msgspec.convert` finds none in it.

    Raises:
        msgspec.ValidationError: it is no Workflow that Argo could run.
    """
    status = obj.get("status")
    given = status if isinstance(status, dict) else {}
    stored: JsonObject = {key: given[key] for key in (STORED_SPEC, STORED_TEMPLATES) if key in given}
    kept: JsonObject = {**obj, "status": stored}
    return _PARENT.decode(msgspec.json.encode(kept))


def _alone(obj: JsonObject) -> JsonObject:
    return {"metadata": obj.get("metadata")}
