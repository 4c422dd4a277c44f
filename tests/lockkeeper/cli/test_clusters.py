"""Every command that speaks to a cluster finds it as kubectl does, and tells in one line where it is not."""

from pathlib import Path
from typing import Final

import pytest

from lockkeeper.__main__ import main
from tests.lockkeeper.commands import Lockkeeper

COMMANDS: Final = [
    ("locks",),
    ("locks", "suggest"),
    ("check",),
    ("certs", "status"),
    ("certs", "init"),
    ("serve", "--cluster", "--port", "0"),
    ("status",),
    ("queue",),
    ("why", "a"),
    ("hold", "a"),
    ("resume", "a"),
    ("priority", "a", "5"),
    ("cancel", "a"),
    ("web", "--port", "0"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("way", ["option", "environment"])
def test_settings_that_lead_nowhere_are_one_line_with_the_file(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    way: str,
) -> None:
    """With a context that is not there: the option of it is taken everywhere, and the file is read."""
    file = tmp_path / "kubeconfig"
    file.write_text("contexts: [{name: blue, context: {cluster: c}}]\n")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    options = ["--context", "green"]
    if way == "option":
        options += ["--kubeconfig", str(file)]
    else:
        monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none:{file}")
    assert main([*command, *options]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert told.err.endswith(f'{file}: there is no context "green"; there are: blue\n')


def test_the_controller_tells_it_too(lockkeeper: Lockkeeper) -> None:
    """A process of its own, since it writes its log past Python's output."""
    finished = lockkeeper("controller", "--lease-namespace", "x", "--port", "0")
    assert (finished.code, finished.err.count("\n")) == (2, 1)
    assert f"{lockkeeper.home}/.kube/config: there is no such file" in finished.err


def test_a_program_for_credentials_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The client would log it in its own form, and ask without credentials."""
    file = tmp_path / "kubeconfig"
    file.write_text(
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: no-login}}}]\n"
        "contexts: [{name: blue, context: {cluster: c, user: u}}]\ncurrent-context: blue\n"
    )
    assert main(["status", "--kubeconfig", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"lockkeeper: no cluster can be reached with the settings of {file}: there are no credentials: No "
        "such file or directory: 'no-login'\n"
    )
