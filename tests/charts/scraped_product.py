"""Two webhooks and two controllers over the in-memory cluster, with ports that a Prometheus scrapes."""

import json
from random import Random
from threading import Thread
from types import TracebackType
from typing import Final, Self
from wsgiref.types import WSGIApplication

import jsonpatch

from lockkeeper.assembly.cluster_policies import ClusterPolicies
from lockkeeper.assembly.controller import Terms
from lockkeeper.assembly.webhook import build_admission
from lockkeeper.options.serving_options import listen
from lockkeeper.process.console import utc_now
from lockkeeper.process.controller_log import ControllerLog, expose_board, expose_process
from lockkeeper.process.health_port import HealthPort
from policy.cluster.ledgers import Ledgers
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    CONFIG_MAPS,
    NAMESPACES,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOWS,
    MergePatch,
    Resource,
)
from policy.core.objects import well_known
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.service.leading.term_works import Work
from policy.service.locks.lock_metrics import LockMetrics
from policy.service.status.api_metrics import ApiMetrics, LedgerMetrics
from policy.service.status.metrics import ControllerMetrics
from policy.service.status.policy_metrics import PolicyLoads
from tests.patience import PATIENCE
from tests.policy.core.lock_graph.running import node, running, semaphore
from tests.webhook.oracle import Json, patch_of
from tests.webhook.reviews import admission_review, encoded, named
from webhook.logs import Log
from webhook.metrics import Metrics
from webhook.probes import create_app
from webhook.serving.application import Application
from webhook.serving.http_messages import JSON, Head
from webhook.turns import ALONE

TEAM: Final = "etl"
LOCKED: Final = "team-a"
_ALWAYS: Final[JsonValue] = {
    "name": "day",
    "schedule": "* * * * *",
    "duration": "1h",
    "limits": {"workflows": 2},
}
_POLICIES: Final[tuple[tuple[Resource, str, str, JsonObject], ...]] = (
    (
        WORKFLOW_QUOTAS,
        TEAM,
        "own",
        {
            "limits": {"workflows": 1, "tasks": 20},
            "perUser": {"workflows": 2},
            "queue": {"maxLength": 4},
            "windows": [_ALWAYS],
            "groups": [{"name": "user", "key": "{{user}}", "limits": {"workflows": 5}}],
            "reserve": [{"abovePriority": 5, "tasks": 1}],
            "perWorkflow": {"defaultTasks": 2},
        },
    ),
    (WORKFLOW_QUOTAS, "full", "none", {"limits": {"workflows": 0}, "onExceed": "Deny"}),
    (
        CLUSTER_WORKFLOW_QUOTAS,
        "",
        "data",
        {
            "namespaceSelector": {"matchLabels": {"pool": "data"}},
            "limits": {"workflows": 9},
            "borrowing": {},
            "namespaceDefaults": {"limits": {"workflows": 3}},
        },
    ),
    (SYNCHRONIZATION_POLICIES, LOCKED, "locks", {"validate": {"keyPattern": "^[a-z]+$"}}),
)


class _Webhook:
    """One webhook: its application, and the port that is scraped."""

    def __init__(self, cluster: MemoryCluster, log: Log) -> None:
        metrics = Metrics()
        ApiMetrics(registry=metrics.registry)
        self.policies = ClusterPolicies(
            cluster=cluster, argo=DEFAULT_VERSION, log=log, loads=PolicyLoads(registry=metrics.registry)
        )
        self.policies.start()
        assert self.policies.wait(PATIENCE)
        self.ports: list[_Port] = []
        self.app: Application = build_admission(
            snapshots=self.policies.snapshots,
            ledgers=Ledgers(
                cluster=cluster, clock=utc_now, observer=LedgerMetrics(registry=metrics.registry)
            ),
            log=log,
            metrics=metrics,
            draining=lambda: False,
            current=self.policies.current,
            probed=lambda app: self.ports.append(_Port(app)),
        )

    def review(self, path: str, obj: Json, namespace: str) -> Json:
        """Return the response to the review of a create."""
        body = encoded(
            admission_review(obj, namespace=namespace, uid=f"{namespace}-{obj['metadata']['name']}")
        )
        answer = self.app.answer(Head("POST", path, "timeout=10s", JSON, len(body)), body, ALONE)
        response: Json = json.loads(answer.body)["response"]
        return response


