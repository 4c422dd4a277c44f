"""Both webhook configurations of a release: what is read of them, by whoever looks at one."""

from typing import Final

from policy.cluster.protocol import Resource
from policy.core.prepared import prepare
from policy.core.selectors import EVERYTHING, LabelSelector
from policy.core.workflow import Read

MUTATING: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "mutatingwebhookconfigurations",
    "MutatingWebhookConfiguration",
    namespaced=False,
)
VALIDATING: Final = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
CONFIGURATIONS: Final = (MUTATING, VALIDATING)
OURS: Final = ".lockkeeper.dev"
"""How the names of our webhooks end; others in the same object are somebody else's."""


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
    """What tells one state of a configuration from another: the generation moves with its webhooks."""

    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class WebhookConfiguration(Read, frozen=True):
    """A MutatingWebhookConfiguration or ValidatingWebhookConfiguration."""

    metadata: ConfigurationMetadata = ConfigurationMetadata()
    webhooks: tuple[Webhook, ...] | None = None


prepare(WebhookConfiguration)
