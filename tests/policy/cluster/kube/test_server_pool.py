"""Requests over connections that are open: sent once where they write, as urllib3 sends them in all else."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPMethod
from pathlib import Path
from socket import create_server
from threading import Thread

import pytest

from lockkeeper.certificates.loopback import loopback_certificate
from policy.cluster.errors import NotFound, Unavailable
from policy.cluster.kube.connection import KubeTransport, connection
from policy.cluster.kube.requests import KubeRequest

READ = KubeRequest(HTTPMethod.GET, "/a%20b", (("limit", "5"),))
WRITE = KubeRequest(HTTPMethod.PATCH, "/b", content_type="application/merge-patch+json", body=b'{"a": 1}')
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
MISSING = b'HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\n\r\n{"message": "no such"}'
WHOLE = (OK, MISSING)
"""After any other answer the server ends the connection."""
BROKEN = (b"", OK[:-1], b"nonsense\r\n\r\n")


class Served:
    """What a server saw: the requests, each with the number of its connection."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.seen: list[tuple[int, bytes]] = []


@contextmanager
def serving(folder: Path, *answers: bytes) -> Iterator[tuple[KubeTransport, Served]]:
    """Serve prepared answers over TLS, one connection after the other; give who sends, and what was seen."""
    paths, context = loopback_certificate(folder, "127.0.0.1")
    served = Served(list(answers))
    with create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            number = 0
            while served.answers:
                plain, _ = listening.accept()
                with context().wrap_socket(plain, server_side=True) as made:
                    number += 1
                    _serve(made, number, served)

        thread = Thread(target=serve)
        thread.start()
        sending = connection(_kubeconfig(folder, listening.getsockname()[1], paths.authority_cert))
        try:
            yield sending, served
        finally:
            sending.close()
            thread.join()


def _serve(made: ssl.SSLSocket, number: int, served: Served) -> None:
    """Answer the requests of one connection."""
    while served.answers:
        request = b""
        while not _complete(request):
            received = made.recv(65536)
            if not received:
                return
            request += received
        served.seen.append((number, request))
        answer = served.answers.pop(0)
        made.sendall(answer)
        if answer not in WHOLE:
            return


def _complete(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    return bool(end) and (b"content-length: 8" not in head.lower() or len(body) == 8)


def _kubeconfig(folder: Path, port: int, authority: Path) -> Path:
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(authority)}
    content = {
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": "secret"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(content))
    return path


def said(request: bytes) -> tuple[bytes, set[bytes], bytes]:
    """Return the first line of a request, its headers in lower case, and its body."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    return first, {each.lower() for each in headers}, body


@pytest.mark.parametrize("request_", [READ, WRITE])
def test_a_request_over_an_open_connection_says_what_one_over_a_new_one_says(
    tmp_path: Path, request_: KubeRequest
) -> None:
    """With the token, the kinds of content and the length, on the same connection."""
    with serving(tmp_path, OK, OK) as (sending, served):
        assert [sending.send(request_), sending.send(request_)] == [b"{}", b"{}"]
    (first, by_urllib3), (second, ours) = served.seen
    assert (first, second) == (1, 1)
    assert said(ours) == said(by_urllib3)
    assert b"authorization: bearer secret" in said(ours)[1]


def test_a_refusal_over_an_open_connection_is_the_error_that_it_is(tmp_path: Path) -> None:
    """And the connection is used again after it."""
    with serving(tmp_path, OK, MISSING, OK) as (sending, served):
        sending.send(READ)
        with pytest.raises(NotFound, match=r"no such \(HTTP 404\)"):
            sending.send(READ)
        sending.send(READ)
    assert [number for number, _ in served.seen] == [1, 1, 1]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_read_whose_connection_breaks_is_sent_once_more_over_a_new_one(
    tmp_path: Path, broken: bytes
) -> None:
    """An API server that restarts is no reason to fail."""
    with serving(tmp_path, OK, broken, OK) as (sending, served):
        sending.send(READ)
        assert sending.send(READ) == b"{}"
    assert [number for number, _ in served.seen] == [1, 1, 2]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_write_whose_connection_breaks_is_not_sent_again(tmp_path: Path, broken: bytes) -> None:
    """It may have happened already."""
    with serving(tmp_path, OK, broken, OK) as (sending, served):
        sending.send(READ)
        with pytest.raises(Unavailable, match="cannot be reached"):
            sending.send(WRITE)
        assert sending.send(WRITE) == b"{}"
    assert [number for number, _ in served.seen] == [1, 1, 2]
