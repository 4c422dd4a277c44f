"""The server itself: a process of its own, real TLS on loopback, real signals and files."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import jsonpatch
import pytest

from certs.authority import issue_serving_pair
from certs.files import Paths, read_authority, write_pair
from policy.core.objects.well_known import RESERVATION
from tests.certs.serials import serial_in
from tests.patience import PATIENCE
from tests.webhook.oracle import Json, patch_of, verify_admission_response
from tests.webhook.reviews import admission_review, encoded, named, quota, workflow
from tests.webhook.running_server import Connection, Served, serve_command
from webhook.http_errors import MAX_BODY

NAMES = ("localhost", "127.0.0.1")
SLOW_CLIENTS = 96
"""A server that waits for them, with two threads and five seconds for each, takes longer than `PATIENCE`."""


def serving(folder: Path, policies: str) -> Served:
    """Return a server, not yet started, with these policies in a folder of its own."""
    (folder / "policies").mkdir()
    (folder / "policies" / "all.yaml").write_text(policies)
    return Served(policies=folder / "policies", certs=folder / "certs")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return a server that tests share, each with uids of its own; its limit is never reached."""
    policies = quota("Deny", limits={"workflows": 100_000}, perWorkflow={"defaultTasks": 4})
    with serving(tmp_path_factory.mktemp("shared"), policies) as served:
        yield served


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """Return a server of the test's own, with a limit of 0 that denies."""
    with serving(tmp_path, quota("Deny", limits={"workflows": 0})) as served:
        yield served


def test_a_create_goes_through_both_webhooks(shared: Served) -> None:
    """Over verified TLS the patch is made, applied, and found right by the validating side."""
    with shared.connected() as connection:
        mutated = connection.review(admission_review(workflow(), uid="round-trip"))
        changed = jsonpatch.apply_patch(workflow(), patch_of(mutated))
        assert changed["spec"]["parallelism"] == 4
        assert changed["metadata"]["labels"] == {RESERVATION: "round-trip"}
        review = admission_review(changed, uid="round-trip-2")
        assert connection.review(review, "/validate")["allowed"]
    assert shared.log(uid="round-trip")["outcome"] == "allowed"
    assert shared.log(uid="round-trip-2")["webhook"] == "validate"


def test_a_client_that_does_not_trust_the_ca_does_not_connect(shared: Served) -> None:
    """The certificate is good for those who were given its CA, and for the names in it."""
    stranger = ssl.create_default_context()
    knowing = ssl.create_default_context(cafile=str(Paths.within(shared.certs).authority_cert))
    for context, name in ((stranger, "127.0.0.1"), (knowing, "example.com")):
        with shared.plain_socket() as plain, pytest.raises(ssl.SSLCertVerificationError):
            context.wrap_socket(plain, server_hostname=name)


def test_probes_are_answered(shared: Served) -> None:
    """Kubelet and Prometheus reach their routes on the same port."""
    with shared.connected() as connection:
        assert connection.send("GET", "/livez") == (200, b"ok\n")
        assert connection.send("GET", "/readyz") == (200, b"ok\n")
        status, text = connection.send("GET", "/metrics")
        assert (status, b"\nlockkeeper_policies_loaded_timestamp_seconds " in text) == (200, True)


def test_sixteen_connections_are_served_in_parallel(shared: Served) -> None:
    """Every answer goes to the request it belongs to, on connections that stay open."""
    together = threading.Barrier(16)

    def client(number: int) -> int:
        together.wait(PATIENCE)
        with shared.connected() as connection:
            first = connection.socket
            for turn in range(5):
                uid = f"{number}-{turn}"
                assert connection.review(admission_review(named(f"w-{uid}"), uid=uid))["allowed"]
                assert connection.socket is first
        return number

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(client, range(16))) == sum(range(16))
    assert all(shared.log(uid=f"{number}-4") for number in range(16))


def test_a_connection_is_used_again_after_an_error(shared: Served) -> None:
    """What a request did wrong is not held against the next one on its connection."""
    good = encoded(admission_review(workflow(), uid="after-errors"))
    with shared.connected() as connection:
        first = connection.socket
        statuses = [
            connection.send("POST", "/mutate", good, "text/plain")[0],
            connection.send("POST", "/mutate", b"")[0],
            connection.send("POST", "/mutate", b"{")[0],
            connection.send("PUT", "/mutate", good)[0],
            connection.send("GET", "/validate")[0],
            connection.send("POST", "/nothing", good)[0],
            connection.send("POST", "/mutate", good)[0],
        ]
        assert connection.socket is first
    assert statuses == [415, 400, 400, 405, 405, 404, 200]


