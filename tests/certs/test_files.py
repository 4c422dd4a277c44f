import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from certs.authority import Authority, describe, is_signed_by, issue_serving_pair, key_matches
from certs.files import (
    Ensured,
    IssuedCertificate,
    ensure,
    read_authority,
    read_pair,
    write_authority,
    write_pair,
)
from certs.renewal import RenewalReason
from certs.subject_names import UnusableNameError

NAMES = ("localhost", "127.0.0.1")


def assert_whole(result: Ensured) -> None:
    """Check that the directory holds what was returned, and that the CA signed the leaf."""
    directory = result.paths.cert.parent
    assert read_authority(directory) == result.authority
    assert read_pair(directory) == result.pair
    assert is_signed_by(result.pair.cert_pem, result.authority.cert_pem)
    assert key_matches(result.pair.cert_pem, result.pair.key_pem)


def test_an_empty_directory_gets_a_ca_and_a_certificate(tmp_path: Path, now: datetime) -> None:
    """The embedded mode starts with nothing."""
    result = ensure(tmp_path / "new" / "tls", names=NAMES, now=now)
    assert result.changes == (
        IssuedCertificate("CA", (RenewalReason.MISSING,)),
        IssuedCertificate("serving certificate", (RenewalReason.MISSING,)),
    )
    assert_whole(result)


def test_what_is_good_stays(tmp_path: Path, now: datetime) -> None:
    """Clients that trust the CA go on trusting it after a restart; the order of names means nothing."""
    first = ensure(tmp_path, names=NAMES, now=now)
    again = ensure(tmp_path, names=tuple(reversed(NAMES)), now=now + timedelta(days=1))
    assert again.changes == ()
    assert (again.authority, again.pair) == (first.authority, first.pair)


def test_keys_are_for_their_owner_only(tmp_path: Path, now: datetime) -> None:
    """A reader of the CA key can answer as the webhook."""
    paths = ensure(tmp_path / "tls", names=NAMES, now=now).paths
    modes = [
        stat.S_IMODE(path.stat().st_mode) for path in (paths.authority_key, paths.key, paths.authority_cert)
    ]
    assert modes == [0o600, 0o600, 0o644]
    assert stat.S_IMODE(paths.cert.parent.stat().st_mode) == 0o700


def test_a_key_is_closed_to_others_from_the_start(
    tmp_path: Path, now: datetime, authority: Authority
) -> None:
    """Closing it afterwards would leave a gap, and who writes a pair alone would be left without."""
    write_authority(tmp_path, authority)
    write_pair(tmp_path, issue_serving_pair(authority, names=NAMES, now=now))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ca.crt": 0o644, "ca.key": 0o600, "tls.crt": 0o644, "tls.key": 0o600}


def test_a_key_that_others_may_read_is_closed_to_them(tmp_path: Path, now: datetime) -> None:
    """A copy made by hand often loses its mode."""
    paths = ensure(tmp_path, names=NAMES, now=now).paths
    paths.key.chmod(0o644)
    assert ensure(tmp_path, names=NAMES, now=now).changes == ()
    assert stat.S_IMODE(paths.key.stat().st_mode) == 0o600


def test_other_names_need_another_certificate_but_no_other_ca(tmp_path: Path, now: datetime) -> None:
    """Clients keep their trust when the server gets a new name."""
    first = ensure(tmp_path, names=NAMES, now=now)
    second = ensure(tmp_path, names=[*NAMES, "lockkeeper.test"], now=now)
    assert second.changes == (IssuedCertificate("serving certificate", (RenewalReason.OTHER_NAMES,)),)
    assert second.authority == first.authority
    assert describe(second.pair.cert_pem).names == {*NAMES, "lockkeeper.test"}


def test_the_leaf_is_renewed_before_the_ca(tmp_path: Path, now: datetime) -> None:
    """Both go by their own two thirds."""
    first = ensure(tmp_path, names=NAMES, now=now)
    later = ensure(tmp_path, names=NAMES, now=now + timedelta(days=61))
    assert later.changes == (IssuedCertificate("serving certificate", (RenewalReason.TWO_THIRDS_OVER,)),)
    assert later.authority == first.authority
    assert_whole(later)


