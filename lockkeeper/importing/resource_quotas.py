"""ResourceQuotas as quotas: Workflows, Pods, and requests where the size of a task is known."""

from collections.abc import Iterator, Sequence
from typing import Final

from lockkeeper.importing.drafts import Draft, Drafts, NotImported, Origin, TaskSize, draft, source_of
from lockkeeper.manifests.manifest import Manifest
from policy.core.objects.json_parts import map_at, part
from policy.core.objects.json_patch import JsonObject
from policy.core.quota.node_capacity import millicores
from policy.sources.yaml_positions import child

_WORKFLOWS: Final = "count/workflows.argoproj.io"
_PODS: Final = ("pods", "count/pods")
_MILLI: Final = 1000
_REQUESTS: Final = "requests."
_ABOUT_PODS: Final = ("requests.", "limits.", "cpu", "memory", "ephemeral-storage", "hugepages-")
_RUNNING: Final = (
    "counts Workflows that run, and no finished ones; refused as before while there are as many (Queue would "
    "let them wait)"
)


def quota_drafts(
    manifests: Sequence[Manifest], size: TaskSize, namespace: str, borrowing: Sequence[str]
) -> Drafts:
    """Return a quota for each ResourceQuota that counts Workflows or what they are made of."""
    found = Drafts()
    for each in manifests:
        if each.kind == "ResourceQuota":
            where = each.namespace_or(namespace)
            found = found.joined(_Quota(each, size, where, lends=where in borrowing).drafts())
    return found


class _Quota:
    """One ResourceQuota."""

    def __init__(self, manifest: Manifest, size: TaskSize, namespace: str, *, lends: bool) -> None:
        self._manifest = manifest
        self._size = size
        self._namespace = namespace
        self._lends = lends
        self._hard = {key: str(value) for key, value in map_at(manifest.value, "spec", "hard").items()}
        self._left_out: list[NotImported] = []

    def drafts(self) -> Drafts:
        """Return the quota, if anything of it can be said."""
        scoped = part(self._manifest.value, "spec", "scopes") or part(
            self._manifest.value, "spec", "scopeSelector"
        )
        if scoped:
            self._leave_out("spec.scopes", "it counts some Pods only, and a quota counts all tasks")
            return Drafts((), tuple(self._left_out))
        drafts = tuple(self._draft())
        return Drafts(drafts, tuple(self._left_out))

    def _draft(self) -> Iterator[Draft]:
        limits: JsonObject = {}
        spec: JsonObject = {"limits": limits}
        origins: list[Origin] = []
        if _WORKFLOWS in self._hard and (count := self._count(_WORKFLOWS)) is not None:
            limits["workflows"] = count
            origins.append(Origin("spec.limits.workflows", self._source(_WORKFLOWS), _RUNNING))
        tasks = [] if self._lends else list(self._tasks())
        if self._lends and self._about_pods():
            self._leave_out("spec.hard", "its tasks are bounded by the pool of Kueue's limits already")
        if tasks:
            least, key, change = min(tasks)
            limits["tasks"] = least
            default = min(self._size.default, least) or 1
            spec["perWorkflow"] = {"defaultTasks": default}
            origins.append(Origin("spec.limits.tasks", self._source(key), change))
            origins.append(default_tasks_origin("spec.perWorkflow.defaultTasks", default, self._size))
        if origins:
            spec["onExceed"] = "Queue" if self._lends or "workflows" not in limits else "Deny"
            name = f"resourcequota-{self._manifest.name}"
            yield draft("WorkflowQuota", name, spec, *origins, namespace=self._namespace)

    def _tasks(self) -> Iterator[tuple[int, str, str]]:
        """Yield what bounds tasks: the number, the key, and what it means here."""
        for key in self._hard:
            if key in _PODS:
                count = self._count(key)
                change = "counts tasks (spec.parallelism), and no Pods of others in the namespace"
                if count is not None:
                    yield count, key, change
            elif key.startswith(_ABOUT_PODS):
                yield from self._requests(key)

    def _requests(self, key: str) -> Iterator[tuple[int, str, str]]:
        resource = key.removeprefix(_REQUESTS)
        unit = self._size.unit(resource)
        if unit is None or key.startswith("limits."):
            self._leave_out(child("spec.hard", key), not_sized(resource))
            return
        try:
            total = millicores(self._hard[key])
        except ValueError:
            self._leave_out(child("spec.hard", key), f"{self._hard[key]!r} is no quantity")
            return
        yield total // unit, key, f"counts tasks, each as {self._size.requests[resource]} of {resource}"

    def _count(self, key: str) -> int | None:
        try:
            return millicores(self._hard[key]) // _MILLI
        except ValueError:
            self._leave_out(child("spec.hard", key), f"{self._hard[key]!r} is no quantity")
            return None

    def _about_pods(self) -> bool:
        return any(key in _PODS or key.startswith(_ABOUT_PODS) for key in self._hard)

    def _source(self, key: str) -> str:
        return source_of(self._manifest, child("spec.hard", key))

    def _leave_out(self, field: str, message: str) -> None:
        self._left_out.append(NotImported(source_of(self._manifest, field), message))


def default_tasks_origin(field: str, default: int, size: TaskSize) -> Origin:
    """Return where the number of tasks of a Workflow comes from that says none."""
    change = (
        f"a Workflow without spec.parallelism gets {default}, and waits for as many tasks; without it such a "
        "Workflow would be refused, since nothing says how much it needs"
    )
    return Origin(field, size.default_source, change)


def not_sized(resource: str) -> str:
    """Return why a quantity is left out."""
    option = {"cpu": "--task-cpu", "memory": "--task-memory"}.get(resource)
    if option is None:
        return "quotas count Workflows and tasks, and not this; keep it where it is"
    return f"quotas count tasks: say with {option} what one task requests, or keep it where it is"
