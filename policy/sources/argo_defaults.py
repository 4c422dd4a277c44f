"""What Argo's controller gives every Workflow that says nothing: `workflowDefaults` of its ConfigMap.

Of all that may stand there only `parallelism` and `priority` decide how much a Workflow weighs and when it
goes. The ConfigMap holds a key for each setting, or one key `config` with all of them.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import yaml

from policy.core.argo_defaults import ARGO_CONFIG_MAP, DEFAULTS_KEY
from policy.core.kinds import ConfigMap

WORKFLOW_DEFAULTS: Final = "workflowDefaults"
CONFIG: Final = "config"


def with_defaults(config_map: ConfigMap) -> ConfigMap:
    """Return Argo's ConfigMap with the defaults that Lockkeeper reads beside it; others as they are."""
    if config_map.metadata.name != ARGO_CONFIG_MAP:
        return config_map
    spec = _spec(config_map.data)
    read = {key: spec[key] for key in ("parallelism", "priority") if type(spec.get(key)) is int}
    text = msgspec.json.encode(read).decode()
    return msgspec.structs.replace(config_map, data={**config_map.data, DEFAULTS_KEY: text})


def _spec(data: Mapping[str, str]) -> Mapping[object, object]:
    """Return the spec of the default Workflow; by what cannot be read Argo itself would not start."""
    own = _map(data.get(WORKFLOW_DEFAULTS, ""))
    whole = _map(data.get(CONFIG, "")).get(WORKFLOW_DEFAULTS)
    defaults = own or (whole if isinstance(whole, dict) else {})
    spec = defaults.get("spec")
    return spec if isinstance(spec, dict) else {}


def _map(text: str) -> Mapping[object, object]:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
