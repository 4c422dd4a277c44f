"""The chart on a real API server, with both helms: what it installs is taken, is kept by upgrades, and goes.

Nobody plays the kubelet, so nothing runs here: these are the objects alone. The tests of one helm follow each
other on one release.
"""

import shutil
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Final

import msgspec
import pytest
import yaml

from certs.authority import create_authority
from policy.cluster.errors import ClusterError
from policy.cluster.protocol import WORKFLOW_QUOTAS, WORKFLOWS, EventType, MergePatch, Resource
from policy.core.objects.json_patch import JsonObject
from tests.charts.rendering import EVERYTHING, MODES, Chart
from tests.e2e.charted import CHART, GOVERNED, NAMESPACE, RELEASE, Release, Site, chart_site
from tests.e2e.helm import VERSIONS
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e

CONFIGURATIONS: Final = tuple(
    Resource("admissionregistration.k8s.io", "v1", f"{kind.lower()}s", kind, namespaced=False)
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
)
SECRETS: Final = Resource("", "v1", "secrets", "Secret")
PODS: Final = Resource("", "v1", "pods", "Pod")
SERVICES: Final = Resource("", "v1", "services", "Service")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment")
OURS: Final = f"app.kubernetes.io/instance={RELEASE}"
FOREIGN: Final = {"Issuer", "Certificate", "ServiceMonitor", "PrometheusRule"}
"""Kinds that this API server does not have."""
FILLED: Final = b64encode(b"made at run time").decode()
WORKFLOW: Final[JsonObject] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "try-"},
    "spec": {"entrypoint": "main"},
}
QUOTA: Final[JsonObject] = {
    "apiVersion": "lockkeeper.dev/v1alpha1",
    "kind": "WorkflowQuota",
    "metadata": {"name": "kept"},
    "spec": {"limits": {"workflows": 3}},
}


class Hook(msgspec.Struct, frozen=True, rename="camel"):
    """What upgrades change of a webhook, and what they must not."""

    name: str
    failure_policy: str
    client_config: dict[str, str | dict[str, str | int]]


class Configuration(msgspec.Struct, frozen=True):
    """A webhook configuration."""

    webhooks: tuple[Hook, ...] = ()


