"""The certificates in a Secret: read, written, raced for, and what access control may forbid."""

from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from certs.bundle import is_accepted, split
from certs.files import NOTHING, CertificateFiles
from certs.rotation import CertificateStep, advance
from certs.rotation_steps import RotationAction
from certs.stores import (
    ATTEMPTS,
    StoredCertificates,
    StoreError,
    WriteConflictError,
    settle,
)
from lockkeeper.certificates.secret_store import SECRETS
from policy.cluster.errors import Forbidden, NotFound, Unavailable
from policy.cluster.protocol import MergePatch
from policy.core.objects.json_patch import JsonObject
from tests.lockkeeper.certificates.certificate_cluster import (
    NAMES,
    NAMESPACE,
    SECRET,
    Clock,
    Troubled,
    put_secret,
    store_on,
)
from tests.patience import PATIENCE


@pytest.fixture
def cluster() -> Troubled:
    """Return an empty cluster."""
    return Troubled()


def patched(cluster: Troubled, patch: JsonObject) -> None:
    """Change the Secret by hand."""
    cluster.patch(SECRETS, SECRET, MergePatch(patch), namespace=NAMESPACE)


def test_a_secret_that_is_not_there_is_made(cluster: Troubled) -> None:
    """With the names of a TLS Secret, and labels that say whose it is."""
    store = store_on(cluster)
    assert store.read() == StoredCertificates(NOTHING, "")
    kept = CertificateFiles(bundle=b"b", authority_key=b"k", cert=b"c", key=b"x")
    store.write(kept, version="")
    assert store.read().files == kept
    secret = cluster.get(SECRETS, SECRET, namespace=NAMESPACE)
    assert secret["data"] == {
        "ca.crt": b64encode(b"b").decode(),
        "ca.key": b64encode(b"k").decode(),
        "tls.crt": b64encode(b"c").decode(),
        "tls.key": b64encode(b"x").decode(),
    }
    assert secret["type"] == "Opaque"


def test_other_entries_and_metadata_stay(cluster: Troubled) -> None:
    """An empty Secret that a chart brings keeps its labels, and what somebody put beside our entries."""
    put_secret(cluster, other=b"theirs")
    patched(cluster, {"metadata": {"labels": {"helm.sh/chart": "x"}}})
    store = store_on(cluster)
    store.write(CertificateFiles(bundle=b"b", next_cert=b"n"), version=store.read().version)
    store.write(CertificateFiles(bundle=b"b"), version=store.read().version)
    secret = cluster.get(SECRETS, SECRET, namespace=NAMESPACE)
    assert secret["data"] == {"other": b64encode(b"theirs").decode(), "ca.crt": b64encode(b"b").decode()}
    assert "helm.sh/chart" in str(secret["metadata"])


def test_a_secret_without_data_holds_nothing(cluster: Troubled) -> None:
    """It exists, so it is written over and not made."""
    put_secret(cluster)
    patched(cluster, {"data": None})
    stored = store_on(cluster).read()
    assert stored.files == NOTHING
    assert stored.version != ""


def test_an_entry_that_is_no_base64_counts_as_corrupt(cluster: Troubled) -> None:
    """The state machine then makes it again, where an exception would end the thread."""
    put_secret(cluster)
    patched(cluster, {"data": {"ca.crt": "not base64!"}})
    assert store_on(cluster).read().files.bundle == b"not base64!"