@pytest.mark.parametrize("chunked", [True, False])
def test_ten_megabytes_are_too_large(chunked: bool, shared: Served) -> None:  # noqa: FBT001 - a case
    """The sender hears 413 although it was still sending; and the server goes on."""
    piece = b" " * 100_000
    with shared.connected() as connection:
        body = (piece for _ in range(100)) if chunked else piece * 100
        status, text = connection.send("POST", "/mutate", body)
        assert (status, text) == (413, f"the body is larger than {MAX_BODY} bytes\n".encode())
    with shared.connected() as connection:
        assert connection.send("GET", "/livez")[0] == 200


def test_a_review_in_chunks_is_answered(shared: Served) -> None:
    """A body without a length is as good as one with it."""
    body = encoded(admission_review(workflow(), uid="chunks"))
    pieces = (body[start : start + 100] for start in range(0, len(body), 100))
    with shared.connected() as connection:
        assert connection.send("POST", "/mutate", pieces)[0] == 200


@pytest.mark.parametrize(
    "body",
    [b"-5\r\n", b"5;=\r\n", b"2\r\n{}no end", b"2\r\n{}\r\n0\r\nno header\r\n\r\n"],
)
def test_chunks_that_are_none_are_a_bad_request(body: bytes, shared: Served) -> None:
    """They are no error of ours, and the server goes on."""
    lines = [
        b"POST /mutate HTTP/1.1",
        b"Host: a",
        b"Content-Type: application/json",
        b"Transfer-Encoding: chunked",
    ]
    with shared.secure_socket() as client:
        client.sendall(b"\r\n".join([*lines, b"", body]))
        assert client.recv(65_536).startswith(b"HTTP/1.1 400 ")
    with shared.connected() as connection:
        assert connection.send("GET", "/livez")[0] == 200


def head(body: bytes, *, path: str = "/mutate", **more: str) -> bytes:
    """Return the head of a POST of `body`."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", *(f"{name}: {value}" for name, value in more.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def read_all(client: ssl.SSLSocket) -> bytes:
    """Read until the server closes."""
    received = b""
    while data := client.recv(65_536):
        received += data
    return received


def test_half_a_request_does_not_block_others(shared: Served) -> None:
    """While one client is slow the others are answered, and so is the slow one in the end."""
    body = encoded(admission_review(workflow(), uid="slow"))
    request = head(body, Connection="close") + body
    with shared.secure_socket() as slow:
        slow.sendall(request[: len(request) // 2])
        with shared.connected() as connection:
            assert connection.review(admission_review(workflow(), uid="quick"))["allowed"]
        slow.sendall(request[len(request) // 2 :])
        answer = read_all(slow)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def silence(served: Served) -> socket.socket:
    """Return a client that connected and said nothing."""
    return served.plain_socket()


def half_a_handshake(served: Served) -> socket.socket:
    """Return a client that stopped in the middle of its first TLS record."""
    client = served.plain_socket()
    client.sendall(b"\x16\x03\x01")
    return client


def no_request(served: Served) -> socket.socket:
    """Return a client that shook hands and keeps its connection for later, as Go's HTTP client may."""
    return served.secure_socket()


def half_a_request(served: Served) -> socket.socket:
    """Return a client that stopped in the middle of a request's head."""
    client = served.secure_socket()
    client.sendall(b"POST /mutate HTTP/1.1\r\nHost: ")
    return client


