"""Kueue's ClusterQueues, LocalQueues and Cohorts as pools of namespaces that lend and borrow tasks."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from lockkeeper.importing.drafts import (
    Draft,
    Drafts,
    NotImported,
    Origin,
    TaskSize,
    by_name,
    draft,
    listed,
    source_of,
)
from lockkeeper.importing.kueue_quantities import GROUPS, Quantities, in_tasks, quantity
from lockkeeper.importing.resource_quotas import default_tasks_origin
from lockkeeper.manifests.manifest import Manifest
from policy.core.objects.json_parts import part
from policy.core.objects.json_patch import JsonObject
from policy.sources.yaml_positions import child

KUEUE_GROUP: Final = "kueue.x-k8s.io"
_MOST_NAMESPACES: Final = 256
_MILLI: Final = 1000
_MEANING: Final = (
    "counts the tasks of all Workflows of its namespaces, by spec.parallelism; Kueue counts the Pods or Jobs "
    "that name a LocalQueue, while they run"
)


class _Queue(msgspec.Struct, frozen=True):
    """A ClusterQueue with the namespaces of its LocalQueues."""

    manifest: Manifest
    namespaces: tuple[str, ...]
    tasks: Quantities | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.manifest.name


class KueueQueues:
    """What was found; `namespaces` are those of all pools, `borrowing` those of pools that lend."""

    def __init__(self, manifests: Sequence[Manifest], size: TaskSize, namespace: str) -> None:
        self._size = size
        self._left_out: list[NotImported] = []
        ours = [each for each in manifests if each.api_version.partition("/")[0] == KUEUE_GROUP]
        self._cohorts = {each.name: each for each in ours if each.kind == "Cohort"}
        names = {each.name for each in ours if each.kind == "ClusterQueue"}
        places = self._places([each for each in ours if each.kind == "LocalQueue"], namespace, names)
        self._pools: dict[str, list[_Queue]] = {}
        for each in sorted((each for each in ours if each.kind == "ClusterQueue"), key=lambda one: one.name):
            queue = _Queue(each, tuple(places.get(each.name, ())), in_tasks(each, size, self._leave_out))
            cohort = part(each.value, "spec", "cohortName") or part(each.value, "spec", "cohort")
            self._pools.setdefault(str(cohort or f"/{each.name}"), []).append(queue)
        self._drafts = [found for name in sorted(self._pools) for found in self._pool(name)]

    def drafts(self) -> Drafts:
        """Return the pools."""
        return Drafts(tuple(self._drafts), tuple(self._left_out))

    def namespaces(self, *, borrowing: bool = False) -> list[str]:
        """Return the namespaces of the pools, or of those that lend and borrow."""
        found: list[str] = []
        for each in self._drafts:
            if borrowing and part(each.policy, "spec", "borrowing") is None:
                continue
            for expression in listed(part(each.policy, "spec", "namespaceSelector", "matchExpressions")):
                values = expression["values"]
                found += map(str, values if isinstance(values, list) else [])
        return sorted(found)

    def _places(
        self, local_queues: Sequence[Manifest], namespace: str, known: set[str]
    ) -> dict[str, list[str]]:
        """Return the namespaces of each ClusterQueue; each namespace is in one."""
        found: dict[str, list[str]] = {}
        first: dict[str, str] = {}
        for each in sorted(local_queues, key=lambda one: (one.namespace, one.name)):
            queue, where = str(part(each.value, "spec", "clusterQueue")), each.namespace_or(namespace)
            if part(each.value, "spec", "stopPolicy") not in (None, "None"):
                message = f"write stopPolicy into a WorkflowQuota of {where}, if it is to hold"
                self._leave_out(each, "spec.stopPolicy", message)
            if queue not in known:
                self._leave_out(each, "spec.clusterQueue", f"there is no ClusterQueue {queue}")
            elif first.setdefault(where, queue) != queue:
                message = f"{where} is in the pool of ClusterQueue {first[where]}, and can be in one only"
                self._leave_out(each, "spec.clusterQueue", message)
            elif where not in found.setdefault(queue, []):
                found[queue].append(where)
        return found

    # One pool.

    def _pool(self, name: str) -> Iterator[Draft]:
        queues = self._pools[name]
        counted = [each for each in queues if each.tasks is not None]
        members = sorted(each for queue in counted for each in queue.namespaces)
        for each in queues:
            self._tell(each)
        if not members or not counted:
            return
        if len(members) > _MOST_NAMESPACES:
            message = (
                f"has {len(members)} namespaces; a selector names {_MOST_NAMESPACES} at most: label them"
            )
            self._leave_out(queues[0].manifest, "spec", message)
            return
        total = sum(each.tasks.nominal for each in counted if each.tasks is not None)
        origins = [Origin("spec.limits.tasks", self._sources(counted), _MEANING)]
        total += self._of_cohort(name, origins)
        default = min(self._size.default, total) or 1
        spec: JsonObject = {
            "namespaceSelector": by_name("In", members),
            "limits": {"tasks": total},
            "perWorkflow": {"defaultTasks": default},
        }
        origins.append(default_tasks_origin("spec.perWorkflow.defaultTasks", default, self._size))
        origins.append(Origin("spec.namespaceSelector", f"LocalQueues in {', '.join(members)}"))
        if not name.startswith("/"):
            spec["borrowing"] = self._borrowing(counted, origins)
        self._weights(counted, spec, origins)
        self._rules(queues, spec, origins)
        yield draft("ClusterWorkflowQuota", f"kueue-{name.lstrip('/')}", spec, *origins)

    def _borrowing(self, queues: Sequence[_Queue], origins: list[Origin]) -> JsonObject:
        shares: JsonObject = {}
        borrowing: JsonObject = {"enabled": True, "shares": shares}
        for queue in queues:
            if queue.tasks is None:
                continue
            for index, namespace in enumerate(queue.namespaces):
                each, left = divmod(queue.tasks.nominal, len(queue.namespaces))
                shares[namespace] = {"tasks": each + (index < left)}
                change = (
                    ""
                    if len(queue.namespaces) == 1
                    else (f"its {len(queue.namespaces)} namespaces have equal shares, and borrow beyond")
                )
                field = child("spec.borrowing.shares", namespace)
                origins.append(Origin(f"{field}.tasks", source_of(queue.manifest, GROUPS), change))
        for field, wanted in (("borrowingLimit", "borrows"), ("lendingLimit", "lends")):
            values = {getattr(each.tasks, wanted) for each in queues}
            if len(values) == 1 and (value := values.pop()) is not None:
                borrowing[field] = {"tasks": value}
                origins.append(Origin(f"spec.borrowing.{field}.tasks", self._sources(queues)))
            elif len(values) > 1:
                message = f"{field} differs between the ClusterQueues, and a pool has one for all members"
                self._leave_out(queues[0].manifest, GROUPS, message)
        return borrowing

    def _weights(self, queues: Sequence[_Queue], spec: JsonObject, origins: list[Origin]) -> None:
        weights: JsonObject = {}
        for queue in queues:
            text = part(queue.manifest.value, "spec", "fairSharing", "weight")
            if text is None:
                continue
            weight = quantity(text)
            if weight is None or weight % _MILLI or not weight:
                self._leave_out(queue.manifest, "spec.fairSharing.weight", "weights are whole numbers from 1")
                continue
            for namespace in queue.namespaces:
                weights[namespace] = weight // _MILLI
                field = child("spec.fairShare.weights", namespace)
                source = source_of(queue.manifest, "spec.fairSharing.weight")
                change = "compares what namespaces used lately, with a half-life of a day"
                origins.append(Origin(field, source, change))
        if weights:
            spec["fairShare"] = {"weights": weights}

    def _rules(self, queues: Sequence[_Queue], spec: JsonObject, origins: list[Origin]) -> None:
        """Take over what all queues of the pool say; the others are told."""
        for field, wanted in (("queueingStrategy", "queue"), ("stopPolicy", "stopPolicy")):
            all_values = {part(each.manifest.value, "spec", field) for each in queues} - {None, "None"}
            values = set(all_values)
            if not values - {"BestEffortFIFO"}:
                continue
            everywhere = all(part(each.manifest.value, "spec", field) in values for each in queues)
            value = values.pop()
            if values or not everywhere:
                message = "is not the same in all ClusterQueues of the pool; write it into a WorkflowQuota"
                given = next(
                    each for each in queues if part(each.manifest.value, "spec", field) in all_values
                )
                self._leave_out(given.manifest, f"spec.{field}", message)
                continue
            spec[wanted] = {"strategy": value} if wanted == "queue" else value
            path = "spec.queue.strategy" if wanted == "queue" else "spec.stopPolicy"
            origins.append(Origin(path, source_of(queues[0].manifest, f"spec.{field}")))

    def _of_cohort(self, name: str, origins: list[Origin]) -> int:
        """Return the tasks that the cohort itself brings."""
        cohort = self._cohorts.get(name)
        if cohort is None:
            return 0
        if part(cohort.value, "spec", "parentName") or part(cohort.value, "spec", "parent"):
            self._leave_out(
                cohort, "spec.parentName", "pools have no pools above them: only this one is known"
            )
        if part(cohort.value, "spec", "fairSharing"):
            self._leave_out(cohort, "spec.fairSharing", "there is no pool above it to share with")
        found = (
            in_tasks(cohort, self._size, self._leave_out)
            if part(cohort.value, "spec", "resourceGroups")
            else None
        )
        if found is None or not found.nominal:
            return 0
        origins.append(Origin("spec.limits", source_of(cohort, GROUPS), "lent to all members"))
        return found.nominal

    def _tell(self, queue: _Queue) -> None:
        """Tell of what no pool says."""
        value = queue.manifest.value
        if not queue.namespaces:
            self._leave_out(queue.manifest, "spec", "no LocalQueue names it, so it has no namespace here")
        within = part(value, "spec", "preemption", "withinClusterQueue")
        reclaim = part(value, "spec", "preemption", "reclaimWithinCohort")
        if (within, reclaim) not in ((None, None), ("Never", "Never"), ("Never", None), (None, "Never")):
            self._leave_out(queue.manifest, "spec.preemption", "Lockkeeper ends nothing that runs")
        for field in ("admissionChecks", "admissionChecksStrategy"):
            if part(value, "spec", field):
                self._leave_out(queue.manifest, f"spec.{field}", "there are no further checks")

    def _sources(self, queues: Sequence[_Queue]) -> str:
        return ", ".join(source_of(each.manifest, GROUPS) for each in queues)

    def _leave_out(self, manifest: Manifest, field: str, message: str, *, at: str = "") -> None:
        found = NotImported(source_of(manifest, field, at=at), message)
        if found not in self._left_out:
            self._left_out.append(found)
