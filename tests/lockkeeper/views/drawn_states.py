"""States of a cluster that hypothesis draws: pools and quotas of all kinds, and what users did under them."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, TypeAlias

import msgspec
from hypothesis import strategies as st

from policy.cluster.protocol import WORKFLOWS
from policy.core.admission.decide import apply_policies
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Document
from policy.core.policy_kinds.kinds import ClusterWorkflowQuota
from policy.core.values.amounts import Amount, Limits
from policy.service.tracking.tracker import LIVE
from tests.policy.core.builders import namespace_object, quota
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import complete, draft, is_held, name_of, part, patched, review_of

NAMESPACES: Final = ("a", "b", "c", "d")
"""Two members of the pool, one with a quota and in no pool, one without any."""
NODES: Final = Limits(Amount(5), Amount(9))
_SETTLED: Final = timedelta(minutes=1)
"""The leader works out waits and writes past usage once in a while; after this it has."""


class Submitted(msgspec.Struct, frozen=True):
    """Several equal Workflows are created."""

    count: int
    namespace: str
    user: str
    tasks: int | None
    priority: int | None


class Worked(msgspec.Struct, frozen=True):
    """The leader makes a pass."""


class Ended(msgspec.Struct, frozen=True):
    """One of those that run completes."""

    number: int


class Passed(msgspec.Struct, frozen=True):
    """Time passes."""

    seconds: int


Step: TypeAlias = Submitted | Worked | Ended | Passed

_LIMITS: Final = st.fixed_dictionaries(
    {"workflows": st.integers(1, 3)}, optional={"tasks": st.integers(3, 7) | st.just("Unlimited")}
)
_WINDOW: Final = st.fixed_dictionaries(
    {
        "name": st.sampled_from(("day", "night")),
        "schedule": st.sampled_from(("0 6 * * *", "0 22 * * *")),
        "duration": st.just("8h"),
        "limits": _LIMITS | st.just({"workflows": 0}),
    }
)
_QUOTA: Final = st.fixed_dictionaries(
    {"limits": _LIMITS},
    optional={
        "perUser": st.fixed_dictionaries({"workflows": st.integers(1, 2)}),
        "windows": _WINDOW.map(lambda each: [each]),
        "reserve": st.just([{"abovePriority": 3, "workflows": 1}]),
        "stopPolicy": st.sampled_from(("None", "None", "Hold")),
        "onExceed": st.sampled_from(("Queue", "Queue", "Queue", "Warn")),
        "queue": st.fixed_dictionaries({"strategy": st.sampled_from(("StrictFIFO", "BestEffortFIFO"))}),
    },
)
_SHARES: Final = st.fixed_dictionaries(
    {"workflows": st.integers(0, 3)}, optional={"tasks": st.integers(1, 4)}
)
_BORROWING: Final = st.fixed_dictionaries(
    {},
    optional={
        "borrowingLimit": _LIMITS,
        "shares": st.dictionaries(st.sampled_from(NAMESPACES[:2]), _SHARES, max_size=2),
    },
)
_POOL: Final = st.tuples(
    _QUOTA,
    st.fixed_dictionaries(
        {},
        optional={
            "namespaceDefaults": st.fixed_dictionaries({"limits": _LIMITS}),
            "borrowing": _BORROWING,
            "elastic": st.just({"workflowsPerNode": 1, "tasksPerNode": 2, "min": {"workflows": 1}}),
        },
    ),
).map(lambda both: {**both[0], **both[1]})


def _documents(of_pool: JsonObject | None, quotas: Mapping[str, JsonObject]) -> list[Document]:
    found: list[Document] = [namespace_object(each, pool="data") for each in NAMESPACES[:2]]
    if of_pool is not None:
        spec: JsonObject = {**of_pool, "namespaceSelector": {"matchLabels": {"pool": "data"}}}
        found.append(msgspec.convert({"metadata": {"name": "data"}, "spec": spec}, ClusterWorkflowQuota))
    found += [quota("own", namespace=namespace, **spec) for namespace, spec in quotas.items()]
    return found


documents: Final = st.builds(
    _documents,
    _POOL | _POOL | st.none(),
    st.dictionaries(st.sampled_from(NAMESPACES[:3]), _QUOTA, min_size=1, max_size=3),
)
_SUBMIT: Final = st.builds(
    Submitted,
    st.integers(2, 6),
    st.sampled_from(NAMESPACES),
    st.sampled_from(("ann", "bea")),
    st.integers(1, 3) | st.none(),
    st.integers(-1, 5) | st.none(),
)
steps: Final = st.lists(
    _SUBMIT
    | _SUBMIT
    | st.just(Worked())
    | st.builds(Ended, st.integers(0, 30))
    | st.builds(Passed, st.integers(1, 50_000)),
    min_size=6,
    max_size=16,
)
"""What users and time do, one after the other."""


def played(policies: list[Document], done: Iterable[Step]) -> Scene:
    """Return the cluster after all of it, with the leader at rest and the status of quotas written."""
    scene = Scene(*policies, capacity=lambda _: NODES)
    scene.leader.snapshot = scene.roots().reading.snapshot  # Without those that contradict themselves.
    for step in done:
        match step:
            case Submitted():
                _create(scene, step)
            case Worked():
                scene.leader.work()
            case Ended():
                _end(scene, step.number)
            case Passed():
                scene.clock.advance(timedelta(seconds=step.seconds))
    for _ in range(2):
        while scene.leader.work():
            pass
        scene.clock.advance(_SETTLED)
    while scene.leader.work():
        pass
    scene.publish()
    return scene


def _create(scene: Scene, step: Submitted) -> None:
    """Create some Workflows, as far as admission does not refuse them."""
    for _ in range(step.count):
        scene.clock.advance(timedelta(seconds=1))
        name = f"wf-{scene.clock().timestamp():.0f}"
        obj = draft(name, tasks=step.tasks, priority=step.priority)
        asked = review_of(obj, namespace=step.namespace, user=step.user, uid=f"create-{name}")
        decision = apply_policies(asked, scene.leader.snapshot, scene.clock())
        if decision.allowed:
            scene.cluster.create(WORKFLOWS, patched(obj, decision), namespace=step.namespace)


def _end(scene: Scene, number: int) -> None:
    """Let one of those that run complete."""
    running = [each for each in scene.cluster.list(WORKFLOWS, labels=LIVE).items if not is_held(each)]
    if running:
        chosen = running[number % len(running)]
        complete(scene.cluster, name_of(chosen), namespace=str(part(chosen, "metadata", "namespace")))
