"""`lockkeeper certs` on a folder: what it shows, makes and changes, and how it ends."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.authority import create_authority, issue_serving_pair
from certs.bundle import is_accepted, split
from certs.files import NOTHING, CertificateFiles, Paths, ensure, write_authority, write_pair
from certs.rotation import advance, begin_change
from certs.rotation_steps import OVERLAP, PROPAGATION
from certs.stores import FolderStore
from lockkeeper.__main__ import main
from lockkeeper.certificates.report import report_on, table
from tests.lockkeeper.commands import Lockkeeper

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
NAMES = ("a.example", "127.0.0.1")


@pytest.fixture(scope="module")
def kept() -> CertificateFiles:
    """Return what is kept after the first start."""
    return advance(NOTHING, now=NOW, names=NAMES, in_place_since=None).files


def told(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Run the command; return its exit code and its lines."""
    code = main(["certs", *arguments])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, (shown.out + shown.err).splitlines()


def test_a_folder_is_filled_shown_and_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole life of a folder: nothing, all well, a new certificate, a new CA."""
    folder = ["--dir", str(tmp_path / "certs")]
    assert told(["status", *folder], capsys) == (
        1,
        ["wrong: CA: there is none yet", "wrong: serving certificate: there is none yet"],
    )
    assert told(["init", *folder], capsys) == (
        0,
        ["made a new CA: there is none yet", "made a new serving certificate: there is none yet"],
    )
    assert told(["init", *folder], capsys) == (0, ["nothing to do: all is well"])
    first = FolderStore(tmp_path / "certs").read().files
    assert told(["rotate", *folder], capsys) == (
        0,
        ["made a new serving certificate: somebody asked for it"],
    )
    second = FolderStore(tmp_path / "certs").read().files
    assert (second.bundle, second.cert != first.cert) == (first.bundle, True)
    code, _ = told(["rotate", "--ca", *folder], capsys)
    third = FolderStore(tmp_path / "certs").read().files
    assert code == 0
    assert third.bundle != first.bundle
    assert is_accepted(third.cert, split(third.bundle), now=datetime.now(UTC))
    code, lines = told(["status", *folder], capsys)
    assert (code, len(lines)) == (0, 3)
    assert lines[0].split("  ")[0] == "PART"
    assert Paths.within(tmp_path / "certs").key.stat().st_mode & 0o077 == 0


def test_names_may_be_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are kept by later changes, and status can be asked whether they are there."""
    folder = ["--dir", str(tmp_path)]
    assert told(["init", "--names", "b.example,10.0.0.1", *folder], capsys)[0] == 0
    assert told(["rotate", *folder], capsys)[0] == 0
    assert told(["status", "--names", "10.0.0.1,b.example", *folder], capsys)[0] == 0
    code, lines = told(["status", "--names", "c.example", *folder], capsys)
    assert code == 1
    assert lines[-1] == "wrong: serving certificate: it is for other names"


