"""Asking what serves the webhooks, over real TLS: what the API server would refuse is refused."""

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, socket
from typing import Final

import msgspec
import pytest

from certs.authority import Authority, ServingPair, create_authority, issue_serving_pair
from certs.files import Paths
from lockkeeper.checking.facts import ProbeTrouble, Target
from lockkeeper.checking.tls_probe import CONNECTIONS, probe, trusting
from lockkeeper.process.health_port import HealthPort
from tests.webhook.reviews import quota
from tests.webhook.running_server import Served
from webhook.metrics import Metrics
from webhook.probes import create_app

HOST: Final = "127.0.0.1"
SERVER: Final = "lockkeeper-webhook.lockkeeper.svc"


class PodsInTurn(socket):
    """A listening socket that shows one certificate after the other, as a Service with several Pods does."""

    def __init__(self, contexts: list[ssl.SSLContext]) -> None:
        super().__init__(AF_INET, SOCK_STREAM)
        self._contexts = cycle(contexts)
        self.bind((HOST, 0))
        self.listen()

    def accept(self) -> tuple[socket, object]:
        """Accept a connection and shake hands."""
        connection, address = super().accept()
        return next(self._contexts).wrap_socket(connection, server_side=True), address


class Certificates:
    """A CA and what it signs, in files as the ssl module wants them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = datetime.now(UTC)
        self.authority = create_authority(now=self.now)

    def issue(
        self,
        *,
        names: tuple[str, ...] = (SERVER,),
        lifetime: timedelta = timedelta(days=30),
        authority: Authority | None = None,
        now: datetime | None = None,
    ) -> ServingPair:
        """Return a certificate."""
        return issue_serving_pair(
            authority or self.authority, names=names, now=now or self.now, lifetime=lifetime
        )

    def context(self, pair: ServingPair) -> ssl.SSLContext:
        """Return a server's context that shows a certificate."""
        both = self.folder / "both.pem"
        both.write_bytes(pair.cert_pem + pair.key_pem)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context

    @contextmanager
    def serving(self, *pairs: ServingPair, not_ready: tuple[str, ...] = ()) -> Iterator[Target]:
        """Serve with these certificates in turn; gives the target with the CA as its bundle."""
        listener = PodsInTurn([self.context(pair) for pair in pairs])
        port = int(listener.getsockname()[1])
        app = create_app(render=Metrics().render, not_ready=lambda: list(not_ready))
        bugs: list[BaseException] = []
        health = HealthPort(app=app, listener=listener, bug=bugs.append)
        health.start()
        try:
            yield Target(HOST, port, SERVER, "/readyz", bundle(self.authority.cert_pem))
        finally:
            health.stop()
        assert bugs == []


def policies_in(folder: Path) -> Path:
    """Return a folder with one policy."""
    policies = folder / "policies"
    policies.mkdir()
    (policies / "all.yaml").write_text(quota("Deny", limits={"workflows": 1}))
    return policies


def bundle(*certificates: bytes) -> str:
    """Return a caBundle as it stands in a configuration."""
    return base64.b64encode(b"".join(certificates)).decode()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """Return a CA of the test's own."""
    return Certificates(tmp_path)


def test_a_certificate_of_the_bundles_ca_is_trusted_and_its_end_reported(certificates: Certificates) -> None:
    """To the second, and with the answer of the server itself."""
    with certificates.serving(certificates.issue()) as target:
        served = probe(target)
    assert served.trouble is None
    assert (served.ready, served.text) == (True, "ok")
    assert served.expires == certificates.now.replace(microsecond=0) + timedelta(days=30)


def test_paths_that_are_not_answered_are_reported(certificates: Certificates) -> None:
    """Each is asked for as the API server asks, without a review: one that is known wants a POST."""
    with certificates.serving(certificates.issue()) as target:
        asked = msgspec.structs.replace(target, paths=("/livez", "/mutate/5e5e"))
        served = probe(asked)
    assert served.trouble is None
    assert served.refused == ("/livez", "/mutate/5e5e")
    with Served(policies=policies_in(certificates.folder), certs=certificates.folder / "certs") as running:
        authority = Paths.within(running.certs).authority_cert.read_bytes()
        target = Target(HOST, running.port, "localhost", "/readyz", bundle(authority), ("/mutate", "/none"))
        served = probe(target)
    assert (served.ready, served.refused) == (True, ("/none",))


def test_readiness_may_be_on_a_port_of_its_own(certificates: Certificates) -> None:
    """Over plain HTTP; the certificate is still that of the port of admission."""
    listener = socket(AF_INET, SOCK_STREAM)
    listener.bind((HOST, 0))
    listener.listen()
    bugs: list[BaseException] = []
    app = create_app(render=Metrics().render, not_ready=lambda: ["somewhere else"])
    health = HealthPort(app=app, listener=listener, bug=bugs.append)
    port = int(listener.getsockname()[1])
    health.start()
    try:
        with certificates.serving(certificates.issue()) as target:
            served = probe(msgspec.structs.replace(target, health_port=port))
    finally:
        health.stop()
    assert (served.ready, served.text) == (False, "somewhere else")
    assert served.expires is not None


