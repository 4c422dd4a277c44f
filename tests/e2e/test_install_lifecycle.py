"""A release from its install to its end and again, with both helms, under streams of creates.

The tests of one helm follow each other on one cluster. The streams go into two namespaces: in one a quota
governs every Workflow, in the other none does.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import pytest

from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, MUTATING, VALIDATING
from policy.cluster.kube.kube_cluster import connect
from policy.cluster.protocol import EventType, Resource
from tests.e2e.charted import CHART, GOVERNED, NAMESPACE, RELEASE
from tests.e2e.creating import Stream, creating
from tests.e2e.helm import VERSIONS
from tests.e2e.installed import CONTROLLER, WEBHOOK, Installed, running_site
from tests.e2e.manifests import QUOTA, quota, workflow
from tests.e2e.podrunner.launch import pods
from tests.e2e.product import until
from tests.e2e.replicas import ASKING, await_governed
from tests.e2e.submitting import complete, govern, held

pytestmark = [pytest.mark.e2e, ASKING]

FIRST: Final = Path(__file__).with_name("values-0.1.0.yaml")
"""The values of the first release, from which people upgrade."""
QUICK: Final = ("webhook.preStopSeconds=2", "controller.preStopSeconds=2")
"""Endpoints here are forgotten at once; a Pod that goes needs no ten seconds."""
CHANGED: Final = (
    *QUICK,
    "webhook.replicas=3",
    "webhook.resources.requests.cpu=200m",
    "controller.resources.limits.memory=1Gi",
)
FREE: Final = "free"
QUEUE: Final = "queue"
PACE: Final = 0.1
"""Seconds between two creates of one worker: some eighty a second in both streams together."""
CHANGING: Final = {"Event", "Workflow"}
"""Kinds of which objects come and go by themselves."""
OF_ANY_NAMESPACE: Final = {f"ConfigMap {NAMESPACE} kube-root-ca.crt", f"ServiceAccount {NAMESPACE} default"}
"""What Kubernetes makes in every namespace."""


class Streams(msgspec.Struct, frozen=True):
    """Creates in a namespace that a quota governs and in one without."""

    governed: Stream
    free: Stream

    def await_more(self) -> None:
        """Wait until there were more creates in both."""
        for stream in (self.governed, self.free):
            stream.await_more(20)

    def assert_unhurt(self) -> None:
        """No create failed, and none got past the quota."""
        assert self.governed.failed == []
        assert self.governed.ungoverned == []
        assert self.free.failed == []


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"helm-{version}")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give a cluster with three namespaces on which nothing of ours is installed yet."""
    with running_site(tmp_path_factory.mktemp("site"), helm=request.param) as site:
        for namespace in (FREE, QUEUE):
            site.namespace(namespace)
        yield site


@pytest.fixture(scope="module")
def found_before(site: Installed) -> set[str]:
    """Return all objects of the cluster before there was anything of ours."""
    return everything(site)


@pytest.fixture(scope="module")
def installed(site: Installed, found_before: set[str]) -> Installed:
    """Give the installation with the values of the first release, and Workflows that wait."""
    assert found_before
    helm(site, "install", f"--values={FIRST}", *sets(QUICK))
    site.ready()
    for namespace, limit in ((GOVERNED, 0), (QUEUE, 1)):
        govern(site, namespace, quota(limits={"workflows": limit}))
    for name in ("first", "second", "third"):
        site.site.kubectl.said("create", "-n", QUEUE, "-f", "-", text=workflow(name))
    until(lambda: not held(site, QUEUE, "first"), "the first one is not let go")
    return site


def helm(site: Installed, verb: str, *options: str) -> str:
    """Run helm on the release with its chart, and return what it says."""
    return site.release.helm.said(verb, RELEASE, str(CHART), f"--namespace={NAMESPACE}", *options)


def sets(settings: tuple[str, ...]) -> list[str]:
    """Return settings as helm takes them."""
    return [f"--set={each}" for each in settings]


@contextmanager
def streams(installed: Installed) -> Iterator[Streams]:
    """Run both streams while the context lasts."""

    def stream(namespace: str) -> Stream:
        return stack.enter_context(
            creating(connect=lambda: connect(installed.site.plane.kubeconfig), namespace=namespace, pace=PACE)
        )

    with ExitStack() as stack:
        running = Streams(stream(GOVERNED), stream(FREE))
        running.await_more()
        yield running


def settled(installed: Installed) -> None:
    """Wait until the newest Pods are ready and all others are gone."""
    installed.ready()
    labels = f"app.kubernetes.io/instance={RELEASE}"

    def gone() -> bool:
        found = pods(installed.cluster, NAMESPACE, labels=labels)
        return all(pod.metadata.deletion_timestamp is None for pod in found)

    until(gone, "old Pods are left")


