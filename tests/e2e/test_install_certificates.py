"""Installations whose certificates somebody else makes: a given Secret, and cert-manager."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import pytest

from certs.authority import Authority, ServingPair, create_authority, issue_serving_pair
from lockkeeper.certificates.secret_store import SECRETS
from lockkeeper.process.kubernetes_objects import CONFIGURATIONS
from policy.cluster.kube.kube_cluster import connect
from policy.cluster.protocol import JsonPatch, MergePatch, Resource
from policy.core.objects.json_patch import JsonObject, Op, PatchOp
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.creating import Stream, creating
from tests.e2e.installed import WEBHOOK, Installed, running_site
from tests.e2e.kubectl import AWHILE
from tests.e2e.manifests import quota
from tests.e2e.product import until
from tests.e2e.replicas import ASKING, addresses, certificate_of
from tests.e2e.submitting import govern
from tests.lockkeeper.certificates.certificate_cluster import ca_bundles

pytestmark = [pytest.mark.e2e, ASKING]

QUICK: Final = ("webhook.preStopSeconds=1", "controller.preStopSeconds=1")
SERVER_NAME: Final = f"{WEBHOOK}.{NAMESPACE}.svc"
GIVEN: Final = "given"
CERT_MANAGER: Final = "cert-manager.io"
CERTIFICATES: Final = Resource(CERT_MANAGER, "v1", "certificates", "Certificate")


class CertificateSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What cert-manager reads of a Certificate."""

    secret_name: str
    dns_names: tuple[str, ...] = ()


class Metadata(msgspec.Struct, frozen=True):
    """What cert-manager's injector reads of a webhook configuration."""

    annotations: dict[str, str] = {}


class Annotated(msgspec.Struct, frozen=True):
    """A webhook configuration."""

    metadata: Metadata
    webhooks: tuple[dict[str, object], ...]


class Wanted(msgspec.Struct, frozen=True):
    """A Certificate."""

    spec: CertificateSpec


@contextmanager
def site(folder: Path) -> Iterator[Installed]:
    """Run a cluster on which nothing of ours is installed yet."""
    with running_site(folder) as running:
        yield running


@pytest.fixture
def authority() -> Authority:
    """Return somebody's CA."""
    return create_authority(now=datetime.now(UTC), name="ca-of-the-house")


def leaf(authority: Authority, *names: str) -> ServingPair:
    """Return a new certificate of a CA for the webhook."""
    return issue_serving_pair(authority, names=names or (SERVER_NAME,), now=datetime.now(UTC))


def secret(name: str, pair: ServingPair, bundle: bytes) -> JsonObject:
    """Return a Secret as people and cert-manager make it."""
    data = {"tls.crt": pair.cert_pem, "tls.key": pair.key_pem, "ca.crt": bundle}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name},
        "type": "kubernetes.io/tls",
        "data": {key: b64encode(value).decode() for key, value in data.items()},
    }


def write(site: Installed, name: str, pair: ServingPair, bundle: bytes) -> None:
    """Replace what the Secret holds."""
    new = secret(name, pair, bundle)
    site.cluster.patch(SECRETS, name, MergePatch({"data": new["data"]}), namespace=NAMESPACE)


def await_bundle(site: Installed, bundle: bytes) -> None:
    """Wait until API servers trust this and nothing else."""
    until(
        lambda: set(ca_bundles(site.cluster, name=RELEASE).values()) == {bundle},
        "the CA is not in every webhook",
    )


def await_served(site: Installed, pair: ServingPair) -> None:
    """Wait until every replica serves a certificate."""
    until(
        lambda: {certificate_of(each) for each in addresses(site)} == {pair.cert_pem},
        "some replica serves another certificate",
    )


@contextmanager
def stream(site: Installed) -> Iterator[Stream]:
    """Run a stream of creates."""
    with creating(
        connect=lambda: connect(site.site.plane.kubeconfig), namespace=GOVERNED, pace=0.1
    ) as running:
        running.await_more(20)
        yield running
        running.await_more()


def assert_unhurt(stream: Stream) -> None:
    """No create failed, and none got past the quota."""
    assert (stream.failed, stream.ungoverned) == ([], [])