def test_an_old_and_a_new_ca_may_be_in_the_bundle(certificates: Certificates) -> None:
    """As they do while one follows the other."""
    other = create_authority(now=certificates.now)
    both = bundle(other.cert_pem, certificates.authority.cert_pem)
    with certificates.serving(certificates.issue()) as target:
        assert probe(msgspec.structs.replace(target, ca_bundle=both)).ready


def test_comments_between_the_certificates_do_no_harm(certificates: Certificates) -> None:
    """Bundles of whole operating systems have them, in all languages."""
    commented = bundle("# Zürich\n".encode(), certificates.authority.cert_pem)
    with certificates.serving(certificates.issue()) as target:
        assert probe(msgspec.structs.replace(target, ca_bundle=commented)).ready


def test_the_certificate_itself_may_be_the_bundle(certificates: Certificates) -> None:
    """Go trusts whatever is in the bundle, root or not, so a given certificate without its CA works."""
    pair = certificates.issue()
    with certificates.serving(pair) as target:
        assert probe(msgspec.structs.replace(target, ca_bundle=bundle(pair.cert_pem))).ready


def test_a_certificate_of_another_ca_is_refused(certificates: Certificates) -> None:
    """Its name alone proves nothing."""
    other = create_authority(now=certificates.now)
    with certificates.serving(certificates.issue(authority=other)) as target:
        served = probe(target)
    assert served.trouble is ProbeTrouble.UNTRUSTED
    assert served.error


def test_a_certificate_for_another_name_is_refused(certificates: Certificates) -> None:
    """The API server asks for the Service's name."""
    with certificates.serving(certificates.issue(names=("other.svc",))) as target:
        served = probe(target)
    assert served.trouble is ProbeTrouble.UNTRUSTED
    assert SERVER in served.error


def test_a_certificate_that_has_ended_is_refused(certificates: Certificates) -> None:
    """The text says so."""
    past = certificates.now - timedelta(days=40)
    ended = certificates.issue(now=past)
    with certificates.serving(ended) as target:
        served = probe(target)
    assert served.trouble is ProbeTrouble.UNTRUSTED
    assert "expired" in served.error


def test_an_address_in_a_url_has_to_be_in_the_certificate(certificates: Certificates) -> None:
    """A webhook by URL has no Service's name."""
    with certificates.serving(certificates.issue(names=(HOST,))) as target:
        assert probe(msgspec.structs.replace(target, server_name=HOST)).ready


def test_one_pod_that_shows_a_wrong_certificate_among_others_is_found(certificates: Certificates) -> None:
    """Every fourth create would fail, and nobody would know why."""
    good = certificates.issue()
    wrong = certificates.issue(authority=create_authority(now=certificates.now))
    with certificates.serving(*[good] * (CONNECTIONS - 1), wrong) as target:
        assert probe(target).trouble is ProbeTrouble.UNTRUSTED


def test_of_several_good_certificates_the_first_to_end_is_reported(certificates: Certificates) -> None:
    """One Pod may have missed the renewal."""
    short = certificates.issue(lifetime=timedelta(days=2))
    with certificates.serving(certificates.issue(), short) as target:
        served = probe(target)
    assert served.expires == certificates.now.replace(microsecond=0) + timedelta(days=2)


def test_the_reasons_of_what_is_not_ready_are_returned(certificates: Certificates) -> None:
    """Line by line, as its kubelet reads it."""
    with certificates.serving(certificates.issue(), not_ready=("no policies", "no certificate")) as target:
        served = probe(target)
    assert served.trouble is None
    assert (served.ready, served.text) == (False, "no policies\nno certificate")


def test_a_port_where_no_server_listens_is_unreachable(certificates: Certificates) -> None:
    """With the kernel's own word."""
    with certificates.serving(certificates.issue()) as target:
        pass
    served = probe(target)
    assert (served.trouble, served.error) == (ProbeTrouble.UNREACHABLE, "connection refused")


def test_a_server_without_tls_is_unreachable(certificates: Certificates) -> None:
    """Another Service took the port."""
    listener = socket(AF_INET, SOCK_STREAM)
    listener.bind((HOST, 0))
    listener.listen()
    app, bugs = create_app(render=Metrics().render, not_ready=list), list[BaseException]()
    health = HealthPort(app=app, listener=listener, bug=bugs.append)
    port = int(listener.getsockname()[1])
    health.start()
    try:
        served = probe(Target(HOST, port, SERVER, "/readyz", bundle(certificates.authority.cert_pem)))
    finally:
        health.stop()
    assert served.trouble is ProbeTrouble.UNREACHABLE
    assert served.error


@pytest.mark.parametrize("wrong", ["not base64!", bundle(b"no certificate"), bundle(b"\xff\xfe")])
def test_a_bundle_without_a_certificate_is_reported_before_any_probe(wrong: str) -> None:
    """Whatever serves there, the API server could not call it."""
    with pytest.raises(ValueError, match="there is no certificate in it"):
        trusting(wrong)
    nobody = Target(HOST, 1, SERVER, "/readyz", wrong)
    assert probe(nobody).trouble is ProbeTrouble.BAD_BUNDLE
    assert probe(msgspec.structs.replace(nobody, ca_bundle="")).trouble is ProbeTrouble.NO_BUNDLE