class Filled(msgspec.Struct, frozen=True):
    """A Secret."""

    data: dict[str, str] = {}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give the control plane."""
    with chart_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: f"helm-{version}")
def release(request: pytest.FixtureRequest, site: Site) -> Iterator[Release]:
    """Give the release, installed; it is uninstalled at the end, if no test did."""
    version: str = request.param
    release = Release(site.helm(version))
    release.install()
    yield release
    release.helm.run("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")


def hooks(site: Site) -> dict[str, Hook]:
    """Return all webhooks of the release by name."""
    found = [site.cluster.get(resource, RELEASE) for resource in CONFIGURATIONS]
    return {hook.name: hook for each in found for hook in msgspec.convert(each, Configuration).webhooks}


def bundles(site: Site) -> set[str]:
    """Return what the webhooks have as caBundle."""
    return {str(hook.client_config.get("caBundle", "")) for hook in hooks(site).values()}


def kept_data(site: Site) -> dict[str, str]:
    """Return what the Secret of the built-in certificates holds."""
    found = site.cluster.get(SECRETS, "lockkeeper-certs", namespace=NAMESPACE)
    return msgspec.convert(found, Filled).data


def fill(site: Site) -> None:
    """Write what the replicas write at run time: the Secret by a replace, the bundles by a patch."""
    secret = site.cluster.get(SECRETS, "lockkeeper-certs", namespace=NAMESPACE)
    site.cluster.replace(SECRETS, {**secret, "data": {"ca.crt": FILLED}})
    authority = create_authority(now=datetime.now(UTC), name="ca-of-a-test")
    for resource in CONFIGURATIONS:
        configuration = site.cluster.get(resource, RELEASE)
        webhooks = configuration["webhooks"]
        assert isinstance(webhooks, list)
        for hook in webhooks:
            assert isinstance(hook, dict)
            client = hook["clientConfig"]
            assert isinstance(client, dict)
            client["caBundle"] = b64encode(authority.cert_pem).decode()
        site.cluster.patch(resource, RELEASE, MergePatch({"webhooks": webhooks}))


def create(site: Site, namespace: str) -> str:
    """Create a Workflow; return what the API server has against it, or nothing."""
    try:
        site.cluster.create(WORKFLOWS, WORKFLOW, namespace=namespace)
    except ClusterError as error:
        return error.message
    return ""


def await_passed(site: Site, namespace: str) -> None:
    """Wait until a create passes: an API server learns of a change after it was made."""
    deadline = monotonic() + PATIENCE
    while said := create(site, namespace):
        assert monotonic() < deadline, said
        Event().wait(0.05)


@pytest.mark.parametrize("mode", MODES)
def test_the_api_server_takes_every_object_as_it_is(site: Site, mode: str) -> None:
    """Strictly: a field that it does not know, or one that is there twice, would be an error."""
    chart = Chart(helm=site.helm(VERSIONS[0]))
    settings = (*EVERYTHING, "crds.install=true", "fullnameOverride=tried", *MODES[mode])
    rendered = chart.rendered(*settings, namespace=NAMESPACE)
    bodies = [each.body for each in rendered.manifests if each.kind not in FOREIGN]
    assert len(bodies) > 30
    # A dry run makes no account for the Pod to name.
    site.kubectl.run("-n", NAMESPACE, "create", "serviceaccount", "tried-check")
    text = yaml.safe_dump_all(bodies)
    command = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")
    said = site.kubectl.said(*command, text=text)
    assert len(said.splitlines()) == len(bodies)


def test_an_install_tells_what_to_do_next(release: Release) -> None:
    """The notes are the one text that everybody sees."""
    notes = release.helm.said("get", "notes", RELEASE, f"--namespace={NAMESPACE}")
    assert f"kubectl -n {NAMESPACE} wait --for=condition=Available" in notes
    assert "failurePolicy is Fail" in notes
    assert "Certificates: built in." in notes
    assert notes.count("try-lockkeeper") == 3
    assert "WARNING" not in notes


def test_an_install_into_the_default_namespace_warns(release: Release) -> None:
    """Workflows are often created there, and it would be the one namespace that is never governed."""
    command = ("install", "other", str(CHART), "--namespace=default", "--dry-run=server")
    notes = release.helm.said(
        *command, "--set=crds.install=false", *(f"--set={each}" for each in MODES["secret"])
    )
    assert "WARNING: this release is in the namespace default" in notes
    assert "Certificates: yours, from the Secret my-tls." in notes


@pytest.mark.usefixtures("release")
def test_the_secret_of_the_certificates_is_there_and_empty(site: Site) -> None:
    """The replicas find it, and need no right to make it."""
    assert kept_data(site) == {}
    assert bundles(site) == {""}


@pytest.mark.usefixtures("release")
def test_pods_are_made_in_a_namespace_that_enforces_the_restricted_standard(site: Site) -> None:
    """The API server itself judges them; one that it refuses is never made."""
    deadline = monotonic() + PATIENCE
    while len(site.cluster.list(PODS, namespace=NAMESPACE, labels=OURS).items) < 4:
        assert monotonic() < deadline, site.kubectl.said("-n", NAMESPACE, "get", "events")
        Event().wait(0.1)


@pytest.mark.usefixtures("release")
def test_own_namespace_is_not_governed_and_others_are(site: Site) -> None:
    """No webhook answers here, so with Fail a create that is asked about is refused."""
    assert create(site, NAMESPACE) == ""
    assert create(site, "kube-system") == ""
    assert 'failed calling webhook "validate.lockkeeper.dev"' in create(site, GOVERNED)


def test_an_upgrade_leaves_what_was_made_at_run_time(release: Release, site: Site) -> None:
    """A lost CA would be an outage until all have a new one."""
    fill(site)
    before = bundles(site)
    assert len(before) == 1
    release.upgrade("webhook.replicas=3", "registration.validating.failurePolicy=Ignore", "commonLabels.a=b")
    assert kept_data(site) == {"ca.crt": FILLED}
    assert bundles(site) == before
    assert hooks(site)["validate.lockkeeper.dev"].failure_policy == "Ignore"
    await_passed(site, GOVERNED)


def test_an_upgrade_brings_back_what_was_deleted_in_an_emergency(release: Release, site: Site) -> None:
    """The manual says so, and so does an alert."""
    for resource in CONFIGURATIONS:
        site.cluster.delete(resource, RELEASE)
    release.upgrade()
    assert set(hooks(site)) == {"mutate.lockkeeper.dev", "validate.lockkeeper.dev", "policies.lockkeeper.dev"}
    fill(site)


@pytest.mark.usefixtures("release")
def test_the_newer_helm_takes_over_from_the_older(site: Site) -> None:
    """It writes by the server's side, and so over fields that another manager had."""
    before = bundles(site)
    Release(site.helm(VERSIONS[-1])).upgrade("controller.replicas=3")
    assert kept_data(site) == {"ca.crt": FILLED}
    assert bundles(site) == before
    assert hooks(site)["validate.lockkeeper.dev"].failure_policy == "Fail"


