"""Certificates are changed, lost and spoilt while Workflows are created all the time.

What Lockkeeper changes by itself fails no create. What somebody breaks, it puts right; creates fail until then,
because an API server that does not trust the webhook asks nobody.
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
from certs.kept import Kept
from lockkeeper.certificates.configurations import MUTATING, VALIDATING, Configurations
from lockkeeper.certificates.secret_store import SecretStore
from policy.cluster.kube import connect
from policy.cluster.protocol import WORKFLOWS
from policy.core import marks
from tests.e2e.charted import GOVERNED, NAMESPACE, RELEASE
from tests.e2e.creating import Stored, Stream, workflow
from tests.e2e.installed import CONTROLLER, IMAGE, WEBHOOK, Installed, installation
from tests.e2e.podrunner.launch import service_address
from tests.e2e.product import until
from tests.e2e.shaking import HEARD_WITHIN, Outage, govern, shaken, stray, try_again

pytestmark = pytest.mark.e2e

SECRET: Final = "lockkeeper-certs"  # noqa: S105 - the name of a Secret
CALM: Final = 0.05
SERVED_WITHIN: Final = 8.0
"""Seconds until every replica serves what the Secret holds: they look every five."""
SWITCHED_WITHIN: Final = 45.0
"""Seconds of the first two steps of a change of CA: the bundle is to be in place for thirty."""
PUT_RIGHT_WITHIN: Final = 1.0
BURST: Final = 24
RUBBISH: Final = b64encode(b"rubbish").decode()
UNTRUSTED: Final = "x509: certificate signed by unknown authority"


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
    """First it is trusted, then it signs; the old one stays trusted for an hour, which is not waited for here."""
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
    assert "wrote the bundle anew" in installed.logs(CONTROLLER)


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
    """Somebody writes a CA that is not ours: the API server fails creates until the leader has written it over."""
    outages: list[Outage] = []
    with shaken(installed) as stream:
        for resource in (VALIDATING, MUTATING):
            good = _kept(installed).bundle
            wrong = b64encode(create_authority(now=datetime.now(UTC)).cert_pem).decode()
            begun = monotonic()
            edited = _edit_bundle(installed, resource.plural, wrong)
            written = monotonic()
            until(lambda good=good: _bundles(installed) == {good}, "it stays wrong")  # type: ignore[misc]
            outages.append(Outage(begun, monotonic() + HEARD_WITHIN))
            assert edited.returncode == 0
            assert monotonic() - written < PUT_RIGHT_WITHIN
            stream.await_more()
    assert stray(stream, outages) == []
    assert _only_untrusted(stream)
    try_again(installed, stream)


def test_rubbish_for_a_bundle_is_refused_by_the_api_server(installed: Installed) -> None:
    """So what an editor leaves is always a certificate."""
    with shaken(installed) as stream:
        edited = _edit_bundle(installed, VALIDATING.plural, RUBBISH)
        assert edited.returncode == 1
        assert "caBundle: Invalid value" in edited.stderr
        stream.await_more()
    assert stream.failed == []


def _lockkeeper(installed: Installed, *arguments: str) -> str:
    """Run the command as an administrator does, and return what it says."""
    where = [f"--kubeconfig={installed.site.plane.kubeconfig}", f"--namespace={NAMESPACE}"]
    done = subprocess.run(  # noqa: S603 - our own program
        [*IMAGE.entry_point, *arguments, *where], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def _kept(installed: Installed) -> Kept:
    """Return what the Secret holds."""
    return SecretStore(cluster=installed.cluster, namespace=NAMESPACE, name=SECRET).read().kept


def _bundles(installed: Installed) -> set[bytes]:
    """Return what the webhooks carry."""
    return set(Configurations(cluster=installed.cluster, name=RELEASE).bundles())


def _patch_secret(installed: Installed, change: dict[str, dict[str, str]]) -> None:
    text = msgspec.json.encode(change).decode()
    installed.site.kubectl.said("-n", NAMESPACE, "patch", "secret", SECRET, "--type=merge", f"--patch={text}")


def _edit_bundle(installed: Installed, configurations: str, bundle: str) -> subprocess.CompletedProcess[str]:
    """Write another bundle into the first webhook of a configuration, in base64."""
    change = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]
    text = msgspec.json.encode(change).decode()
    return installed.site.kubectl.run("patch", configurations, RELEASE, "--type=json", f"--patch={text}")


def _await_served(installed: Installed) -> None:
    """Wait until every new connection to the Service gets the certificate that the Secret holds."""
    address = service_address(installed.cluster, NAMESPACE, WEBHOOK, "webhook")
    row = 0

    def everywhere() -> bool:
        nonlocal row
        wanted = (
            ssl.PEM_cert_to_DER_cert(split(_kept(installed).cert)[0].decode()) if _good(installed) else b""
        )
        row = row + 1 if _served(address) == wanted else 0
        return row >= BURST

    until(everywhere, "a replica serves another certificate", seconds=SERVED_WITHIN + 10.0)


def _good(installed: Installed) -> bool:
    return bool(split(_kept(installed).cert))


def _served(address: tuple[str, int]) -> bytes | None:
    """Return the certificate that a new connection gets; whether it is trusted is for the API server to say."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with create_connection(address, timeout=10) as plain, context.wrap_socket(plain) as secure:
        return secure.getpeercert(binary_form=True)


def _open_connections(installed: Installed) -> None:
    """Create so many at once that the API server needs new connections; they have to be trusted."""

    def create(number: int) -> bool:
        cluster = connect(installed.site.plane.kubeconfig)
        try:
            stored = cluster.create(WORKFLOWS, workflow(f"{prefix}-{number}"), namespace=GOVERNED)
        finally:
            cluster.close()
        return marks.TASKS in (msgspec.convert(stored, Stored).metadata.annotations or {})

    prefix = f"burst-{token_hex(3)}"
    with ThreadPoolExecutor(BURST) as pool:
        assert all(pool.map(create, range(BURST)))


def _only_untrusted(stream: Stream) -> bool:
    """Tell whether all failures say that the certificate is not trusted, or that the other webhook's was not."""
    return all(
        UNTRUSTED in each.error or "mutating webhook leaves it" in each.error for each in stream.failed
    )