def test_a_given_secret_is_served_and_its_changes_are_taken_up(tmp_path: Path, authority: Authority) -> None:
    """By every replica and by the API server; no create fails, as the old CA is trusted until the end."""
    with site(tmp_path) as installed:
        pair = leaf(authority)
        made = secret(GIVEN, pair, authority.cert_pem)
        installed.cluster.create(SECRETS, made, namespace=NAMESPACE)
        mode = ("certificates.mode=secret", f"certificates.secret.name={GIVEN}")
        said = installed.release.install(*mode, *QUICK)
        assert f"Certificates: yours, from the Secret {GIVEN}." in said
        installed.ready()
        await_bundle(installed, authority.cert_pem)
        await_served(installed, pair)
        govern(installed, GOVERNED, quota(limits={"workflows": 0}))
        with stream(installed) as creates:
            renewed = leaf(authority)
            write(installed, GIVEN, renewed, authority.cert_pem)
            await_served(installed, renewed)
            creates.await_more()
            following = create_authority(now=datetime.now(UTC), name="next-ca-of-the-house")
            both = authority.cert_pem + following.cert_pem
            write(installed, GIVEN, renewed, both)
            await_bundle(installed, both)
            creates.await_more()
            last = leaf(following)
            write(installed, GIVEN, last, both)
            await_served(installed, last)
            creates.await_more()
            write(installed, GIVEN, last, following.cert_pem)
            await_bundle(installed, following.cert_pem)
        assert_unhurt(creates)


def test_pods_wait_for_the_secret_that_is_not_there_yet(tmp_path: Path, authority: Authority) -> None:
    """As the notes say; nothing has to be repeated when it comes."""
    with site(tmp_path) as installed:
        mode = ("certificates.mode=secret", f"certificates.secret.name={GIVEN}")
        installed.release.install(*mode, *QUICK)
        until(lambda: len(installed.pods(WEBHOOK)) == 2, "there are no Pods")
        assert addresses(installed) == []
        made = secret(GIVEN, leaf(authority), authority.cert_pem)
        installed.cluster.create(SECRETS, made, namespace=NAMESPACE)
        installed.ready()
        await_bundle(installed, authority.cert_pem)
        govern(installed, GOVERNED, quota(limits={"workflows": 0}))


def test_what_cert_manager_makes_is_served(tmp_path: Path, authority: Authority) -> None:
    """There is no cert-manager here: the test does what its controller and its injector would.

    It reads the chart's own Certificate and annotation for it. The kinds are stand-ins that take every field,
    so it is not shown whether cert-manager takes the chart's objects.
    """
    with site(tmp_path) as installed:
        define_kinds(installed)
        installed.release.install("certificates.mode=certManager", *QUICK)
        wanted = certificate(installed)
        assert SERVER_NAME in wanted.dns_names
        pair = leaf(authority, *wanted.dns_names)
        made = secret(wanted.secret_name, pair, authority.cert_pem)
        installed.cluster.create(SECRETS, made, namespace=NAMESPACE)
        inject(installed, authority.cert_pem)
        installed.ready()
        await_served(installed, pair)
        govern(installed, GOVERNED, quota(limits={"workflows": 0}))
        with stream(installed) as creates:
            renewed = leaf(authority, *wanted.dns_names)
            write(installed, wanted.secret_name, renewed, authority.cert_pem)
            await_served(installed, renewed)
        assert_unhurt(creates)
        # Nobody of ours writes what is cert-manager's.
        assert set(ca_bundles(installed.cluster, name=RELEASE).values()) == {authority.cert_pem}


def define_kinds(installed: Installed) -> None:
    """Make cert-manager's two kinds known."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    for plural, kind in (("issuers", "Issuer"), ("certificates", "Certificate")):
        definition = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"{plural}.{CERT_MANAGER}"},
            "spec": {
                "group": CERT_MANAGER,
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "scope": "Namespaced",
                "versions": [version],
            },
        }
        kubectl = installed.site.kubectl
        kubectl.said("create", "-f", "-", text=json.dumps(definition))
        wait = ("wait", "--for=condition=Established", AWHILE)
        kubectl.said(*wait, f"crd/{plural}.{CERT_MANAGER}")


def certificate(installed: Installed) -> CertificateSpec:
    """Return the Certificate that the configurations ask the CA of, as the injector finds it."""
    named = set()
    for resource in CONFIGURATIONS:
        found = msgspec.convert(installed.cluster.get(resource, RELEASE), Annotated)
        named.add(found.metadata.annotations[f"{CERT_MANAGER}/inject-ca-from"])
    ((namespace, _, name),) = (each.partition("/") for each in named)
    return msgspec.convert(installed.cluster.get(CERTIFICATES, name, namespace=namespace), Wanted).spec


def inject(installed: Installed, bundle: bytes) -> None:
    """Write the CA into every webhook of the configurations, as the injector does."""
    encoded = b64encode(bundle).decode()
    for resource in CONFIGURATIONS:
        count = len(msgspec.convert(installed.cluster.get(resource, RELEASE), Annotated).webhooks)
        operations = tuple(
            PatchOp(Op.ADD, f"/webhooks/{index}/clientConfig/caBundle", encoded) for index in range(count)
        )
        installed.cluster.patch(resource, RELEASE, JsonPatch(operations))
