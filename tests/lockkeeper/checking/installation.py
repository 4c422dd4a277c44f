"""An installation in an in-memory cluster, healthy until a test breaks something."""

import base64
from datetime import timedelta
from typing import Final

import msgspec

from lockkeeper.checking.checks import check_installation
from lockkeeper.checking.facts import CRDS, SERVICES, InstallationFacts, ProbeResult, Target
from lockkeeper.checking.gatherer import Gatherer
from lockkeeper.checking.results import Check, CheckResult, State
from lockkeeper.process.kubernetes_objects import DEPLOYMENTS, MUTATING, VALIDATING, Webhook
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import STATUS, WORKFLOW_QUOTAS, Cluster, MergePatch, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from policy.service.leading.leader_election import LEASES, new_lease
from tests.policy.service.world import Clock, Spy, memory

NAMESPACE: Final = "traffic"
RELEASE: Final = "blue"
LEADER: Final = "blue-controller-1"
BUNDLE: Final = base64.b64encode(b"a CA").decode()
SERVER: Final = "blue-webhook.traffic.svc"
CLUSTER_IP: Final = "10.96.0.17"


def client(path: str, bundle: str = BUNDLE) -> JsonObject:
    """Return how the API server reaches a path of the webhook."""
    service: JsonObject = {"name": f"{RELEASE}-webhook", "namespace": NAMESPACE, "path": path, "port": 443}
    return {"service": service, "caBundle": bundle}


def webhook(name: str, path: str, failure_policy: str, seconds: int, bundle: str = BUNDLE) -> JsonObject:
    """Return a webhook as the chart registers it."""
    left_out: JsonObject = {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": ["kube-system", NAMESPACE],
    }
    return {
        "name": f"{name}.lockkeeper.dev",
        "clientConfig": client(path, bundle),
        "failurePolicy": failure_policy,
        "timeoutSeconds": seconds,
        "namespaceSelector": {"matchExpressions": [left_out]},
    }


def configuration(resource: Resource, *webhooks: JsonValue) -> JsonObject:
    """Return a webhook configuration of the release."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": RELEASE},
        "webhooks": list(webhooks),
    }


OPTIONS: Final = ("serve", "--argo-controller-account=argo:argo", "--argo-server-account=argo:argo-server")
ARGO_IMAGE: Final = "quay.io/argoproj/workflow-controller:v4.1.2"


def deployed(name: str, *options: str, image: str = "lockkeeper:1", account: str = "") -> JsonObject:
    """Return a Deployment of one container."""
    container: JsonObject = {"name": "main", "image": image, "args": [*options]}
    spec: JsonObject = {"containers": [container]}
    if account:
        spec["serviceAccountName"] = account
    return {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "metadata": {"name": name},
        "spec": {"template": {"spec": spec}},
    }


def crd(fields: JsonObject) -> JsonObject:
    """Return the CRD of Workflows, whose spec lists these fields."""
    spec: JsonObject = {"type": "object", "properties": fields}
    schema: JsonObject = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {
        "apiVersion": CRDS.api_version,
        "kind": CRDS.kind,
        "metadata": {"name": "workflows.argoproj.io"},
        "spec": {"versions": [{"name": "v1alpha1", "schema": schema}]},
    }


class Installation:
    """A release in memory, and what a check of it finds."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.memory: MemoryCluster = memory(self.clock)
        self.spy = Spy(self.memory)
        self.asked: list[Target] = []
        self.answer = ProbeResult(
            target=Target("", 0, "", "", ""), expires=self.clock() + timedelta(days=60), ready=True, text="ok"
        )
        self.paused: list[float] = []
        self.inside = True
        mutating = webhook("mutate", "/mutate", "Ignore", 2) | {"reinvocationPolicy": "Never"}
        validating = webhook("validate", "/validate", "Fail", 5)
        policies = webhook("policies", "/policies", "Ignore", 5)
        self.memory.create(MUTATING, configuration(MUTATING, mutating))
        self.memory.create(VALIDATING, configuration(VALIDATING, validating, policies))
        service: JsonObject = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"{RELEASE}-webhook"},
            "spec": {"clusterIP": CLUSTER_IP},
        }
        self.memory.create(SERVICES, service, namespace=NAMESPACE)
        self.memory.create(DEPLOYMENTS, deployed(f"{RELEASE}-webhook", *OPTIONS), namespace=NAMESPACE)
        argo = deployed("workflow-controller", image=ARGO_IMAGE, account="argo")
        self.memory.create(DEPLOYMENTS, argo, namespace="argo")
        self.memory.create(CRDS, crd({"entrypoint": {"type": "string"}}))
        lease = new_lease(f"{RELEASE}-controller", NAMESPACE, LEADER, self.clock())
        self.memory.create(LEASES, lease, namespace=NAMESPACE)

    @property
    def cluster(self) -> Cluster:
        """The cluster as a check sees it."""
        return self.spy

    def facts(self) -> InstallationFacts:
        """Return what is found of it."""
        return Gatherer(
            cluster=self.cluster,
            namespace=NAMESPACE,
            name=RELEASE,
            inside=self.inside,
            probe=self._probe,
            clock=self.clock,
            pause=self.pause,
        ).gather()

    def judged(self, check: Check) -> list[tuple[State, str]]:
        """Return state and message of every judgement of one check."""
        return [(each.state, each.message) for each in self.judgements() if each.check is check]

    def judgements(self) -> tuple[CheckResult, ...]:
        """Return all judgements; whatever is not right says what to do."""
        found = check_installation(self.facts())
        assert all(bool(each.advice) == (each.state is not State.OK) for each in found), found
        return found

    def pause(self, seconds: float) -> object:
        """Let time pass on the clock."""
        self.paused.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))
        return None

    def change(self, resource: Resource, webhooks: list[JsonObject]) -> None:
        """Register other webhooks."""
        registered: list[JsonValue] = [*webhooks]
        self.memory.patch(resource, RELEASE, MergePatch({"webhooks": registered}))

    def quota(self, name: str, *, observed: int | None, **conditions: str) -> None:
        """Create a quota in namespace etl that was checked, or was not where `observed` is None."""
        manifest: JsonObject = {
            "apiVersion": WORKFLOW_QUOTAS.api_version,
            "kind": WORKFLOW_QUOTAS.kind,
            "metadata": {"name": name},
            "spec": {},
        }
        self.memory.create(WORKFLOW_QUOTAS, manifest, namespace="etl")
        if observed is not None:
            listed: list[JsonValue] = [
                {
                    "type": kind,
                    "status": status,
                    "message": f"because of {kind}",
                    "observedGeneration": observed,
                }
                for kind, status in conditions.items()
            ]
            patch = MergePatch({"status": {"conditions": listed}})
            self.memory.patch(WORKFLOW_QUOTAS, name, patch, namespace="etl", subresource=STATUS)

    def _probe(self, target: Target) -> ProbeResult:
        self.asked.append(target)
        return msgspec.structs.replace(self.answer, target=target)


def registered(name: str, **settings: object) -> Webhook:
    """Return a webhook with only what a test needs."""
    return msgspec.convert({"name": name, **settings}, Webhook)
