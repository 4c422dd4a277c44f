"""The API server of the embedded mode: what is created goes through the webhooks, then is stored.

It does what the API server does with a create: mutate over HTTPS, apply the patch, validate, store; each call
with a uid of its own, the certificate verified, the answer checked.
"""

import base64
import json
import ssl
from collections.abc import Callable
from http.client import HTTPException, HTTPSConnection
from typing import Any, Final

import jsonpatch
import msgspec

from policy.cluster.protocol import WORKFLOWS, Cluster, Resource
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Read
from policy.core.values.prepared import prepare
from webhook.wire import admission_review

_TIMEOUT_SECONDS: Final = 10
_MUTATE: Final = "/mutate"
_VALIDATE: Final = "/validate"
_REVIEW_VERSION: Final = "admission.k8s.io/v1"
USER: Final = "you@example.com"


class AdmissionFailed(Exception):  # noqa: N818 - the API server's own words: "failed calling webhook"
    """A webhook did not answer as it must; the object is not stored (failurePolicy Fail)."""


class RefusalStatus(Read, frozen=True):
    """A denial (meta/v1 Status): its text, its HTTP code, its reason in one word, and the details."""

    message: str = ""
    code: int = 403
    reason: str = "Forbidden"
    details: dict[str, Any] | None = None


NO_REFUSAL: Final = RefusalStatus()


class _AnsweredResponse(Read, frozen=True):
    """An AdmissionResponse."""

    uid: str
    allowed: bool | None = None
    status: RefusalStatus | None = None
    patch: str | None = None
    patch_type: str | None = None
    warnings: tuple[str, ...] = ()


class _WebhookAnswer(Read, frozen=True):
    """The AdmissionReview of an answer."""

    response: _AnsweredResponse
    api_version: str = ""
    kind: str = ""


prepare(_WebhookAnswer)


class AdmissionAnswer(msgspec.Struct, frozen=True):
    """The answer of an admission call."""

    allowed: bool
    message: str = ""
    warnings: tuple[str, ...] = ()
    patch: tuple[JsonObject, ...] = ()
    status: RefusalStatus = NO_REFUSAL


class Admitted(msgspec.Struct, frozen=True):
    """The outcome of a create: the stored object, or the denial and the path of the webhook it is from."""

    stored: JsonObject | None
    patch: tuple[JsonObject, ...]
    warnings: tuple[str, ...]
    denial: str = ""
    status: RefusalStatus = NO_REFUSAL
    denied_by: str = ""


