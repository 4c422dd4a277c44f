"""How the API describes itself to kubectl: version, groups, kinds, and that it checks fields by itself."""

import re
from typing import Final

from lockkeeper.kube_api.describing.crd_schemas import SCHEMAS
from lockkeeper.kube_api.served_kinds import SERVED, ServedKind
from policy.core.objects.json_patch import JsonObject, JsonValue

_VERBS: Final = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_READS: Final = ("get", "list", "watch")
VERSION: Final[JsonObject] = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0-lockkeeper",
    "platform": "python",
}
_FIELD_VALIDATION: Final[JsonValue] = [
    {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
]


_ANYTHING: Final[JsonObject] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SERVED_WORDS: Final = (
    "Workflows, their templates, CronWorkflows, policies, ConfigMaps, Nodes, Events, Namespaces"
)
_OF_KUBERNETES: Final = re.compile(
    r"/(?:api/v1|apis/(?:apps|batch|autoscaling|policy|[a-z0-9.]+\.k8s\.io)/v[0-9a-z]+)/"
    r"(?:namespaces/[^/]+/)?([a-z]+)(?:/.*)?"
)


def absent_kind(path: str) -> str:
    """Return the kind of Kubernetes that a path is about and that is not served, "" for any other path."""
    found = _OF_KUBERNETES.fullmatch(path)
    return found[1] if found else ""


def described(path: str) -> JsonObject | None:
    """Return the description at a path, None where there is none."""
    parts = [each for each in path.split("/") if each]
    match parts:
        case ["version"]:
            return VERSION
        case ["openapi", "v3", *root]:
            return _schema("/".join(root)) if root else _schemas()
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(map(_group, _groups()))}
        case ["api", version] | ["apis", _, version]:
            return _resources("" if parts[0] == "api" else parts[1], version)
    return None


def _schemas() -> JsonObject:
    """Return where the OpenAPI document of each group is."""
    return {"paths": {_root(each): {"serverRelativeURL": f"/openapi/v3/{_root(each)}"} for each in SERVED}}


def _groups() -> list[tuple[str, str]]:
    """Return the groups besides the core, each with its version."""
    return sorted({(each.resource.group, each.resource.version) for each in SERVED if each.resource.group})


def _group(named: tuple[str, str]) -> JsonObject:
    group, version = named
    served: JsonObject = {"groupVersion": f"{group}/{version}", "version": version}
    return {"name": group, "versions": [served], "preferredVersion": served}


def _resources(group: str, version: str) -> JsonObject | None:
    """Return the kinds of a group."""
    found = [each for each in SERVED if (each.resource.group, each.resource.version) == (group, version)]
    if not found:
        return None
    listed: list[JsonValue] = [_resource(each) for each in found]
    listed += [
        {
            "name": f"{each.resource.plural}/status",
            "kind": each.resource.kind,
            "namespaced": each.resource.namespaced,
            "singularName": "",
            "verbs": ["get", "patch", "update"],
        }
        for each in found
        if each.status_apart
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].resource.api_version,
        "resources": listed,
    }


def _resource(kind: ServedKind) -> JsonObject:
    return {
        "name": kind.resource.plural,
        "singularName": kind.singular,
        "shortNames": [*kind.short],
        "namespaced": kind.resource.namespaced,
        "kind": kind.resource.kind,
        "verbs": list(_READS if kind.read_only else _VERBS),
        "categories": ["lockkeeper"] if kind.resource.group == "lockkeeper.dev" else [],
    }


def _root(kind: ServedKind) -> str:
    """Return where the group of a kind begins."""
    group = kind.resource.group
    return f"apis/{group}/{kind.resource.version}" if group else f"api/{kind.resource.version}"


def _schema(root: str) -> JsonObject | None:
    """Return the OpenAPI document of a group: its kinds, and that the server checks fields, not kubectl."""
    found = [each for each in SERVED if _root(each) == root]
    if not found:
        return None
    paths: JsonObject = {}
    for each in found:
        resource = each.resource
        inner = f"namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else resource.plural
        kind: JsonValue = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        patch: JsonValue = {
            "parameters": _FIELD_VALIDATION,
            "responses": {},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": kind,
        }
        paths[f"/{root}/{inner}/{{name}}"] = {"patch": patch}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Lockkeeper", "version": "v1"},
        "paths": paths,
        "components": {"schemas": {_schema_name(each): _kind_schema(each) for each in found}},
    }


def _schema_name(kind: ServedKind) -> str:
    """Return the name of a schema, such as `dev.lockkeeper.v1alpha1.WorkflowQuota`."""
    resource = kind.resource
    return ".".join([*reversed(resource.group.split(".")), resource.version, resource.kind]).lstrip(".")


def _kind_schema(kind: ServedKind) -> JsonObject:
    """Return what `kubectl explain` shows of a kind: all of ours, the top of the others."""
    resource = kind.resource
    named: JsonObject = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    schema = SCHEMAS.get(resource.kind, _others(kind))
    return {**schema, "x-kubernetes-group-version-kind": [named]}


def _others(kind: ServedKind) -> JsonObject:
    """Return the schema of a kind that is not ours: what is below its fields is stored as it is sent."""
    top: JsonObject = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": _ANYTHING}
    return {
        "description": "lockkeeper run does not explain this kind below its top, and stores what it is sent.",
        "type": "object",
        "properties": {**top, **dict.fromkeys(kind.fields, _ANYTHING)},
    }
