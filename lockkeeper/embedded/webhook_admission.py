"""How writes to the API of the embedded mode are admitted: by the webhooks, as the API server asks them."""

from collections.abc import Callable
from threading import local
from typing import Final

from lockkeeper.embedded.api_server import AdmissionCall, AdmissionFailed, ApiServer
from lockkeeper.embedded.event_printer import EventPrinter
from lockkeeper.embedded.submitting import added_locks, name_of
from lockkeeper.kube_api.answers import RequestRefused
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


class WebhookAdmission:
    """The WriteAdmission of `kube_api.object_writes`; each thread has an ApiServer of its own.

    What users create by the API is printed like what is created from files.
    """

    def __init__(self, *, printer: EventPrinter, new_api_server: Callable[[], ApiServer]) -> None:
        self._printer = printer
        self._new_api_server = new_api_server
        self._of_thread = local()

    def admitted(
        self,
        resource: Resource,
        obj: JsonObject,
        /,
        *,
        old: JsonObject | None,
        namespace: str,
        dry_run: bool,
    ) -> tuple[JsonObject, tuple[str, ...]]:
        """Return what is to be stored, and the warnings.

        Raises:
            RequestRefused: a webhook denies it, or does not answer.
        """
        if resource not in (*_OF_ARGO, *_POLICIES):
            return obj, ()
        call = AdmissionCall(obj=obj, old=old, namespace=namespace, resource=resource, dry_run=dry_run)
        try:
            if resource in _POLICIES:
                answer = self._api_server.ask("/policies", call)
                stored, warnings, status = (obj if answer.allowed else None), answer.warnings, answer.status
            else:
                admitted = self._api_server.admit(call)
                stored, warnings, status = admitted.stored, admitted.warnings, admitted.status
        except AdmissionFailed as error:
            text = f'Internal error occurred: failed calling webhook "{_WEBHOOK}": {error}'
            raise RequestRefused(500, text, reason="InternalError") from error
        if stored is not None:
            return stored, warnings
        if resource == WORKFLOWS and old is None and not dry_run:
            self._printer.denied(namespace, name_of(obj), status.message)
        text = f'admission webhook "{_WEBHOOK}" denied the request: {status.message}'
        raise RequestRefused(
            status.code, text, reason=status.reason, details=status.details or {}, warnings=warnings
        )

    def created(self, resource: Resource, given: JsonObject, stored: JsonObject, /) -> None:
        """Print that a Workflow was created."""
        if resource == WORKFLOWS:
            self._printer.created(stored, added_locks(given, stored))

    @property
    def _api_server(self) -> ApiServer:
        """The ApiServer of this thread."""
        if not hasattr(self._of_thread, "api_server"):
            self._of_thread.api_server = self._new_api_server()
        found: ApiServer = self._of_thread.api_server
        return found
