"""What becomes of a spec when Argo's controller reads it into its types and writes it back.

Done here: empty objects and the empty container name are added, values of parameters become strings, and the
singular forms of locks are lost. The controller also drops other unknown fields and zero values, and writes
quantities in their shortest form.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Final

from policy.core.objects.json_patch import JsonObject, JsonValue

_LOST: Final = ("semaphore", "mutex")


def reserialised(spec: JsonObject) -> JsonObject:
    """Return a spec as the first PUT of the controller has it; a second time changes nothing."""
    written = deepcopy(spec)
    _arguments(written)
    _locks(written)
    for template in _objects(written.get("templates")):
        _template(template)
    defaults = written.get("templateDefaults")
    if isinstance(defaults, dict):
        _template(defaults)
    for claim in _objects(written.get("volumeClaimTemplates")):
        _fill(claim, "status")
    return written


def _template(template: JsonObject) -> None:
    for name in ("inputs", "outputs", "metadata"):
        _fill(template, name)
    _locks(template)
    for name in ("container", "script"):
        body = template.get(name)
        if isinstance(body, dict):
            body.setdefault("name", "")
            _fill(body, "resources")
    for container in _objects(_within(template, "containerSet", "containers")):
        _fill(container, "resources")
    for call in _calls(template):
        _arguments(call)
        inline = call.get("inline")
        if isinstance(inline, dict):
            _template(inline)


def _calls(template: JsonObject) -> Iterator[JsonObject]:
    """Yield the steps and tasks of a template."""
    yield from _objects(_within(template, "dag", "tasks"))
    steps = template.get("steps")
    for group in steps if isinstance(steps, list) else ():
        yield from _objects(group)


def _arguments(owner: JsonObject) -> None:
    """Fill in arguments, and make the values of its parameters strings."""
    _fill(owner, "arguments")
    for parameter in _objects(_within(owner, "arguments", "parameters")):
        value = parameter.get("value")
        if value is not None and not isinstance(value, str):
            parameter["value"] = json.dumps(value)


def _locks(owner: JsonObject) -> None:
    """Drop the singular forms, of which Argo 4 does not know."""
    block = owner.get("synchronization")
    if isinstance(block, dict):
        for name in _LOST:
            block.pop(name, None)


def _fill(owner: JsonObject, name: str) -> None:
    """Give an object that Go always writes."""
    if owner.get(name) is None:
        owner[name] = {}


def _within(owner: JsonObject, name: str, inner: str) -> JsonValue:
    found = owner.get(name)
    return found.get(inner) if isinstance(found, dict) else None


def _objects(value: JsonValue) -> Iterator[JsonObject]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, dict))