def test_a_new_ca_takes_a_new_leaf_along(tmp_path: Path, now: datetime) -> None:
    """A leaf of the old CA would be refused by clients that trust the new one."""
    ensure(tmp_path, names=NAMES, now=now)
    ensure(tmp_path, names=NAMES, now=now + timedelta(days=240))
    later = ensure(tmp_path, names=NAMES, now=now + timedelta(days=245))
    assert later.changes == (
        IssuedCertificate("CA", (RenewalReason.TWO_THIRDS_OVER,)),
        IssuedCertificate("serving certificate", (RenewalReason.OTHER_CA,)),
    )
    assert_whole(later)


@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_corrupt_pair_is_replaced_and_reported(
    tmp_path: Path, now: datetime, name: str, content: bytes
) -> None:
    """A full disk must not stop a laptop from starting, and the user sees what happened."""
    ensure(tmp_path, names=NAMES, now=now)
    (tmp_path / name).write_bytes(content)
    result = ensure(tmp_path, names=NAMES, now=now)
    assert [str(change) for change in result.changes] == ["made a new serving certificate: it cannot be read"]
    assert_whole(result)


@pytest.mark.parametrize("name", ["ca.crt", "ca.key"])
def test_a_corrupt_ca_is_replaced_with_its_leaf(tmp_path: Path, now: datetime, name: str) -> None:
    """Without its key the CA can never sign the next leaf."""
    ensure(tmp_path, names=NAMES, now=now)
    (tmp_path / name).write_bytes(b"nonsense")
    result = ensure(tmp_path, names=NAMES, now=now)
    assert result.changes == (
        IssuedCertificate("CA", (RenewalReason.UNREADABLE,)),
        IssuedCertificate("serving certificate", (RenewalReason.OTHER_CA,)),
    )
    assert_whole(result)


def test_a_swap_that_broke_off_half_way_is_repaired(
    tmp_path: Path, now: datetime, authority: Authority, stranger: Authority
) -> None:
    """A crash between the two files leaves a key that belongs to no certificate."""
    write_authority(tmp_path, authority)
    write_pair(tmp_path, issue_serving_pair(authority, names=NAMES, now=now))
    (tmp_path / "tls.key").write_bytes(stranger.key_pem)
    result = ensure(tmp_path, names=NAMES, now=now)
    assert result.changes == (IssuedCertificate("serving certificate", (RenewalReason.KEY_MISMATCH,)),)
    assert_whole(result)


def test_a_leaf_in_the_place_of_the_ca_is_replaced(
    tmp_path: Path, now: datetime, authority: Authority
) -> None:
    """It could sign, but no client would accept what it signed."""
    leaf = issue_serving_pair(authority, names=NAMES, now=now)
    write_authority(tmp_path, Authority(leaf.cert_pem, leaf.key_pem))
    result = ensure(tmp_path, names=NAMES, now=now)
    assert result.changes[0] == IssuedCertificate("CA", (RenewalReason.NOT_A_CA,))


def test_processes_that_start_together_agree(tmp_path: Path, now: datetime) -> None:
    """One creates the files and the others find them: no process serves a leaf of an overwritten CA."""
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: ensure(tmp_path, names=NAMES, now=now), range(8)))
    assert len({result.pair.cert_pem for result in results}) == 1
    assert sorted(len(result.changes) for result in results) == [0] * 7 + [2]


def test_nothing_is_left_beside_the_files(tmp_path: Path, now: datetime) -> None:
    """Temporary files hold keys, so they may not stay."""
    ensure(tmp_path, names=NAMES, now=now)
    ensure(tmp_path, names=["localhost"], now=now)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".lock",
        "ca.crt",
        "ca.key",
        "tls.crt",
        "tls.key",
    ]


def test_a_write_that_fails_leaves_no_key_behind(tmp_path: Path, now: datetime, authority: Authority) -> None:
    """The target is a folder, so the last step of the write cannot succeed."""
    (tmp_path / "tls.key").mkdir()
    with pytest.raises(OSError, match=r"tls\.key"):
        write_pair(tmp_path, issue_serving_pair(authority, names=NAMES, now=now))
    assert [path.name for path in tmp_path.iterdir()] == ["tls.key"]


def test_names_are_checked_before_anything_is_written(tmp_path: Path, now: datetime) -> None:
    """A typing error must not cost the files that were there."""
    with pytest.raises(UnusableNameError):
        ensure(tmp_path / "tls", names=["a b"], now=now)
    assert not (tmp_path / "tls").exists()
