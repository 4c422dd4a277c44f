"""The JSON schema of test files, made of the structs that read them."""

from typing import Final

import msgspec

from lockkeeper.policy_tests.case_format import DESCRIPTIONS, PolicyTestFile
from policy.core.objects.json_patch import JsonObject

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TITLE: Final = "Tests of Lockkeeper policies"


def schema_of_test_files() -> JsonObject:
    """Return the schema, with a description of every field."""
    root: JsonObject = msgspec.json.schema(PolicyTestFile)
    definitions = root.get("$defs")
    if not isinstance(definitions, dict):
        raise TypeError("a schema of structs has definitions")
    for struct, texts in DESCRIPTIONS.items():
        definition = definitions[struct.__name__]
        properties = definition.get("properties") if isinstance(definition, dict) else None
        if not isinstance(properties, dict):
            raise TypeError(f"{struct.__name__} has no properties")
        for field in msgspec.structs.fields(struct):
            described = properties[field.encode_name]
            if isinstance(described, dict):
                properties[field.encode_name] = {**described, "description": texts[field.name]}
    return {"$schema": _DIALECT, "title": _TITLE, **root}