class AdmissionCall(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a webhook: which object is created or changed, in which namespace, by whom."""

    obj: JsonObject
    namespace: str
    user: str = USER
    resource: Resource = WORKFLOWS
    old: JsonObject | None = None
    dry_run: bool = False

    def review(self, uid: str) -> JsonObject:
        """Return the AdmissionReview."""
        review = admission_review(self.obj, namespace=self.namespace, uid=uid, user=self.user)
        resource = self.resource
        kind: JsonObject = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        named: JsonObject = {
            "group": resource.group,
            "version": resource.version,
            "resource": resource.plural,
        }
        request: JsonObject = {
            **_part(review, "request"),
            "kind": kind,
            "requestKind": kind,
            "resource": named,
            "requestResource": named,
            "dryRun": self.dry_run,
        }
        if self.old is not None:
            options: JsonObject = {"apiVersion": "meta.k8s.io/v1", "kind": "UpdateOptions"}
            request |= {"operation": "UPDATE", "oldObject": self.old, "options": options}
        return {**review, "request": request}


def _part(obj: JsonObject, key: str) -> JsonObject:
    found = obj.get(key)
    return found if isinstance(found, dict) else {}


class ApiServer:
    """Creates Workflows as the API server would; one connection stays open."""

    def __init__(
        self, *, cluster: Cluster, host: str, port: int, tls: ssl.SSLContext, new_uid: Callable[[], str]
    ) -> None:
        self._cluster = cluster
        self._new_uid = new_uid
        self._connection = HTTPSConnection(host, port, context=tls, timeout=_TIMEOUT_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def create(self, obj: JsonObject, *, namespace: str, user: str = USER) -> Admitted:
        """Send an object of a user through both webhooks and store it.

        Raises:
            AdmissionFailed: a webhook could not be reached or gave no answer.
            ClusterError: the object cannot be stored: its name is taken, or it has none.
        """
        admitted = self.admit(AdmissionCall(obj=obj, namespace=namespace, user=user))
        if admitted.stored is None:
            return admitted
        stored = self._cluster.create(WORKFLOWS, admitted.stored, namespace=namespace)
        return msgspec.structs.replace(admitted, stored=stored)

    def admit(self, call: AdmissionCall) -> Admitted:
        """Send what a user writes through both webhooks; `stored` is what to store. Raises as `create`."""
        mutated = self.ask(_MUTATE, call)
        if not mutated.allowed:
            return Admitted(None, (), mutated.warnings, mutated.message, mutated.status, _MUTATE)
        try:
            changed: JsonObject = jsonpatch.apply_patch(call.obj, list(mutated.patch))
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise AdmissionFailed(f"the patch does not apply: {error}") from error
        validated = self.ask(_VALIDATE, msgspec.structs.replace(call, obj=changed))
        warnings = mutated.warnings + validated.warnings
        if not validated.allowed:
            return Admitted(None, mutated.patch, warnings, validated.message, validated.status, _VALIDATE)
        return Admitted(changed, mutated.patch, warnings)

    def ask(self, path: str, call: AdmissionCall) -> AdmissionAnswer:
        """Return what one webhook answers. Raises AdmissionFailed."""
        uid = self._new_uid()
        body = json.dumps(call.review(uid)).encode()
        was_open = self._connection.sock is not None
        try:
            try:
                status, text = self._posted(path, body)
            except (OSError, HTTPException) as error:
                if not was_open or isinstance(error, TimeoutError):
                    raise
                # The webhook ends connections that have been idle; only the next request learns of it.
                status, text = self._posted(path, body)
        except (OSError, HTTPException) as error:
            raise AdmissionFailed(f"failed calling {path}: {error}") from error
        if status != 200:  # noqa: PLR2004 - HTTP OK
            raise AdmissionFailed(f"failed calling {path}: {status} {text.decode(errors='replace')}")
        return read_answer(text, uid)

    def _posted(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Return the code and the body of an answer; after an error the connection is closed."""
        try:
            self._connection.request(
                "POST", f"{path}?timeout={_TIMEOUT_SECONDS}s", body, {"Content-Type": "application/json"}
            )
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, HTTPException):
            self._connection.close()
            raise


def read_answer(body: bytes, uid: str) -> AdmissionAnswer:
    """Return an answer, checked as the API server checks it (VerifyAdmissionResponse).

    Raises:
        AdmissionFailed: it is no answer to this request.
    """
    try:
        review = msgspec.json.decode(body, type=_WebhookAnswer)
        response = review.response
        if review.api_version != _REVIEW_VERSION or review.kind != "AdmissionReview":
            raise AdmissionFailed(f"expected an AdmissionReview of {_REVIEW_VERSION}")
        if response.uid != uid:
            raise AdmissionFailed("expected response.uid to be that of the request")
        if (response.patch is None) != (response.patch_type is None):
            raise AdmissionFailed("patch and patchType come together or not at all")
        if response.patch_type not in (None, "JSONPatch"):
            raise AdmissionFailed(f"patchType is {response.patch_type}; it must be JSONPatch")
        patch = base64.b64decode(response.patch or "W10=", validate=True)
        operations = msgspec.json.decode(patch, type=tuple[dict[str, Any], ...])
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise AdmissionFailed(f"the answer cannot be read: {error}") from error
    return AdmissionAnswer(
        allowed=response.allowed is True,
        message=response.status.message if response.status else "",
        warnings=response.warnings,
        patch=operations,
        status=response.status or NO_REFUSAL,
    )
