"""Which objects a request is about: the selectors of its query."""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from lockkeeper.kube_api.answers import RequestRefused
from lockkeeper.kube_api.core_events import CORE_EVENTS
from lockkeeper.kube_api.request_paths import ObjectPath
from lockkeeper.kube_api.requests import ApiRequest
from policy.cluster.memory.selector_syntax import parse_selector
from policy.cluster.protocol import EVENTS
from policy.core.objects.json_patch import JsonObject, JsonValue

_TERM: Final = re.compile(r"([^=!]+)(!=|==?)(.*)", re.DOTALL)
_EVERYWHERE: Final = ("metadata.name", "metadata.namespace")
_REGARDING: Final = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_OF_KIND: Final = {
    EVENTS: ("reason", "type", "reportingController", *(f"regarding.{each}" for each in _REGARDING)),
    CORE_EVENTS: ("reason", "type", "reportingComponent", *(f"involvedObject.{each}" for each in _REGARDING)),
}


class Selected(msgspec.Struct, frozen=True):
    """The objects of a list or a watch: by namespace, label selector, name, and a test for the rest."""

    namespace: str
    labels: str
    name: str
    matches: Callable[[JsonObject], bool]
    narrows: bool


def selected(request: ApiRequest, path: ObjectPath) -> Selected:
    """Return which objects are asked for. Raises RequestRefused."""
    labels = request.query.get("labelSelector", "")
    try:
        parse_selector(labels)
    except ValueError as error:
        raise RequestRefused(400, f"unable to parse requirement: {error}") from error
    terms = [_term(each, path) for each in request.query.get("fieldSelector", "").split(",") if each]
    names = [value for field, wanted, value in terms if field == _EVERYWHERE[0] and wanted]

    def matches(obj: JsonObject) -> bool:
        return all((_text(obj, field) == value) is wanted for field, wanted, value in terms)

    return Selected(path.namespace, labels, names[0] if names else "", matches, bool(labels or terms))


def _term(text: str, path: ObjectPath) -> tuple[str, bool, str]:
    """Return one requirement: the field, whether it must be equal, and the value."""
    found = _TERM.fullmatch(text)
    if found is None:
        raise RequestRefused(400, f"invalid selector: '{text}'; can't understand '{text}'")
    field, sign, value = found.groups()
    known = (*_EVERYWHERE, *_OF_KIND.get(path.kind.resource, ()))
    if field not in known:
        listed = ", ".join(f'"{each}"' for each in known)
        built_in = f'"{field}" is not a known field selector: only {listed}'
        raise RequestRefused(400, built_in if path.kind.built_in else f"field label not supported: {field}")
    return field, sign != "!=", value


def _text(obj: JsonObject, field: str) -> str:
    value: JsonValue = obj
    for key in field.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return str(value) if value is not None else ""
