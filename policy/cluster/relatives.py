"""Reads what is needed about the owner of a new Workflow, and nothing for one that has no owner."""

from typing import Final

import msgspec

from policy.cluster.errors import NotFound
from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS, Cluster
from policy.core import marks
from policy.core.children import MAX_DEPTH
from policy.core.patches import JsonObject
from policy.core.prepared import prepare
from policy.core.relations import STORED_SPEC, STORED_TEMPLATES, Related, has_slot, metadata_of, root_of
from policy.core.workflow import CronWorkflow, Metadata, OwnerReference, Read, Workflow

DEFAULT_CONCURRENCY: Final = "Allow"
_LIVE: Final = f"{marks.COMPLETED}!=true"
_PARENT: Final = msgspec.json.Decoder(Workflow)


class MetadataAlone(Read, frozen=True):
    """A PartialObjectMetadata."""

    metadata: Metadata


prepare(MetadataAlone)


class Relatives:
    """Reads owners from the cluster. Every method may raise the errors of `policy.cluster.errors`."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster

    def of_child(self, namespace: str, owner: OwnerReference) -> Related:
        """Return the Workflow that owns a new one, the root of its line, and who else is in that line."""
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
        selector = f"{_LIVE},{marks.CHILD_OF}={root.uid}"
        return Related(parent=parent, root=root, line=self._metadata(namespace, labels=selector))

    def of_run(self, namespace: str, owner: OwnerReference) -> Related:
        """Return the policy of the CronWorkflow that owns a run, and its other runs that are not over."""
        try:
            obj = self._cluster.get(CRON_WORKFLOWS, owner.name, namespace=namespace)
            cron = msgspec.convert(obj, CronWorkflow)
        except (NotFound, msgspec.ValidationError):
            return Related()
        policy = (cron.spec.concurrency_policy if cron.spec else None) or DEFAULT_CONCURRENCY
        found = self._metadata(namespace, labels=f"{_LIVE},{marks.CRON_WORKFLOW}={owner.name}")
        runs = [run for run in found if any(each.uid == owner.uid for each in run.owner_references or ())]
        return Related(policy=policy, runs=tuple(runs))

    def _root(self, namespace: str, parent: Metadata) -> Metadata | None:
        """Return under whose slot a parent runs: its own where its root has none; None if nobody knows.

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
        return tuple([msgspec.convert(_alone(each), MetadataAlone).metadata for each in listing.items])


def _parent(obj: JsonObject) -> Workflow:
    """Return a Workflow with what its status stores of templates, and nothing else of that: it may be large.

    The status is kept as bytes, so the object has to become bytes again: `msgspec.convert` finds none in it.

    Raises:
        msgspec.ValidationError: it is no Workflow that Argo could run.
    """
    status = obj.get("status")
    told = status if isinstance(status, dict) else {}
    stored: JsonObject = {key: told[key] for key in (STORED_SPEC, STORED_TEMPLATES) if key in told}
    kept: JsonObject = {**obj, "status": stored}
    return _PARENT.decode(msgspec.json.encode(kept))


def _alone(obj: JsonObject) -> JsonObject:
    return {"metadata": obj.get("metadata")}
