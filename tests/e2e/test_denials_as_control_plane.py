"""What the webhooks refuse looks the same on `lockkeeper run` and on the control plane."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from policy.cluster.kube.kube_cluster import KubeCluster
from tests.e2e.api_requests import WF, Ask, wf
from tests.e2e.comparing import Api
from tests.e2e.control_plane import ControlPlane
from tests.e2e.product import NAMESPACE, product
from tests.e2e.test_admission_on_the_control_plane import quota
from tests.lockkeeper.commands import Lockkeeper

pytestmark = pytest.mark.e2e
TIGHT: Final = "tight"
SPEC: Final[dict[str, Any]] = {
    "limits": {"workflows": 1},
    "onExceed": "Deny",
    "perWorkflow": {"maxTasks": 20, "maxPriority": 5},
}


def changed(name: str, **spec: object) -> dict[str, Any]:
    """Return a Workflow with more in its spec."""
    templates = [{"name": "main", "container": {"image": "x"}}]
    return {**wf(name), "spec": {"entrypoint": "main", "templates": templates, **spec}}


STORIES: Final = {
    "too-wide": (Ask(f"POST {WF}", changed("wide", parallelism=64)),),
    "too-important": (Ask(f"POST {WF}", changed("important", priority=6)),),
    "wrong-type": (Ask(f"POST {WF}", changed("wrong", parallelism="many")),),
    "tried": (Ask(f"POST {WF}?dryRun=All", changed("wide", parallelism=64)),),
    "applied": (
        Ask(
            f"PATCH {WF}/wide?fieldManager=one",
            changed("wide", parallelism=64),
            "application/apply-patch+yaml",
        ),
    ),
    "full": (
        Ask(f"POST {WF}", changed("first")),
        Ask(f"POST {WF}", changed("second")),
    ),
}


@pytest.fixture(scope="module")
def real(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """Give the API of the control plane, with Lockkeeper on it and a namespace of a quota."""
    with product(control_plane, kube_cluster, tmp_path_factory.mktemp("product")):
        kube_cluster.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TIGHT}})
        quota(kube_cluster, TIGHT, **SPEC)
        yield Api(control_plane.kubeconfig)


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Api]:
    """Give the API of a run with the same quota, and tasks that outlast the test."""
    policy = {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "WorkflowQuota",
        "metadata": {"name": "limits", "namespace": TIGHT},
        "spec": SPEC,
    }
    (tmp_path / "policy.yaml").write_text(json.dumps(policy))
    kubeconfig = tmp_path / "kubeconfig"
    options = ("--policies", tmp_path / "policy.yaml", "--port", "0", "--task-time", "900")
    with Lockkeeper(tmp_path).started("run", *options, "--kubeconfig-out", kubeconfig) as running:
        assert running.until("/mutate"), running.text
        yield Api(kubeconfig)


@pytest.mark.parametrize("story", STORIES)
def test_both_refuse_with_the_same_words(real: Api, ours: Api, story: str) -> None:
    """With the name of the webhook that refused, the reason, the details and the warnings."""
    said = [each for each in ours.replies(TIGHT, STORIES[story]) if each.code != 201]
    assert said
    assert said == [each for each in real.replies(TIGHT, STORIES[story]) if each.code != 201]
