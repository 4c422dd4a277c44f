"""What one replica of the webhook says, asked at the address of its Pod as the API server asks the Service.

The Pods' addresses are in loopback and others than 127.0.0.1, so a module that asks has the marker ASKING.
"""

import json
import ssl
from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPSConnection
from typing import Final

import msgspec
import pytest

from lockkeeper.process.kubernetes_objects import CONFIGURATIONS
from lockkeeper.secret_paths.configuration_paths import read
from policy.core.decision.decision import Side
from policy.core.values.prepared import prepare
from tests.e2e.charted import RELEASE
from tests.e2e.installed import WEBHOOK, Installed
from tests.e2e.manifests import workflow
from tests.e2e.product import until
from tests.patience import PATIENCE
from webhook.callers import path_of as called

ASKING: Final = pytest.mark.allow_hosts(["127.0.0.0/8", "::1", "localhost"])
PORT: Final = 9443


class Change(msgspec.Struct, frozen=True):
    """One operation of a patch; the value is JSON as it came."""

    path: str
    value: msgspec.Raw = msgspec.Raw()


class Response(msgspec.Struct, frozen=True):
    """The answer to a review."""

    allowed: bool
    patch: bytes = b""

    @property
    def changes(self) -> dict[str, bytes]:
        """What would be written, by its path."""
        changes = msgspec.json.decode(self.patch or b"[]", type=tuple[Change, ...])
        return {each.path: bytes(each.value) for each in changes}

    @property
    def governed(self) -> bool:
        """Whether a policy speaks of the Workflow."""
        return not self.allowed or bool(self.patch)


class Review(msgspec.Struct, frozen=True):
    """An AdmissionReview that was answered."""

    response: Response


prepare(Review, Change)


def addresses(installed: Installed) -> list[str]:
    """Return where each ready replica of the webhook listens."""
    return [pod.status.pod_ip for pod in installed.pods(WEBHOOK) if pod.ready]


def path_of(installed: Installed, side: Side, *, release: str = RELEASE) -> str:
    """Return the path by which the API server calls one of our webhooks now."""
    (found,) = [
        hook
        for resource in CONFIGURATIONS
        for hook in read(installed.cluster.get(resource, release)).hooks
        if hook.side is side
    ]
    assert found.secret is not None
    return called(side, found.secret)


def posted(address: str, path: str, namespace: str, *, dry_run: bool = True) -> tuple[int, bytes]:
    """Return status and text of what a replica says to a create, whoever sends it."""
    kind = {"group": "argoproj.io", "version": "v1alpha1", "kind": "Workflow"}
    request = {
        "uid": "asked-by-a-test",
        "kind": kind,
        "resource": {"group": "argoproj.io", "version": "v1alpha1", "resource": "workflows"},
        "name": "asked",
        "namespace": namespace,
        "operation": "CREATE",
        "userInfo": {"username": "test"},
        "object": json.loads(workflow("asked")),
        "oldObject": None,
        "dryRun": dry_run,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    connection = HTTPSConnection(address, PORT, timeout=PATIENCE, context=_anybody())
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", f"{path}?timeout=30s", json.dumps(review), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def answer_of(installed: Installed, address: str, namespace: str, *, release: str = RELEASE) -> Response:
    """Return what a replica makes of a Workflow that is created now; it is a dry run."""
    status, text = posted(address, path_of(installed, Side.MUTATE, release=release), namespace)
    assert status == HTTPStatus.OK, text
    return msgspec.json.decode(text, type=Review).response


def certificate_of(address: str) -> bytes:
    """Return the certificate, in PEM, that a replica serves to a new connection."""
    return ssl.get_server_certificate((address, PORT), timeout=PATIENCE).encode()


def await_everywhere(
    installed: Installed, namespace: str, holds: Callable[[Response], bool], what: str
) -> None:
    """Wait until the answer of every replica is as it should be."""
    where = addresses(installed)
    assert len(where) > 1, "there are no several replicas"
    until(lambda: all(holds(answer_of(installed, each, namespace)) for each in where), what)


def await_governed(installed: Installed, namespace: str) -> None:
    """Wait until every replica has a policy for the Workflows of a namespace."""
    await_everywhere(
        installed, namespace, lambda answer: answer.governed, f"{namespace} is not governed everywhere"
    )


def _anybody() -> ssl.SSLContext:
    """Return a context that trusts whoever answers: certificates have tests of their own."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
