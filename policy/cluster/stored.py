"""Whether a Workflow that is stored carries a reservation: then nobody gives it back but the leader."""

import msgspec

from policy.cluster.errors import NotFound
from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.marks import RESERVATION
from policy.core.prepared import prepare
from policy.core.workflow import Metadata, Read


class Marked(Read, frozen=True):
    """A Workflow, as far as its labels."""

    metadata: Metadata


prepare(Marked)


class StoredWorkflows:
    """Reads Workflows from the cluster. May raise the errors of `policy.cluster.errors`."""

    def __init__(self, *, cluster: Cluster) -> None:
        self._cluster = cluster

    def carries(self, namespace: str, name: str, reservation: str) -> bool:
        """Tell whether the Workflow of that name is stored with that reservation."""
        try:
            obj = self._cluster.get(WORKFLOWS, name, namespace=namespace)
            labels = msgspec.convert(obj, Marked).metadata.labels or {}
        except NotFound:
            return False
        except msgspec.ValidationError:
            return True  # It is there, and nothing is known of it: what it may have stays reserved.
        return labels.get(RESERVATION) == reservation