def test_an_upgrade_brings_the_kinds_up_to_date(release: Release, site: Site, tmp_path: Path) -> None:
    """A helm chart's own folder for kinds would never be looked at again."""
    newer = tmp_path / "lockkeeper"
    shutil.copytree(CHART, newer)
    kind = newer / "files" / "crds" / "workflowquotas.yaml"
    text = kind.read_text(encoding="utf-8")
    kind.write_text(text.replace("shortNames: [wfq]", "shortNames: [wfq, newer]"), encoding="utf-8")
    release.upgrade(chart=newer)
    said = site.kubectl.said("get", "crd", "workflowquotas.lockkeeper.dev", "-o", "jsonpath={.spec.names}")
    assert '"newer"' in said


def test_a_rollback_leaves_what_was_made_at_run_time(release: Release, site: Site) -> None:
    """It is the way out of an upgrade that went wrong, and must not make things worse."""
    before = bundles(site)
    release.rollback(1)
    assert kept_data(site) == {"ca.crt": FILLED}
    assert bundles(site) == before


def test_an_uninstall_takes_the_webhooks_away_before_what_answers_them(release: Release, site: Site) -> None:
    """Else the API server would ask nobody, and refuse; versions of all objects come from one counter."""
    watched = (*CONFIGURATIONS, SERVICES, DEPLOYMENTS)
    site.cluster.create(WORKFLOW_QUOTAS, QUOTA, namespace=GOVERNED)
    since = {resource: site.cluster.list(resource).resource_version for resource in watched}
    release.uninstall()
    asked = max(
        int(_last_version_with_webhooks(site, resource, since[resource])) for resource in CONFIGURATIONS
    )
    for resource in (SERVICES, DEPLOYMENTS):
        gone = [
            int(event.resource_version)
            for event in site.cluster.watch(resource, since=since[resource], labels=OURS, timeout=1)
            if event.type is EventType.DELETED
        ]
        assert len(gone) == 2
        assert asked < min(gone), resource.plural
    await_passed(site, GOVERNED)


@pytest.mark.usefixtures("release")
def test_an_uninstall_leaves_nothing_but_the_kinds_and_what_is_of_them(site: Site) -> None:
    """Policies are the user's; so is the decision to delete them."""
    kinds = "all,secret,serviceaccount,role,rolebinding,pdb"
    assert (
        site.kubectl.said("-n", NAMESPACE, "get", kinds, "-l", f"{OURS},!pod-template-hash", "-o", "name")
        == ""
    )
    wide = "clusterrole,clusterrolebinding,mutatingwebhookconfiguration,validatingwebhookconfiguration"
    assert site.kubectl.said("get", wide, "-l", OURS, "-o", "name") == ""
    kinds_of_ours = site.kubectl.said("get", "crd", "-o", "name").count("lockkeeper.dev")
    assert kinds_of_ours == len(list((CHART / "files" / "crds").iterdir()))
    assert site.cluster.get(WORKFLOW_QUOTAS, "kept", namespace=GOVERNED)


def test_it_can_be_installed_again_and_finds_its_policies(release: Release, site: Site) -> None:
    """The kinds that stayed are taken over."""
    release.install()
    assert site.cluster.get(WORKFLOW_QUOTAS, "kept", namespace=GOVERNED)
    assert kept_data(site) == {}
    release.uninstall()
    site.cluster.delete(WORKFLOW_QUOTAS, "kept", namespace=GOVERNED)


def _last_version_with_webhooks(site: Site, resource: Resource, since: str) -> str:
    """Return the version at which the last configuration that asks anybody was deleted."""
    last = ""
    for event in site.cluster.watch(resource, since=since, timeout=1):
        found = msgspec.convert(event.object, Configuration)
        if event.type is EventType.DELETED and found.webhooks:
            last = event.resource_version
        elif event.type is not EventType.DELETED:
            assert found.webhooks == ()
    return last
