"""Templates and ConfigMaps as they are read from a cluster, and what is stored of each.

Of a ConfigMap these are its numbers, for only a number is a limit; other values are settings of other
programs. A key without a number may be stored by its name, never with its value.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import msgspec

from policy.core.lock_model.generated_names import header_of
from policy.core.lock_model.lock_names import read_limit
from policy.core.objects.json_patch import JsonValue
from policy.core.objects.workflow import TemplateObject
from policy.core.policy_kinds.kinds import ConfigMap, PolicyMetadata
from policy.core.values.prepared import prepare
from policy.sources.argo_configuration import with_defaults
from policy.sources.documents import Document, read
from policy.sources.namespace_bounds import ReducedObject, Scope

_NO_NUMBER: Final = ""
"""Replaces every value that is no number."""
_OURS: Final = "/"
"""Part of the keys that Lockkeeper adds to those of Argo's ConfigMap; no key of a ConfigMap has it."""
_ABSENT: Final = msgspec.Raw(b"null")


class ObjectFacts(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata that identifies an object at a version, and when it was created."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    creation_timestamp: str | None = None
    resource_version: str = ""
    generation: int = 0


class PartialObject(msgspec.Struct, frozen=True):
    """An object of which as little is decoded as needed to decide whether it is wanted."""

    metadata: msgspec.Raw
    spec: msgspec.Raw = _ABSENT
    data: msgspec.Raw = _ABSENT

    def facts(self) -> ObjectFacts:
        """Return which object it is."""
        return msgspec.json.decode(self.metadata, type=ObjectFacts)


prepare(ObjectFacts, PartialObject)

ConfigMapName: TypeAlias = tuple[str, str]
Reducer: TypeAlias = Callable[[PartialObject, ObjectFacts, Scope], ReducedObject | None]
"""Returns what is stored of an object, or None where that is nothing."""


def template_reducer(api_version: str, kind: str) -> Reducer:
    """Return how templates are stored: as they decode, or not at all."""

    def reduce(shape: PartialObject, facts: ObjectFacts, scope: Scope) -> ReducedObject | None:  # noqa: ARG001 - the same in every scope
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
                return _reduced(slim, facts, 1, len(slim.text))
        return None

    return reduce


def config_map_reducer(argo: frozenset[ConfigMapName]) -> Reducer:
    """Return how ConfigMaps are stored; `argo` are those of Argo's controllers, which have its settings."""

    def reduce(shape: PartialObject, facts: ObjectFacts, scope: Scope) -> ReducedObject | None:
        data = msgspec.json.decode(shape.data, type=dict[str, str] | None) or {}
        metadata = PolicyMetadata(
            name=facts.name, namespace=facts.namespace, creation_timestamp=facts.creation_timestamp or ""
        )
        stored = _numbers_in(data, names=scope.names)
        if (facts.namespace, facts.name) in argo:
            settings = with_defaults(ConfigMap(metadata, data)).data
            stored.update((key, value) for key, value in settings.items() if _OURS in key)
        if not stored:
            return None
        size = sum(len(key) + len(value) for key, value in stored.items())
        return _reduced(ConfigMap(metadata, stored), facts, len(stored), size)

    return reduce


def _numbers_in(data: Mapping[str, str], *, names: bool) -> dict[str, str]:
    """Return the keys with a number as Argo reads a limit; with `names` the others too, without value."""
    found = {}
    for key, value in data.items():
        limit = read_limit(value)
        if limit is not None:
            found[key] = str(limit)
        elif names:
            found[key] = _NO_NUMBER
    return found


def _reduced(document: Document, facts: ObjectFacts, units: int, size: int) -> ReducedObject:
    return ReducedObject(document, facts.uid, (facts.creation_timestamp or "", facts.name), units, size)
