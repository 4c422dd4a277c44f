"""The CRDs and the structs say the same: what one of them did not know would get lost without a word."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeAlias

import msgspec
import pytest
import yaml
from msgspec import inspect

from policy.cluster.ledgers import LedgerStatus
from policy.core.objects.well_known import API_VERSION
from policy.core.policy_kinds.kinds import ClusterSynchronizationPolicySpec, SynchronizationPolicySpec
from policy.core.policy_kinds.quota_parts import ClusterWorkflowQuotaSpec, QuotaLimits, WorkflowQuotaSpec
from tests.e2e.building import ROOT

CRDS = ROOT / "charts" / "lockkeeper" / "files" / "crds"
Shape: TypeAlias = "str | frozenset[str] | tuple[str, Shape] | dict[str, Shape]"
"""A type in short: a name, the words of an enum, what an array or map holds, or the fields of an object."""
Schema: TypeAlias = Mapping[str, Any]


def _struct_shape(of: inspect.Type) -> Shape:  # noqa: PLR0911 - one return for each kind of type
    """Return the shape of a type of msgspec; required fields carry a star."""
    match of:
        case inspect.StructType(fields=fields):
            return {one.encode_name + "*" * one.required: _struct_shape(one.type) for one in fields}
        case inspect.UnionType(types=types):
            given = [one for one in types if not isinstance(one, inspect.NoneType)]
            if len(given) == 1:
                return _struct_shape(given[0])
            assert {type(one) for one in given} == {inspect.IntType, inspect.LiteralType}
            return "integer or word"
        case inspect.VarTupleType(item_type=item):
            return ("array", _struct_shape(item))
        case inspect.DictType(value_type=value):
            return ("map", _struct_shape(value))
        case inspect.EnumType(cls=cls):
            return frozenset(str(one.value) for one in cls)
        case inspect.LiteralType(values=values):
            return frozenset(map(str, values))
    names = {
        inspect.StrType: "string",
        inspect.IntType: "integer",
        inspect.BoolType: "boolean",
        inspect.DateTimeType: "date-time",
    }
    return names[type(of)]


def _schema_shape(of: Schema) -> Shape:  # noqa: PLR0911 - as above
    """Return the shape of an OpenAPI schema; required fields carry a star."""
    if of.get("x-kubernetes-int-or-string"):
        return "integer or word"
    match of["type"]:
        case "object" if "additionalProperties" in of:
            return ("map", _schema_shape(of["additionalProperties"]))
        case "object":
            required = of.get("required", ())
            return {
                name + "*" * (name in required): _schema_shape(one) for name, one in of["properties"].items()
            }
        case "array":
            return ("array", _schema_shape(of["items"]))
        case "string" if "enum" in of:
            return frozenset(of["enum"])
        case "string":
            return str(of.get("format", "string"))
    return str(of["type"])


def _struct_defaults(of: inspect.Type, path: str) -> dict[str, object]:
    """Return the defaults that an author wants to see, by path: of enums, flags, words, lists and limits."""
    found: dict[str, object] = {}
    match of:
        case inspect.StructType(fields=fields):
            for one in fields:
                where = f"{path}.{one.encode_name}"
                found |= _struct_defaults(one.type, where)
                default = one.default
                limits = isinstance(default, QuotaLimits) and msgspec.to_builtins(default)
                if (
                    isinstance(default, Enum | bool)
                    or (isinstance(default, tuple | str) and default)
                    or limits
                ):
                    found[where] = msgspec.to_builtins(default, order="deterministic")
        case inspect.UnionType(types=types):
            for member in types:
                found |= _struct_defaults(member, path)
        case inspect.VarTupleType(item_type=item):
            found |= _struct_defaults(item, f"{path}[]")
    return {where: list(value) if isinstance(value, tuple) else value for where, value in found.items()}


def _schema_defaults(of: Schema, path: str) -> dict[str, object]:
    """Return all defaults of a schema by path."""
    found: dict[str, object] = {path: of["default"]} if "default" in of else {}
    for name, one in of.get("properties", {}).items():
        found |= _schema_defaults(one, f"{path}.{name}")
    if "items" in of:
        found |= _schema_defaults(of["items"], f"{path}[]")
    return found


def _version(plural: str) -> Schema:
    """Return the one version of a CRD."""
    manifest = yaml.safe_load((CRDS / f"{plural}.yaml").read_bytes())
    (version,) = manifest["spec"]["versions"]
    assert f"{manifest['spec']['group']}/{version['name']}" == API_VERSION
    assert manifest["metadata"]["name"] == f"{plural}.{manifest['spec']['group']}"
    found: Schema = version
    return found


KINDS = pytest.mark.parametrize(
    ("plural", "part", "struct"),
    [
        ("workflowquotas", "spec", WorkflowQuotaSpec),
        ("clusterworkflowquotas", "spec", ClusterWorkflowQuotaSpec),
        ("synchronizationpolicies", "spec", SynchronizationPolicySpec),
        ("clustersynchronizationpolicies", "spec", ClusterSynchronizationPolicySpec),
        ("quotaledgers", "status", LedgerStatus),
    ],
)


@KINDS
def test_every_field_of_the_struct_is_in_the_crd_and_the_other_way_round(
    plural: str, part: str, struct: type[msgspec.Struct]
) -> None:
    """Names, types, the words of enums, and which fields are required."""
    schema = _version(plural)["schema"]["openAPIV3Schema"]["properties"][part]
    assert _schema_shape(schema) == _struct_shape(inspect.type_info(struct))


@KINDS
def test_the_crd_fills_in_what_the_struct_does(plural: str, part: str, struct: type[msgspec.Struct]) -> None:
    """So `kubectl get -o yaml` shows what holds, and a file means the same with and without a cluster."""
    schema = _version(plural)["schema"]["openAPIV3Schema"]["properties"][part]
    assert _schema_defaults(schema, part) == _struct_defaults(inspect.type_info(struct), part)


@KINDS
def test_the_status_of_a_policy_is_written_apart_and_that_of_a_ledger_is_not(
    plural: str, part: str, struct: type[msgspec.Struct]
) -> None:
    """A ledger and its first reservation are one write; an author cannot set a policy's status."""
    assert issubclass(struct, msgspec.Struct)
    assert ("status" in _version(plural).get("subresources", {})) == (part == "spec")
