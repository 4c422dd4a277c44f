"""Drafts of policies: the object, where each of its fields comes from, and what was left out."""

import msgspec

from lockkeeper.manifests.manifest import Manifest
from policy.core.objects.json_parts import metadata_of
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.well_known import API_VERSION, NAMESPACE_NAME
from policy.core.quota.node_capacity import millicores

CLUSTER: str = "cluster"
"""The `file` of what was read from a cluster."""


class Origin(msgspec.Struct, frozen=True):
    """Where a field comes from, and what it means here that it did not mean there."""

    field: str
    source: str
    change: str = ""


class Draft(msgspec.Struct, frozen=True):
    """A policy that is suggested."""

    policy: JsonObject
    origins: tuple[Origin, ...]

    @property
    def name(self) -> str:
        """Kind and name."""
        named = metadata_of(self.policy)
        where = f"{named['namespace']}/" if named.get("namespace") else ""
        return f"{self.policy['kind']} {where}{named.get('name')}"


class NotImported(msgspec.Struct, frozen=True):
    """A limit that no policy says, and why."""

    source: str
    message: str


class Drafts(msgspec.Struct, frozen=True):
    """What one kind of source gives."""

    drafts: tuple[Draft, ...] = ()
    left_out: tuple[NotImported, ...] = ()

    def joined(self, other: "Drafts") -> "Drafts":
        """Return both together."""
        return Drafts((*self.drafts, *other.drafts), (*self.left_out, *other.left_out))


class TaskSize(msgspec.Struct, frozen=True):
    """What one task requests, as far as that is given: quantities are counted in tasks by it.

    `default` is the number of tasks of a Workflow that says none, and `default_source` who says so.
    """

    requests: dict[str, str]
    default: int
    default_source: str = "--default-tasks"

    def unit(self, resource: str) -> int | None:
        """Return what one task requests in thousandths, None where that is not given."""
        text = self.requests.get(resource)
        return None if text is None else millicores(text)


def source_of(manifest: Manifest, field: str, *, at: str = "") -> str:
    """Return where a field was read, for a comment; its line is that of `at`, where that is given."""
    name = f"{manifest.namespace}/{manifest.name}" if manifest.namespace else manifest.name
    place = "" if manifest.file == CLUSTER else f" ({manifest.file}:{manifest.place(at or field).line})"
    return f"{manifest.kind} {name} {field}{place}"


def draft(kind: str, name: str, spec: JsonObject, *origins: Origin, namespace: str = "") -> Draft:
    """Return a draft."""
    metadata: JsonObject = {"name": name, **({"namespace": namespace} if namespace else {})}
    value: JsonObject = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
    return Draft(value, origins)


def by_name(operator: str, namespaces: list[str]) -> JsonObject:
    """Return a selector of namespaces by their names."""
    values: list[JsonValue] = [*sorted(namespaces)]
    return {"matchExpressions": [{"key": NAMESPACE_NAME, "operator": operator, "values": values}]}


def listed(value: JsonValue) -> list[JsonObject]:
    """Return the maps of a list; nothing of what is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
