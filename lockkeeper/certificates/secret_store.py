"""The certificates in a Secret, changed by compare-and-swap on its resourceVersion."""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Final

import msgspec

from certs.files import CertificateFiles, as_files, from_files
from certs.stores import StoredCertificates, StoreError, WriteConflictError
from policy.cluster.errors import AlreadyExists, ClusterError, Conflict, Forbidden, NotFound
from policy.cluster.protocol import Cluster, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.values.prepared import prepare

SECRETS: Final = Resource("", "v1", "secrets", "Secret")
_LABELS: Final[Mapping[str, str]] = {
    "app.kubernetes.io/name": "lockkeeper",
    "app.kubernetes.io/managed-by": "lockkeeper",
}


class _SecretMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that a compare-and-swap needs."""

    resource_version: str = ""


class Secret(msgspec.Struct, frozen=True):
    """What is of interest in a Secret; one without data may carry null."""

    metadata: _SecretMetadata
    data: dict[str, str] | None = None


prepare(Secret)


class SecretStore:
    """Stores the certificates in one Secret; other entries in it are not changed."""

    def __init__(self, *, cluster: Cluster, namespace: str, name: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name

    def __str__(self) -> str:
        return f"the Secret {self._namespace}/{self._name}"

    def read(self) -> StoredCertificates:
        """Return what the Secret holds; one that does not exist holds nothing. Raises StoreError."""
        try:
            secret = msgspec.convert(self._get(), Secret)
        except NotFound:
            return StoredCertificates(CertificateFiles(), "")
        except ClusterError as error:
            raise StoreError(f"{self} cannot be read: {error.message}") from error
        content = {name: _decoded(text) for name, text in (secret.data or {}).items()}
        return StoredCertificates(from_files(content), secret.metadata.resource_version)

    def write(self, kept: CertificateFiles, *, version: str) -> None:
        """Write the Secret, creating it where it was not there. Raises WriteConflictError, StoreError."""
        try:
            if version:
                self._replace(kept, version)
            else:
                self._create(kept)
        except (Conflict, AlreadyExists) as error:
            raise WriteConflictError(f"{self} has changed: {error.message}") from error
        except ClusterError as error:
            raise StoreError(f"{self} cannot be written: {error.message}") from error

    def _create(self, kept: CertificateFiles) -> None:
        labels: JsonObject = dict(_LABELS)
        secret: JsonObject = {
            "apiVersion": SECRETS.api_version,
            "kind": SECRETS.kind,
            "metadata": {"name": self._name, "namespace": self._namespace, "labels": labels},
            "type": "Opaque",
            "data": _encoded({}, kept),
        }
        try:
            self._cluster.create(SECRETS, secret, namespace=self._namespace)
        except Forbidden as error:
            raise StoreError(f"{self} does not exist and may not be made here: {error.message}") from error

    def _replace(self, kept: CertificateFiles, version: str) -> None:
        """Replace the data of the Secret as it is, which still has to be what was decided on."""
        try:
            present = self._get()
        except NotFound as error:
            raise Conflict(error.message) from error
        secret = msgspec.convert(present, Secret)
        if secret.metadata.resource_version != version:
            raise Conflict(f"it is at version {secret.metadata.resource_version}, not {version}")
        self._cluster.replace(SECRETS, {**present, "data": _encoded(secret.data or {}, kept)})

    def _get(self) -> JsonObject:
        return self._cluster.get(SECRETS, self._name, namespace=self._namespace)


def _encoded(present: Mapping[str, str], kept: CertificateFiles) -> JsonObject:
    """Return the data of the Secret with our parts in it; those that are missing are left out."""
    ours = as_files(kept)
    data: dict[str, JsonValue] = {name: text for name, text in present.items() if name not in ours}
    data.update({name: b64encode(content).decode() for name, content in ours.items() if content})
    return data


def _decoded(text: str) -> bytes:
    """Return what an entry holds; one that the API server would not have taken is returned as it is."""
    try:
        return b64decode(text, validate=True)
    except Base64Error:
        return text.encode()
