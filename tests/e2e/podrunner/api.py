"""What a kubelet asks of the API server: to take status, leases and deletions, and to give tokens."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from http import HTTPMethod
from pathlib import Path
from random import SystemRandom
from typing import Final, TypeVar

import msgspec

from policy.cluster.errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from policy.cluster.kube.connection import connection
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.kube.requests import KubeRequest, Transport
from policy.cluster.protocol import MergePatch, Resource
from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare
from tests.e2e.podrunner.object_parts import Metadata

PODS: Final = Resource("", "v1", "pods", "Pod")
NODES: Final = Resource("", "v1", "nodes", "Node", namespaced=False)
SERVICES: Final = Resource("", "v1", "services", "Service")
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
_STRATEGIC: Final = "application/strategic-merge-patch+json"
_PAUSE: Final = 0.5
"""Seconds until a request is made again."""

Answer = TypeVar("Answer")
Tell = Callable[[str], None]


class Token(msgspec.Struct, frozen=True, rename="camel"):
    """A token, and until when it holds."""

    token: str
    expiration_timestamp: datetime


class TokenAnswer(msgspec.Struct, frozen=True):
    """The answer to a request for a token."""

    status: Token


prepare(TokenAnswer)


class Api:
    """The requests, each of which blocks; the errors are those of `policy.cluster.errors`."""

    def __init__(self, *, transport: Transport) -> None:
        self.cluster = KubeCluster(transport=transport, rng=SystemRandom())
        self._transport = transport

    def pod_status(self, pod: Metadata, status: JsonObject) -> None:
        """Change the status of this very Pod and of none that has its name; conditions are merged."""
        self._patch(f"{_pod(pod)}/status", {"metadata": {"uid": pod.uid}, "status": status})

    def annotate(self, resource: Resource, metadata: Metadata, annotations: dict[str, str | None]) -> None:
        """Set annotations of an object; None takes one away."""
        said: JsonObject = {"metadata": {"annotations": dict(annotations)}}
        self.cluster.patch(resource, metadata.name, MergePatch(said), namespace=metadata.namespace)

    def forget(self, pod: Metadata) -> None:
        """Delete this very Pod for good, without a grace period: its containers are gone."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "preconditions": {"uid": pod.uid},
        }
        self._transport.send(KubeRequest(HTTPMethod.DELETE, _pod(pod), body=msgspec.json.encode(options)))

    def token(self, pod: Metadata, account: str, *, audience: str, seconds: int) -> Token:
        """Return a new token of a ServiceAccount, bound to the Pod."""
        wanted = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.name, "uid": pod.uid},
            },
        }
        path = f"/api/v1/namespaces/{pod.namespace}/serviceaccounts/{account}/token"
        answer = self._transport.send(KubeRequest(HTTPMethod.POST, path, body=msgspec.json.encode(wanted)))
        return msgspec.json.decode(answer, type=TokenAnswer).status

    def node(self, node: JsonObject, name: str, status: JsonObject) -> None:
        """Make a Node known where it is not, and say how it is."""
        with suppress(AlreadyExists):
            self.cluster.create(NODES, node)
        self._patch(f"/api/v1/nodes/{name}/status", {"status": status})

    def lease(self, namespace: str, name: str, spec: JsonObject) -> None:
        """Renew a lease, or take it the first time."""
        try:
            self.cluster.patch(LEASES, name, MergePatch({"spec": spec}), namespace=namespace)
        except NotFound:
            lease: JsonObject = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": name, "namespace": namespace},
                "spec": spec,
            }
            self.cluster.create(LEASES, lease, namespace=namespace)

    def _patch(self, path: str, change: JsonObject) -> None:
        body = msgspec.json.encode(change)
        self._transport.send(KubeRequest(HTTPMethod.PATCH, path, content_type=_STRATEGIC, body=body))


def reach(kubeconfig: Path) -> Api:
    """Return the API server that a kubeconfig leads to."""
    return Api(transport=connection(kubeconfig))


async def insist(action: Callable[[], Answer], *, what: str, tell: Tell) -> Answer | None:
    """Make a request in a thread, again and again while the server is away.

    Returns None where the object is gone, or is another one by now, or the server refuses; that is told.
    """
    while True:
        try:
            return await asyncio.to_thread(action)
        except (NotFound, Conflict):
            return None
        except (Unavailable, TooManyRequests) as error:
            tell(f"{what}: {error}; trying again")
            await asyncio.sleep(_PAUSE)
        except ClusterError as error:
            tell(f"{what}: {error}")
            return None


def _pod(pod: Metadata) -> str:
    return f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
