"""Certificates are changed, lost and spoilt while Workflows are created all the time.

What Lockkeeper changes by itself fails no create. What somebody breaks, it puts right; creates fail until
then, because an API server does not ask whom it does not trust.
"""

import ssl
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from secrets import token_hex
from socket import create_connection
from time import monotonic
from typing import Final

import msgspec
import pytest

from certs.authority import create_authority
from certs.bundle import split
from certs.files import CertificateFiles
from lockkeeper.certificates.ca_bundle import Configurations
from lockkeeper.certificates.secret_store import SecretStore
from lockkeeper.process.kubernetes_objects import MUTATING, VALIDATING
from policy.cluster.kube.kube_cluster import connect
from policy.cluster.protocol import WORKFLOWS, Resource
from policy.core.objects import well_known
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.creating import Stored, Stream, workflow
from tests.e2e.installed import CONTROLLER, IMAGE, WEBHOOK, Installed, installation
from tests.e2e.podrunner.launch import service_address
from tests.e2e.product import until
from tests.e2e.shaking import HEARD_WITHIN, Outage, govern, shaken, stray, try_again
from tests.patience import PATIENCE

pytestmark = pytest.mark.e2e

SECRET: Final = "lockkeeper-certs"  # noqa: S105 - the name of a Secret
CALM: Final = 0.05
SWITCHED_WITHIN: Final = 30.0 + PATIENCE
"""Seconds of the first two steps of a change of CA: the bundle is to be in place for thirty."""
BURST: Final = 24
RUBBISH: Final = b64encode(b"rubbish").decode()
UNTRUSTED: Final = ("x509: certificate signed by unknown authority", "unable to load root certificates")
"""What API servers say where caBundle is a CA of somebody else, and where it is no certificate at all."""
AFTERWARDS: Final = "is not as Lockkeeper's mutating webhook leaves it"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Give an installation with a namespace in which a quota holds everything."""
    with installation(tmp_path_factory.mktemp("shaken-certificates")) as installed:
        govern(installed)
        yield installed


def test_a_new_serving_certificate_fails_no_create(installed: Installed) -> None:
    """Each replica takes it up within seconds, for new connections; open ones go on."""
    with shaken(installed, pace=CALM) as stream:
        before = _kept(installed)
        assert _lockkeeper(installed, "certs", "rotate").startswith("made a new serving certificate")
        assert _kept(installed).bundle == before.bundle
        _await_served(installed)
        _open_connections(installed)
    assert stream.failed == []


def test_a_new_ca_fails_no_create(installed: Installed) -> None:
    """First it is trusted, then it signs; the old one's last hour is not waited for here."""
    with shaken(installed, pace=CALM) as stream:
        old = _kept(installed)
        assert _lockkeeper(installed, "certs", "rotate", "--ca").startswith("added the next CA to the bundle")
        until(lambda: _kept(installed).cert != old.cert, "nothing is signed anew", seconds=SWITCHED_WITHIN)
        _await_served(installed)
        _open_connections(installed)
        new = _kept(installed)
        assert set(split(old.bundle)) < set(split(new.bundle))
        assert split(new.bundle)[0] not in split(old.bundle)
        until(lambda: _bundles(installed) == {new.bundle}, "the bundle is not in every configuration")
    assert stream.failed == []


def test_rubbish_in_the_secret_fails_no_create(installed: Installed) -> None:
    """What was served goes on until there is something good, and the leader puts the bundle back."""
    with shaken(installed, pace=CALM) as stream:
        good = _kept(installed)
        _patch_secret(installed, {"data": {"tls.crt": RUBBISH, "ca.crt": RUBBISH}})
        until(lambda: _kept(installed).bundle == good.bundle, "the bundle is not put back")
        _await_served(installed)
        _open_connections(installed)
        assert _kept(installed).cert not in (good.cert, b"rubbish")
    assert stream.failed == []
    assert "made a new serving certificate: it cannot be read" in installed.logs(CONTROLLER)