def half_a_body(served: Served) -> socket.socket:
    """Return a client that stopped in the middle of a review."""
    client = served.secure_socket()
    body = encoded(admission_review(workflow()))
    client.sendall(head(body) + body[: len(body) // 2])
    return client


def no_farewell(served: Served) -> socket.socket:
    """Return a client that wanted its connection closed, and does not close its own side."""
    client = served.secure_socket()
    client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return client


@pytest.mark.parametrize(
    "client", [silence, half_a_handshake, no_request, half_a_request, half_a_body, no_farewell]
)
def test_slow_clients_do_not_block_others(client: Callable[[Served], socket.socket], shared: Served) -> None:
    """Whoever reaches the port cannot stop admission by opening connections and saying little."""
    with ExitStack() as clients:
        for _ in range(SLOW_CLIENTS):
            clients.enter_context(client(shared))
        with shared.connected() as connection:
            assert connection.review(admission_review(workflow(), uid="beside"))["allowed"]


def test_a_new_certificate_is_used_for_new_connections(own: Served) -> None:
    """Rotation costs nobody a connection: the open one goes on with the old certificate."""
    authority = read_authority(own.certs)
    assert authority is not None
    with own.connected() as old:
        assert old.send("GET", "/livez")[0] == 200
        before = old.socket
        pair = issue_serving_pair(authority, names=NAMES, now=datetime.now(UTC))
        write_pair(own.certs, pair)
        with own.connected() as new:
            assert serial(new.socket) == serial_in(pair.cert_pem) != serial(old.socket)
            assert new.send("GET", "/livez")[0] == 200
        assert old.send("GET", "/livez")[0] == 200
        assert old.socket is before


def test_a_broken_certificate_leaves_the_last_good_one(own: Served) -> None:
    """A rotation that goes wrong does not take the webhook away."""
    with own.connected() as connection:
        good = serial(connection.socket)
    Paths.within(own.certs).cert.write_text("no certificate")
    with own.connected() as connection:
        assert serial(connection.socket) == good
        assert connection.send("GET", "/livez")[0] == 200


def serial(connection: ssl.SSLSocket | None) -> int:
    """Return the serial of the certificate that the server showed."""
    shown = connection.getpeercert(binary_form=True) if connection is not None else None
    assert shown is not None
    return serial_in(ssl.DER_cert_to_PEM_cert(shown).encode())


def drained(idle: Connection) -> tuple[int, bytes]:
    """Ask for readiness until the answer closes the connection, and return that answer."""
    for _ in range(10_000):
        answer = idle.send("GET", "/readyz")
        if idle.socket is None:
            return answer
    pytest.fail("the connection was never closed")


def test_a_request_in_flight_is_answered_before_the_end(own: Served) -> None:
    """SIGTERM ends the server with code 0, after what it had begun; other connections are told to close."""
    review = admission_review(workflow(), uid="in-flight")
    body = encoded(review)
    with own.connected() as idle, own.secure_socket() as busy:
        assert idle.send("GET", "/readyz") == (200, b"ok\n")
        busy.sendall(head(body, Expect="100-continue"))
        assert busy.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"  # The application has the request now.
        own.terminate()
        assert drained(idle) == (503, b"shutting down\n")
        busy.sendall(body)
        top, _, content = read_all(busy).partition(b"\r\n\r\n")
        assert top.splitlines()[0] == b"HTTP/1.1 200 OK"
        assert not verify_admission_response(content, request=review, mutating=True)["allowed"]
    assert own.exit_code() == 0
    assert len(own.stderr) == 1


def test_an_idle_server_stops_at_once_with_code_0(own: Served) -> None:
    """Nothing holds the end up, and nothing is said about it on standard error."""
    with own.connected() as connection:
        assert connection.send("GET", "/readyz")[0] == 200
    own.terminate()
    assert own.exit_code() == 0
    assert [line.partition(" on ")[0] for line in own.stderr] == ["lockkeeper: serving"]


def test_edited_policies_are_in_force_and_broken_ones_never(own: Served) -> None:
    """A change of a file shows in decisions without a restart; a wrong one is told and changes nothing."""
    file = own.certs.parent / "policies" / "all.yaml"
    with own.connected() as connection:

        def decision(uid: str) -> tuple[bool, list[str]]:
            response = connection.review(admission_review(workflow(), uid=uid))
            details: Json = response.get("status", {}).get("details", {})
            return response["allowed"], [each["reason"] for each in details.get("causes", [])]

        assert decision("before") == (False, ["ExceededQuota"])
        file.write_text(quota("Deny", limits={"workflows": 5}))
        assert "in force" in own.log(event="policies", level="info")["message"]
        assert decision("after") == (True, [])
        file.write_text("kind: WorkflowQuota\nspec: [")
        said = own.log(event="policies", level="warning")["message"]
        assert "last good" in said
        assert "all.yaml:" in said
        assert decision("still") == (True, [])
        _, metrics = connection.send("GET", "/metrics")
    assert b'lockkeeper_policy_loads_total{result="good"} 1.0' in metrics
    assert b'lockkeeper_policy_loads_total{result="refused"} 1.0' in metrics


def failed(command: list[str]) -> tuple[int, list[str]]:
    """Return the exit code of a command that ends by itself, and what it said on standard error."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603 - our own command
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


def test_a_port_in_use_is_reported_in_one_line(shared: Served, tmp_path: Path) -> None:
    """The second server says what is wrong and what to do, and leaves with code 2."""
    (tmp_path / "quota.yaml").write_text(quota("Deny"))
    code, [line] = failed(serve_command(tmp_path, "--port", str(shared.port)))
    assert code == 2
    assert line == (
        f"lockkeeper: cannot listen on 127.0.0.1:{shared.port}: address already in use; "
        "end the other program or give another --port (0 takes a free one)"
    )


def test_wrong_policies_are_reported_before_anything_is_served(tmp_path: Path) -> None:
    """Each fault is a line with its place, and the exit code is 2."""
    (tmp_path / "quota.yaml").write_text(quota("Sometimes"))
    code, [line] = failed(serve_command(tmp_path))
    assert code == 2
    assert line.startswith("lockkeeper: ")
    assert "quota.yaml:" in line
    assert "Sometimes" in line


def test_a_missing_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    """A wrong path is no traceback."""
    missing = tmp_path / "none"
    assert failed(serve_command(missing)) == (
        2,
        [f"lockkeeper: --policies {missing} does not exist: give a file or a folder"],
    )
