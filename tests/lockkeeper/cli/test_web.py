"""`lockkeeper web` as its users run it, and the same page beside `lockkeeper run`."""

import re
import signal
import socket
from http.client import HTTPConnection
from pathlib import Path

from tests.lockkeeper.commands import EXAMPLES, Lockkeeper
from tests.patience import PATIENCE

KUBECONFIG = """
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
"""


def asked(text: str, path: str = "/") -> tuple[int, str]:
    """Return status and text of the page whose address is printed in a text."""
    found = re.search(r"http://127\.0\.0\.1:(\d+)/", text)
    assert found is not None, text
    connection = HTTPConnection("127.0.0.1", int(found[1]), timeout=PATIENCE)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_a_cluster_that_does_not_answer_is_told_in_the_browser(
    lockkeeper: Lockkeeper, tmp_path: Path
) -> None:
    """The command serves all the same, and ends well."""
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    with lockkeeper.started("web", "--kubeconfig", file, "--port", "0") as running:
        assert running.until("http://"), running.text
        status, text = asked(running.text)
        assert status == 503
        assert "The cluster does not answer: " in text
        running.send(signal.SIGTERM)
        assert running.wait() == 0
    assert "Traceback" not in running.text


def test_a_port_in_use_is_one_clear_line(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """With what to do."""
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finished = lockkeeper("web", "--kubeconfig", file, "--port", str(taken.getsockname()[1]))
    assert (finished.code, finished.err.count("\n")) == (2, 1)
    assert "give another --port (0 takes a free one)" in finished.err


def test_a_run_serves_the_page_and_so_does_the_command_on_it(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """Both show the same cluster."""
    kubeconfig = tmp_path / "kubeconfig"
    run = ("run", "--policies", EXAMPLES / "policies", "--port", "0", "--kubeconfig-out", kubeconfig)
    with lockkeeper.started(*run) as running:
        assert running.until("Serving on"), running.text
        with lockkeeper.started("web", "--kubeconfig", kubeconfig, "--port", "0") as web:
            assert web.until("http://"), web.text
            for text in (running.text, web.text):
                status, body = asked(text)
                assert status == 200
                assert "pool data" in body
            web.send(signal.SIGINT)
            assert web.wait() == 0
        running.send(signal.SIGTERM)
        assert running.wait() == 0
