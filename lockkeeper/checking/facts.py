"""What is known of an installation before anything is concluded from it, as values.

What could not be read is a fact as well: that it is absent, or that the reader has no right to see it.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from lockkeeper.process.kubernetes_objects import NamespacedName, Webhook
from policy.cluster.protocol import Resource
from policy.core.values.prepared import prepare
from policy.service.leading.leader_election import Lease

_HEALTH: Final = "health"
"""What the chart calls the port of probes and metrics."""
SERVICES: Final = Resource("", "v1", "services", "Service")


CRDS: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
_ANY_GROUP: Final = frozenset({"*", "argoproj.io"})
_ANY_WORKFLOWS: Final = frozenset({"*", "*/*", "workflows"})
_ANY_CREATE: Final = frozenset({"*", "CREATE"})


class Gap(StrEnum):
    """Why something could not be read."""

    ABSENT = "absent"
    NO_RIGHT = "no right"
    UNREADABLE = "unreadable"


class UnreadObject(msgspec.Struct, frozen=True):
    """Something that could not be read; `wanted` is the right that it takes, as RBAC writes it."""

    gap: Gap
    wanted: str
    error: str


class ServicePort(msgspec.Struct, frozen=True):
    """One port of a Service."""

    port: int
    name: str = ""


class ServiceSpec(msgspec.Struct, frozen=True, rename={"cluster_ip": "clusterIP"}):
    """Where in the cluster a Service is found; a headless one has "None"."""

    cluster_ip: str = ""
    ports: tuple[ServicePort, ...] = ()

    @property
    def health_port(self) -> int:
        """The port of probes and metrics; 0 where they are on that of admission."""
        return next((each.port for each in self.ports if each.name == _HEALTH), 0)


class Service(msgspec.Struct, frozen=True):
    """A Service."""

    spec: ServiceSpec = ServiceSpec()


class PolicyCondition(msgspec.Struct, frozen=True, rename="camel"):
    """One condition of a policy."""

    type: str
    status: str
    message: str = ""
    observed_generation: int = 0


class CheckedMetadata(msgspec.Struct, frozen=True):
    """The name of a policy, and how often its spec has changed."""

    name: str
    namespace: str = ""
    generation: int = 0


class PolicyStatus(msgspec.Struct, frozen=True):
    """What the controller has written about a policy."""

    conditions: tuple[PolicyCondition, ...] | None = None


class CheckedPolicy(msgspec.Struct, frozen=True):
    """A policy without its spec."""

    metadata: CheckedMetadata
    status: PolicyStatus = PolicyStatus()


class Target(msgspec.Struct, frozen=True):
    """An endpoint that serves webhooks.

    `host` and `port` are connected to, `server_name` has to be in the certificate, `ready_path` is that of
    readiness, and `ca_bundle` is base64 of the only certificates that are trusted. Readiness is
    read at `health_port` where that is not 0. `paths` are those by which the API server calls; they may be
    secret, so nothing shows them.
    """

    host: str
    port: int
    server_name: str
    ready_path: str
    ca_bundle: str
    paths: tuple[str, ...] = ()
    health_port: int = 0


class ProbeTrouble(StrEnum):
    """Why a target could not be probed."""

    NO_BUNDLE = "no bundle"
    BAD_BUNDLE = "bad bundle"
    UNREACHABLE = "unreachable"
    UNTRUSTED = "untrusted"


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a target answered: the end of its certificate, and whether it is ready; or why there is no answer.

    `refused` are those of its paths at which it does not answer.
    """

    target: Target
    trouble: ProbeTrouble | None = None
    error: str = ""
    expires: datetime | None = None
    ready: bool = False
    text: str = ""
    refused: tuple[str, ...] = ()


class LeaseSeen(msgspec.Struct, frozen=True):
    """The Lease; `renewed` is whether it changed between two reads, None where one was enough."""

    lease: Lease
    renewed: bool | None = None


class ArgoController(msgspec.Struct, frozen=True):
    """Argo's controller as its Deployment has it: the image, and the name of its ServiceAccount."""

    image: str
    account: str

    def account_in(self, namespace: str) -> str:
        """Return its account as `argo.controllerServiceAccount` names it."""
        return f"{namespace}:{self.account or 'default'}"


class WebhookRule(msgspec.Struct, frozen=True, rename="camel"):
    """Which requests a webhook is called for."""

    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()


class RuledWebhook(msgspec.Struct, frozen=True):
    """A webhook as far as it shows what it is called for."""

    rules: tuple[WebhookRule, ...] | None = None


class NameOnly(msgspec.Struct, frozen=True):
    """The name of an object."""

    name: str


class OtherConfiguration(msgspec.Struct, frozen=True):
    """A MutatingWebhookConfiguration of any product."""

    metadata: NameOnly
    webhooks: tuple[RuledWebhook, ...] | None = None

    @property
    def name(self) -> str:
        """Its name, by which the API server orders them."""
        return self.metadata.name

    @property
    def changes_workflows(self) -> bool:
        """Whether one of its webhooks is called when a Workflow is created."""
        return any(
            _ANY_GROUP.intersection(rule.api_groups)
            and _ANY_WORKFLOWS.intersection(rule.resources)
            and _ANY_CREATE.intersection(rule.operations)
            for webhook in self.webhooks or ()
            for rule in webhook.rules or ()
        )


class ArgoFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the Argo beside an installation.

    `webhook` is why our webhook's own options could not be read. `accounts` are those that it believes to be
    Argo's controller, by its options or else Argo's own, and `deployment` is where that should be. `full_crd`
    is whether the CRD of Workflows lists their fields, `others` are the mutating configurations of other
    products, and `configuration` is the name of ours.
    """

    webhook: UnreadObject | None
    deployment: NamespacedName
    accounts: tuple[str, ...]
    controller: ArgoController | UnreadObject
    full_crd: bool | UnreadObject
    others: tuple[OtherConfiguration, ...] | UnreadObject
    configuration: str


class InstallationFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of an installation.

    `inside` is whether this runs within the cluster, where every Service can be reached. `policies`
    has the objects of each kind of ours, or why they could not be listed; `ledgers` and `workflows` have
    only the latter.
    """

    now: datetime
    namespace: str
    name: str
    inside: bool
    policies: dict[str, tuple[CheckedPolicy, ...] | UnreadObject]
    ledgers: UnreadObject | None
    workflows: UnreadObject | None
    mutating: tuple[Webhook, ...] | UnreadObject
    validating: tuple[Webhook, ...] | UnreadObject
    probes: tuple[ProbeResult, ...]
    lease: LeaseSeen | UnreadObject
    argo: ArgoFacts


def lease_age(lease: Lease, now: datetime) -> timedelta | None:
    """Return the time since a Lease was renewed, by our clock; None where it has no time."""
    try:
        return now - datetime.fromisoformat(lease.spec.renew_time)
    except (ValueError, TypeError):
        return None


prepare(Service, CheckedPolicy, OtherConfiguration)
