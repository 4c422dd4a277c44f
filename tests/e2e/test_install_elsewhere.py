"""A release with another name in another namespace, the very one that people create their Workflows in."""

from collections.abc import Iterator
from typing import Final

import pytest

from policy.cluster.protocol import WORKFLOWS
from policy.core.objects import well_known
from tests.e2e.charted import CHART, GOVERNED
from tests.e2e.charted import NAMESPACE as USUAL
from tests.e2e.installed import Installed, running_site
from tests.e2e.kubectl import AWHILE
from tests.e2e.manifests import pool, workflow
from tests.e2e.podrunner.launch import await_rollout, pods
from tests.e2e.product import until
from tests.e2e.replicas import ASKING, answer_of

pytestmark = [pytest.mark.e2e, ASKING]

NAME: Final = "traffic-control"
NAMESPACE: Final = "default"
IN_NAMESPACE: Final = f"--namespace={NAMESPACE}"
SETTINGS: Final = ("--set=webhook.preStopSeconds=1", "--set=controller.preStopSeconds=1")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give a cluster on which nothing of ours is installed yet."""
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def said(site: Installed) -> str:
    """Install it, and return what helm says; all Pods are ready, and a pool lets nothing run anywhere."""
    said = site.release.helm.said("install", NAME, str(CHART), IN_NAMESPACE, *SETTINGS)
    for component in ("webhook", "controller"):
        await_rollout(site.cluster, NAMESPACE, f"{NAME}-{component}")
    nothing = pool("nothing", namespaceSelector={}, limits={"workflows": 0})
    site.site.kubectl.said("create", "-f", "-", text=nothing)
    site.site.kubectl.said("wait", "--for=condition=Ready", "cwfq/nothing", AWHILE)
    return said


def annotations(site: Installed, namespace: str, name: str) -> object:
    """Create a Workflow, and return the annotations with which it is stored."""
    site.site.kubectl.said("create", "-n", namespace, "-f", "-", text=workflow(name))
    metadata = site.cluster.get(WORKFLOWS, name, namespace=namespace)["metadata"]
    assert isinstance(metadata, dict)
    return metadata.get("annotations")


def test_who_installs_into_the_default_namespace_is_warned(said: str) -> None:
    """First of all, and with what to do."""
    notes = said.partition("NOTES:\n")[2]
    assert notes.startswith(
        "WARNING: this release is in the namespace default, and Lockkeeper never governs the namespace it "
        "runs in: Workflows\ncreated there pass unlimited."
    )
    assert f"app.kubernetes.io/instance={NAME}\n" in notes
    assert f"helm test {NAME} --namespace {NAMESPACE} --logs" in notes
    assert f"kubectl delete validatingwebhookconfiguration {NAME} lets" in notes


@pytest.mark.usefixtures("said")
def test_it_governs_all_namespaces_but_that_one(site: Installed) -> None:
    """The warning is true, and the rest works."""
    labels = f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component=webhook"
    replicas = [pod.status.pod_ip for pod in pods(site.cluster, NAMESPACE, labels=labels)]
    assert len(replicas) == 2
    until(
        lambda: all(answer_of(site, each, GOVERNED, release=NAME).governed for each in replicas),
        "the pool is not in force",
    )
    for governed in (GOVERNED, USUAL):
        assert well_known.USER in str(annotations(site, governed, "elsewhere"))
    assert annotations(site, NAMESPACE, "unlimited") is None


@pytest.mark.usefixtures("said")
def test_its_own_check_finds_it(site: Installed) -> None:
    """All names in the chart follow that of the release."""
    site.release.helm.said("test", NAME, IN_NAMESPACE)
    log = site.runner.log_of(NAMESPACE, f"{NAME}-check", "check")
    assert f"{NAME}-webhook.{NAMESPACE}.svc:443 is ready" in log
    judged = log.partition("\n\n")[0].splitlines()
    skipped = [line for line in judged if not line.startswith("ok ")]
    assert len(skipped) == 1  # There is no Argo here.
    assert "Argo's controller was not found" in skipped[0]


@pytest.mark.usefixtures("said")
def test_its_uninstall_leaves_nothing_that_stands_in_the_way(site: Installed) -> None:
    """Neither webhooks nor the controllers' Lease; nor does it touch what others have in the namespace."""
    site.release.helm.said("uninstall", NAME, IN_NAMESPACE)
    labels = f"app.kubernetes.io/instance={NAME}"
    until(lambda: not pods(site.cluster, NAMESPACE, labels=labels), "Pods are left")
    kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations,leases,secrets,services,roles"
    left = site.site.kubectl.said("get", kinds, "-A", "-o", "name")
    assert NAME not in left
    assert site.site.kubectl.said("get", "service", "kubernetes", "-n", NAMESPACE, "-o", "name")
    assert annotations(site, GOVERNED, "free-again") is None
