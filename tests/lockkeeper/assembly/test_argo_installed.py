"""The version of Argo is that of its controller's image, and the last known one where it cannot be read."""

from contextlib import suppress
from random import Random
from typing import Final

import pytest

from lockkeeper.assembly.argo_installed import InstalledArgo, version_of
from lockkeeper.assembly.cluster_policies import ClusterPolicies
from lockkeeper.process.console import utc_now
from lockkeeper.process.kubernetes_objects import DEPLOYMENTS, NamespacedName
from policy.cluster.errors import NotFound
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.objects.argo_version import ArgoVersion
from policy.core.objects.json_patch import JsonObject
from webhook.logs import Log

NAME: Final = NamespacedName("argo", "workflow-controller")
SETTING: Final = ArgoVersion(4, 1)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("quay.io/argoproj/workflow-controller:v3.6.10", ArgoVersion(3, 6)),
        ("registry.example.com:5000/argo/workflow-controller:v4.0.0-rc1@sha256:abc", ArgoVersion(4, 0)),
        ("workflow-controller:4.1", ArgoVersion(4, 1)),
        ("registry.example.com:5000/workflow-controller", None),
        ("workflow-controller:latest", None),
        ("workflow-controller@sha256:abc", None),
        ("", None),
    ],
)
def test_the_tag_of_an_image_tells_the_version(image: str, version: ArgoVersion | None) -> None:
    """A port of a registry is no tag, and a digest is no version."""
    assert version_of(image) == version


def _deployment(*images: str, last: str = "main") -> JsonObject:
    containers: list[JsonObject] = [{"name": f"c{index}", "image": each} for index, each in enumerate(images)]
    containers[-1]["name"] = last
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME.name, "namespace": NAME.namespace},
        "spec": {"template": {"spec": {"containers": list(containers)}}},
    }


class Asked:
    """An InstalledArgo on a cluster in memory, with what it told."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster(clock=utc_now, rng=Random(1))
        self.told: list[str] = []
        self.installed = InstalledArgo(
            cluster=self.cluster,
            deployment=NAME,
            setting=SETTING,
            trouble=lambda doing, _: self.told.append(doing),
            log=self.told.append,
        )

    def put(self, *images: str, named: str = "main") -> None:
        """Install Argo with these images; the last container has a name."""
        with suppress(NotFound):
            self.cluster.delete(DEPLOYMENTS, NAME.name, namespace=NAME.namespace)
        self.cluster.create(DEPLOYMENTS, _deployment(*images, last=named))


def test_without_an_answer_the_setting_counts_and_that_is_reported_once() -> None:
    """Argo may come later than Lockkeeper, or the right be missing."""
    asked = Asked()
    assert [asked.installed.read(), asked.installed.read()] == [SETTING, SETTING]
    assert asked.told == ["reading the version of Argo"]


def test_an_upgrade_is_seen_and_what_is_no_version_leaves_the_last_one() -> None:
    """Each is told once."""
    asked = Asked()
    versions = []
    for image in ("argo:v3.7.1", "argo:v4.0.0", "argo:latest", "argo:latest"):
        asked.put(image)
        versions.append(str(asked.installed.read()))
    assert versions == ["3.7", "4.0", "4.0", "4.0"]
    assert asked.told == [
        "Argo 3.7 is installed (Deployment argo/workflow-controller runs argo:v3.7.1)",
        "Argo 4.0 is installed (Deployment argo/workflow-controller runs argo:v4.0.0)",
        "Deployment argo/workflow-controller runs argo:latest, whose tag is no version of Argo: 4.0 is taken",
    ]


def test_the_container_of_that_name_counts_among_several() -> None:
    """Meshes put theirs beside it."""
    asked = Asked()
    asked.put("proxy:1.2", "argo:v3.6.0")
    assert asked.installed.read() == ArgoVersion(1, 2)
    asked.put("proxy:1.2", "argo:v3.6.0", named="workflow-controller")
    assert asked.installed.read() == ArgoVersion(3, 6)


def test_another_version_compiles_the_policies_again() -> None:
    """The same one does not."""
    written: list[bytes] = []
    cluster = MemoryCluster(clock=utc_now, rng=Random(1))
    log = Log(write=written.append, clock=utc_now)
    policies = ClusterPolicies(cluster=cluster, argo=SETTING, log=log, deployment=NAME)
    before = policies.snapshots.current()
    policies.check_argo(SETTING)
    assert policies.snapshots.current() is before
    policies.check_argo(ArgoVersion(3, 6))
    assert policies.snapshots.current().argo == ArgoVersion(3, 6)
