"""Certificates on a real API server: least rights, a caBundle put right, and a change of CA under load."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext
from threading import Event, Thread
from time import monotonic
from typing import Final
from uuid import uuid4

import pytest

from certs.authority import create_authority
from certs.bundle import split
from certs.files import CertificateFiles
from certs.rotation_steps import RotationAction, Timing
from lockkeeper.__main__ import main
from lockkeeper.certificates.ca_bundle import Configurations
from lockkeeper.certificates.certificate_upkeep import CertificateUpkeep, OwnCertificates
from lockkeeper.certificates.metrics import CertificateTask
from lockkeeper.certificates.secret_store import SecretStore
from lockkeeper.certificates.serving_certificate import ServingCertificate
from lockkeeper.process.kubernetes_objects import CONFIGURATIONS, MUTATING, VALIDATING
from policy.cluster.errors import ClusterError, Forbidden
from policy.cluster.kube.kube_cluster import KubeCluster, connect
from policy.cluster.protocol import CONFIG_MAPS, NAMESPACES, Resource
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.control_plane import ControlPlane
from tests.e2e.kubectl import Kubectl
from tests.lockkeeper.certificates.certificate_cluster import Noted, ca_bundles, edit_bundle
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e

NAMES: Final = ("127.0.0.1",)
TIMING: Final = Timing(propagation=timedelta(seconds=2), overlap=timedelta(seconds=3))
"""The steps of a change in seconds; API servers and replicas here need a fraction of one."""
FOLLOW_SECONDS: Final = 0.3


class Answering(BaseHTTPRequestHandler):
    """Allows everything; each request is a connection of its own, and so a handshake."""

    def do_POST(self) -> None:
        """Answer an AdmissionReview."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        review["response"] = {"uid": review["request"]["uid"], "allowed": True}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Takes the context of the certificate anew for each connection, as gunicorn does."""

    def __init__(self, certificate: ServingCertificate) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self._certificate = certificate

    def finish_request(self, request: object, client_address: object) -> None:
        """Shake hands in the connection's own thread."""
        context: SSLContext = self._certificate.context()
        assert hasattr(request, "settimeout")
        request.settimeout(PATIENCE)
        with context.wrap_socket(request, server_side=True) as secure:  # type: ignore[arg-type]
            super().finish_request(secure, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave a handshake that failed to the API server, which fails the create for it."""


class Site:
    """One installation with names of its own: a namespace, a Secret, configurations; all gone in the end."""

    def __init__(self, cluster: KubeCluster, kubeconfig: Path, namespace: str) -> None:
        self.admin = cluster
        self.namespace = namespace
        self.release = namespace
        self.secret = f"{namespace}-certs"
        where = ("--kubeconfig", str(kubeconfig), "--namespace", namespace, "--secret", self.secret)
        self.options: list[str] = list(where)

    def store(self, cluster: KubeCluster) -> SecretStore:
        """Return the store that a client of ours uses."""
        return SecretStore(cluster=cluster, namespace=self.namespace, name=self.secret)

    @property
    def files(self) -> CertificateFiles:
        """What the Secret holds."""
        return self.store(self.admin).read().files

    @property
    def bundles(self) -> set[bytes | None]:
        """What the webhooks carry."""
        return set(ca_bundles(self.admin, name=self.release).values())

    def upkeep(self, cluster: KubeCluster, told: Noted) -> CertificateUpkeep:
        """Return the leader's work, with the rights of a client."""
        return CertificateUpkeep(
            certificates=OwnCertificates(
                store=self.store(cluster), names=NAMES, clock=_now, reporter=told, timing=TIMING
            ),
            configurations=Configurations(cluster=cluster, name=self.release),
            clock=_now,
            reporter=told,
            pass_seconds=FOLLOW_SECONDS,
        )

    def install(self, url: str) -> None:
        """Register both webhooks for ConfigMaps of the namespace; they fail closed."""
        for resource in CONFIGURATIONS:
            hook: JsonObject = {
                "name": f"{'mutate' if resource is MUTATING else 'validate'}.lockkeeper.dev",
                "clientConfig": {"url": f"{url}/review"},
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "resources": ["configmaps"],
                        "operations": ["CREATE"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "timeoutSeconds": 10,
                "admissionReviewVersions": ["v1"],
            }
            hooks: list[JsonValue] = [hook]
            self.admin.create(
                resource,
                {
                    "apiVersion": resource.api_version,
                    "kind": resource.kind,
                    "metadata": {"name": self.release},
                    "webhooks": hooks,
                },
            )

    def create(self, name: str) -> None:
        """Create a ConfigMap, which both webhooks have to allow."""
        config_map: JsonObject = {
            "apiVersion": CONFIG_MAPS.api_version,
            "kind": CONFIG_MAPS.kind,
            "metadata": {"name": name},
        }
        self.admin.create(CONFIG_MAPS, config_map, namespace=self.namespace)


@pytest.fixture
def site(kube_cluster: KubeCluster, control_plane: ControlPlane) -> Iterator[Site]:
    """Give a namespace of the test's own, and remove all in the end."""
    name = f"certs-{uuid4().hex[:8]}"
    namespace: JsonObject = {
        "apiVersion": NAMESPACES.api_version,
        "kind": NAMESPACES.kind,
        "metadata": {"name": name},
    }
    kube_cluster.create(NAMESPACES, namespace)
    made = Site(kube_cluster, control_plane.kubeconfig, name)
    with ExitStack() as last:
        last.callback(kube_cluster.delete, NAMESPACES, name)
        for resource in CONFIGURATIONS:
            last.callback(_remove, kube_cluster, resource, name)
        yield made


@pytest.fixture
def limited(
    site: Site, kubectl: Kubectl, control_plane: ControlPlane, tmp_path: Path
) -> Iterator[KubeCluster]:
    """Give the cluster with the rights that the controller has: by name, and to make one Secret."""
    for arguments in (
        ("serviceaccount", "controller"),
        ("role", "certs", "--verb=get,update", "--resource=secrets", f"--resource-name={site.secret}"),
        ("role", "certs-first", "--verb=create", "--resource=secrets"),
        ("rolebinding", "certs", "--role=certs", f"--serviceaccount={site.namespace}:controller"),
        ("rolebinding", "certs-first", "--role=certs-first", f"--serviceaccount={site.namespace}:controller"),
    ):
        kubectl.said("create", *arguments, "-n", site.namespace)
    configurations = ",".join(f"{each.plural}.{each.group}" for each in CONFIGURATIONS)
    kubectl.said(
        "create",
        "clusterrole",
        site.release,
        "--verb=get,list,watch,patch",
        f"--resource={configurations}",
        f"--resource-name={site.release}",
    )
    kubectl.said(
        "create",
        "clusterrolebinding",
        site.release,
        f"--clusterrole={site.release}",
        f"--serviceaccount={site.namespace}:controller",
    )
    settings = json.loads(control_plane.kubeconfig.read_text())
    settings["users"][0]["user"]["token"] = kubectl.said(
        "create", "token", "controller", "-n", site.namespace
    ).strip()
    (tmp_path / "limited").write_text(json.dumps(settings))
    cluster = connect(tmp_path / "limited")
    yield cluster
    cluster.close()
    kubectl.said("delete", "clusterrole,clusterrolebinding", site.release)


def _now() -> datetime:
    return datetime.now(UTC)


def _remove(cluster: KubeCluster, resource: Resource, name: str) -> None:
    if cluster.list(resource, name=name).items:
        cluster.delete(resource, name)


@contextmanager
def working(upkeep: CertificateUpkeep) -> Iterator[None]:
    """Let the leader work; its watches end with the cluster."""
    thread = Thread(target=upkeep.run)
    thread.start()
    try:
        yield
    finally:
        upkeep.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_an_edited_bundle_is_put_right_with_the_least_rights(site: Site, limited: KubeCluster) -> None:
    """The Secret is made, both configurations get the bundle, and an edit lasts no longer than a moment."""
    site.install("https://127.0.0.1:1")
    told = Noted()
    stranger = create_authority(now=_now()).cert_pem
    with pytest.raises(Forbidden):
        limited.list(MUTATING)
    with working(site.upkeep(limited, told)):
        told.until(lambda: len(told.places) == 2)
        assert site.bundles == {site.files.bundle}
        for count, resource in enumerate((MUTATING, VALIDATING)):
            edit_bundle(site.admin, resource, 0, stranger, name=site.release)
            told.until(lambda wanted=count + 3: len(told.places) == wanted)  # type: ignore[misc]
        assert site.bundles == {site.files.bundle}
    assert told.failures == []


def test_a_change_of_ca_under_load_fails_no_create(
    site: Site, limited: KubeCluster, kube_cluster: KubeCluster, tmp_path: Path
) -> None:
    """From the first certificate to a new CA alone, while every create needs both webhooks."""
    (tmp_path / "certs").mkdir(mode=0o700)
    told, served = Noted(), Noted()
    certificate = ServingCertificate(
        folder=tmp_path / "certs", names=NAMES, clock=_now, reporter=served, follow_seconds=FOLLOW_SECONDS
    )
    store = site.store(kube_cluster)
    assert certificate.establish(store, stopped=Event())
    certificate.follow(store, reporter=served)
    first = site.files
    finished = Event()

    def create_all_the_time(worker: int) -> int:
        count = 0
        while not finished.is_set():
            site.create(f"c-{worker}-{count}")
            count += 1
        return count

    with (
        Server(certificate) as server,
        working(site.upkeep(limited, told)),
        ThreadPoolExecutor(2) as pool,
    ):
        Thread(target=server.serve_forever, daemon=True).start()
        site.install(f"https://127.0.0.1:{server.server_port}")
        told.until(lambda: len(told.places) == 2)
        _until_trusted(site)
        creating = [pool.submit(create_all_the_time, worker) for worker in range(2)]
        try:
            assert main(["certs", "rotate", "--ca", *site.options]) == 0
            told.until(lambda: told.deeds[-1:] == [RotationAction.RETIRED])
            told.until(lambda: site.bundles == {site.files.bundle})
        finally:
            finished.set()
        counts = [future.result(PATIENCE) for future in creating]
        server.shutdown()
    certificate.stop()
    assert min(counts) > 10, "the load was too thin to prove anything"
    assert told.deeds == [RotationAction.SWITCHED, RotationAction.NEW_LEAF, RotationAction.RETIRED]
    assert len(served.ends) == 2
    last = site.files
    assert len(split(last.bundle)) == 1
    assert last.bundle not in split(first.bundle)
    assert {doing for doing, _ in told.failures} <= {CertificateTask.INJECT}, (
        "configurations that were not there yet"
    )


def test_the_command_works_on_a_cluster(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """Make, look, change: with the exit codes and lines that its users see."""
    assert main(["certs", "status", *site.options, "--webhook-configurations", site.release]) == 1
    assert main(["certs", "init", *site.options, "--names", "127.0.0.1"]) == 0
    assert main(["certs", "init", *site.options]) == 0
    assert capsys.readouterr().out.endswith("nothing to do: all is well\n")
    site.install("https://127.0.0.1:1")
    status = ["certs", "status", *site.options, "--webhook-configurations", site.release]
    assert main(status) == 1
    assert "wrong: caBundle: 2 of 2 webhooks do not carry the bundle" in capsys.readouterr().out
    for resource in CONFIGURATIONS:
        edit_bundle(site.admin, resource, 0, site.files.bundle, name=site.release)
    assert main([*status, "-o", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["certificates"][0]["inCaBundle"] is True
    before = site.files
    assert main(["certs", "rotate", *site.options]) == 0
    assert (site.files.bundle, site.files.cert != before.cert) == (before.bundle, True)
    assert main(["certs", "rotate", "--ca", *site.options]) == 0
    assert main(["certs", "rotate", "--ca", *site.options]) == 0
    assert capsys.readouterr().out.endswith("a change of CA is under way already\n")
    assert split(site.files.bundle)[0] == before.bundle


def _until_trusted(site: Site) -> None:
    """Wait until the API server uses the bundle, which it learns by its own watch."""
    deadline, pause = monotonic() + PATIENCE, Event()
    while True:
        try:
            site.create(f"first-{uuid4().hex}")
        except ClusterError:
            assert monotonic() < deadline, "the API server does not trust the bundle"
            pause.wait(0.05)
        else:
            return
