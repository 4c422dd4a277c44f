"""The Secrets and ConfigMaps of the cluster as they are now, for environments and volumes."""

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from policy.core.objects.json_patch import JsonObject
from policy.core.values.prepared import prepare
from tests.e2e.podrunner.object_parts import Metadata
from tests.e2e.podrunner.refusals import Missing

Content: TypeAlias = Mapping[str, bytes]
_NOTHING: Final[Content] = {}


class Secret(msgspec.Struct, frozen=True):
    """A Secret; its values are base64 on the wire."""

    metadata: Metadata
    data: dict[str, bytes] | None = None


class ConfigMap(msgspec.Struct, frozen=True, rename="camel"):
    """A ConfigMap."""

    metadata: Metadata
    data: dict[str, str] | None = None
    binary_data: dict[str, bytes] | None = None


prepare(Secret, ConfigMap)


class Configuration:
    """What was last seen of all Secrets and ConfigMaps, by namespace and name."""

    def __init__(self) -> None:
        self._secrets: dict[tuple[str, str], Content] = {}
        self._config_maps: dict[tuple[str, str], Content] = {}

    def secret_is(self, obj: JsonObject) -> None:
        """Take note of a Secret."""
        secret = msgspec.convert(obj, Secret)
        self._secrets[secret.metadata.namespace, secret.metadata.name] = secret.data or {}

    def config_map_is(self, obj: JsonObject) -> None:
        """Take note of a ConfigMap."""
        found = msgspec.convert(obj, ConfigMap)
        texts = {key: text.encode() for key, text in (found.data or {}).items()}
        at = found.metadata.namespace, found.metadata.name
        self._config_maps[at] = texts | (found.binary_data or {})

    def secret_is_gone(self, namespace: str, name: str) -> None:
        """Forget a Secret."""
        self._secrets.pop((namespace, name), None)

    def config_map_is_gone(self, namespace: str, name: str) -> None:
        """Forget a ConfigMap."""
        self._config_maps.pop((namespace, name), None)

    def secret(self, namespace: str, name: str, *, optional: bool = False) -> Content:
        """Return what a Secret holds. Raises Missing unless it is optional."""
        return _found(self._secrets, "Secret", namespace, name, optional=optional)

    def config_map(self, namespace: str, name: str, *, optional: bool = False) -> Content:
        """Return what a ConfigMap holds. Raises Missing unless it is optional."""
        return _found(self._config_maps, "ConfigMap", namespace, name, optional=optional)


def _found(
    kept: Mapping[tuple[str, str], Content], kind: str, namespace: str, name: str, *, optional: bool
) -> Content:
    content = kept.get((namespace, name))
    if content is not None:
        return content
    if optional:
        return _NOTHING
    raise Missing(kind, namespace, name)
