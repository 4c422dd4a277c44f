"""What the tests' policies should make of a Workflow, worked out from them and not with our code."""

import copy
import fnmatch
import json
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tests.webhook.oracle import Json
from tests.webhook.reviews import NAMESPACE, lock_policy, quota

DEFAULT_TASKS: Final = 5
GREETING: Final[Json] = {"semaphore": {"configMap": "my-locks", "key": "greeting"}}
OUTSIDE: Final[Json] = {"semaphore": {"configMap": "my-locks", "key": "outside"}}
RULES: Final[tuple[Json, ...]] = (
    {"name": "greeters", "templates": {"names": ["hello-*", "print-*"]}, "lock": GREETING},
    {"name": "images", "templates": {"images": ["alpine*", "*/argosay:v?"]}, "lock": {"database": "shared"}},
    {"name": "scripts", "templates": {"types": ["script"]}, "lock": {"mutex": "scripts"}},
    {
        "name": "outside",
        "templates": {"types": ["http", "resource", "plugin", "data", "containerSet"]},
        "lock": OUTSIDE,
    },
    {"name": "labels", "templates": {"labels": {"app": "print-message"}}, "lock": {"mutex": "labelled"}},
    {"name": "suspended", "templates": {"types": ["suspend"]}, "lock": {"mutex": "suspended"}},
    {
        "name": "calls",
        "templates": {"names": ["diamond", "main"], "types": ["dag"]},
        "lock": {"mutex": "dags"},
    },
    # The examples of mutexes hold this one themselves, on the template or for the whole Workflow.
    {"name": "own", "templates": {"names": ["acquire-lock", "hello-world"]}, "lock": {"mutex": "test"}},
)
DEFINED: Final[tuple[Json, ...]] = (
    {"configMap": "my-locks", "key": "greeting", "limit": 3},
    {"configMap": "my-locks", "key": "outside", "limit": 1},
)
OF_THE_EXAMPLES: Final[tuple[Json, ...]] = (
    {"configMap": "my-config", "key": "workflow", "limit": 3},
    {"configMap": "my-config", "key": "template", "limit": 3},
)
"""The semaphores that the examples use, with the limits that their comments tell the reader to define."""
QUOTAS: Final = (
    quota(
        "Queue",
        name="queue",
        limits={"workflows": 10, "tasks": 900},
        perWorkflow={"defaultTasks": DEFAULT_TASKS},
    )
    + quota("Deny", name="deny", limits={"workflows": 10_000, "tasks": 1_000_000})
    + quota("Warn", name="warn", limits={"workflows": 0})
)
POLICIES: Final = QUOTAS + lock_policy(semaphores=[*DEFINED, *OF_THE_EXAMPLES], inject=list(RULES))
TYPES: Final = (
    "container",
    "script",
    "dag",
    "steps",
    "containerSet",
    "resource",
    "suspend",
    "http",
    "data",
    "plugin",
)
HOLD: Final = ("workflows.argoproj.io/controller-instanceid", "lockkeeper-hold")


class Difference(msgspec.Struct, frozen=True):
    """A place where two JSON values differ, as far down as both have it."""

    path: tuple[str | int, ...]


def differences(before: Any, after: Any, path: tuple[str | int, ...] = ()) -> Iterator[Difference]:
    """Yield the places where two JSON values differ: added, removed or changed."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            if key in before and key in after:
                yield from differences(before[key], after[key], (*path, key))
            else:
                yield Difference((*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) <= len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=False)):
            yield from differences(old, new, (*path, index))
        for index in range(len(before), len(after)):
            yield Difference((*path, index))
    elif type(before) is not type(after) or before != after:
        yield Difference(path)


def bodies(obj: Json) -> Iterator[Json]:
    """Yield every template body of a Workflow, those that stand inline in tasks and steps too."""
    waiting = list(obj["spec"].get("templates") or ())
    while waiting:
        body = waiting.pop()
        yield body
        calls = [
            *((body.get("dag") or {}).get("tasks") or ()),
            *(step for group in body.get("steps") or () for step in group),
        ]
        waiting += [call["inline"] for call in calls if call.get("inline") is not None]


def expected(obj: Json, *, uid: str, user: str) -> Json:
    """Return the Workflow as POLICIES should leave it; the status's message is only its beginning."""
    made = copy.deepcopy(obj)
    labels = made["metadata"].setdefault("labels", {})
    labels |= {HOLD[0]: HOLD[1], "lockkeeper.dev/reservation": uid}
    tasks = made["spec"].setdefault("parallelism", DEFAULT_TASKS)
    made["metadata"].setdefault("annotations", {}).update(
        {
            "lockkeeper.dev/tasks": str(tasks),
            "lockkeeper.dev/priority": str(made["spec"].get("priority", 0)),
            "lockkeeper.dev/user": user,
            "lockkeeper.dev/holds": "1",
        }
    )
    if "generateName" in made["metadata"]:  # The reservation of a quota that denies is bound to it.
        made["metadata"]["name"] = made["metadata"]["generateName"][:51] + uid.replace("-", "")
    made["status"] = {"phase": "Pending", "message": "queued by lockkeeper"}
    above = _held(made["spec"].get("synchronization"))
    noted: dict[str, set[str]] = {}
    for body in bodies(made):
        for rule in RULES:
            field, lock = _as_argo_reads(rule["lock"])
            own = _held(body.get("synchronization"))
            selected = _selects(rule["templates"], body, made["spec"])
            if selected and not body.get("daemon") and _key(field, lock) not in above | own:
                body.setdefault("synchronization", {}).setdefault(field, []).append(lock)
                own.add(_key(field, lock))
            if selected and _key(field, lock) in own:
                noted.setdefault(rule["name"], set()).add(body.get("name", "(inline)"))
    if noted:
        note = "; ".join(f"{rule}: {', '.join(sorted(names))}" for rule, names in sorted(noted.items()))
        made["metadata"]["annotations"]["lockkeeper.dev/injected"] = note
    return made


def _selects(templates: Json, body: Json, spec: Json) -> bool:
    type_ = next((each for each in TYPES if each in body), None)
    if type_ not in templates.get("types", set(TYPES) - {"dag", "steps", "suspend"}):
        return False
    if "names" in templates and not _matches(body.get("name", ""), templates["names"]):
        return False
    containers = [
        body.get("container"),
        body.get("script"),
        *(body.get("containerSet") or {}).get("containers", ()),
        *(body.get("initContainers") or ()),
        *(body.get("sidecars") or ()),
    ]
    images = [each.get("image", "") for each in containers if each is not None]
    if "images" in templates and not any(_matches(image, templates["images"]) for image in images):
        return False
    labels = {
        **spec.get("podMetadata", {}).get("labels", {}),
        **body.get("metadata", {}).get("labels", {}),
    }
    return bool(templates.get("labels", {}).items() <= labels.items())


def _matches(text: str, globs: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, glob) for glob in globs)


def _as_argo_reads(lock: Json) -> tuple[str, Json]:
    if "mutex" in lock:
        return "mutexes", {"name": lock["mutex"]}
    if "database" in lock:
        return "semaphores", {"database": {"key": lock["database"]}}
    reference = {"name": lock["semaphore"]["configMap"], "key": lock["semaphore"]["key"]}
    return "semaphores", {"configMapKeyRef": reference}


def _held(block: Json | None) -> set[str]:
    return {_key(field, lock) for field, locks in (block or {}).items() for lock in locks}


def _key(field: str, lock: Json) -> str:
    namespace = lock.get("namespace", NAMESPACE)
    return json.dumps([field, {**lock, "namespace": namespace}], sort_keys=True)
