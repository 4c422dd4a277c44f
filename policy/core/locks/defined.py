"""Whether a semaphore has a limit that Argo can use, and how much of it may be told to whom.

Whoever may create a Workflow can name any key of any ConfigMap, and reads our answer. So nothing is looked up
in namespaces that are closed to him, of those that are open to him only whether Argo would run it, and in his
own no value is shown that is no number.
"""

from collections.abc import Iterator
from typing import Final

from policy.core.decision import Code, Reason
from policy.core.locks.naming import read_limit
from policy.core.locks.rulebook import Rulebook

SHOWN_KEYS: Final = 10


def limit_faults(
    namespace: str, config_map: str, key: str, where: str, rulebook: Rulebook
) -> Iterator[Reason]:
    """Yield that a semaphore is undefined, or has no limit that Argo can use."""
    demanding = next((policy for policy in rulebook.policies if policy.require_defined), None)
    if demanding is None or not namespace:  # A template of the cluster is used in many namespaces.
        return
    own = namespace == rulebook.locks.namespace
    if not own and rulebook.closed_by is not None:
        return  # That the namespace is closed is told already, and nobody looks there.
    definitions = rulebook.locks.definitions
    value = definitions.limit(namespace, config_map, key)
    limit = read_limit(value) if value is not None else None
    if limit is not None and limit >= 1:
        return
    unread = rulebook.lenient or not definitions.extent.reads(namespace, config_map)
    if value is None and unread and not definitions.knows(namespace, config_map):
        return  # It may be there: nobody has looked.
    if not own or rulebook.discreet:
        message = (
            f'semaphore "{key}" of ConfigMap {namespace}/{config_map} is not defined, or no number of 1 or '
            "more; Argo would fail the Workflow. Have it defined there, or use another"
        )
        yield Reason(Code.LOCK_UNDEFINED, f"{where}.key", message, demanding.source)
    elif value is None:
        message = (
            f'semaphore "{key}" is not defined in ConfigMap {namespace}/{config_map}; Argo would fail the '
            f"Workflow. {_advice(config_map, key, rulebook)}"
        )
        yield Reason(Code.LOCK_UNDEFINED, f"{where}.key", message, demanding.source)
    else:
        found = "a value that is no number" if limit is None else f"the number {limit}"
        message = (
            f"ConfigMap {namespace}/{config_map} has {found} for {key}; Argo needs an integer of 1 or more, "
            "digits only. Correct the ConfigMap"
        )
        yield Reason(Code.LOCK_LIMIT, f"{where}.key", message, demanding.source)


def _advice(config_map: str, key: str, rulebook: Rulebook) -> str:
    """Return which key of the own namespace may have been meant, or where to define this one."""
    definitions, namespace = rulebook.locks.definitions, rulebook.locks.namespace
    if (beyond := definitions.extent.beyond_config_maps(namespace)) is not None:
        return f"It may be among those left out: {beyond}. Delete ConfigMaps that nobody needs"
    known = definitions.keys_beside(namespace, config_map)
    near = rulebook.hints.near(config_map, key, known)
    if near:
        return f'did you mean "{near}"?'
    if not known:
        return "Define it there, or in a SynchronizationPolicy under spec.semaphores"
    return f"Known keys: {', '.join(known[:SHOWN_KEYS])}"
