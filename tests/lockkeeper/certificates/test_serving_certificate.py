"""What the webhook serves: from a Secret that it follows, or from files that are mounted."""

import ssl
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from certs.authority import Authority, ServingPair, create_authority, issue_serving_pair
from certs.bundle import split
from certs.files import NOTHING, CertificateFiles, Paths, write_pair
from certs.rotation import advance, begin_change, renew_leaf
from certs.rotation_steps import PROPAGATION, RotationAction
from lockkeeper.certificates.metrics import CertificatePart, CertificateTask
from lockkeeper.certificates.secret_store import SECRETS
from lockkeeper.certificates.serving_certificate import MountedCertificate, ServingCertificate
from policy.cluster.errors import Forbidden, Unavailable
from policy.cluster.protocol import MergePatch
from tests.certs.serials import serial_in
from tests.lockkeeper.certificates.certificate_cluster import (
    NAMES,
    NAMESPACE,
    SECRET,
    Clock,
    Noted,
    Troubled,
    overwrite,
    put_secret,
    store_on,
)
from tests.patience import PATIENCE

DAY = timedelta(days=1)
SOON = 0.01


class Replica:
    """One webhook, with a folder of its own."""

    def __init__(self, cluster: Troubled, clock: Clock, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.folder = folder
        self.told = Noted()
        self.store = store_on(cluster)
        self.certificate = ServingCertificate(
            folder=folder, names=NAMES, clock=clock, reporter=self.told, follow_seconds=SOON
        )

    def establish(self) -> bool:
        """Get the first certificate; a test that would wait for ever fails instead."""
        return self.certificate.establish(self.store, stopped=Event())

    @property
    def serial(self) -> int:
        """The serial of the certificate that a new connection is shown."""
        return shown(self.certificate.context())


@pytest.fixture
def cluster() -> Troubled:
    """Return an empty cluster."""
    return Troubled()


@pytest.fixture
def clock() -> Clock:
    """Return a clock that the test moves."""
    return Clock()


@pytest.fixture
def replica(cluster: Troubled, clock: Clock, tmp_path: Path) -> Iterator[Replica]:
    """Return a replica that has no certificate yet."""
    made = Replica(cluster, clock, tmp_path / "certs")
    yield made
    made.certificate.stop()


def shown(server: ssl.SSLContext) -> int:
    """Shake hands in memory, and return the serial of what the server shows."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    return serial_in(_handshake(server, client))


def accepts(server: ssl.SSLContext, bundle: bytes) -> bool:
    """Return whether a client that trusts the bundle shakes hands with the server under its name."""
    client = ssl.create_default_context(cadata=bundle.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    try:
        return bool(_handshake(server, client))
    except ssl.SSLCertVerificationError:
        return False


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=NAMES[0])
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (near, far):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = near.getpeercert(binary_form=True)
    assert found is not None
    return ssl.DER_cert_to_PEM_cert(found).encode()


def serial_of(kept: CertificateFiles) -> int:
    """Return the serial of the certificate that is kept."""
    return serial_in(kept.cert)


def test_the_first_replica_makes_the_certificates(cluster: Troubled, replica: Replica) -> None:
    """And serves them under its names; the key is for its owner only."""
    assert replica.certificate.missing() == ["there is no serving certificate yet"]
    assert replica.establish()
    kept = store_on(cluster).read().files
    assert replica.told.deeds == [RotationAction.NEW_AUTHORITY, RotationAction.NEW_LEAF]
    assert replica.serial == serial_of(kept)
    assert accepts(replica.certificate.context(), kept.bundle)
    assert replica.certificate.missing() == []
    assert stat.S_IMODE(replica.certificate.paths.key.stat().st_mode) == 0o600
    assert not (replica.folder / "ca.key").exists(), "the CA's key stays in the Secret"


def test_replicas_that_start_at_once_serve_the_same(cluster: Troubled, clock: Clock, tmp_path: Path) -> None:
    """On a Secret that a chart left empty."""
    put_secret(cluster)
    replicas = [Replica(cluster, clock, tmp_path / str(number)) for number in range(6)]
    with ThreadPoolExecutor(len(replicas)) as pool:
        assert all(pool.map(Replica.establish, replicas))
    assert {each.serial for each in replicas} == {serial_of(store_on(cluster).read().files)}
    assert sum(bool(each.told.changes) for each in replicas) == 1


def test_what_is_there_is_served_and_left_alone(cluster: Troubled, clock: Clock, replica: Replica) -> None:
    """Due, or for other names: renewals are the controller's, and a replica that serves has no need."""
    kept = advance(NOTHING, now=clock.now, names=["other.example"], in_place_since=None).files
    put_secret(cluster)
    overwrite(cluster, kept)
    clock.advance(80 * DAY)
    assert replica.establish()
    assert replica.serial == serial_of(kept)
    assert store_on(cluster).read().files == kept


@pytest.mark.parametrize("wrong", ["cert", "key"])
def test_a_corrupt_secret_is_repaired_by_a_replica_with_nothing_to_serve(
    cluster: Troubled, clock: Clock, replica: Replica, wrong: str
) -> None:
    """With the same CA, so that clients need to learn nothing."""
    kept = advance(NOTHING, now=clock.now, names=NAMES, in_place_since=None).files
    put_secret(cluster)
    overwrite(cluster, replace(kept, **{wrong: b"nonsense"}))
    assert replica.establish()
    assert store_on(cluster).read().files.bundle == kept.bundle
    assert accepts(replica.certificate.context(), kept.bundle)


def test_a_start_waits_for_the_api_server(cluster: Troubled, replica: Replica) -> None:
    """However long that takes, without ending the process; each attempt is told."""
    cluster.refuse("get", SECRETS, Unavailable("connection refused"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(replica.establish)
        replica.told.until(lambda: len(replica.told.failures) >= 2)
        assert not waiting.done()
        cluster.refusals.clear()
        assert waiting.result(PATIENCE)
    assert {doing for doing, _ in replica.told.failures} == {CertificateTask.READ}


def test_a_start_that_is_stopped_ends(cluster: Troubled, replica: Replica) -> None:
    """SIGTERM while the API server is away must not wait for the grace period."""
    cluster.refuse("get", SECRETS, Unavailable("connection refused"))
    stopped = Event()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(replica.certificate.establish, replica.store, stopped=stopped)
        replica.told.until(lambda: bool(replica.told.failures))
        stopped.set()
        assert not waiting.result(PATIENCE)


def test_a_secret_that_may_not_be_made_is_waited_for(
    cluster: Troubled, clock: Clock, replica: Replica
) -> None:
    """The webhook has no right to make one; a controller makes it a moment later."""
    cluster.refuse("create", SECRETS, Forbidden("no"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(replica.establish)
        replica.told.until(lambda: bool(replica.told.failures))
        cluster.refusals.clear()
        put_secret(cluster)
        overwrite(cluster, advance(NOTHING, now=clock.now, names=NAMES, in_place_since=None).files)
        assert waiting.result(PATIENCE)
    assert "does not exist and may not be made here" in replica.told.failures[0][1]


def test_a_renewed_certificate_is_served_to_new_connections(
    cluster: Troubled, clock: Clock, replica: Replica
) -> None:
    """Without a restart; the context of open connections is another object and stays as it was."""
    assert replica.establish()
    before = replica.certificate.context()
    replica.certificate.follow(replica.store, reporter=replica.told)
    first = store_on(cluster).read().files
    second = renew_leaf(first, now=clock.now, names=NAMES).files
    overwrite(cluster, second)
    replica.told.until(lambda: len(replica.told.ends) == 2)
    assert replica.serial == serial_of(second)
    assert shown(before) == serial_of(first)
    assert replica.certificate.expiries() == {
        CertificatePart.CA: clock.now + 365 * DAY,
        CertificatePart.LEAF: clock.now + 90 * DAY,
    }


def test_through_a_change_of_ca_clients_of_the_bundle_accept_every_handshake(
    cluster: Troubled, clock: Clock, replica: Replica
) -> None:
    """Those that know only the old bundle up to the switch, those that know the new one throughout."""
    assert replica.establish()
    replica.certificate.follow(replica.store, reporter=replica.told)
    old = store_on(cluster).read().files
    announced = begin_change(old, now=clock.now).files
    overwrite(cluster, announced)
    assert accepts(replica.certificate.context(), old.bundle)
    assert accepts(replica.certificate.context(), announced.bundle)
    then = clock.now + PROPAGATION
    switched = advance(announced, now=then, names=NAMES, in_place_since=clock.now).files
    overwrite(cluster, switched)
    replica.told.until(lambda: len(replica.told.ends) == 2)
    assert accepts(replica.certificate.context(), announced.bundle)
    assert accepts(replica.certificate.context(), switched.bundle)
    assert accepts(replica.certificate.context(), split(switched.bundle)[0])
    assert not accepts(replica.certificate.context(), old.bundle)


@pytest.mark.parametrize(
    "content", [NOTHING, CertificateFiles(bundle=b"x", authority_key=b"x", cert=b"x", key=b"x")]
)
def test_a_secret_that_goes_bad_leaves_the_last_good_certificate(
    cluster: Troubled, replica: Replica, content: CertificateFiles
) -> None:
    """It is not made again by a replica that still serves: the controller does that, with its memory."""
    assert replica.establish()
    good = replica.serial
    overwrite(cluster, content)
    replica.certificate.follow(replica.store, reporter=replica.told)
    replica.told.until(lambda: len(replica.told.failures) >= 2)
    assert replica.serial == good
    assert replica.certificate.missing() == []
    assert store_on(cluster).read().files == content
    assert {doing for doing, _ in replica.told.failures} == {CertificateTask.LOAD}


def test_a_secret_that_is_deleted_leaves_the_last_good_certificate(
    cluster: Troubled, replica: Replica
) -> None:
    """And the next one is served as soon as there is one."""
    assert replica.establish()
    good = replica.serial
    cluster.delete(SECRETS, SECRET, namespace=NAMESPACE)
    replica.certificate.follow(replica.store, reporter=replica.told)
    replica.told.until(lambda: bool(replica.told.failures))
    assert replica.serial == good
    put_secret(cluster)
    overwrite(cluster, advance(NOTHING, now=Clock().now, names=NAMES, in_place_since=None).files)
    replica.told.until(lambda: len(replica.told.ends) == 2)
    assert replica.serial == serial_of(store_on(cluster).read().files)


def test_an_expired_certificate_is_made_again_where_no_controller_did(
    cluster: Troubled, clock: Clock, replica: Replica
) -> None:
    """A month without a controller must not end admission."""
    assert replica.establish()
    first = store_on(cluster).read().files
    clock.advance(91 * DAY)
    assert replica.certificate.missing()[0].startswith("the serving certificate expired at ")
    replica.certificate.follow(replica.store, reporter=replica.told)
    replica.told.until(lambda: len(replica.told.ends) == 2)
    assert replica.certificate.missing() == []
    assert store_on(cluster).read().files.bundle == first.bundle


def test_a_full_disk_is_reported_and_tried_again(replica: Replica) -> None:
    """Whatever keeps the files from being written, the next look tries again."""
    replica.folder.rmdir()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(replica.establish)
        replica.told.until(lambda: bool(replica.told.failures))
        replica.folder.mkdir()
        assert waiting.result(PATIENCE)
    assert replica.told.failures[0] == (
        CertificateTask.LOAD,
        f"the certificate cannot be written to {replica.folder}: no such file or directory",
    )


def test_a_look_that_has_a_bug_is_reported_and_not_the_last(cluster: Troubled, replica: Replica) -> None:
    """The thread goes on."""
    assert replica.establish()
    cluster.patch(SECRETS, SECRET, MergePatch({"metadata": {"labels": {"a": "b"}}}), namespace=NAMESPACE)
    cluster.refusals["get", SECRETS] = ZeroDivisionError("bug")  # type: ignore[assignment]
    replica.certificate.follow(replica.store, reporter=replica.told)
    replica.told.until(lambda: len(replica.told.failures) >= 2)
    assert replica.told.failures[0] == (CertificateTask.READ, "ZeroDivisionError: bug")


class TestMounted:
    """Files of a Secret that kubelet mounts."""

    @pytest.fixture
    def authority(self, clock: Clock) -> Authority:
        """Return the CA of somebody else."""
        return create_authority(now=clock.now)

    def pair(self, authority: Authority, clock: Clock) -> ServingPair:
        """Return a certificate from it."""
        return issue_serving_pair(authority, names=NAMES, now=clock.now)

    def mounted(self, folder: Path, clock: Clock) -> tuple[MountedCertificate, Noted]:
        """Return what serves the files of a folder."""
        told = Noted()
        return MountedCertificate(folder=folder, clock=clock, reporter=told), told

    def test_files_are_served_and_followed(self, tmp_path: Path, clock: Clock, authority: Authority) -> None:
        """The CA's end is known where it is mounted beside them."""
        write_pair(tmp_path, self.pair(authority, clock))
        certificate, _ = self.mounted(tmp_path, clock)
        assert certificate.establish(stopped=Event())
        assert certificate.paths == Paths.within(tmp_path)
        assert certificate.missing() == []
        assert certificate.expiries() == {CertificatePart.LEAF: clock.now + 90 * DAY}
        (tmp_path / "ca.crt").write_bytes(authority.cert_pem)
        assert certificate.expiries()[CertificatePart.CA] == clock.now + 365 * DAY
        second = self.pair(authority, clock)
        write_pair(tmp_path, second)
        assert shown(certificate.context()) == serial_in(second.cert_pem)

    def test_files_that_come_late_are_waited_for(
        self, tmp_path: Path, clock: Clock, authority: Authority
    ) -> None:
        """A Secret that is mounted as optional may be filled later; what is missing is told once."""
        certificate, told = self.mounted(tmp_path, clock)
        assert certificate.missing() == ["there is no serving certificate yet"]
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(certificate.establish, stopped=Event())
            told.until(lambda: bool(told.failures))
            write_pair(tmp_path, self.pair(authority, clock))
            assert waiting.result(PATIENCE)
        assert certificate.missing() == []

    def test_files_that_go_bad_do_not_count(self, tmp_path: Path, clock: Clock, authority: Authority) -> None:
        """What is served is the last good pair, so the replica stays ready until that expires."""
        write_pair(tmp_path, self.pair(authority, clock))
        certificate, told = self.mounted(tmp_path, clock)
        assert certificate.establish(stopped=Event())
        good = shown(certificate.context())
        assert certificate.missing() == []
        (tmp_path / "tls.crt").write_bytes(b"nonsense")
        assert shown(certificate.context()) == good
        assert certificate.missing() == []
        assert told.failures[0][0] is CertificateTask.LOAD
        clock.advance(91 * DAY)
        assert certificate.missing() != []
