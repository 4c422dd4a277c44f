"""An API server that ends during a connect leaves nothing open on our side.

What is left open is an error of these tests: warnings are, and the collector gives one.
"""

import gc
import json
import select
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPMethod
from pathlib import Path
from typing import Final

import pytest

from policy.cluster.errors import Unavailable
from policy.cluster.kube.connection import connection
from policy.cluster.kube.requests import KubeRequest
from policy.cluster.kube.server_pool import ClosingSocket

VERSION: Final = KubeRequest(HTTPMethod.GET, "/version")
RESETTING: Final = """
import socket, struct
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    made, _ = server.accept()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.close()
"""
"""A process of its own: a thread would wait for its turn until the handshake has begun."""


@contextmanager
def resetting() -> Iterator[int]:
    """Run a server that resets each connection as soon as it is made; give its port."""
    with subprocess.Popen([sys.executable, "-c", RESETTING], stdout=subprocess.PIPE) as server:  # noqa: S603 - fixed
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def test_a_socket_that_is_reset_before_the_handshake_is_closed() -> None:
    """The standard library's own would be left to the collector."""
    context = ssl.create_default_context()
    context.sslsocket_class = ClosingSocket
    with resetting() as port:
        plain = socket.create_connection(("127.0.0.1", port))
        look = select.poll()
        look.register(plain, select.POLLHUP)
        assert look.poll(10_000), "it was not reset"
        with pytest.raises(ConnectionResetError):
            context.wrap_socket(plain, server_hostname="127.0.0.1")
    gc.collect()


def test_requests_to_a_server_that_resets_leave_nothing_open(tmp_path: Path) -> None:
    """Whichever moment of the connection the reset hits."""
    with resetting() as port:
        asking = connection(_kubeconfig(tmp_path, port))
        for _ in range(20):
            with pytest.raises(Unavailable):
                asking.send(VERSION)
        asking.close()
    gc.collect()


def _kubeconfig(folder: Path, port: int) -> Path:
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": "t"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(content))
    return path
