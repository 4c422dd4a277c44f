"""The objects of the folder of policies, as they are in the cluster."""

from datetime import UTC, datetime
from pathlib import Path
from random import Random

from lockkeeper.embedded.folder_objects import FolderObjects
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import NAMESPACES, WORKFLOW_QUOTAS

QUOTA = "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\nmetadata: {name: q, namespace: there}\n"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: here, labels: {pool: data}}\n"


def test_namespaces_of_files_are_as_the_api_server_makes_them(tmp_path: Path) -> None:
    """Those that files only name, and those that they describe: with a phase, and their name in a label."""
    (tmp_path / "all.yaml").write_text(f"{QUOTA}---\n{NAMESPACE}")
    cluster = MemoryCluster(clock=lambda: datetime.now(UTC), rng=Random(1))
    FolderObjects(folder=tmp_path, cluster=cluster, namespace="default").put()
    assert cluster.get(WORKFLOW_QUOTAS, "q", namespace="there")
    for name in ("here", "there"):
        found = cluster.get(NAMESPACES, name)
        assert found["status"] == {"phase": "Active"}
        assert "kubernetes.io/metadata.name" in str(found["metadata"])
    assert "'pool': 'data'" in str(cluster.get(NAMESPACES, "here"))
