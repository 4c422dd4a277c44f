"""Plays a folder of Workflows through the webhooks, one after another, as users would create them."""

import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec

from lockkeeper.embedded.api_server import AdmissionFailed, Admitted, ApiServer
from lockkeeper.embedded.narrator import Narrator
from policy.cluster.errors import ClusterError
from policy.core.kinds import DEFAULT_NAMESPACE
from policy.core.patches import JsonObject, JsonValue
from policy.sources.manifests import Manifest, read_manifests

SETTLE_SECONDS: Final = 2.0
"""How long to wait for the controller's word on a new Workflow before the next is created all the same."""
QUIET_SECONDS: Final = 10.0
"""After so long without any event, or the time of two tasks, the play is over: what waits can never run."""
_TEMPLATE: Final = re.compile(r"/spec/templates/(\d+)(?:/.*)?/synchronization(?:/\w+(?:/-)?)?")


class Played(msgspec.Struct, frozen=True):
    """How a play went: everything finished, and nothing that was not a decision went wrong."""

    complete: bool
    failures: tuple[str, ...]


def play(folder: Path, door: ApiServer, narrator: Narrator, *, task_time: timedelta = timedelta()) -> Played:
    """Create every Workflow of the folder, in the order of file names, and wait until all have run."""
    failures = []
    for manifest in read_manifests(folder):
        if manifest.kind != "Workflow":
            continue
        try:
            _create(manifest, door, narrator)
        except (AdmissionFailed, ClusterError) as error:
            failures.append(f"{manifest.file}: {error}")
            narrator.line(manifest.namespace or DEFAULT_NAMESPACE, manifest.name, f"failed: {error}")
    complete = narrator.finished(max(QUIET_SECONDS, 2 * task_time.total_seconds()))
    door.close()
    return Played(complete, tuple(failures))


def _create(manifest: Manifest, door: ApiServer, narrator: Narrator) -> None:
    namespace = manifest.namespace or DEFAULT_NAMESPACE
    admitted = door.create(manifest.value, namespace=namespace)
    if admitted.stored is None:
        narrator.denied(namespace, manifest.name, admitted.denial)
        return
    uid = narrator.created(admitted.stored, injected_locks(manifest.value, admitted))
    narrator.settled(uid, SETTLE_SECONDS)


def create_child(obj: JsonObject, namespace: str, user: str, door: ApiServer, narrator: Narrator) -> str:
    """Create what a resource template makes, as the account of its Pod; returns its uid, "" if refused."""
    metadata = obj.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    name = str(named.get("name") or named.get("generateName") or "")
    try:
        admitted = door.create(obj, namespace=namespace, user=user)
    except (AdmissionFailed, ClusterError) as error:
        narrator.line(namespace, name, f"failed: {error}")
        return ""
    if admitted.stored is None:
        narrator.denied(namespace, name, admitted.denial)
        return ""
    return narrator.created(admitted.stored, injected_locks(obj, admitted))


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
