"""The API of `lockkeeper run` answers as the control plane does, where both are asked the same."""

from collections.abc import Iterator

import pytest

from policy.cluster.protocol import NAMESPACES
from tests.e2e.api_requests import STORIES
from tests.e2e.comparing import Api
from tests.e2e.control_plane import ControlPlane
from tests.lockkeeper.kube_api.served_api import served

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def real(control_plane: ControlPlane) -> Api:
    """Give the API of the control plane."""
    return Api(control_plane.kubeconfig)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Give the API of the embedded mode, without webhooks, as the control plane is."""
    with served(tmp_path_factory.mktemp("api"), log_size=100) as (memory, kubeconfig):
        for number in range(200):  # So that version 1 is too old there as well.
            name = f"old-{number}"
            memory.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        yield Api(kubeconfig)


@pytest.mark.parametrize("story", STORIES)
def test_both_answer_the_same(real: Api, ours: Api, story: str) -> None:
    """Codes, warnings and bodies; what differs each time has names in its place."""
    namespace = f"api-{story}"
    assert ours.replies(namespace, STORIES[story]) == real.replies(namespace, STORIES[story])
