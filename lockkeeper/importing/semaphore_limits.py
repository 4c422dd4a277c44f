"""Semaphores that Workflows and templates use, with the limits of their ConfigMaps, as policies."""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final

from lockkeeper.importing.drafts import Draft, Drafts, NotImported, Origin, draft, source_of
from lockkeeper.importing.present_policies import PresentPolicies
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.object_kinds import ARGO_KINDS
from policy.core.objects.json_parts import map_at, part
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.core.objects.well_known import NAMESPACE_NAME
from policy.sources.yaml_positions import child, item

_POLICY: Final = "semaphores"
_NEUTRAL: Final[JsonObject] = {
    "requireDefined": False,
    "crossNamespace": "Allow",
    "allowParameterised": "Allow",
    "deadlocks": "Warn",
    "unknownReferences": "Ignore",
}
"""Nothing is refused that runs now; whoever wants the checks of the defaults removes the lines."""
_OWNED: Final = (
    "the policy now says the limit: Lockkeeper writes it into the ConfigMap, where another owner of the key "
    "keeps it, and the policy's status says so"
)
_RULES: Final = "refuses nothing that runs now; without these lines the defaults of Lockkeeper hold"


def semaphore_drafts(manifests: Sequence[Manifest], namespace: str, present: PresentPolicies) -> Drafts:
    """Return a policy for each namespace whose ConfigMaps are used as semaphores that no policy limits."""
    labels = {each.name: _labels(each) for each in manifests if each.kind == "Namespace"}
    maps = {(each.namespace_or(namespace), each.name): each for each in manifests if each.kind == "ConfigMap"}
    users: dict[tuple[str, str, str], str] = {}
    left_out: list[NotImported] = []
    for each in manifests:
        if each.kind in ARGO_KINDS:
            for reference in _references(each.value, "configMapKeyRef"):
                where = str(reference.get("namespace") or each.namespace_or(namespace))
                ref = reference["configMapKeyRef"]
                if isinstance(ref, dict):
                    address = (where, str(ref.get("name")), str(ref.get("key")))
                    users.setdefault(address, f"{each.kind} {each.namespace_or(namespace)}/{each.name}")
            left_out += _in_databases(each, namespace)
    found: dict[str, list[tuple[JsonObject, str]]] = {}
    for (where, name, key), user in sorted(users.items()):
        config_map = maps.get((where, name))
        value, why = _limit(config_map, name, key)
        named = {NAMESPACE_NAME: where, **labels.get(where, {})}
        if already := present.defined(where, named, name, key):
            value, why = None, already
        if value is None:
            left_out.append(NotImported(f"semaphore {where}/{name}/{key}, used by {user}", why))
        elif config_map is not None:
            definition: JsonObject = {"configMap": name, "key": key, "limit": value}
            source = source_of(config_map, child("data", key))
            found.setdefault(where, []).append((definition, source))
    drafts = tuple(
        _draft(where, entries, _free_name(where, present)) for where, entries in sorted(found.items())
    )
    return Drafts(drafts, tuple(left_out))


def _in_databases(user: Manifest, namespace: str) -> Iterator[NotImported]:
    """Yield the semaphores whose limits no ConfigMap has."""
    for reference in _references(user.value, "database"):
        key = part(reference, "database", "key")
        name = f"{user.kind} {user.namespace_or(namespace)}/{user.name}"
        message = "its limit is in Argo's database, and stays there"
        yield NotImported(f"semaphore {key} of a database, used by {name}", message)


def _labels(manifest: Manifest) -> dict[str, str]:
    return {key: str(value) for key, value in map_at(manifest.value, "metadata", "labels").items()}


def _free_name(namespace: str, present: PresentPolicies) -> str:
    """Return a name that no policy there has: one written over it would take its semaphores away."""
    names = (_POLICY if not number else f"{_POLICY}-{number + 1}" for number in count())
    return next(each for each in names if f"SynchronizationPolicy {namespace}/{each}" not in present.policies)


def _draft(namespace: str, entries: list[tuple[JsonObject, str]], name: str) -> Draft:
    origins = [
        Origin(f"{item('spec.semaphores', index)}.limit", source, _OWNED)
        for index, (_, source) in enumerate(entries)
    ]
    origins.append(Origin("spec.validate", "Argo, which checks none of it", _RULES))
    semaphores: list[JsonValue] = [definition for definition, _ in entries]
    spec: JsonObject = {"semaphores": semaphores, "validate": dict(_NEUTRAL)}
    return draft("SynchronizationPolicy", name, spec, *origins, namespace=namespace)


def _limit(config_map: Manifest | None, name: str, key: str) -> tuple[int | None, str]:
    """Return the limit of a key, or why there is none."""
    if "{{" in name + key:
        return (
            None,
            "its name is known only when a Workflow runs; write a policy for the keys that it can have",
        )
    if config_map is None:
        return None, "its ConfigMap is not among the objects"
    text = part(config_map.value, "data", key)
    if not isinstance(text, str):
        return None, "the ConfigMap has no such key"
    if not (text.strip().isascii() and text.strip().isdigit() and int(text)):
        return None, f"{text!r} is no limit of 1 or more"
    return int(text), ""


def _references(value: JsonValue, where: str, *, inside: bool = False) -> Iterator[JsonObject]:
    """Yield the semaphores of every `synchronization` block whose limits are `where` the name says."""
    if isinstance(value, list):
        for each in value:
            yield from _references(each, where, inside=inside)
    elif isinstance(value, dict):
        if inside and isinstance(value.get(where), dict):
            yield value
        for key, each in value.items():
            yield from _references(each, where, inside=inside or key == "synchronization")
