"""How writes to the API of the embedded mode are admitted: by the webhooks, as the API server asks them."""

from collections.abc import Callable
from threading import local
from typing import Final

from lockkeeper.embedded.api_server import AdmissionCall, AdmissionFailed, Admitted, ApiServer
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
_PATH_OF_POLICIES: Final = "/policies"


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
            admitted = self._asked(resource, call)
        except AdmissionFailed as error:
            text = f"Internal error occurred: {error}"
            raise RequestRefused(500, text, reason="InternalError") from error
        if admitted.stored is not None:
            return admitted.stored, admitted.warnings
        status = admitted.status
        if resource == WORKFLOWS and old is None and not dry_run:
            self._printer.denied(namespace, name_of(obj), status.message)
        webhook = f"{admitted.denied_by.strip('/')}.lockkeeper.dev"
        text = f'admission webhook "{webhook}" denied the request: {status.message}'
        raise RequestRefused(
            status.code,
            text,
            reason=status.reason,
            details=_without_empty(status.details),
            warnings=admitted.warnings,
        )

    def _asked(self, resource: Resource, call: AdmissionCall) -> Admitted:
        """Return what the webhooks for a kind say. Raises AdmissionFailed."""
        if resource not in _POLICIES:
            return self._api_server.admit(call)
        answer = self._api_server.ask(_PATH_OF_POLICIES, call)
        stored = call.obj if answer.allowed else None
        return Admitted(stored, (), answer.warnings, answer.message, answer.status, _PATH_OF_POLICIES)

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


def _without_empty(details: JsonObject | None) -> JsonObject | None:
    """Return details as the API server sends them on: what is empty is left out, also in causes."""
    if details is None:
        return None
    kept: JsonObject = {key: value for key, value in details.items() if value}
    causes = kept.get("causes")
    if isinstance(causes, list):
        kept["causes"] = [_without_empty(each) if isinstance(each, dict) else each for each in causes]
    return kept
