"""Ctrl-C ends a command with one line and 130, whatever it is at."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lockkeeper.commands import Lockkeeper

TOLD = ["lockkeeper: interrupted"]
SILENT_CLUSTER = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: u, user: {{}}}}]
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
current-context: c
"""
COMMANDS = (
    ("status",),
    ("queue",),
    ("why", "load"),
    ("locks",),
    ("priority", "load", "3", "--yes"),
    ("cancel", "load"),
    ("hold", "quota/main"),
    ("check",),
)


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[tuple[socket.socket, Path]]:
    """Give a cluster that takes a connection and never answers, and the kubeconfig that leads to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        file = tmp_path / "kubeconfig"
        file.write_text(SILENT_CLUSTER.format(port=server.getsockname()[1]), "utf-8")
        yield server, file


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_while_modules_are_still_imported(
    lockkeeper: Lockkeeper, silent: tuple[socket.socket, Path], words: tuple[str, ...]
) -> None:
    """That is most of the first half second, and what is half imported fails in any way."""
    imports = {"PYTHONPROFILEIMPORTTIME": "1"}
    with lockkeeper.started(*words, "--kubeconfig", silent[1], variables=imports) as running:
        assert running.until("policy.core")
        running.send(signal.SIGINT)
        code = running.wait()
    assert code == 130
    assert [line.strip() for line in running.lines if not line.startswith("import time:")] == TOLD


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_while_a_cluster_does_not_answer(
    lockkeeper: Lockkeeper, silent: tuple[socket.socket, Path], words: tuple[str, ...]
) -> None:
    """It says so and leaves nothing behind: no file with credentials either."""
    server, file = silent
    before = lockkeeper.leftovers()
    with lockkeeper.started(*words, "--kubeconfig", file) as running:
        connection, _ = server.accept()
        running.send(signal.SIGINT)
        code = running.wait()
        connection.close()
    assert code == 130
    assert [line.strip() for line in running.lines] == TOLD
    assert lockkeeper.leftovers() == before
