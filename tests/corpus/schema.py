"""Argo's CRDs as JSON schemas that refuse what the API server would prune, so that a lost field shows."""

from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import yaml

from tests.webhook.oracle import Json

_KEPT: Final = (
    "type",
    "required",
    "pattern",
    "enum",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
)
_BOUNDS: Final = {"int32": 2**31, "int64": 2**63}
_LABEL_VALUE: Final = "^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$"
_NAME: Final = "^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_OBJECT_META: Final[Json] = {
    "type": "object",
    "properties": {
        "labels": {
            "type": "object",
            "propertyNames": {"pattern": _NAME},
            "additionalProperties": {"type": "string", "pattern": _LABEL_VALUE},
        },
        "annotations": {
            "type": "object",
            "propertyNames": {"pattern": _NAME},
            "additionalProperties": {"type": "string"},
        },
    },
}
"""What apimachinery asks of labels and annotations; CRDs say nothing about metadata."""


class Crd:
    """The v1alpha1 schema of a CRD; the fields that the API server itself owns are let through."""

    def __init__(self, file: Path) -> None:
        with file.open("rb") as stream:
            crd = yaml.load(stream, Loader=yaml.CSafeLoader)
        [schema] = [
            version["schema"]["openAPIV3Schema"]
            for version in crd["spec"]["versions"]
            if version["name"] == "v1alpha1"
        ]
        whole = strict(schema)
        whole["properties"]["metadata"] = _OBJECT_META
        self._validator = jsonschema_rs.Draft202012Validator(whole)

    def faults(self, obj: object) -> list[str]:
        """Return what the API server would refuse or drop, each with its path."""
        return [
            f"{'.'.join(map(str, error.instance_path))}: {error.message[:200]}"
            for error in self._validator.iter_errors(obj)
        ]


def strict(schema: Json) -> Json:
    """Return a structural schema as JSON schema 2020-12, closed wherever unknown fields are pruned.

    What only CEL can say (`x-kubernetes-validations`) is left out.
    """
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made: Json = {key: schema[key] for key in _KEPT if key in schema}
    if schema.get("nullable"):
        made["type"] = [schema["type"], "null"]
    bound = _BOUNDS.get(schema.get("format", ""))
    if bound is not None:
        made["minimum"] = max(schema.get("minimum", -bound), -bound)
        made["maximum"] = min(schema.get("maximum", bound - 1), bound - 1)
    if "items" in schema:
        made["items"] = strict(schema["items"])
    if "properties" in schema:
        made["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
    others: Any = schema.get("additionalProperties")
    if isinstance(others, dict):
        made["additionalProperties"] = strict(others)
    elif schema.get("type") == "object" and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made["additionalProperties"] = False
    return made
