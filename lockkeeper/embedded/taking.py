"""Takes what comes in files into the cluster as its user would send it: through the webhooks."""

from typing import Final

import msgspec

from lockkeeper.embedded.api_server import USER
from lockkeeper.embedded.event_printer import EventPrinter
from lockkeeper.embedded.namespaces import ensure_namespaces
from lockkeeper.embedded.submitting import Submitter
from lockkeeper.kube_api.answers import RequestRefused
from lockkeeper.kube_api.object_writes import ObjectWrites, Written
from lockkeeper.kube_api.served_kinds import SERVED
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.simulated_argo.cron import Submitted
from policy.cluster.errors import ClusterError
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE

_KINDS: Final = {
    (each.resource.api_version, each.resource.kind): each for each in SERVED if not each.read_only
}
_NO_SUCH_KIND: Final = "passed over: lockkeeper run has no such kind"


class Taker(msgspec.Struct, frozen=True, kw_only=True):
    """Creates Workflows, and creates or changes all else; `namespace` is that of objects that name none."""

    cluster: MemoryCluster
    submitter: Submitter
    writes: ObjectWrites
    printer: EventPrinter
    namespace: str = DEFAULT_NAMESPACE

    def take(self, manifest: Manifest) -> Submitted:
        """Take an object, and print what became of it."""
        kind = _KINDS.get((manifest.api_version, manifest.kind))
        namespace = (manifest.namespace or self.namespace) if kind is None or kind.resource.namespaced else ""
        if kind is None:
            self.printer.line(namespace, f"{manifest.kind}/{manifest.name}", _NO_SUCH_KIND)
            return Submitted()
        if namespace:
            ensure_namespaces(self.cluster, (namespace,))
        if kind.resource == WORKFLOWS:
            return self.submitter.submit(manifest.value, namespace, USER)
        shown = f"{kind.singular}/{manifest.name}"
        try:
            written = self.writes.put(kind, manifest.value, namespace=namespace)
        except RequestRefused as error:
            self.printer.warned(namespace, shown, error.warnings)
            self.printer.denied(namespace, shown, error.message, counts=False)
            return Submitted(refusal=error.message)
        except ClusterError as error:
            self.printer.line(namespace, shown, f"failed: {error}")
            return Submitted(failure=str(error))
        self._tell(written, namespace, shown)
        return Submitted()

    def _tell(self, written: Written, namespace: str, shown: str) -> None:
        self.printer.warned(namespace, shown, written.warnings)
        self.printer.line(namespace, shown, written.outcome)
