"""Argo as fixtures; a plugin beside that of the control plane."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from policy.cluster.kube.kube_cluster import KubeCluster
from tests.e2e.argo.installing import Argo, workflow_controller
from tests.e2e.control_plane import ControlPlane

TASK_SECONDS = 0.2


@pytest.fixture
def argo(control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path: Path) -> Iterator[Argo]:
    """Run Argo's controller for a test; its Pods wait for somebody who plays the kubelet."""
    with workflow_controller(control_plane, kube_cluster, tmp_path) as running:
        yield running


@pytest.fixture
def argo_without_pods(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path: Path
) -> Iterator[Argo]:
    """Run the double, which lets every task take 0.2 seconds without a Pod."""
    with workflow_controller(
        control_plane, kube_cluster, tmp_path, finish_after=TASK_SECONDS, environment={}
    ) as running:
        yield running
