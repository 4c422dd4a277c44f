"""Kubernetes' own objects, as far as several rooms read them: Deployments and webhook configurations."""

from functools import partial
from typing import Final

import msgspec

from policy.cluster.protocol import Resource
from policy.core.objects.label_selectors import EVERYTHING, LabelSelector
from policy.core.objects.workflow import Read
from policy.core.values.prepared import prepare

DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
_registration: Final = partial(Resource, "admissionregistration.k8s.io", "v1", namespaced=False)
MUTATING: Final = _registration("mutatingwebhookconfigurations", "MutatingWebhookConfiguration")
VALIDATING: Final = _registration("validatingwebhookconfigurations", "ValidatingWebhookConfiguration")
CONFIGURATIONS: Final = (MUTATING, VALIDATING)
OURS: Final = ".lockkeeper.dev"
"""How the names of our webhooks end; others in the same object are not ours."""


class NamespacedName(msgspec.Struct, frozen=True):
    """Where an object of a cluster is."""

    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str, kind: str) -> "NamespacedName":
        """Return the name in NAMESPACE/NAME; `kind` is what it should be the name of.

        Raises:
            ValueError: the text is no such name.
        """
        namespace, _, name = text.partition("/")
        if not namespace or not name or "/" in name:
            raise ValueError(f"{text!r} names no {kind}; give NAMESPACE/NAME")
        return cls(namespace, name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class DeployedContainer(Read, frozen=True):
    """What a container runs, and what it is started with."""

    name: str = ""
    image: str = ""
    args: tuple[str, ...] | None = None


class PodSpec(Read, frozen=True):
    """The containers of a Pod, and how long it may take to end."""

    containers: tuple[DeployedContainer, ...] = ()
    service_account_name: str = ""
    termination_grace_period_seconds: int = 30


class PodTemplate(Read, frozen=True):
    """The Pods that a Deployment makes."""

    spec: PodSpec = PodSpec()


class DeploymentSpec(Read, frozen=True):
    """What a Deployment is to be."""

    template: PodTemplate = PodTemplate()


class DeploymentStatus(Read, frozen=True):
    """How far it is: of `replicas` Pods so many are of the newest kind."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0


class DeploymentMetadata(Read, frozen=True):
    """Which Deployment it is, and which state of the spec."""

    name: str = ""
    namespace: str = ""
    generation: int = 0


class Deployment(Read, frozen=True):
    """A Deployment, as far as images, options and a roll-out show in it."""

    metadata: DeploymentMetadata = DeploymentMetadata()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()

    @property
    def containers(self) -> tuple[DeployedContainer, ...]:
        """The containers of its Pods."""
        return self.spec.template.spec.containers

    @property
    def is_rolled_out(self) -> bool:
        """Whether there is no Pod of an older kind."""
        status = self.status
        return (
            status.observed_generation >= self.metadata.generation
            and status.updated_replicas == status.replicas
        )


class ServiceReference(Read, frozen=True):
    """The Service that the API server calls."""

    name: str = ""
    namespace: str = ""
    path: str = ""
    port: int = 443


class ClientConfig(Read, frozen=True):
    """How the API server reaches a webhook, and whose certificates it takes; the bundle is base64."""

    url: str = ""
    service: ServiceReference | None = None
    ca_bundle: str = ""


class Webhook(Read, frozen=True):
    """One webhook of a configuration, with the API server's own defaults."""

    name: str
    client_config: ClientConfig = ClientConfig()
    failure_policy: str = "Fail"
    timeout_seconds: int = 10
    reinvocation_policy: str = "Never"
    namespace_selector: LabelSelector = EVERYTHING


class ConfigurationMetadata(Read, frozen=True):
    """What identifies a state of a configuration: the generation changes with its webhooks."""

    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class WebhookConfiguration(Read, frozen=True):
    """A MutatingWebhookConfiguration or ValidatingWebhookConfiguration."""

    metadata: ConfigurationMetadata = ConfigurationMetadata()
    webhooks: tuple[Webhook, ...] | None = None


prepare(Deployment, WebhookConfiguration)
