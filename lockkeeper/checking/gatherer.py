"""Gathers the facts about an installation: reads objects, and probes what serves the webhooks."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import msgspec

from lockkeeper.checking.argo_gatherer import ArgoGatherer
from lockkeeper.checking.facts import (
    SERVICES,
    CheckedPolicy,
    InstallationFacts,
    LeaseSeen,
    ProbeResult,
    Service,
    ServiceSpec,
    Target,
    UnreadObject,
    lease_age,
)
from lockkeeper.checking.reads import attempt, right
from lockkeeper.process.kubernetes_objects import (
    MUTATING,
    OURS,
    VALIDATING,
    ServiceReference,
    Webhook,
    WebhookConfiguration,
)
from policy.cluster.protocol import (
    CLUSTER_SYNCHRONIZATION_POLICIES,
    CLUSTER_WORKFLOW_QUOTAS,
    QUOTA_LEDGERS,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    Cluster,
    Resource,
)
from policy.service.leading.leader_election import LEASES, Lease
from webhook.callers import call_of

_POLICIES: Final = (
    WORKFLOW_QUOTAS,
    CLUSTER_WORKFLOW_QUOTAS,
    SYNCHRONIZATION_POLICIES,
    CLUSTER_SYNCHRONIZATION_POLICIES,
)
_HEADLESS: Final = "None"
_HTTPS: Final = 443


class Gatherer(msgspec.Struct, frozen=True, kw_only=True):
    """Reads of one installation, release `name` in `namespace`.

    `probe` calls an endpoint that serves webhooks, `pause` waits for some seconds, `inside` is whether this
    runs in the cluster.
    """

    cluster: Cluster
    namespace: str
    name: str
    inside: bool
    probe: Callable[[Target], ProbeResult]
    clock: Callable[[], datetime]
    pause: Callable[[float], object]

    def gather(self) -> InstallationFacts:
        """Return all facts.

        Raises:
            Unavailable, TooManyRequests: the cluster does not answer, so nothing is known of anything.
        """
        mutating = self._webhooks(MUTATING)
        validating = self._webhooks(VALIDATING)
        webhooks = [
            webhook
            for found in (mutating, validating)
            if not isinstance(found, UnreadObject)
            for webhook in found
            if webhook.name.endswith(OURS)
        ]
        return InstallationFacts(
            policies={resource.kind: self._policies(resource) for resource in _POLICIES},
            ledgers=self._is_served(QUOTA_LEDGERS),
            # Of the release's own namespace only: in others there may be very many.
            workflows=self._is_served(WORKFLOWS, self.namespace),
            mutating=mutating,
            validating=validating,
            probes=tuple(self.probe(target) for target in self._targets(webhooks)),
            lease=self._lease(),
            argo=ArgoGatherer(
                cluster=self.cluster, namespace=self.namespace, name=self.name, inside=self.inside
            ).gather(),
            now=self.clock(),
            namespace=self.namespace,
            name=self.name,
            inside=self.inside,
        )

    def _policies(self, resource: Resource) -> tuple[CheckedPolicy, ...] | UnreadObject:
        return attempt(
            lambda: tuple(msgspec.convert(each, CheckedPolicy) for each in self.cluster.list(resource).items),
            right("list", resource),
        )

    def _is_served(self, resource: Resource, namespace: str = "") -> UnreadObject | None:
        def read() -> None:
            self.cluster.list(resource, namespace=namespace, metadata_only=True)

        return attempt(read, right("list", resource, namespace))

    def _webhooks(self, resource: Resource) -> tuple[Webhook, ...] | UnreadObject:
        return attempt(
            lambda: (
                msgspec.convert(self.cluster.get(resource, self.name), WebhookConfiguration).webhooks or ()
            ),
            right("get", resource, name=self.name),
        )

    def _lease(self) -> LeaseSeen | UnreadObject:
        """Read the Lease; one that seems old is read once more later, because clocks may disagree."""
        name = f"{self.name}-controller"

        def read() -> LeaseSeen:
            lease = msgspec.convert(self.cluster.get(LEASES, name, namespace=self.namespace), Lease)
            age = lease_age(lease, self.clock())
            duration = timedelta(seconds=lease.spec.lease_duration_seconds)
            if not lease.spec.holder_identity or (age is not None and timedelta(0) <= age <= duration):
                return LeaseSeen(lease)
            self.pause(duration.total_seconds())
            later = msgspec.convert(self.cluster.get(LEASES, name, namespace=self.namespace), Lease)
            return LeaseSeen(later, later.metadata.resource_version != lease.metadata.resource_version)

        return attempt(read, right("get", LEASES, self.namespace, name))

    def _targets(self, webhooks: Iterable[Webhook]) -> list[Target]:
        """Return the endpoints that serve webhooks, each once."""
        addresses: dict[tuple[str, str], ServiceSpec] = {}
        targets: dict[Target, list[str]] = {}
        for webhook in webhooks:
            client = webhook.client_config
            if client.service is not None:
                at = (client.service.namespace, client.service.name)
                if at not in addresses:
                    addresses[at] = self._address_of(client.service)
                target = _service_target(client.service, addresses[at], client.ca_bundle)
                targets.setdefault(target, []).append(client.service.path)
            else:
                target = url_target(client.url, client.ca_bundle)
                targets.setdefault(target, []).append(urlsplit(client.url).path)
        return [msgspec.structs.replace(each, paths=tuple(paths)) for each, paths in targets.items()]

    def _address_of(self, service: ServiceReference) -> ServiceSpec:
        """Return the address of a Service that the API server connects to, or its name, and its ports."""
        name, namespace = service.name, service.namespace
        found = attempt(
            lambda: msgspec.convert(self.cluster.get(SERVICES, name, namespace=namespace), Service).spec,
            right("get", SERVICES, namespace, name),
        )
        spec = ServiceSpec() if isinstance(found, UnreadObject) else found
        if spec.cluster_ip in ("", _HEADLESS):
            return msgspec.structs.replace(spec, cluster_ip=_server_name(service))
        return spec


def _server_name(service: ServiceReference) -> str:
    """Return the name by which the API server checks the certificate of a Service."""
    return f"{service.name}.{service.namespace}.svc"


def _service_target(service: ServiceReference, address: ServiceSpec, ca_bundle: str) -> Target:
    """Return where a Service is served."""
    target = Target(
        address.cluster_ip, service.port, _server_name(service), ready_path(service.path), ca_bundle
    )
    return msgspec.structs.replace(target, health_port=address.health_port)


def url_target(url: str, ca_bundle: str) -> Target:
    """Return where a URL leads to."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return Target(host, parts.port or _HTTPS, host, ready_path(parts.path), ca_bundle)


def ready_path(path: str) -> str:
    """Return the path of readiness, beside that of a webhook."""
    if call_of(path) is not None:  # It may have a secret part.
        return "/readyz"
    return path.rpartition("/")[0] + "/readyz"
