"""Which settings of Argo's controller decide task count and priority of a Workflow, and its own limits.

That is `parallelism` and `priority` of `workflowDefaults`, and whether `workflowRestrictions` let a Workflow
that refers to a template set any; and `parallelism` and `namespaceParallelism` of the controller, which bound
the Workflows that it runs at once. The ConfigMap holds a key for each setting, or one key `config` with all.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from policy.core.objects.workflow import ARGO_CONFIG_MAP, DEFAULTS_KEY
from policy.core.policy_kinds.kinds import ConfigMap
from policy.sources.yaml_positions import Json, parse

_WORKFLOW_DEFAULTS: Final = "workflowDefaults"
_RESTRICTIONS: Final = "workflowRestrictions"
_CONFIG: Final = "config"
_LIMITS: Final = {"most": "parallelism", "most_in_namespace": "namespaceParallelism"}
_RESTRICTED: Final = ("Strict", "Secure")
"""Values of `templateReferencing` that Argo knows; any other means none."""


def with_defaults(config_map: ConfigMap) -> ConfigMap:
    """Return Argo's ConfigMap with the defaults that Lockkeeper reads of it; others as they are."""
    if config_map.metadata.name != ARGO_CONFIG_MAP:
        return config_map
    settings = _map(config_map.data.get(_CONFIG, ""))
    spec = _part(_setting(_WORKFLOW_DEFAULTS, config_map.data, settings), "spec")
    read: dict[str, object] = {
        key: spec[key] for key in ("parallelism", "priority") if type(spec.get(key)) is int
    }
    if _setting(_RESTRICTIONS, config_map.data, settings).get("templateReferencing") in _RESTRICTED:
        read["references_only"] = True
    for field, name in _LIMITS.items():
        number = _value(config_map.data.get(name, ""))
        number = settings.get(name) if number is None else number
        if type(number) is int and number > 0:  # Argo takes 0 for no limit.
            read[field] = number
    text = msgspec.json.encode(read).decode()
    return msgspec.structs.replace(config_map, data={**config_map.data, DEFAULTS_KEY: text})


def _setting(name: str, data: Mapping[str, str], settings: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return a setting; where it cannot be read Argo itself would not start."""
    return _map(data.get(name, "")) or _part(settings, name)


def _part(whole: Mapping[str, Json], name: str) -> Mapping[str, Json]:
    found = whole.get(name)
    return found if isinstance(found, dict) else {}


def _map(text: str) -> Mapping[str, Json]:
    found = _value(text)
    return found if isinstance(found, dict) else {}


def _value(text: str) -> Json:
    parsed = parse(text.encode())
    return parsed.documents[0].value if parsed.documents and parsed.fault is None else None
