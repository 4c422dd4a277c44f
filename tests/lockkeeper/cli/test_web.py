"""`lockkeeper web` as its users run it, and the same page beside `lockkeeper run`."""

import re
import signal
import socket
import ssl
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest

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


def test_options_of_the_shared_page_go_with_it(lockkeeper: Lockkeeper) -> None:
    """Who leaves --sign-in out would serve the own rights to others."""
    finished = lockkeeper("web", "--host", "0.0.0.0")
    assert finished.code == 2
    assert "--host goes with --sign-in: without it the page is yours" in finished.err


def test_the_page_for_all_asks_for_a_token_over_tls(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """With a certificate of its own where none is given, and with probes beside it."""
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    words = ("web", "--sign-in", "--kubeconfig", file, "--port", "0", "--health-port", "0")
    with lockkeeper.started(*words) as running:
        assert running.until("https://"), running.text
        found = re.search(r"https://127\.0\.0\.1:(\d+)/", running.text)
        assert found is not None
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for headers, code in (
            ({}, 401),
            ({"Authorization": "Bearer abc"}, 503),
            ({"Host": "evil.example"}, 400),
        ):
            connection = HTTPSConnection("127.0.0.1", int(found[1]), timeout=PATIENCE, context=context)
            connection.request("GET", "/", headers=headers)
            answer = connection.getresponse()
            assert (answer.status, answer.headers["Cache-Control"]) == (code, "no-store")
            answer.read()
            connection.close()
        running.send(signal.SIGTERM)
        assert running.wait() == 0
    assert "abc" not in running.text
    assert "Traceback" not in running.text


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


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("prometheus:9090", "--prometheus: 'prometheus:9090' is no address of a Prometheus"),
        ("http://me:secret@prometheus", "may have no password in it"),
    ],
)
@pytest.mark.parametrize("mode", [(), ("--sign-in",)])
def test_what_is_no_prometheus_is_one_clear_line(
    lockkeeper: Lockkeeper, tmp_path: Path, mode: tuple[str, ...], url: str, sentence: str
) -> None:
    """Before anything is served, and without the password."""
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    finished = lockkeeper("web", *mode, "--kubeconfig", file, "--port", "0", "--prometheus", url)
    assert (finished.code, finished.out, finished.err.count("\n")) == (2, "", 1)
    assert sentence in finished.err
    assert "secret" not in finished.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("-n", "Team_A"), "--namespace: 'Team_A' is no name of a namespace"),
        (("--sign-in", "-n", "a/b"), "--namespace: 'a/b' is no name of a namespace"),
        (("--sign-in", "--host", "192.0.2.1"), "give an address of this machine as --host"),
        (("--sign-in", "--host", "no such name"), "give an address of this machine as --host"),
        (("--sign-in", "--certs-mounted", "/no/such/folder"), "/no/such/folder is no folder"),
        (("--context", "other"), 'there is no context "other"; there are: c'),
    ],
)
def test_what_cannot_be_served_so_is_one_clear_line(
    lockkeeper: Lockkeeper, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    """Before anything is served."""
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    finished = lockkeeper("web", "--kubeconfig", file, "--port", "0", *words)
    assert (finished.code, finished.out, finished.err.count("\n")) == (2, "", 1)
    assert sentence in finished.err


def test_a_closed_pipe_ends_it_without_a_word(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """Nobody could read the address."""
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    finished = lockkeeper.with_closed_output("web", "--kubeconfig", file, "--port", "0")
    assert (finished.code, finished.err) == (0, "")
