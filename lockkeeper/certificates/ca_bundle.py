"""The caBundle of our webhooks in both webhook configurations: what it is, and how it is corrected."""

from base64 import b64decode, b64encode
from collections.abc import Iterator

import msgspec

from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, OURS, Webhook, WebhookConfiguration
from policy.cluster.errors import ClusterError, NotFound
from policy.cluster.protocol import Cluster, JsonPatch, Resource
from policy.core.objects.json_patch import JsonObject, Op, PatchOp, pointer


class BundlePlacement(msgspec.Struct, frozen=True):
    """Where the bundle is after it was put: `state` changes with every change of a configuration.

    `problems` keep it from being in place; `absent` configurations do not: they register no webhook.
    """

    state: tuple[tuple[str, int], ...]
    written: tuple[str, ...]
    absent: tuple[str, ...]
    problems: tuple[str, ...]


class Configurations:
    """Both configurations of one name."""

    def __init__(self, *, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def put(self, bundle: bytes) -> BundlePlacement:
        """Write the bundle where it is not; one that fails does not keep the other from being corrected."""
        state: list[tuple[str, int]] = []
        written: list[str] = []
        absent: list[str] = []
        problems: list[str] = []
        for resource in CONFIGURATIONS:
            where = self._where(resource)
            try:
                present = self.cluster.get(resource, self.name)
                patch = _correction(_read(present), bundle)
                if patch.operations:
                    present = self.cluster.patch(resource, self.name, patch)
                    written.append(where)
            except NotFound:
                absent.append(f"{where} does not exist")
            except ClusterError as error:
                problems.append(f"{where} does not carry the CA bundle yet: {error.message}")
            else:
                metadata = _read(present).metadata
                state.append((metadata.uid, metadata.generation))
        return BundlePlacement(tuple(state), tuple(written), tuple(absent), tuple(problems))

    def behind(self, bundle: bytes) -> list[str]:
        """Return which configurations do not carry the bundle. Raises ClusterError."""
        found: list[str] = []
        for resource, configuration in self._present():
            names = [hook.name for _, hook in _outdated(configuration, bundle)]
            if names:
                where = self._where(resource)
                found.append(f"{where} does not carry the CA bundle yet: webhooks {', '.join(names)}")
        return found

    def bundles(self) -> list[bytes]:
        """Return the caBundle of each of our webhooks. Raises ClusterError."""
        return [
            b64decode(hook.client_config.ca_bundle)
            for _, configuration in self._present()
            for _, hook in _ours(configuration)
        ]

    def _present(self) -> Iterator[tuple[Resource, WebhookConfiguration]]:
        for resource in CONFIGURATIONS:
            try:
                yield resource, _read(self.cluster.get(resource, self.name))
            except NotFound:
                continue

    def _where(self, resource: Resource) -> str:
        return f"{resource.kind} {self.name}"


def _read(obj: JsonObject) -> WebhookConfiguration:
    return msgspec.convert(obj, WebhookConfiguration)


def _ours(configuration: WebhookConfiguration) -> list[tuple[int, Webhook]]:
    """Return our webhooks with their places in the list."""
    hooks = configuration.webhooks or ()
    return [(index, hook) for index, hook in enumerate(hooks) if hook.name.endswith(OURS)]


def _outdated(configuration: WebhookConfiguration, bundle: bytes) -> list[tuple[int, Webhook]]:
    wanted = b64encode(bundle).decode()
    return [each for each in _ours(configuration) if each[1].client_config.ca_bundle != wanted]


def _correction(configuration: WebhookConfiguration, bundle: bytes) -> JsonPatch:
    """Return the patch that sets the bundle and nothing else; it fails where the list has changed since."""
    wanted = b64encode(bundle).decode()
    operations: list[PatchOp] = []
    for index, hook in _outdated(configuration, bundle):
        operations += [
            PatchOp(Op.TEST, pointer("webhooks", index, "name"), hook.name),
            PatchOp(Op.ADD, pointer("webhooks", index, "clientConfig", "caBundle"), wanted),
        ]
    return JsonPatch(tuple(operations))
