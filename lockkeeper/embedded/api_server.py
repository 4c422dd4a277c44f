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

from policy.cluster.protocol import WORKFLOWS, Cluster
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Read
from policy.core.values.prepared import prepare
from webhook.wire import admission_review

_TIMEOUT_SECONDS: Final = 10
_REVIEW_VERSION: Final = "admission.k8s.io/v1"
USER: Final = "you@example.com"


class AdmissionFailed(Exception):  # noqa: N818 - the API server's own words: "failed calling webhook"
    """A webhook did not answer as it must; the object is not stored (failurePolicy Fail)."""


class _RefusalStatus(Read, frozen=True):
    """The text of a denial."""

    message: str = ""


class _AnsweredResponse(Read, frozen=True):
    """An AdmissionResponse."""

    uid: str
    allowed: bool | None = None
    status: _RefusalStatus | None = None
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


class Admitted(msgspec.Struct, frozen=True):
    """The outcome of a create: the stored object, or the denial."""

    stored: JsonObject | None
    patch: tuple[JsonObject, ...]
    warnings: tuple[str, ...]
    denial: str = ""


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
        mutated = self._call("/mutate", obj, namespace, user)
        if not mutated.allowed:
            return Admitted(None, (), mutated.warnings, mutated.message)
        try:
            changed: JsonObject = jsonpatch.apply_patch(obj, list(mutated.patch))
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
            raise AdmissionFailed(f"the patch does not apply: {error}") from error
        validated = self._call("/validate", changed, namespace, user)
        warnings = mutated.warnings + validated.warnings
        if not validated.allowed:
            return Admitted(None, mutated.patch, warnings, validated.message)
        return Admitted(
            self._cluster.create(WORKFLOWS, changed, namespace=namespace), mutated.patch, warnings
        )

    def _call(self, path: str, obj: JsonObject, namespace: str, user: str) -> AdmissionAnswer:
        uid = self._new_uid()
        body = json.dumps(admission_review(obj, namespace=namespace, uid=uid, user=user)).encode()
        try:
            self._connection.request(
                "POST", f"{path}?timeout={_TIMEOUT_SECONDS}s", body, {"Content-Type": "application/json"}
            )
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise AdmissionFailed(f"failed calling {path}: {error}") from error
        if response.status != 200:  # noqa: PLR2004 - HTTP OK
            raise AdmissionFailed(f"failed calling {path}: {response.status} {text.decode(errors='replace')}")
        return read_answer(text, uid)


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
    )
