"""Reads what a review needs of other Workflows: the owners of a new one, and which has a reservation."""

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
_NOT_COMPLETED: Final = f"{well_known.COMPLETED}!=true"
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
        """Return the Workflow that owns a new one, the root Workflow, and all that run in its slot."""
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
        selector = f"{_NOT_COMPLETED},{well_known.CHILD_OF}={root.uid}"
        return Related(parent=parent, root=root, descendants=self._metadata(namespace, labels=selector))

    def of_run(self, namespace: str, owner: OwnerReference) -> Related:
        """Return the policy of the CronWorkflow that owns a run, and its other runs not completed."""
        try:
            obj = self._cluster.get(CRON_WORKFLOWS, owner.name, namespace=namespace)
            cron = msgspec.convert(obj, CronWorkflow)
        except (NotFound, msgspec.ValidationError):
            return Related()
        policy = (cron.spec.concurrency_policy if cron.spec else None) or _DEFAULT_CONCURRENCY
        found = self._metadata(namespace, labels=f"{_NOT_COMPLETED},{well_known.CRON_WORKFLOW}={owner.name}")
        runs = [run for run in found if any(each.uid == owner.uid for each in run.owner_references or ())]
        return Related(policy=policy, runs=tuple(runs))

    def _root(self, namespace: str, parent: Metadata) -> Metadata | None:
        """Return in whose slot a parent runs: its own where its root has none; None if that is unknown.

        A root may be a child itself: it lost its own root, had children, and its own owner was retried.
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
        return tuple([msgspec.convert(each, _MetadataAlone).metadata for each in listing.items])


class StoredWorkflows:
    """Reads whether a reservation is that of a stored Workflow: then only the leader cancels it.

    May raise the errors of `policy.cluster.errors`.
    """

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster

    def carries(self, namespace: str, name: str, reservation: str) -> bool:
        """Return whether the Workflow of that name is stored with that reservation."""
        try:
            obj = self._cluster.get(WORKFLOWS, name, namespace=namespace)
            labels = msgspec.convert(obj, _MetadataAlone).metadata.labels or {}
        except NotFound:
            return False
        except msgspec.ValidationError:
            return True  # It exists, and its labels are unknown: what it may have stays reserved.
        return labels.get(well_known.RESERVATION) == reservation


def _parent(obj: JsonObject) -> Workflow:
    """Return a Workflow of whose status only the stored templates are read: a status may be large.

    It holds the status as bytes, so the object has to become bytes again: `msgspec.convert` has none.

    Raises:
        msgspec.ValidationError: it is no Workflow that Argo could run.
    """
    status = obj.get("status")
    given = status if isinstance(status, dict) else {}
    stored: JsonObject = {key: given[key] for key in (STORED_SPEC, STORED_TEMPLATES) if key in given}
    return _PARENT.decode(msgspec.json.encode({**obj, "status": stored}))