def test_a_deleted_secret_is_made_anew(installed: Installed) -> None:
    """With a CA that nobody trusts yet: the old one stays, and only new connections may fail for a moment."""
    with shaken(installed, pace=CALM) as stream:
        old = _kept(installed)
        begun = monotonic()
        installed.site.kubectl.said("-n", NAMESPACE, "delete", "secret", SECRET)
        until(lambda: _kept(installed).cert not in (old.cert, b""), "it is not made anew")
        until(lambda: _bundles(installed) == {_kept(installed).bundle}, "the new CA is trusted nowhere")
        away = Outage(begun, monotonic() + HEARD_WITHIN)
        assert set(split(old.bundle)) < set(split(_kept(installed).bundle))
        _await_served(installed)
        _open_connections(installed)
    assert stray(stream, [away]) == []
    assert _only_untrusted(stream)
    assert "made a new CA, which signs at once" in installed.logs(CONTROLLER)
    try_again(installed, stream)


def test_a_wrong_bundle_is_put_right_at_once(installed: Installed) -> None:
    """Until the leader has written it over, the API server fails creates and says why."""
    outages: list[Outage] = []
    stranger = b64encode(create_authority(now=datetime.now(UTC)).cert_pem).decode()
    with shaken(installed) as stream:
        for resource in (VALIDATING, MUTATING):
            for wrong in (stranger, RUBBISH):
                outages.append(_edited(installed, resource, wrong))
                stream.await_more()
    assert stray(stream, outages) == []
    assert _only_untrusted(stream)
    try_again(installed, stream)


def _lockkeeper(installed: Installed, *arguments: str) -> str:
    """Run the command as an administrator does, and return what it says."""
    where = [f"--kubeconfig={installed.site.plane.kubeconfig}", f"--namespace={NAMESPACE}"]
    done = subprocess.run(  # noqa: S603 - our own program
        [*IMAGE.entry_point, *arguments, *where], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return done.stdout


def _kept(installed: Installed) -> CertificateFiles:
    """Return what the Secret holds."""
    return SecretStore(cluster=installed.cluster, namespace=NAMESPACE, name=SECRET).read().files


def _bundles(installed: Installed) -> set[bytes]:
    """Return what the webhooks carry."""
    return set(Configurations(cluster=installed.cluster, name=RELEASE).bundles())


def _patch_secret(installed: Installed, change: dict[str, dict[str, str]]) -> None:
    text = msgspec.json.encode(change).decode()
    installed.site.kubectl.said("-n", NAMESPACE, "patch", "secret", SECRET, "--type=merge", f"--patch={text}")


def _edited(installed: Installed, resource: Resource, bundle: str) -> Outage:
    """Write another bundle into the first webhook of a configuration; it has to be put right soon."""
    good = _kept(installed).bundle
    change = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]
    text = msgspec.json.encode(change).decode()
    begun = monotonic()
    installed.site.kubectl.said("patch", resource.plural, RELEASE, "--type=json", f"--patch={text}")
    until(lambda: _bundles(installed) == {good}, "it stays wrong")
    return Outage(begun, monotonic() + HEARD_WITHIN)


def _await_served(installed: Installed) -> None:
    """Wait until every new connection to the Service gets the certificate that the Secret holds."""
    address = service_address(installed.cluster, NAMESPACE, WEBHOOK, "webhook")
    row = 0

    def everywhere() -> bool:
        nonlocal row
        kept = split(_kept(installed).cert)
        row = row + 1 if kept and _served(address) == ssl.PEM_cert_to_DER_cert(kept[0].decode()) else 0
        return row >= BURST

    until(everywhere, "a replica serves another certificate")


def _served(address: tuple[str, int]) -> bytes | None:
    """Return the certificate that a new connection gets; whether to trust it is for the API server to say."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with create_connection(address, timeout=PATIENCE) as plain, context.wrap_socket(plain) as secure:
        return secure.getpeercert(binary_form=True)


def _open_connections(installed: Installed) -> None:
    """Create so many at once that the API server needs new connections; they have to be trusted."""

    def create(number: int) -> bool:
        cluster = connect(installed.site.plane.kubeconfig)
        try:
            stored = cluster.create(WORKFLOWS, workflow(f"{prefix}-{number}"), namespace=GOVERNED)
        finally:
            cluster.close()
        return well_known.TASKS in (msgspec.convert(stored, Stored).metadata.annotations or {})

    prefix = f"burst-{token_hex(3)}"
    with ThreadPoolExecutor(BURST) as pool:
        assert all(pool.map(create, range(BURST)))


def _only_untrusted(stream: Stream) -> bool:
    """Tell whether each failure says that the webhook is not trusted, or what comes of that in the other."""
    return all(any(text in each.error for text in (*UNTRUSTED, AFTERWARDS)) for each in stream.failed)
