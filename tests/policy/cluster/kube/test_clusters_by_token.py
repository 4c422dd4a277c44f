"""A cluster that is reached with somebody's token, and never with credentials of our own."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from policy.cluster.kube.kube_cluster import clusters_by_token
from policy.cluster.kube.kubeconfig import ClusterSettingsError
from policy.cluster.protocol import NAMESPACES


class Noting(BaseHTTPRequestHandler):
    """Notes who asks."""

    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        """Answer a namespace."""
        self.seen.append(self.headers["Authorization"])
        body = b'{"metadata": {"name": "a"}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
        """Log nothing."""


def test_each_token_is_sent_alone(tmp_path: Path) -> None:
    """Whatever user the kubeconfig has: its token, its password and its programs are left out."""
    Noting.seen.clear()
    server = HTTPServer(("127.0.0.1", 0), Noting)
    thread = Thread(target=server.serve_forever)
    thread.start()
    file = tmp_path / "kubeconfig"
    file.write_text(
        "contexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n"
        f'clusters: [{{name: c, cluster: {{server: "http://127.0.0.1:{server.server_port}"}}}}]\n'
        "users: [{name: u, user: {token: own, exec: {command: /nowhere, apiVersion: x}}}]\n"
    )
    connect = clusters_by_token(file)
    for token in ("one", "two", "one"):
        cluster = connect(token)
        cluster.get(NAMESPACES, "a")
        cluster.close()
    server.shutdown()
    thread.join()
    server.server_close()
    assert Noting.seen == ["Bearer one", "Bearer two", "Bearer one"]


def test_a_pod_without_the_ca_of_its_cluster_is_told_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anybody signs in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    with pytest.raises(ClusterSettingsError) as refused:
        clusters_by_token(None)
    assert "the CA of the cluster is not in /var/run/secrets/kubernetes.io/serviceaccount/ca.crt" in str(
        refused.value
    )
