"""Workflows that others own: the child of one that runs, and runs of a schedule as Argo makes them."""

import json
from typing import Final

from policy.cluster.errors import NotFound
from policy.cluster.memory.patching import merge
from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS, Resource
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from tests.e2e.argo.installing import ACCOUNT
from tests.e2e.charted import GOVERNED
from tests.e2e.creating import workflow
from tests.e2e.installed import Installed
from tests.e2e.product import until
from tests.policy.core.builders import texts

SCHEDULE: Final = "nightly"
ADMINISTRATORS: Final = "--as-group=system:masters"


def relate(installed: Installed, parent: str, namespace: str = GOVERNED) -> None:
    """Create a child of a Workflow, and two runs of a schedule that replaces; nothing of it is left.

    The namespace is to be full, so that runs wait.
    """
    owned(installed, "child", owner(installed, WORKFLOWS, parent, namespace), namespace)
    schedule(installed, "Replace", namespace)
    for number in (1, 2):
        run(installed, number, namespace)
    until(lambda: not exists(installed, f"{SCHEDULE}-1", namespace), "a run that was replaced still waits")
    assert exists(installed, f"{SCHEDULE}-2", namespace)
    for name in ("child", f"{SCHEDULE}-2"):
        installed.cluster.delete(WORKFLOWS, name, namespace=namespace)
    installed.cluster.delete(CRON_WORKFLOWS, SCHEDULE, namespace=namespace)


def schedule(installed: Installed, policy: str, namespace: str) -> None:
    """Create the CronWorkflow; nobody runs it here."""
    spec: JsonObject = {
        "schedules": ["0 0 1 1 *"],
        "concurrencyPolicy": policy,
        "workflowSpec": workflow("any")["spec"],
    }
    obj: JsonObject = {
        "apiVersion": CRON_WORKFLOWS.api_version,
        "kind": CRON_WORKFLOWS.kind,
        "metadata": {"name": SCHEDULE},
        "spec": spec,
    }
    installed.cluster.create(CRON_WORKFLOWS, obj, namespace=namespace)


def run(installed: Installed, number: int, namespace: str) -> str:
    """Start a run of the schedule as Argo's controller does; returns what kubectl has against it."""
    return owned(
        installed,
        f"{SCHEDULE}-{number}",
        owner(installed, CRON_WORKFLOWS, SCHEDULE, namespace),
        namespace,
        f"--as={ACCOUNT}",
        ADMINISTRATORS,
    )


def owner(installed: Installed, resource: Resource, name: str, namespace: str) -> JsonObject:
    """Return the reference to an object that owns another."""
    metadata = texts(installed.cluster.get(resource, name, namespace=namespace), "metadata")
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": name,
        "uid": metadata["uid"],
        "controller": True,
    }


def owned(
    installed: Installed,
    name: str,
    reference: JsonObject,
    namespace: str,
    *who: str,
    parallelism: int | None = None,
) -> str:
    """Create a Workflow that has an owner; returns what kubectl has against it."""
    metadata: JsonObject = {"name": name, "ownerReferences": [reference]}
    if reference["kind"] == CRON_WORKFLOWS.kind:
        metadata["labels"] = {well_known.CRON_WORKFLOW: reference["name"]}
        metadata["annotations"] = {well_known.SCHEDULED_TIME: f"2026-03-01T12:0{name[-1]}:00Z"}
    obj = merge({**workflow(name), "metadata": metadata}, {"spec": {"parallelism": parallelism}})
    done = installed.site.kubectl.run("create", "-n", namespace, "-f", "-", *who, text=json.dumps(obj))
    return done.stderr if done.returncode else ""


def exists(installed: Installed, name: str, namespace: str) -> bool:
    """Tell whether a Workflow is there."""
    try:
        installed.cluster.get(WORKFLOWS, name, namespace=namespace)
    except NotFound:
        return False
    return True
