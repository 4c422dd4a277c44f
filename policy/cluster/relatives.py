"""Reads what is needed about the owner of a new Workflow, and nothing for one that has no owner."""

from typing import Final

import msgspec

from policy.cluster.errors import NotFound
from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS, Cluster
from policy.core import marks
from policy.core.patches import JsonObject
from policy.core.prepared import prepare
from policy.core.relations import Related, metadata_of
from policy.core.workflow import CronWorkflow, Metadata, OwnerReference, Read, Workflow

DEFAULT_CONCURRENCY: Final = "Allow"
_LIVE: Final = f"{marks.COMPLETED}!=true"


class MetadataAlone(Read, frozen=True):
    """A PartialObjectMetadata."""

    metadata: Metadata


prepare(MetadataAlone)


class Relatives:
    """Reads owners from the cluster. Every method may raise the errors of `policy.cluster.errors`."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster

    def of_child(self, namespace: str, owner: OwnerReference) -> Related:
        """Return the Workflow that owns a new one, and its other children that are not over."""
        try:
            obj = self._cluster.get(WORKFLOWS, owner.name, namespace=namespace)
            parent = msgspec.convert(obj, Workflow)
        except (NotFound, msgspec.ValidationError):
            return Related()
        selector = f"{_LIVE},{marks.CHILD_OF}={metadata_of(parent).uid}"
        return Related(parent=parent, children=self._metadata(namespace, selector))

    def of_run(self, namespace: str, owner: OwnerReference) -> Related:
        """Return the policy of the CronWorkflow that owns a run, and its other runs that are not over."""
        try:
            obj = self._cluster.get(CRON_WORKFLOWS, owner.name, namespace=namespace)
            cron = msgspec.convert(obj, CronWorkflow)
        except (NotFound, msgspec.ValidationError):
            return Related()
        policy = (cron.spec.concurrency_policy if cron.spec else None) or DEFAULT_CONCURRENCY
        found = self._metadata(namespace, f"{_LIVE},{marks.CRON_WORKFLOW}={owner.name}")
        runs = [run for run in found if any(each.uid == owner.uid for each in run.owner_references or ())]
        return Related(policy=policy, runs=tuple(runs))

    def _metadata(self, namespace: str, selector: str) -> tuple[Metadata, ...]:
        listing = self._cluster.list(WORKFLOWS, namespace=namespace, labels=selector, metadata_only=True)
        return tuple([msgspec.convert(_alone(each), MetadataAlone).metadata for each in listing.items])


def _alone(obj: JsonObject) -> JsonObject:
    return {"metadata": obj.get("metadata")}
