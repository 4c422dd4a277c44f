"""What the simulated Argo writes of locks into a status, in the fields of Argo's controller."""

from collections.abc import Iterable

from policy.core.lock_model.lock_names import CONFIG_MAP, LockName
from policy.core.objects.json_patch import JsonObject, JsonValue


def lock_status(
    *, workflow: str, whole: Iterable[str], node: str, held: Iterable[str], busy: str, at: str
) -> JsonObject:
    """Return the part of a status: a Workflow (`namespace/name`) holds `whole`, its `node` holds `held`.

    `busy` is the lock that it waits for since `at`, "" where it runs; without a node the Workflow waits.
    """
    holders = dict.fromkeys(whole, workflow) | dict.fromkeys(held, f"{workflow}/{node}")
    semaphores: list[JsonValue] = []
    mutexes: list[JsonValue] = []
    for lock, key in sorted(holders.items()):
        if LockName.parse(lock).kind == CONFIG_MAP:
            semaphores.append({"semaphore": lock, "holders": [key]})
        else:
            mutexes.append({"mutex": lock, "holder": key})
    status: JsonObject = {
        "synchronization": {"semaphore": {"holding": semaphores}, "mutex": {"holding": mutexes}},
        "message": None,
    }
    if node:
        waits: JsonValue = {"waiting": busy} if busy else None
        phase = "Pending" if busy else "Running"
        status["nodes"] = {
            node: {"id": node, "type": "Pod", "phase": phase, "startedAt": at, "synchronizationStatus": waits}
        }
    elif busy:
        status["phase"] = "Pending"
        status["message"] = f"Waiting for {busy} lock. Lock status: 0/1"
    return status


NO_LOCKS: JsonObject = {"synchronization": None, "nodes": None, "message": None}
"""The same part of the status of one that is over."""