def test_a_name_that_cannot_be_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is made."""
    code, lines = told(["init", "--names", "not a name", "--dir", str(tmp_path)], capsys)
    assert (code, len(lines)) == (2, 1)
    assert "'not a name' is neither a DNS name nor an IP address" in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_status_in_json_is_for_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every field of the table, times as RFC 3339, and the problems."""
    ensure(tmp_path, names=NAMES, now=datetime.now(UTC))
    assert main(["certs", "status", "--dir", str(tmp_path), "-o", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    authority, leaf = shown["certificates"]
    assert (authority["part"], authority["signedBy"], authority["inCaBundle"]) == ("CA", "itself", None)
    assert (leaf["names"], leaf["signedBy"], leaf["trusted"]) == (sorted(NAMES), "CA", True)
    assert leaf["notBefore"] < leaf["renewalAt"] < leaf["notAfter"]
    assert (shown["problems"], shown["notes"]) == ([], [])


def test_a_folder_that_another_program_renews_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mounted Secret of another CA has no key of that CA; it can be looked at."""
    now = datetime.now(UTC)
    authority = create_authority(now=now)
    write_authority(tmp_path, authority)
    write_pair(tmp_path, issue_serving_pair(authority, names=NAMES, now=now))
    Paths.within(tmp_path).authority_key.unlink()
    code, lines = told(["rotate", "--dir", str(tmp_path)], capsys)
    assert (code, len(lines)) == (2, 1)
    assert "renewed by somebody else" in lines[0]
    code, lines = told(["status", "--dir", str(tmp_path)], capsys)
    assert code == 0
    assert lines[-1] == "note: the CA's key is not kept here: somebody else renews"


@pytest.mark.parametrize("action", ["status", "init", "rotate"])
def test_a_folder_that_cannot_be_used_is_one_clear_line(
    lockkeeper: Lockkeeper, tmp_path: Path, action: str
) -> None:
    """A file in its place, for instance."""
    (tmp_path / "file").write_text("")
    finished = lockkeeper("certs", action, "--dir", tmp_path / "file")
    assert (finished.code, finished.out, finished.err.count("\n")) == (2, "", 1)
    assert finished.err.startswith("lockkeeper: the folder of certificates ")


def test_a_cluster_that_cannot_be_found_is_one_clear_line(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """No kubeconfig there."""
    finished = lockkeeper("certs", "status", "--kubeconfig", tmp_path / "none")
    assert (finished.code, finished.out, finished.err.count("\n")) == (2, "", 1)


def test_an_action_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    """Argparse says which there are."""
    with pytest.raises(SystemExit) as ended:
        main(["certs"])
    assert ended.value.code == 2
    assert "ACTION" in capsys.readouterr().err


def parts(kept: CertificateFiles, now: datetime = NOW) -> list[str]:
    """Return what the rows of a report are about."""
    return [row.part for row in report_on(kept, now=now).certificates]


def test_every_step_of_a_change_of_ca_can_be_seen(kept: CertificateFiles) -> None:
    """Which CA signs, which one comes, which one goes."""
    announced = begin_change(kept, now=NOW).files
    assert parts(announced) == ["CA", "next CA", "serving certificate"]
    report = report_on(announced, now=NOW, placed=[announced.bundle, announced.bundle])
    assert [row.in_ca_bundle for row in report.certificates] == [True, True, None]
    assert report.notes == (
        "a change of CA is under way: the next CA waits until every API server trusts it",
    )
    then = NOW + PROPAGATION
    switched = advance(announced, now=then, names=NAMES, in_place_since=NOW).files
    assert parts(switched) == ["CA", "old CA", "serving certificate"]
    assert report_on(switched, now=then).notes == (
        "a change of CA is ending: old CAs stay in the bundle for a while",
    )
    done = advance(switched, now=then + OVERLAP, names=NAMES, in_place_since=NOW).files
    assert parts(done) == ["CA", "serving certificate"]


def test_a_bundle_that_is_not_in_place_is_wrong(kept: CertificateFiles) -> None:
    """It says how many webhooks lack it; without any webhook nobody trusts us."""
    report = report_on(kept, now=NOW, placed=[kept.bundle, b"", b"other"])
    assert report.problems == ("caBundle: 2 of 3 webhooks do not carry the bundle",)
    assert report.certificates[0].in_ca_bundle is False
    assert report_on(kept, now=NOW, placed=[]).problems == ("caBundle: there are no webhook configurations",)


@pytest.mark.parametrize(
    ("changes", "days", "problem"),
    [
        ({"cert": b"x"}, 0, "serving certificate: it cannot be read"),
        ({"key": b"x"}, 0, "serving certificate: it cannot be read"),
        ({"bundle": b"x"}, 0, "CA: it cannot be read"),
        ({"authority_key": b"x"}, 0, "CA: it cannot be read"),
        ({}, 70, "serving certificate was due at 2027-01-22T09:40:00Z"),
        ({}, 100, "serving certificate: it has expired"),
        ({}, 400, "CA: it has expired"),
    ],
)
def test_what_is_wrong_is_said(
    kept: CertificateFiles, changes: dict[str, bytes], days: int, problem: str
) -> None:
    """One line each."""
    report = report_on(replace(kept, **changes), now=NOW + timedelta(days=days))
    assert problem in report.problems


def test_a_certificate_of_an_unknown_ca_is_not_trusted(kept: CertificateFiles) -> None:
    """Whoever trusts the bundle refuses it."""
    pair = issue_serving_pair(create_authority(now=NOW), names=NAMES, now=NOW)
    report = report_on(replace(kept, cert=pair.cert_pem, key=pair.key_pem), now=NOW)
    assert report.problems == ("serving certificate: no client that trusts the bundle accepts it",)
    assert table(report)[2][6:8] == ("nobody in the bundle", "no")
