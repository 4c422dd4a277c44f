"""Sends a Workflow through the webhooks as one user or another, stores it, and prints what became of it."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lockkeeper.embedded.api_server import AdmissionFailed, Admitted, ApiServer
from lockkeeper.embedded.event_printer import EventPrinter
from lockkeeper.kube_api.answers import RequestRefused
from lockkeeper.kube_api.object_rules import check_fields
from lockkeeper.kube_api.served_kinds import kind_of
from lockkeeper.simulated_argo.cron import Submitted
from policy.cluster.errors import AlreadyExists, ClusterError
from policy.cluster.protocol import WORKFLOWS
from policy.core.objects.json_parts import metadata_of
from policy.core.objects.json_patch import JsonObject, JsonValue

_TEMPLATE: Final = re.compile(r"/spec/templates/(\d+)(?:/.*)?/synchronization(?:/\w+(?:/-)?)?")


class Submitter(msgspec.Struct, frozen=True, kw_only=True):
    """Sends Workflows over one connection, for one thread."""

    api_server: ApiServer
    printer: EventPrinter

    def submit(self, obj: JsonObject, namespace: str, user: str) -> Submitted:
        """Send a Workflow; what is wrong with it is printed."""
        name = name_of(obj)
        try:
            check_fields(obj, kind_of(WORKFLOWS))
            admitted = self.api_server.create(obj, namespace=namespace, user=user)
        except AlreadyExists as error:
            self.printer.line(namespace, name, f"failed: {error}")
            return Submitted(failure=str(error))
        except (RequestRefused, AdmissionFailed, ClusterError) as error:
            self.printer.line(namespace, name, f"failed: {error}")
            return Submitted(refusal=str(error), failure=str(error))
        self.printer.warned(namespace, name, admitted.warnings)
        if admitted.stored is None:
            self.printer.denied(namespace, name, admitted.denial)
            return Submitted(refusal=admitted.denial)
        return Submitted(uid=self.printer.created(admitted.stored, injected_locks(obj, admitted)))


def name_of(obj: JsonObject) -> str:
    """Return the name of an object, or what its name will begin with."""
    named = metadata_of(obj)
    return str(named.get("name") or named.get("generateName") or "")


def injected_locks(original: JsonObject, admitted: Admitted) -> list[str]:
    """Return `lock NAME on TEMPLATE` for every lock that the patch adds."""
    found = []
    for operation in admitted.patch:
        match = _TEMPLATE.fullmatch(str(operation.get("path")))
        if match:
            template = _template_name(original, int(match[1]))
            found += [f"lock {name} on {template}" for name in lock_names(operation.get("value"))]
    return found


def added_locks(given: JsonObject, stored: JsonObject) -> list[str]:
    """Return `lock NAME on TEMPLATE` for every lock that an object has as it is stored, and had not."""
    before = dict(_template_locks(given))
    return [
        f"lock {lock} on {template}"
        for template, locks in _template_locks(stored)
        for lock in locks
        if lock not in before.get(template, ())
    ]


def _template_locks(obj: JsonObject) -> Iterator[tuple[str, list[str]]]:
    """Yield the locks of each template by its name."""
    spec = obj.get("spec")
    templates = spec.get("templates") if isinstance(spec, dict) else None
    for each in templates if isinstance(templates, list) else ():
        if isinstance(each, dict):
            yield str(each.get("name")), lock_names(each.get("synchronization"))


def lock_names(value: JsonValue) -> list[str]:
    """Return the short names of all locks in a piece of a `synchronization` block."""
    if isinstance(value, list):
        return [name for each in value for name in lock_names(each)]
    if not isinstance(value, dict):
        return []
    ref = value.get("configMapKeyRef")
    if isinstance(ref, dict):
        return [f"{ref.get('name')}/{ref.get('key')}"]
    if isinstance(value.get("name"), str):
        return [f"mutex {value['name']}"]
    return [name for each in value.values() for name in lock_names(each)]


def _template_name(original: JsonObject, index: int) -> str:
    spec = original.get("spec")
    templates: Sequence[JsonValue] = []
    if isinstance(spec, dict) and isinstance(spec.get("templates"), list):
        templates = spec["templates"]  # type: ignore[assignment]
    template = templates[index] if index < len(templates) else None
    return str(template.get("name")) if isinstance(template, dict) else f"templates[{index}]"
