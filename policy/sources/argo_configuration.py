"""Which settings of Argo's controller decide the task count and the priority of a Workflow.

That is `parallelism` and `priority` of `workflowDefaults`, and whether `workflowRestrictions` let a Workflow
that refers to a template set any. The ConfigMap holds a key for each setting, or one key `config` with all.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import yaml

from policy.core.objects.workflow import ARGO_CONFIG_MAP, DEFAULTS_KEY
from policy.core.policy_kinds.kinds import ConfigMap

_WORKFLOW_DEFAULTS: Final = "workflowDefaults"
_RESTRICTIONS: Final = "workflowRestrictions"
_CONFIG: Final = "config"
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
    text = msgspec.json.encode(read).decode()
    return msgspec.structs.replace(config_map, data={**config_map.data, DEFAULTS_KEY: text})


def _setting(
    name: str, data: Mapping[str, str], settings: Mapping[object, object]
) -> Mapping[object, object]:
    """Return a setting; where it cannot be read Argo itself would not start."""
    return _map(data.get(name, "")) or _part(settings, name)


def _part(whole: Mapping[object, object], name: str) -> Mapping[object, object]:
    found = whole.get(name)
    return found if isinstance(found, dict) else {}


def _map(text: str) -> Mapping[object, object]:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