def test_a_write_on_an_old_version_is_a_conflict(cluster: Troubled) -> None:
    """Changed, deleted, made, or changed between our read and our write: never written over."""
    store = store_on(cluster)
    store.write(CertificateFiles(bundle=b"1"), version="")
    with pytest.raises(WriteConflictError):
        store.write(CertificateFiles(bundle=b"2"), version="")
    version = store.read().version
    store.write(CertificateFiles(bundle=b"3"), version=version)
    with pytest.raises(WriteConflictError):
        store.write(CertificateFiles(bundle=b"4"), version=version)
    version = store.read().version
    cluster.before_replace = lambda: patched(cluster, {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(WriteConflictError):
        store.write(CertificateFiles(bundle=b"5"), version=version)
    cluster.before_replace = lambda: None
    version = store.read().version
    cluster.delete(SECRETS, SECRET, namespace=NAMESPACE)
    with pytest.raises(WriteConflictError):
        store.write(CertificateFiles(bundle=b"6"), version=version)
    assert store.read() == StoredCertificates(NOTHING, "")


def test_a_secret_that_may_not_be_made_is_a_clear_error(cluster: Troubled) -> None:
    """It names the Secret, says that it is missing, and what the API server said."""
    cluster.refuse("create", SECRETS, Forbidden("secrets is forbidden"))
    with pytest.raises(StoreError) as caught:
        store_on(cluster).write(CertificateFiles(bundle=b"b"), version="")
    assert str(caught.value) == (
        f"the Secret {NAMESPACE}/{SECRET} does not exist and may not be made here: secrets is forbidden"
    )
    assert not isinstance(caught.value, WriteConflictError)


@pytest.mark.parametrize("error", [Unavailable("no answer"), Forbidden("no")])
def test_what_the_cluster_refuses_is_reported_in_one_line(
    cluster: Troubled, error: Unavailable | Forbidden
) -> None:
    """Read or write alike."""
    store = store_on(cluster)
    store.write(CertificateFiles(bundle=b"b"), version="")
    version = store.read().version
    cluster.refuse("update", SECRETS, error)
    with pytest.raises(StoreError, match=f"cannot be written: {error.message}"):
        store.write(CertificateFiles(bundle=b"c"), version=version)
    cluster.refuse("get", SECRETS, error)
    with pytest.raises(StoreError, match=f"cannot be read: {error.message}"):
        store.read()


def test_a_namespace_that_does_not_exist_is_no_conflict(cluster: Troubled) -> None:
    """Trying again would never help."""
    cluster.refuse("create", SECRETS, NotFound('namespaces "lockkeeper" not found'))
    with pytest.raises(StoreError, match="namespaces") as caught:
        store_on(cluster).write(CertificateFiles(bundle=b"b"), version="")
    assert not isinstance(caught.value, WriteConflictError)


@pytest.mark.parametrize("exists", [True, False])
def test_replicas_that_start_at_once_end_with_one_ca(cluster: Troubled, exists: bool) -> None:  # noqa: FBT001 - a case
    """One of them makes it, the others find it; nobody is left with a CA that no one trusts."""
    replicas, clock = 12, Clock()
    if exists:
        put_secret(cluster)
    together = Barrier(replicas)

    def start(_: int) -> CertificateStep:
        store = store_on(cluster)
        together.wait(PATIENCE)
        return settle(store, lambda kept: advance(kept, now=clock.now, names=NAMES, in_place_since=None))

    with ThreadPoolExecutor(replicas) as pool:
        settled = list(pool.map(start, range(replicas)))
    assert {each.files for each in settled} == {store_on(cluster).read().files}
    assert sum(bool(each.changes) for each in settled) == 1
    assert len(split(settled[0].files.bundle)) == 1
    assert is_accepted(settled[0].files.cert, split(settled[0].files.bundle), now=clock.now)


def test_a_change_is_decided_again_on_what_others_wrote(cluster: Troubled) -> None:
    """The loser of a race must not write what it decided on the old content."""
    store, clock = store_on(cluster), Clock()
    first = settle(store, lambda kept: advance(kept, now=clock.now, names=NAMES, in_place_since=None))
    other = settle(store, lambda kept: CertificateStep(replace(kept, next_cert=b"theirs"), first.changes))
    seen: list[CertificateFiles] = []

    def decide(kept: CertificateFiles) -> CertificateStep:
        seen.append(kept)
        if len(seen) == 1:  # Somebody is faster, once.
            patched(cluster, {"metadata": {"labels": {"a": "b"}}})
        return advance(kept, now=clock.now, names=NAMES, in_place_since=None)

    settled = settle(store, decide)
    assert seen == [other.files, other.files]
    assert [change.action for change in settled.changes] == [RotationAction.REPAIRED]
    assert store.read().files == first.files


def test_a_writer_that_is_always_too_late_gets_an_error(cluster: Troubled) -> None:
    """A bounded number of attempts: the caller has other things to do, and comes back."""
    store, clock = store_on(cluster), Clock()
    put_secret(cluster)
    count = iter(range(1000))
    cluster.before_replace = lambda: patched(cluster, {"metadata": {"labels": {"n": str(next(count))}}})
    with pytest.raises(WriteConflictError, match="others were faster"):
        settle(store, lambda kept: advance(kept, now=clock.now, names=NAMES, in_place_since=None))
    assert next(count) == ATTEMPTS
