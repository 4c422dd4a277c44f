"""Many connections at once that say nothing, or half of something: reviews beside them go on.

Each test opens more than any bound of the server takes. What is asserted is that the reviews are answered, by
number; the time-out of a client is far above what they need, and far below what a slow client may take.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from select import select

import pytest

from tests.patience import PATIENCE
from tests.webhook.reviews import admission_review, encoded, quota, workflow
from tests.webhook.running_server import Served
from webhook.serving.client_connection import RECEIVE_SECONDS
from webhook.serving.connections import PER_PEER
from webhook.serving.worker import WAITING_THREADS

CROWD = 200
"""More than there are threads, by far."""
REVIEWS = 10
TIME_OUT = RECEIVE_SECONDS * 0.8
"""A client's: a review that waits for the patience with others to end is not answered in it."""
ELSEWHERE = "127.0.0.2"
HEAD = b"POST /mutate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server with a limit that is never reached."""
    folder = tmp_path_factory.mktemp("crowds")
    (folder / "policies").mkdir()
    (folder / "policies" / "all.yaml").write_text(quota("Deny", limits={"workflows": 100_000}))
    with Served(policies=folder / "policies", certs=folder / "certs") as running:
        yield running


def silence(served: Served) -> socket.socket:
    """Return a client that never says anything."""
    return served.plain_socket(timeout=TIME_OUT)


def half_a_handshake(served: Served) -> socket.socket:
    """Return a client that began a handshake, and stopped."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    client = served.plain_socket(timeout=TIME_OUT)
    client.sendall(outgoing.read())
    return client


def part_of_a_hello(served: Served) -> socket.socket:
    """Return a client that stopped after the first bytes of a handshake."""
    client = served.plain_socket(timeout=TIME_OUT)
    client.sendall(b"\x16\x03\x01\x02\x00\x01")
    return client


def nothing_after_the_handshake(served: Served) -> socket.socket:
    """Return a client that asks for nothing."""
    return served.secure_socket(timeout=PATIENCE)


def half_a_head(served: Served) -> socket.socket:
    """Return a client that stopped in the middle of a head."""
    client = served.secure_socket(timeout=PATIENCE)
    client.sendall(HEAD[:30])
    return client


def half_a_body(served: Served) -> socket.socket:
    """Return a client that stopped in the middle of a body."""
    client = served.secure_socket(timeout=PATIENCE)
    client.sendall(HEAD + b'Content-Length: 1000\r\n\r\n{"half":')
    return client


def half_a_chunk(served: Served) -> socket.socket:
    """Return a client that stopped in the middle of a body without a length."""
    client = served.secure_socket(timeout=PATIENCE)
    client.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n400\r\n{")
    return client


def unwanted_body(served: Served) -> socket.socket:
    """Return a client that keeps back a body which nobody reads."""
    client = served.secure_socket(timeout=PATIENCE)
    client.sendall(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
    return client


def answers_not_taken(served: Served) -> socket.socket:
    """Return a client that asks again and again, and takes no answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", served.port))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    secure = context.wrap_socket(client)
    secure.settimeout(0.2)
    with suppress(TimeoutError, OSError):
        for _ in range(200):
            secure.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
    return secure


def answered(served: Served, name: str) -> int:
    """Return how many reviews are answered, each on a connection of its own."""
    count = 0
    for number in range(REVIEWS):
        with served.connected(timeout=TIME_OUT) as connection:
            review = admission_review(workflow(), uid=f"{name}-{number}")
            count += bool(connection.review(review)["allowed"])
    return count


@pytest.mark.parametrize(
    ("client", "crowd"),
    [
        (silence, CROWD),
        (half_a_handshake, CROWD),
        (part_of_a_hello, CROWD),
        (nothing_after_the_handshake, CROWD),
        (half_a_head, CROWD),
        (half_a_body, CROWD),
        (half_a_chunk, WAITING_THREADS + 10),
        (unwanted_body, CROWD),
        (answers_not_taken, 6),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_reviews_go_on_beside_a_crowd(
    client: Callable[[Served], socket.socket], crowd: int, served: Served
) -> None:
    """No review waits for the patience with those who say little to end, on new connections or old ones."""
    with ExitStack() as clients, served.connected(timeout=TIME_OUT) as before:
        assert before.review(admission_review(workflow(), uid=f"{client.__name__}-before"))["allowed"]
        first = before.socket
        for _ in range(crowd):
            clients.enter_context(client(served))
        assert answered(served, client.__name__) == REVIEWS
        assert before.review(admission_review(workflow(), uid=f"{client.__name__}-after"))["allowed"]
        assert before.socket is first


def test_more_silent_connections_than_a_peer_may_have_push_out_each_other(served: Served) -> None:
    """The first of them are closed, and whoever was answered before keeps his connection."""
    with ExitStack() as clients, served.connected(timeout=TIME_OUT) as before:
        assert before.review(admission_review(workflow(), uid="crowd-before"))["allowed"]
        first = before.socket
        spare = clients.enter_context(served.secure_socket(timeout=PATIENCE))
        spare.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")  # What proves nothing.
        said = b""
        while not said.endswith(b"ok\n"):
            said += spare.recv(1000)
        for _ in range(10):  # Patience with some of them ends while others still come.
            for _ in range(PER_PEER):
                clients.enter_context(silence(served))
            if select([spare], [], [], 0)[0]:
                break
        assert spare.recv(1) == b""
        assert answered(served, "crowd") == REVIEWS
        assert before.review(admission_review(workflow(), uid="crowd-after"))["allowed"]
        assert before.socket is first


def test_another_peer_pushes_nobody_out(served: Served) -> None:
    """What one address does costs another nothing, not even spare connections."""
    with ExitStack() as clients, served.secure_socket(timeout=PATIENCE) as spare:
        for _ in range(PER_PEER + 50):
            clients.enter_context(
                socket.create_connection(("127.0.0.1", served.port), TIME_OUT, source_address=(ELSEWHERE, 0))
            )
        spare.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert spare.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("client", [silence, half_a_handshake, part_of_a_hello, half_a_head, half_a_body])
def test_patience_ends(client: Callable[[Served], socket.socket], served: Served) -> None:
    """Whoever says nothing, or half of something, is hung up on; nobody has to come for that."""
    with client(served) as slow:
        slow.settimeout(PATIENCE)
        with suppress(ConnectionResetError):
            while slow.recv(65_536):
                pass


def test_a_head_that_never_ends_is_not_kept(served: Served) -> None:
    """Its sender is hung up on long before it costs memory."""
    with served.secure_socket(timeout=PATIENCE) as client, suppress(OSError):
        client.sendall(b"POST /mutate HTTP/1.1\r\n")
        for number in range(10_000):
            client.sendall(f"X-{number}: {'x' * 1000}\r\n".encode())
        pytest.fail("ten megabytes of a head were taken")


def test_two_requests_in_one_piece_are_both_answered(served: Served) -> None:
    """What came along with one request is not forgotten when its answer is sent."""
    body = encoded(admission_review(workflow(), uid="in-one-piece"))
    one = HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    with served.secure_socket(timeout=PATIENCE) as client:
        client.sendall(one + one + b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while data := client.recv(65_536):
            received += data
    assert received.count(b"HTTP/1.1 200 OK") == 3
