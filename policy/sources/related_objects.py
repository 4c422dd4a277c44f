"""The objects beside the policies as they come from a cluster, and what is kept of each.

Of a ConfigMap that is its numbers, for only a number is a limit; whatever else stands there is somebody's
settings, and no business of ours. A key without a number may be kept by its name, never with its value.
"""

from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

import msgspec

from policy.core.lock_model.generated_names import header_of
from policy.core.lock_model.lock_names import read_limit
from policy.core.objects.json_patch import JsonValue
from policy.core.objects.workflow import TemplateObject
from policy.core.policy_kinds.kinds import ConfigMap, PolicyMetadata
from policy.core.values.prepared import prepare
from policy.sources.argo_configuration import with_defaults
from policy.sources.documents import Document, read
from policy.sources.namespace_bounds import KeptObject, Scope

_NO_NUMBER: Final = ""
"""Stands for every value that is no number."""
_OURS: Final = "/"
"""Part of the keys that Lockkeeper puts beside those of Argo's ConfigMap; no key of a ConfigMap has it."""


_ABSENT: Final = msgspec.Raw(b"null")


class ObjectFacts(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that says which object it is, and how old."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: str | None = None


class PartialObject(msgspec.Struct, frozen=True):
    """An object of which as little is decoded as can be told before it is known to be wanted."""

    metadata: msgspec.Raw
    spec: msgspec.Raw = _ABSENT
    data: msgspec.Raw = _ABSENT

    def facts(self) -> ObjectFacts:
        """Return which object it is."""
        return msgspec.json.decode(self.metadata, type=ObjectFacts)


prepare(ObjectFacts, PartialObject)

ConfigMapName: TypeAlias = tuple[str, str]


class Maker(Protocol):
    """Makes of an object what is kept of it."""

    def __call__(self, shape: PartialObject, facts: ObjectFacts, scope: Scope) -> KeptObject | None:
        """Return what is kept, or None where that is nothing."""
        ...


def template_maker(api_version: str, kind: str) -> Maker:
    """Return how templates are kept: as they decode, or not at all."""

    def make(shape: PartialObject, facts: ObjectFacts, scope: Scope) -> KeptObject | None:  # noqa: ARG001 - kept alike everywhere
        value: dict[str, JsonValue] = {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": msgspec.json.decode(shape.metadata),
        }
        if bytes(shape.spec) != bytes(_ABSENT):
            value["spec"] = msgspec.json.decode(shape.spec)
        for found in read(value).documents:
            template = found.document
            if isinstance(template, TemplateObject):
                slim = msgspec.structs.replace(template, metadata=header_of(template.metadata))
                return _kept(slim, facts, 1, len(slim.text))
        return None

    return make


def config_map_maker(argo: frozenset[ConfigMapName]) -> Maker:
    """Return how ConfigMaps are kept; `argo` are those of Argo's controllers, which have its settings."""

    def make(shape: PartialObject, facts: ObjectFacts, scope: Scope) -> KeptObject | None:
        data = _data(shape)
        metadata = PolicyMetadata(
            name=facts.name, namespace=facts.namespace, creation_timestamp=facts.creation_timestamp or ""
        )
        kept = numbers_in(data, names=scope.names)
        if (facts.namespace, facts.name) in argo:
            settings = with_defaults(ConfigMap(metadata, data)).data
            kept.update((key, value) for key, value in settings.items() if _OURS in key)
        if not kept:
            return None
        size = sum(len(key) + len(value) for key, value in kept.items())
        return _kept(ConfigMap(metadata, kept), facts, len(kept), size)

    return make


def numbers_in(data: Mapping[str, str], *, names: bool) -> dict[str, str]:
    """Return the keys with a number as Argo reads a limit; with `names` the others too, without value."""
    found = {}
    for key, value in data.items():
        limit = read_limit(value)
        if limit is not None:
            found[key] = str(limit)
        elif names:
            found[key] = _NO_NUMBER
    return found


def _data(shape: PartialObject) -> dict[str, str]:
    return msgspec.json.decode(shape.data, type=dict[str, str] | None) or {}


def _kept(document: Document, facts: ObjectFacts, units: int, size: int) -> KeptObject:
    return KeptObject(document, facts.uid, (facts.creation_timestamp or "", facts.name), units, size)
