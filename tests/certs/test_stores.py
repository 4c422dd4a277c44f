"""A folder as a store, and how changes are settled on it."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Barrier

import pytest

from certs.files import NOTHING, CertificateFiles, read_authority, read_pair
from certs.rotation import CertificateStep, advance, begin_change
from certs.stores import (
    FolderStore,
    StoredCertificates,
    StoreError,
    WriteConflictError,
    settle,
)
from tests.patience import PATIENCE

NAMES = ("localhost",)


def made(folder: Path, now: datetime) -> CertificateStep:
    """Return what a start leaves in a folder."""
    return settle(
        FolderStore(folder), lambda files: advance(files, now=now, names=NAMES, in_place_since=None)
    )


def test_a_folder_that_does_not_exist_holds_nothing_and_is_created(tmp_path: Path, now: datetime) -> None:
    """With the files that `serve --certs` reads; keys are for their owner only."""
    folder = tmp_path / "a" / "b"
    assert FolderStore(folder).read() == StoredCertificates(NOTHING, "")
    files = made(folder, now).files
    assert FolderStore(folder).read().files == files
    authority, pair = read_authority(folder), read_pair(folder)
    assert authority is not None
    assert pair is not None
    assert (authority.cert_pem, pair.key_pem) == (files.bundle, files.key)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}
    assert modes == {".lock": 0o600, "ca.crt": 0o644, "ca.key": 0o600, "tls.crt": 0o644, "tls.key": 0o600}


def test_only_changes_are_written_and_empty_files_are_removed(tmp_path: Path, now: datetime) -> None:
    """A server that looks at its files must not load them again for nothing."""
    files = made(tmp_path, now).files
    store = FolderStore(tmp_path)
    untouched = (tmp_path / "tls.crt").stat().st_mtime_ns
    announced = begin_change(files, now=now).files
    store.write(announced, version=store.read().version)
    assert stat.S_IMODE((tmp_path / "next-ca.key").stat().st_mode) == 0o600
    store.write(files, version=store.read().version)
    assert not (tmp_path / "next-ca.key").exists()
    assert (tmp_path / "tls.crt").stat().st_mtime_ns == untouched
    assert store.read().files == files


def test_a_write_on_an_old_version_is_a_conflict(tmp_path: Path, now: datetime) -> None:
    """Another process was faster."""
    store = FolderStore(tmp_path)
    files = made(tmp_path, now).files
    version = store.read().version
    (tmp_path / "tls.crt").write_bytes(b"x")
    with pytest.raises(WriteConflictError):
        store.write(files, version=version)
    assert store.read().files.cert == b"x"


def test_processes_that_start_together_end_with_one_ca(tmp_path: Path, now: datetime) -> None:
    """Compare and swap, under the same lock that `ensure` takes."""
    starters = 8
    together = Barrier(starters)

    def start(_: int) -> CertificateFiles:
        together.wait(PATIENCE)
        return made(tmp_path, now).files

    with ThreadPoolExecutor(starters) as pool:
        assert len(set(pool.map(start, range(starters)))) == 1


def test_a_folder_that_cannot_be_used_is_reported_with_its_name(tmp_path: Path) -> None:
    """Read and write alike."""
    (tmp_path / "file").write_bytes(b"")
    store = FolderStore(tmp_path / "file")
    with pytest.raises(StoreError, match="file cannot be used: not a directory"):
        store.read()
    with pytest.raises(StoreError, match="file cannot be used: file exists"):
        store.write(NOTHING, version="")


def test_a_step_without_changes_writes_nothing(tmp_path: Path, now: datetime) -> None:
    """Even if what it would keep is another: changes say what is done."""
    files = made(tmp_path, now).files
    settled = settle(FolderStore(tmp_path), lambda found: CertificateStep(replace(found, cert=b"x")))
    assert settled == CertificateStep(files, ())
    assert FolderStore(tmp_path).read().files == files
