"""How the API of the embedded mode writes objects: Workflows, templates and policies through the webhooks."""

from collections.abc import Callable
from threading import local
from typing import Final

from lockkeeper.embedded.api_server import AdmissionCall, AdmissionFailed, ApiServer
from lockkeeper.kube_api.answers import RequestRefused
from policy.cluster.errors import NotFound
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_TEMPLATES,
    CRON_WORKFLOWS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    Resource,
)
from policy.core.objects.json_patch import JsonObject

_OF_ARGO: Final = (WORKFLOWS, WORKFLOW_TEMPLATES, CLUSTER_WORKFLOW_TEMPLATES, CRON_WORKFLOWS)
_POLICIES: Final = (
    WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    CLUSTER_SYNCHRONIZATION_POLICIES,
)
_WEBHOOK: Final = "validate.lockkeeper.dev"


class AdmittedWrites:
    """The Writes of `kube_api.object_requests`; each thread has an ApiServer of its own."""

    def __init__(self, *, cluster: MemoryCluster, new_api_server: Callable[[], ApiServer]) -> None:
        self._cluster = cluster
        self._new_api_server = new_api_server
        self._of_thread = local()

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str, dry_run: bool
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Create an object."""
        call = AdmissionCall(obj=obj, namespace=namespace, resource=resource, dry_run=dry_run)
        admitted, warnings = self._admitted(call)
        return self._cluster.create(resource, admitted, namespace=namespace, dry_run=dry_run), warnings

    def replace(
        self, resource: Resource, before: JsonObject, after: JsonObject, *, dry_run: bool
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Replace an object that was read."""
        metadata = before.get("metadata")
        namespace = str(metadata.get("namespace", "")) if isinstance(metadata, dict) else ""
        call = AdmissionCall(obj=after, old=before, namespace=namespace, resource=resource, dry_run=dry_run)
        admitted, warnings = self._admitted(call)
        return (admitted if dry_run else self._cluster.replace(resource, admitted)), warnings

    def apply(
        self, resource: Resource, obj: JsonObject, *, namespace: str, field_manager: str, force: bool
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Create an object, or set the fields that are given and own them; admission sees what results."""
        metadata = obj.get("metadata")
        given = metadata if isinstance(metadata, dict) else {}
        placed: JsonObject = {**obj, "metadata": {**given, "namespace": namespace} if namespace else given}
        try:
            before = self._cluster.get(resource, str(given.get("name", "")), namespace=namespace)
        except NotFound:
            return self.create(resource, placed, namespace=namespace, dry_run=False)
        applied = self._cluster.apply(resource, placed, field_manager=field_manager, force=force)
        try:
            return self.replace(resource, before, applied, dry_run=False)
        except RequestRefused:
            self._cluster.replace(resource, _without_version(before))
            raise

    def _admitted(self, call: AdmissionCall) -> tuple[JsonObject, tuple[str, ...]]:
        """Return what is to be stored, and the warnings.

        Raises:
            RequestRefused: a webhook denies it, or does not answer.
        """
        if call.resource not in (*_OF_ARGO, *_POLICIES):
            return call.obj, ()
        try:
            if call.resource in _POLICIES:
                answer = self._api_server.ask("/policies", call)
                stored, warnings = (call.obj if answer.allowed else None), answer.warnings
                status = answer.status
            else:
                admitted = self._api_server.admit(call)
                stored, warnings, status = admitted.stored, admitted.warnings, admitted.status
        except AdmissionFailed as error:
            text = f'Internal error occurred: failed calling webhook "{_WEBHOOK}": {error}'
            raise RequestRefused(500, text) from error
        if stored is None:
            text = f'admission webhook "{_WEBHOOK}" denied the request: {status.message}'
            raise RequestRefused(
                status.code, text, reason=status.reason, details=status.details, warnings=warnings
            )
        return stored, warnings

    @property
    def _api_server(self) -> ApiServer:
        """The ApiServer of this thread."""
        if not hasattr(self._of_thread, "api_server"):
            self._of_thread.api_server = self._new_api_server()
        found: ApiServer = self._of_thread.api_server
        return found


def _without_version(obj: JsonObject) -> JsonObject:
    """Return an object to be stored over whatever there is of it by now."""
    metadata = obj["metadata"]
    kept = metadata if isinstance(metadata, dict) else {}
    return {**obj, "metadata": {key: value for key, value in kept.items() if key != "resourceVersion"}}
