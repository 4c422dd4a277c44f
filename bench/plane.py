"""A real control plane for measurements, and Workflows on it as admission leaves them."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import jsonpatch
import msgspec

from lockkeeper.process.console import utc_now
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.protocol import NAMESPACES, WORKFLOWS, Cluster
from policy.core.admission.decide import apply_policies
from policy.core.decision.decision import Operation, Review, Side
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Workflow
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import PolicyMetadata, WorkflowQuota
from policy.core.policy_kinds.quota_parts import QuotaLimits, WorkflowQuotaSpec
from tests.e2e.building import control_plane_binary
from tests.e2e.control_plane import running
from tests.e2e.fixtures import define_kinds

HANDS: Final = 6
"""Threads that create Workflows; nothing is measured meanwhile."""


@contextmanager
def cluster() -> Iterator[KubeCluster]:
    """Give a control plane of its own while the context lasts, with all rights on it.

    Raises:
        GoIsMissingError: there is none yet, and nothing to build it with.
    """
    binary = control_plane_binary()
    with (
        TemporaryDirectory(prefix="bench-") as folder,
        running(binary=binary, folder=Path(folder), prepare=define_kinds) as plane,
    ):
        client = connect(plane.kubeconfig)
        try:
            yield client
        finally:
            client.close()


class Versions:
    """Makes snapshots of one quota in each of some namespaces, each with a version of its own."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def limited(self, namespaces: Iterable[str], workflows: int) -> Snapshot:
        """Return the snapshot with this limit of every namespace."""
        spec = WorkflowQuotaSpec(limits=QuotaLimits(workflows))
        quotas = [WorkflowQuota(PolicyMetadata("main", each), spec) for each in namespaces]
        return take_snapshot(quotas, version=str(next(self._numbers)), argo=DEFAULT_VERSION)


def draft(name: str) -> JsonObject:
    """Return a small Workflow as its author writes it."""
    template: JsonObject = {"name": "main", "container": {"image": "busybox", "command": ["true"]}}
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name, "labels": {"team": "bench"}},
        "spec": {"entrypoint": "main", "parallelism": 2, "templates": [template]},
    }


def admitted(name: str, namespace: str, snapshot: Snapshot) -> JsonObject:
    """Return a Workflow as the mutating webhook leaves it: held, with its marks and its status."""
    obj = draft(name)
    workflow = msgspec.json.decode(msgspec.json.encode(obj), type=Workflow)
    review = Review(
        uid=f"create-{name}",
        side=Side.MUTATE,
        operation=Operation.CREATE,
        namespace=namespace,
        user="ann",
        dry_run=False,
        workflow=workflow,
    )
    decision = apply_policies(review, snapshot, utc_now())
    changed: JsonObject = jsonpatch.apply_patch(obj, msgspec.to_builtins(list(decision.patch)))
    return changed


def add_namespaces(on: Cluster, names: Iterable[str]) -> None:
    """Create namespaces."""
    for name in names:
        obj: JsonObject = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        on.create(NAMESPACES, obj)


def add_held(on: Cluster, names: Iterable[tuple[str, str]], snapshot: Snapshot) -> None:
    """Create held Workflows, of these names in these namespaces."""

    def add(place: tuple[str, str]) -> None:
        name, namespace = place
        on.create(WORKFLOWS, admitted(name, namespace, snapshot), namespace=namespace)

    with ThreadPoolExecutor(HANDS) as hands:
        for _ in hands.map(add, names):
            pass
