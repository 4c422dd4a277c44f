"""Kueue's baseline scenario, said in our terms: who creates which Workflows when, under which quotas.

Kueue measures itself with 30 queues in 5 cohorts and 15,000 Workloads. Here a cohort is a pool, a queue a
member of it with a share of 20 tasks that may borrow 100 more, and a Workload a Workflow whose tasks are its
weight. Kueue ends some for others (preemption); nothing that runs is ended here.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, WORKFLOWS
from policy.core.objects.json_patch import JsonObject

POOLS: Final = 5
QUEUES: Final = 6
"""Namespaces of a pool."""
SHARE: Final = 20
BORROWING: Final = 100
POOL_LABEL: Final = "pool"


class WorkClass(msgspec.Struct, frozen=True):
    """One class of the scenario: how many of it a queue gets, one every `pace` seconds, and what each is."""

    name: str
    count: int
    pace: float
    tasks: int
    priority: int
    seconds: float


CLASSES: Final = (
    WorkClass("small", 350, 0.1, tasks=1, priority=50, seconds=0.2),
    WorkClass("medium", 100, 0.5, tasks=5, priority=100, seconds=0.5),
    WorkClass("large", 50, 1.2, tasks=20, priority=200, seconds=1.0),
)


class Arrival(msgspec.Struct, frozen=True, order=True):
    """One Workflow: when it is created, in seconds from the start."""

    due: float
    namespace: str
    name: str
    of: str

    def draft(self) -> JsonObject:
        """Return the Workflow as its author writes it."""
        found = CLASS_OF[self.of]
        template: JsonObject = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}
        return {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "entrypoint": "main",
                "parallelism": found.tasks,
                "priority": found.priority,
                "templates": [template],
            },
        }


CLASS_OF: Final = {each.name: each for each in CLASSES}


def pool_name(number: int) -> str:
    """Return the name of a pool."""
    return f"cohort-{number}"


def namespaces() -> Iterator[JsonObject]:
    """Yield the namespaces, each with the label of its pool."""
    for pool in range(POOLS):
        for queue in range(QUEUES):
            name, labels = namespace_name(pool, queue), {POOL_LABEL: pool_name(pool)}
            yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**labels}}}


def namespace_name(pool: int, queue: int) -> str:
    """Return the name of a namespace; up to the last dash it is that of its pool."""
    return f"{pool_name(pool)}-{queue}"


def pools() -> Iterator[JsonObject]:
    """Yield the quotas: of all members together what their shares are together."""
    for pool in range(POOLS):
        name = pool_name(pool)
        yield {
            "apiVersion": CLUSTER_WORKFLOW_QUOTAS.api_version,
            "kind": CLUSTER_WORKFLOW_QUOTAS.kind,
            "metadata": {"name": name},
            "spec": {
                "namespaceSelector": {"matchLabels": {POOL_LABEL: name}},
                "limits": {"tasks": SHARE * QUEUES},
                "namespaceDefaults": {"limits": {"tasks": SHARE}},
                "borrowing": {"borrowingLimit": {"tasks": BORROWING}},
            },
        }


def arrivals(scale: float) -> list[Arrival]:
    """Return all Workflows in the order in which they are created; `scale` is the part of them that is."""
    found = []
    for pool in range(POOLS):
        for queue in range(QUEUES):
            for each in CLASSES:
                for number in range(max(1, round(each.count * scale))):
                    name, due = f"{each.name}-{number:03d}", (number + 1) * each.pace
                    found.append(Arrival(due, namespace_name(pool, queue), name, each.name))
    return sorted(found)
