"""Which kind a YAML document is of, and whether it is valid: a policy, a related object, or another's."""

import re
from typing import Final, TypeAlias

import msgspec

from policy.core.objects.well_known import API_VERSION, GROUP
from policy.core.objects.workflow import TemplateObject
from policy.core.policies import policy_checks
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE, POLICY_KINDS, ConfigMap, NamespaceObject, Policy
from policy.core.values.budget import UNBOUNDED, Budget, Part
from policy.core.values.prepared import prepare
from policy.core.values.problems import Problem
from policy.sources.argo_configuration import with_defaults
from policy.sources.schema_check import decode, did_you_mean, walk
from policy.sources.yaml_positions import Json, child, item

Document: TypeAlias = Policy | ConfigMap | NamespaceObject | TemplateObject

ARGO_API_VERSION: Final = "argoproj.io/v1alpha1"
_LIST: Final = ("v1", "List")
_TYPES: Final[dict[tuple[str, str], type[Document]]] = {
    **{(API_VERSION, kind): struct for kind, struct in POLICY_KINDS.items()},
    ("v1", "ConfigMap"): ConfigMap,
    ("v1", "Namespace"): NamespaceObject,
    (ARGO_API_VERSION, "WorkflowTemplate"): TemplateObject,
    (ARGO_API_VERSION, "ClusterWorkflowTemplate"): TemplateObject,
}
_NAMESPACED: Final = frozenset({"WorkflowQuota", "SynchronizationPolicy", "ConfigMap", "WorkflowTemplate"})
prepare(*_TYPES.values())
_NAME_LENGTH: Final = 253
_LABEL: Final = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")


class Identity(msgspec.Struct, frozen=True):
    """What one object alone may be called; `namespace` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class NamedObject(msgspec.Struct, frozen=True):
    """An object's identity and the path of the object: empty, or `items[0]` in a List."""

    identity: Identity
    path: str


class Decoded(msgspec.Struct, frozen=True):
    """An object that has no problems, and its path."""

    document: Document
    path: str


class Contents(msgspec.Struct, frozen=True):
    """What one YAML document holds; a wrong object is named too, so that a second of its name is found."""

    documents: tuple[Decoded, ...] = ()
    named: tuple[NamedObject, ...] = ()
    problems: tuple[Problem, ...] = ()


def read(value: Json, path: str = "", *, most: int | None = None, budget: Budget = UNBOUNDED) -> Contents:
    """Classify and decode one document, or each item of a `v1 List`; an empty document holds nothing.

    After `most` problems with the shape of an object no more are looked for.
    """
    if value is None and not path:
        return Contents()
    if not isinstance(value, dict):
        return _wrong(path, "must be a map with apiVersion and kind")
    kind, api_version = value.get("kind"), value.get("apiVersion")
    if not (isinstance(kind, str) and kind and isinstance(api_version, str) and api_version):
        return _untyped(kind, api_version, path)
    if (api_version, kind) == _LIST:
        return _items(value.get("items"), child(path, "items"), most, budget)
    if struct := _TYPES.get((api_version, kind)):
        return _object(value, struct, kind, path, most, budget=budget)
    return _other(api_version, kind, path)


def join(path: str, inner: str) -> str:
    """Return the path of a field inside the object at `path`."""
    return f"{path}.{inner}" if path and inner and not inner.startswith("[") else f"{path}{inner}"


def _wrong(path: str, message: str) -> Contents:
    return Contents(problems=(Problem(path, message),))


def _untyped(kind: Json, api_version: Json, path: str) -> Contents:
    """Return what is missing of apiVersion and kind, with the right apiVersion where the kind is ours."""
    right = f": {API_VERSION} for kind {kind}" if isinstance(kind, str) and kind in POLICY_KINDS else ""
    wanted = (("apiVersion", api_version, right), ("kind", kind, ""))
    return Contents(
        problems=tuple(
            Problem(child(path, field), f"is required, as a string{advice}")
            for field, found, advice in wanted
            if not isinstance(found, str) or not found
        )
    )


