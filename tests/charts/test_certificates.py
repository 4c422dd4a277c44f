"""The three ways to come by a certificate: every part has to look for it in the same place."""

from typing import Final

import msgspec
import pytest

from tests.charts.pods import PodSpec, pod_of
from tests.charts.rendering import EVERYTHING, MODES, WITHOUT_CRDS, Chart, Rendered

pytestmark = pytest.mark.e2e

NAMES: Final = (
    "lockkeeper-webhook",
    "lockkeeper-webhook.traffic",
    "lockkeeper-webhook.traffic.svc",
    "lockkeeper-webhook.traffic.svc.cluster.local",
)
"""The Service's names; the API server checks for the third."""


class Issuer(msgspec.Struct, frozen=True):
    """Who signs."""

    name: str
    kind: str
    group: str


class CertificateSpec(msgspec.Struct, frozen=True, rename="camel"):
    """What cert-manager is asked for."""

    secret_name: str
    issuer_ref: Issuer
    duration: str
    renew_before: str = ""
    dns_names: tuple[str, ...] = ()
    is_ca: bool = msgspec.field(default=False, name="isCA")


class Endpoint(msgspec.Struct, frozen=True, rename="camel"):
    """What Prometheus reads."""

    port: str
    scheme: str


def deployed(rendered: Rendered, component: str) -> PodSpec:
    """Return the Pods of one Deployment."""
    return pod_of(rendered.one("Deployment", f"lockkeeper-{component}"))


def options(rendered: Rendered, component: str) -> dict[str, str]:
    """Return the options about certificates that a program is started with."""
    arguments = [each.partition("=") for each in deployed(rendered, component).only.args]
    return {name: value for name, _, value in arguments if name.startswith(("--certs", "--ca"))}


def mounted(rendered: Rendered, component: str) -> dict[str, str | dict[str, str]]:
    """Return the volumes that are mounted at /certs, by their sources."""
    pod = deployed(rendered, component)
    names = [mount.name for mount in pod.only.volume_mounts if mount.mount_path == "/certs"]
    return {
        kind: source
        for volume in pod.volumes
        if volume["name"] in names
        for kind, source in volume.items()
        if kind != "name"
    }


def test_built_in_certificates_are_kept_in_a_secret_that_is_made_empty(chart: Chart) -> None:
    """No replica has to make it, an uninstall takes it along, and no upgrade writes over what was put in."""
    rendered = chart.rendered(WITHOUT_CRDS)
    secret = rendered.one("Secret", "lockkeeper-certs")
    assert secret.body.keys() == {"apiVersion", "kind", "metadata", "type"}
    assert secret.body["type"] == "Opaque"
    wanted = {"--certs-secret": "$(POD_NAMESPACE)/lockkeeper-certs", "--certs-names": ",".join(NAMES)}
    assert options(rendered, "webhook") == wanted
    assert options(rendered, "controller") == wanted
    assert mounted(rendered, "webhook") == {}


def test_built_in_certificates_take_further_names(chart: Chart) -> None:
    """For an API server that comes in by another way; a name that is there already is not there twice."""
    rendered = chart.rendered(WITHOUT_CRDS, "certificates.extraNames={127.0.0.1,lockkeeper-webhook}")
    for component in ("webhook", "controller"):
        assert options(rendered, component)["--certs-names"] == ",".join((*NAMES, "127.0.0.1"))


def test_cert_manager_makes_a_ca_that_lasts_and_a_certificate_from_it(chart: Chart) -> None:
    """A renewal of the certificate leaves the bundle of the API server as it is."""
    rendered = chart.rendered(WITHOUT_CRDS, *MODES["certManager"])
    made = {each.metadata.name: each.read(CertificateSpec, "spec") for each in rendered.all("Certificate")}
    assert made["lockkeeper-ca"].is_ca
    assert made["lockkeeper-ca"].issuer_ref.name == "lockkeeper-selfsigned"
    served = made["lockkeeper-webhook"]
    assert (served.secret_name, served.dns_names) == ("lockkeeper-tls", NAMES)
    assert (served.duration, served.renew_before) == ("2160h", "720h")
    assert served.issuer_ref == Issuer("lockkeeper-ca", "Issuer", "cert-manager.io")
    issuer = rendered.one("Issuer", "lockkeeper-ca")
    assert issuer.read(str, "spec", "ca", "secretName") == made["lockkeeper-ca"].secret_name
    assert {each.api_version for each in rendered.all("Issuer", "Certificate")} == {"cert-manager.io/v1"}


def test_cert_manager_can_be_told_which_issuer_to_ask(chart: Chart) -> None:
    """A company has a CA already."""
    settings = (
        *MODES["certManager"],
        "certificates.certManager.issuerRef.name=company",
        "certificates.certManager.issuerRef.kind=ClusterIssuer",
    )
    rendered = chart.rendered(WITHOUT_CRDS, *settings)
    assert rendered.all("Issuer") == []
    served = rendered.one("Certificate").read(CertificateSpec, "spec")
    assert served.issuer_ref == Issuer("company", "ClusterIssuer", "cert-manager.io")


@pytest.mark.parametrize(
    ("mode", "secret", "of_controller"),
    [
        ("certManager", "lockkeeper-tls", {}),
        ("secret", "my-tls", {"--ca-secret": "$(POD_NAMESPACE)/my-tls"}),
    ],
)
def test_a_secret_of_somebody_else_is_mounted_and_never_written(
    chart: Chart, mode: str, secret: str, of_controller: dict[str, str]
) -> None:
    """The webhook reads files; the controller reads the CA, where nobody else keeps the bundle."""
    rendered = chart.rendered(WITHOUT_CRDS, *MODES[mode])
    assert options(rendered, "webhook") == {"--certs-mounted": "/certs"}
    assert mounted(rendered, "webhook") == {"secret": {"secretName": secret}}
    assert options(rendered, "controller") == of_controller
    assert mounted(rendered, "controller") == {}
    assert rendered.all("Secret") == []


@pytest.mark.parametrize(("component", "port"), [("webhook", "health"), ("controller", "http")])
def test_prometheus_asks_the_port_of_metrics(chart: Chart, component: str, port: str) -> None:
    """Nobody but the API server has to know the other port, and the Service has both."""
    rendered = chart.rendered(*EVERYTHING)
    monitor = rendered.one("ServiceMonitor", f"lockkeeper-{component}")
    (endpoint,) = monitor.read(tuple[Endpoint, ...], "spec", "endpoints")
    assert endpoint == Endpoint(port, "http")
    ports = rendered.one("Service", f"lockkeeper-{component}").read(
        tuple[dict[str, str | int], ...], "spec", "ports"
    )
    assert port in [each["name"] for each in ports]
