"""What policies ask for, read from them and not with our code: which locks each thing should run under."""

import fnmatch
from collections.abc import Sequence
from typing import Any, Final

from tests.interpreter.running import Call, Json, Wanted, lock_key
from tests.interpreter.values import Env, evaluate

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
NOT_IMPLIED: Final = {"dag", "steps", "suspend"}


def wanted_by(rules: Sequence[Json], spec: Json) -> Wanted:
    """Return the locks that rules want around each template of a Workflow with this spec."""

    def wanted(call: Call, env: Env) -> frozenset[str]:
        found = set()
        for rule in rules:
            if call.caller:
                continue  # Other objects are not edited, and what they call cannot be reached.
            if call.template.get("daemon") or not selects(rule["templates"], call, spec):
                continue
            if holds(rule.get("when"), call, env, spec):
                found.add(lock_key(as_argo_reads(rule["lock"])))
        return frozenset(found)

    return wanted


def holds(when: str | None, call: Call, env: Env, spec: Json) -> bool:
    """Tell whether a condition holds; one that cannot be evaluated does."""
    if when is None:
        return True
    inputs = {each["name"] for each in (call.template.get("inputs") or {}).get("parameters") or ()}
    given = {each["name"] for each in (spec.get("arguments") or {}).get("parameters") or ()}
    for where, names in (("inputs", inputs), ("workflow", given)):
        for part in when.replace("}", " ").replace(")", " ").split():
            prefix = f"{where}.parameters."
            if prefix in part and part.split(prefix)[1] not in names:
                return True
    plain = when.replace("{{", "").replace("}}", "") if "{{" in when else when
    return bool(evaluate(plain, env, bare="{{" in when))


def selects(templates: Json, call: Call, spec: Json) -> bool:
    """Tell whether a rule selects a template in this call."""
    body = call.template
    type_ = next((each for each in TYPES if each in body), None)
    allowed = templates.get("types") or (
        ["resource"] if templates.get("resources") else set(TYPES) - NOT_IMPLIED
    )
    if type_ not in allowed:
        return False
    account = body.get("serviceAccountName") or spec.get("serviceAccountName") or "default"
    labels = (body.get("metadata") or {}).get("labels") or {}
    given = {
        "tasks": [] if call.task is None else [call.task],
        "names": [body.get("name", "")],
        "images": [each.get("image", "") for each in main_containers(body)],
        "serviceAccounts": [account],
        "volumes": claims(body, spec),
    }
    fits = all(
        any(matches(text, templates[part]) for text in texts)
        for part, texts in given.items()
        if part in templates
    )
    return fits and templates.get("labels", {}).items() <= labels.items()


def claims(body: Json, spec: Json) -> list[str]:
    """Return the claims that a template mounts."""
    mounted = {
        mount["name"] for container in main_containers(body) for mount in container.get("volumeMounts") or ()
    }
    volumes = [*(body.get("volumes") or ()), *(spec.get("volumes") or ())]
    return [
        each["persistentVolumeClaim"]["claimName"]
        for each in volumes
        if each["name"] in mounted and "persistentVolumeClaim" in each
    ]


def main_containers(body: Json) -> list[Json]:
    """Return the containers that do a template's work."""
    given = [
        body.get("container"),
        body.get("script"),
        *((body.get("containerSet") or {}).get("containers") or ()),
    ]
    return [each for each in given if each is not None]


def matches(name: str, globs: Sequence[str]) -> bool:
    """Tell whether a text fits one of some globs."""
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def as_argo_reads(lock: Json) -> dict[str, Any]:
    """Return a rule's lock as a template writes it."""
    if "mutex" in lock:
        return {"name": lock["mutex"]}
    if "database" in lock:
        return {"database": {"key": lock["database"]}}
    return {"configMapKeyRef": {"name": lock["semaphore"]["configMap"], "key": lock["semaphore"]["key"]}}