class _Controller:
    """One controller: what it counts and shows, and its term while it leads."""

    def __init__(self, cluster: MemoryCluster, log: Log, name: str) -> None:
        self.leads = False
        self._term: Work | None = None
        self._thread: Thread | None = None
        metrics = ControllerMetrics(leading=lambda: self.leads, clock=utc_now)
        registry = metrics.registry
        self.policies = ClusterPolicies(
            cluster=cluster,
            argo=DEFAULT_VERSION,
            log=log,
            recorder=metrics,
            loads=PolicyLoads(registry=registry),
        )
        self.policies.start()
        assert self.policies.wait(PATIENCE)
        ledgers = LedgerMetrics(registry=registry)
        self._terms = Terms(
            cluster=cluster,
            policies=self.policies,
            ledgers=Ledgers(cluster=cluster, clock=utc_now, observer=ledgers),
            reporter=ControllerLog(log=log, recorder=metrics),
            lock_metrics=LockMetrics(registry=registry),
            leading=lambda: self.leads,
            me=name,
        )
        expose_process(registry, self.policies.snapshots)
        expose_board(
            metrics,
            snapshots=self.policies.snapshots,
            verdicts=self.policies.verdicts,
            leading=lambda: self.leads,
            capacity=self.policies.allowed_by_nodes,
            ledgers=ledgers,
            starts=self._terms.starts,
        )
        self.port = _Port(create_app(render=metrics.render, not_ready=list))

    def lead(self) -> None:
        """Begin a term."""
        self._term, self.leads = self._terms.begin({}), True
        self._thread = Thread(target=self._term.run, daemon=True)
        self._thread.start()

    def step_down(self) -> None:
        """End the term, if there is one."""
        self.leads = False
        if self._term is not None:
            self._term.stop()


class _Port:
    """A health port on loopback."""

    def __init__(self, app: WSGIApplication) -> None:
        listener = listen("127.0.0.1", 0)
        self.number: int = listener.getsockname()[1]
        self.server = HealthPort(app=app, listener=listener, bug=_raise)
        self.server.start()


def _raise(error: BaseException) -> None:
    raise error


class ScrapedProduct:
    """The product with some life in it: a queue, releases, denials, a pool that lends, and a deadlock."""

    def __init__(self) -> None:
        self._ended = False
        self.cluster = MemoryCluster(clock=utc_now, rng=Random(1))
        for name, labels in ((TEAM, {}), ("full", {}), ("ml", {"pool": "data"}), (LOCKED, {})):
            self._put(NAMESPACES, {"metadata": {"name": name, "labels": {**labels}}})
        for resource, namespace, name, spec in _POLICIES:
            self._put(resource, {"metadata": {"name": name}, "spec": spec}, namespace)
        self._put(CONFIG_MAPS, {"metadata": {"name": "limits"}, "data": {"db": "1"}}, LOCKED)
        log = Log(write=len, clock=utc_now)
        self.webhooks = [_Webhook(self.cluster, log) for _ in range(2)]
        self.controllers = [_Controller(self.cluster, log, f"c{index}") for index in range(2)]

    def __enter__(self) -> Self:
        self.controllers[0].lead()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End all threads; again it does nothing."""
        if self._ended:
            return
        self._ended = True
        for controller in self.controllers:
            controller.step_down()
            controller.policies.stop()
            controller.port.server.stop()
        for webhook in self.webhooks:
            webhook.policies.stop()
            for port in webhook.ports:
                port.server.stop()
        self.cluster.close()

    def ports(self) -> dict[str, list[int]]:
        """Return the ports to scrape, by component."""
        return {
            "webhook": [port.number for each in self.webhooks for port in each.ports],
            "controller": [each.port.number for each in self.controllers],
        }

    def change_the_lead(self) -> None:
        """Let the other controller lead."""
        first, second = self.controllers
        first.step_down()
        second.lead()

    def create(self, name: str, namespace: str) -> bool:
        """Create a Workflow through both webhooks; return whether it was allowed."""
        obj = named(name)
        obj["metadata"]["namespace"] = namespace
        del obj["metadata"]["creationTimestamp"]
        mutated = self.webhooks[0].review("/mutate", obj, namespace)
        if not mutated["allowed"]:
            return False
        patched: Json = jsonpatch.JsonPatch(patch_of(mutated)).apply(obj)
        if not self.webhooks[1].review("/validate", patched, namespace)["allowed"]:
            return False
        self.cluster.create(WORKFLOWS, patched, namespace=namespace)
        return True

    def complete(self, name: str, namespace: str) -> None:
        """Let a Workflow be over."""
        done: JsonObject = {"metadata": {"labels": {well_known.COMPLETED: "true"}}}
        self.cluster.patch(WORKFLOWS, name, MergePatch(done), namespace=namespace)

    def tie_a_knot(self) -> None:
        """Let a Workflow wait for the lock that it holds, and another behind it."""
        lock = semaphore("db", LOCKED)
        nodes = {"n": node(phase="Pending", waiting=lock)}
        self.cluster.create(WORKFLOWS, running("knot", holds={lock: [""]}, nodes=nodes))
        self.cluster.create(WORKFLOWS, running("behind", nodes=nodes))

    def _put(self, resource: Resource, obj: JsonObject, namespace: str = "") -> None:
        head: JsonObject = {"apiVersion": resource.api_version, "kind": resource.kind}
        self.cluster.create(resource, {**head, **obj}, namespace=namespace)