def _other(api_version: str, kind: str, path: str) -> Contents:
    """Return nothing for an object of another's kind, or what is wrong where it was meant to be ours."""
    if kind in POLICY_KINDS:
        message = f'must be {API_VERSION} for kind {kind}; found "{api_version}"'
        return _wrong(child(path, "apiVersion"), message)
    if api_version.partition("/")[0] == GROUP:
        hint = did_you_mean(kind, list(POLICY_KINDS)) or f"; known are {', '.join(POLICY_KINDS)}"
        return _wrong(child(path, "kind"), f'"{kind}" is not a kind of {GROUP}{hint}')
    return Contents()


def _items(items: Json, path: str, most: int | None, budget: Budget) -> Contents:
    if items is None:
        return Contents()
    if not isinstance(items, list):
        return _wrong(path, "must be a list")
    parts = [read(entry, item(path, index), most=most, budget=budget) for index, entry in enumerate(items)]
    return Contents(
        tuple(one for part in parts for one in part.documents),
        tuple(one for part in parts for one in part.named),
        tuple(one for part in parts for one in part.problems),
    )


def _object(
    value: dict[str, Json], struct: type[Document], kind: str, path: str, most: int | None, *, budget: Budget
) -> Contents:
    """Decode an object of a known kind, unless it is nested deeper than Python can follow."""
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    identity = _identity(metadata, kind)
    named = (NamedObject(identity, path),) if identity.name else ()
    try:
        problems = walk(value, struct, path, most=most, budget=budget)
        problems += _name_problems(metadata, struct, child(path, "metadata"))
        if problems:
            return Contents(named=named, problems=tuple(problems))
        document = _decoded(value, struct)
        budget.check(Part.POLICY)
        problems = _value_problems(document, path, budget)
    except RecursionError:
        return Contents(named=named, problems=(Problem(path, "is nested too deep to be read"),))
    documents = () if problems else (Decoded(document, path),)
    return Contents(documents=documents, named=named, problems=tuple(problems))


def _decoded(value: dict[str, Json], struct: type[Document]) -> Document:
    """Return an object whose shape is right, with the texts that are derived from it."""
    document = decode(value, struct)
    if isinstance(document, ConfigMap):
        return with_defaults(document)
    if isinstance(document, TemplateObject):
        return msgspec.structs.replace(document, text=msgspec.json.encode(value.get("spec")).decode())
    return document


def _value_problems(document: Document, path: str, budget: Budget) -> list[Problem]:
    """Return what is wrong with the values of a policy."""
    if not isinstance(document, Policy):
        return []
    found = policy_checks.problems(document, budget)
    return [Problem(join(path, each.path), each.message) for each in found]


def _identity(metadata: dict[str, Json], kind: str) -> Identity:
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if kind not in _NAMESPACED:
        namespace = ""
    elif not isinstance(namespace, str) or not namespace:
        namespace = DEFAULT_NAMESPACE
    return Identity(kind, namespace, name if isinstance(name, str) else "")


def _name_problems(metadata: dict[str, Json], struct: type[Document], path: str) -> list[Problem]:
    """Return what is wrong with the name; a name of another type is the schema's to report."""
    name, where = metadata.get("name"), child(path, "name")
    if name is None and struct is TemplateObject:
        # Argo's own struct has an optional name, for Workflows may have a generateName instead.
        return [Problem(where, "is required, but missing")]
    if not isinstance(name, str) or (len(name) <= _NAME_LENGTH and _SUBDOMAIN.match(name)):
        return []
    rule = f"at most {_NAME_LENGTH} lower-case letters, digits, - and ., letters or digits at the ends"
    return [Problem(where, f'"{name[:_NAME_LENGTH]}" is not a name for Kubernetes: use {rule}')]