def asked_until(installed: Installed, resource: Resource, since: str) -> int:
    """Return the version at which the webhook configuration that asks somebody was deleted."""
    events = installed.cluster.watch(resource, since=since, timeout=1)
    (gone,) = (
        int(event.resource_version)
        for event in events
        if event.type is EventType.DELETED and event.object.get("webhooks")
    )
    return gone


def everything(site: Installed, *options: str) -> set[str]:
    """Return all objects that there are, or those that options select: kind, namespace and name."""
    kubectl = site.site.kubectl
    kinds = ",".join(kubectl.said("api-resources", "--verbs=list", "-o", "name").split())
    columns = "custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name"
    rows = kubectl.said("get", kinds, "-A", "--no-headers", "-o", columns, *options).splitlines()
    return {" ".join(row.split()) for row in rows if row.split()[0] not in CHANGING}


def test_an_upgrade_from_the_first_releases_values_hurts_nobody(installed: Installed) -> None:
    """As the manual says it, with other numbers of replicas and other resources; both Deployments roll."""
    with streams(installed) as running:
        before = {pod.name for kind in (WEBHOOK, CONTROLLER) for pod in installed.pods(kind)}
        helm(installed, "upgrade", "--reset-then-reuse-values", *sets(CHANGED))
        settled(installed)
        running.await_more()
    running.assert_unhurt()
    now = [pod for kind in (WEBHOOK, CONTROLLER) for pod in installed.pods(kind)]
    assert len(now) == 5
    assert before.isdisjoint(pod.name for pod in now)


def test_an_upgrade_to_the_same_changes_nothing(installed: Installed) -> None:
    """Nothing rolls, and what was written at run time stays."""
    before = {pod.name for kind in (WEBHOOK, CONTROLLER) for pod in installed.pods(kind)}
    with streams(installed) as running:
        helm(installed, "upgrade", *sets(CHANGED))
        settled(installed)
        running.await_more()
    running.assert_unhurt()
    assert {pod.name for kind in (WEBHOOK, CONTROLLER) for pod in installed.pods(kind)} == before


def test_a_rollback_hurts_nobody(installed: Installed) -> None:
    """To the values of the first release: fewer replicas, and both Deployments roll."""
    with streams(installed) as running:
        installed.release.rollback(1)
        settled(installed)
        running.await_more()
    running.assert_unhurt()
    assert len(installed.pods(WEBHOOK)) == 2


def test_an_uninstall_blocks_nothing_at_any_moment(installed: Installed) -> None:
    """Creates are governed until the webhooks are gone, and pass from then on; none fails."""
    since = {resource: installed.cluster.list(resource).resource_version for resource in CONFIGURATIONS}
    with streams(installed) as running:
        installed.release.uninstall()
        until(lambda: not pods(installed.cluster, NAMESPACE), "Pods are left")
        running.await_more()
    assert running.governed.failed == []
    assert running.free.failed == []
    ended = max(each.answered for each in running.governed.created if each.governed)
    begun = min(each.sent for each in running.governed.ungoverned)
    assert ended - begun < 1.0  # Two creates that overlap may be answered in either order.
    mutating, validating = (asked_until(installed, each, since[each]) for each in (MUTATING, VALIDATING))
    assert validating < mutating  # The other way round what is not prepared any more would be refused.


def test_an_uninstall_leaves_what_is_the_users(installed: Installed, found_before: set[str]) -> None:
    """The kinds, policies, ledgers and what waits; of ours nothing, labelled or not."""
    new = everything(installed) - found_before
    definitions = {row for row in new if row.startswith(("CustomResourceDefinition ", "APIService "))}
    policies = {f"WorkflowQuota {namespace} {QUOTA}" for namespace in (GOVERNED, QUEUE)}
    ledgers = {f"QuotaLedger <none> namespace.{namespace}" for namespace in (GOVERNED, QUEUE)}
    lengths = {"RunLengths <none> lockkeeper"}
    ours = {row for row in new if "lockkeeper" in row or NAMESPACE in row} - OF_ANY_NAMESPACE
    assert ours == definitions | lengths
    assert len([row for row in definitions if row.endswith(".lockkeeper.dev")]) == 7
    assert policies | ledgers <= new
    assert everything(installed, "-l", f"app.kubernetes.io/instance={RELEASE}") == set()
    assert [held(installed, QUEUE, name) for name in ("first", "second", "third")] == [False, True, True]


def test_installed_again_it_governs_and_goes_on_with_the_queue(installed: Installed) -> None:
    """It finds its kinds, the policies, and those that were held before."""
    installed.release.install(*QUICK)
    installed.ready()
    await_governed(installed, GOVERNED)
    with streams(installed) as running:
        running.await_more()
    running.assert_unhurt()
    assert held(installed, QUEUE, "second")
    for ended, begun in (("first", "second"), ("second", "third")):
        complete(installed, QUEUE, ended)
        until(lambda begun=begun: not held(installed, QUEUE, begun), f"{begun} is not let go")  # type: ignore[misc]
