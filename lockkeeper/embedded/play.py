"""Plays a folder of Workflows through the webhooks, one after another, as users would create them."""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from lockkeeper.embedded.api_server import USER, AdmissionFailed, Admitted, ApiServer
from lockkeeper.embedded.event_printer import EventPrinter
from lockkeeper.manifests.reading import read_manifests
from policy.cluster.errors import ClusterError
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE

_SETTLE_SECONDS: Final = 2.0
"""How long to wait for the controller's decision on a new Workflow before the next is created anyway."""
_QUIET_SECONDS: Final = 10.0
"""After so long without any event, or the time of two tasks, the play is over: what waits can never run."""
_TEMPLATE: Final = re.compile(r"/spec/templates/(\d+)(?:/.*)?/synchronization(?:/\w+(?:/-)?)?")


def play(
    folder: Path,
    api_server: ApiServer,
    printer: EventPrinter,
    *,
    task_time: timedelta = timedelta(),
    namespace: str = DEFAULT_NAMESPACE,
) -> list[str]:
    """Create every Workflow of the folder, in the order of file names, and wait until all have run.

    Returns what went wrong, a line each; decisions are none of it.
    """
    failures = []
    for manifest in read_manifests(folder):
        if manifest.kind != "Workflow":
            continue
        where = manifest.namespace or namespace
        try:
            uid = _create(manifest.value, where, USER, api_server, printer)
        except (AdmissionFailed, ClusterError) as error:
            failures.append(f"{manifest.file}: {error}")
            printer.line(where, manifest.name, f"failed: {error}")
            continue
        if uid:
            printer.settled(uid, _SETTLE_SECONDS)
    printer.finished(max(_QUIET_SECONDS, 2 * task_time.total_seconds()))
    api_server.close()
    return failures


def create_child(
    obj: JsonObject, namespace: str, user: str, api_server: ApiServer, printer: EventPrinter
) -> str:
    """Create what a resource template makes, as the account of its Pod; returns its uid, "" if refused."""
    try:
        return _create(obj, namespace, user, api_server, printer)
    except (AdmissionFailed, ClusterError) as error:
        printer.line(namespace, _name_of(obj), f"failed: {error}")
        return ""


def _create(obj: JsonObject, namespace: str, user: str, api_server: ApiServer, printer: EventPrinter) -> str:
    """Create a Workflow; returns its uid, "" if refused. Raises AdmissionFailed, ClusterError."""
    admitted = api_server.create(obj, namespace=namespace, user=user)
    if admitted.stored is None:
        printer.denied(namespace, _name_of(obj), admitted.denial)
        return ""
    return printer.created(admitted.stored, injected_locks(obj, admitted))


def _name_of(obj: JsonObject) -> str:
    metadata = obj.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
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
