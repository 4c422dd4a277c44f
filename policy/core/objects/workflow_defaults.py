"""The defaults that Argo's controller gives a Workflow, as far as they decide its tasks and its priority."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from policy.core.values.prepared import prepare

ARGO_CONFIG_MAP: Final = "workflow-controller-configmap"
DEFAULTS_KEY: Final = "lockkeeper.dev/workflow-defaults"
"""Where `sources.argo_configuration` puts them beside the ConfigMap's own keys, which have no slash."""
_ACCOUNT_PARTS: Final = 4


class WorkflowDefaults(msgspec.Struct, frozen=True):
    """`spec.parallelism` and `spec.priority` of a Workflow that has none itself, nor by its template.

    `references_only` means that Argo runs no Workflow but by a reference to a template, and lets it set
    neither (`workflowRestrictions.templateReferencing` is Strict or Secure).
    """

    parallelism: int | None = None
    priority: int | None = None
    references_only: bool = False


prepare(WorkflowDefaults)
NO_DEFAULTS: Final = WorkflowDefaults()


def defaults_in(
    config_maps: Mapping[tuple[str, str], Mapping[str, str]], controllers: Iterable[str]
) -> WorkflowDefaults:
    """Return the defaults of Argo's controller: those of the ConfigMap in the namespace of its account."""
    for address in config_maps_of(controllers):
        text = config_maps.get(address, {}).get(DEFAULTS_KEY)
        if text is not None:
            return msgspec.json.decode(text, type=WorkflowDefaults)
    return NO_DEFAULTS


def config_maps_of(controllers: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the namespaces and names of the ConfigMaps that Argo's controllers read, by their accounts."""
    accounts = (user.split(":") for user in sorted(controllers))  # system:serviceaccount:NAMESPACE:NAME
    return tuple((parts[2], ARGO_CONFIG_MAP) for parts in accounts if len(parts) == _ACCOUNT_PARTS)
