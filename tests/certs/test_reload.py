import errno
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from certs.authority import Authority, ServingPair, create_authority, issue_serving_pair
from certs.files import write_pair
from certs.reload import NoCertificateError, ReloadingContext, build_context
from tests.certs.serials import serial_in
from tests.patience import PATIENCE

NAMES = ("localhost", "127.0.0.1")


@contextmanager
def serving(context: Callable[[], ssl.SSLContext]) -> Iterator[int]:
    """Echo every connection on a loopback port, with a context requested at each one, as gunicorn does."""
    threads: list[threading.Thread] = []

    def echo(plain: socket.socket) -> None:
        with plain:
            plain.settimeout(PATIENCE)
            try:
                with context().wrap_socket(plain, server_side=True) as secure:
                    while data := secure.recv(1024):
                        secure.sendall(data)
            except (ssl.SSLError, ConnectionError):
                return  # The client refused us: that is what its test looks at.

    def accept(listener: socket.socket) -> None:
        while True:
            plain, _ = listener.accept()
            if plain.recv(1, socket.MSG_PEEK) == b"":
                plain.close()
                return
            threads.append(threading.Thread(target=echo, args=(plain,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        acceptor = threading.Thread(target=accept, args=(listener,))
        acceptor.start()
        try:
            yield port
        finally:
            # A connection without data ends the loop; closing the listener would not wake it.
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
            for thread in (acceptor, *threads):
                thread.join(PATIENCE)


@contextmanager
def connected(
    port: int, *trusted: Authority, alpn: str = "http/1.1", most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> Iterator[ssl.SSLSocket]:
    """Connect as the API server would: with these CAs and no others, and with the name checked."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.maximum_version = most
    client.set_alpn_protocols([alpn])
    # Newer Pythons are this strict by themselves; the chain has to hold for them too.
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    client.load_verify_locations(cadata=b"".join(authority.cert_pem for authority in trusted).decode())
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as plain,
        client.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        yield secure


def serial_shown(connection: ssl.SSLSocket) -> int:
    """Return the serial of the certificate that the server showed."""
    der = connection.getpeercert(binary_form=True)
    assert der is not None
    return serial_in(ssl.DER_cert_to_PEM_cert(der).encode())


def echoes(connection: ssl.SSLSocket) -> bool:
    """Return whether the connection still carries data both ways."""
    connection.sendall(b"ping")
    return connection.recv(1024) == b"ping"


def issue(authority: Authority, now: datetime) -> ServingPair:
    """Return a new pair for the loopback names."""
    return issue_serving_pair(authority, names=NAMES, now=now)


def reloading(directory: Path, errors: list[Exception] | None = None) -> ReloadingContext:
    """Return the thing under test for the pair in the directory; its errors go into the list."""
    reported = errors if errors is not None else []
    return ReloadingContext(
        cert_path=directory / "tls.crt", key_path=directory / "tls.key", on_error=reported.append
    )


def test_a_client_that_trusts_the_ca_gets_through(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    """Our own certificates pass a strict check of chain, purpose and name, over the newest TLS."""
    pair = issue(authority, now)
    write_pair(tmp_path, pair)
    with serving(reloading(tmp_path).current) as port, connected(port, authority) as connection:
        assert serial_shown(connection) == serial_in(pair.cert_pem)
        assert (connection.version(), connection.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
        assert echoes(connection)


def test_a_client_that_trusts_another_ca_refuses(
    tmp_path: Path, authority: Authority, stranger: Authority, now: datetime
) -> None:
    """The name of the CA is the same, so only the signature differs."""
    write_pair(tmp_path, issue(authority, now))
    with (
        serving(reloading(tmp_path).current) as port,
        pytest.raises(ssl.SSLCertVerificationError),
        connected(port, stranger),
    ):
        pass


def test_a_client_that_expects_another_name_refuses(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    """A certificate for one service is of no use for another."""
    write_pair(tmp_path, issue_serving_pair(authority, names=["other.test"], now=now))
    with (
        serving(reloading(tmp_path).current) as port,
        pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"),
        connected(port, authority),
    ):
        pass


def test_old_and_new_ca_in_one_bundle_both_count(tmp_path: Path, authority: Authority, now: datetime) -> None:
    """While a CA is replaced, clients trust both and the leaf may be of either."""
    follower = create_authority(now=now)
    context = reloading(tmp_path)
    with serving(context.current) as port:
        for signer in (authority, follower):
            write_pair(tmp_path, issue(signer, now))
            with connected(port, authority, follower) as connection:
                assert echoes(connection)


def test_old_tls_is_refused_and_1_2_is_taken(tmp_path: Path, authority: Authority, now: datetime) -> None:
    """TLS 1.2 is the oldest that an API server offers."""
    write_pair(tmp_path, issue(authority, now))
    context = reloading(tmp_path)
    assert context.current().minimum_version == ssl.TLSVersion.TLSv1_2
    with (
        serving(context.current) as port,
        connected(port, authority, most=ssl.TLSVersion.TLSv1_2) as connection,
    ):
        assert connection.version() == "TLSv1.2"


def test_http_2_is_not_promised(tmp_path: Path, authority: Authority, now: datetime) -> None:
    """A client that would like HTTP/2 must fall back and not send frames that the server does not read."""
    write_pair(tmp_path, issue(authority, now))
    with serving(reloading(tmp_path).current) as port, connected(port, authority, alpn="h2") as connection:
        assert connection.selected_alpn_protocol() is None


def test_no_authorities_of_the_system_are_loaded(tmp_path: Path, authority: Authority, now: datetime) -> None:
    """A server does not need them, and parsing them costs more than a handshake."""
    write_pair(tmp_path, issue(authority, now))
    assert reloading(tmp_path).current().cert_store_stats()["x509"] == 0


def test_the_certificate_is_swapped_under_an_open_connection(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    """New connections see the new certificate, and the API server's open ones are not cut."""
    old, new = issue(authority, now), issue(authority, now)
    write_pair(tmp_path, old)
    with ExitStack() as stack:
        port = stack.enter_context(serving(reloading(tmp_path).current))
        before = stack.enter_context(connected(port, authority))
        assert echoes(before)
        write_pair(tmp_path, new)
        after = stack.enter_context(connected(port, authority))
        assert serial_shown(after) == serial_in(new.cert_pem)
        assert serial_shown(before) == serial_in(old.cert_pem)
        assert echoes(before)
        assert echoes(after)


def test_with_a_bad_new_pair_the_old_one_is_still_served(
    tmp_path: Path, authority: Authority, stranger: Authority, now: datetime
) -> None:
    """A key of another certificate would stop every handshake if it got into the live context."""
    old, new = issue(authority, now), issue(authority, now)
    errors: list[Exception] = []
    context = reloading(tmp_path, errors)
    write_pair(tmp_path, old)
    with serving(context.current) as port:
        with connected(port, authority) as connection:
            assert serial_shown(connection) == serial_in(old.cert_pem)
        write_pair(tmp_path, ServingPair(new.cert_pem, stranger.key_pem))
        for _ in range(3):
            with connected(port, authority) as connection:
                assert serial_shown(connection) == serial_in(old.cert_pem)
        write_pair(tmp_path, new)
        with connected(port, authority) as connection:
            assert serial_shown(connection) == serial_in(new.cert_pem)
    assert [type(error) for error in errors] == [ssl.SSLError]


@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
def test_when_the_files_are_removed_the_old_pair_is_still_served(
    tmp_path: Path, authority: Authority, now: datetime, name: str
) -> None:
    """A volume that is unmounted for a moment is reported once, and no reason to stop."""
    errors: list[Exception] = []
    context = reloading(tmp_path, errors)
    pair = issue(authority, now)
    write_pair(tmp_path, pair)
    good = context.current()
    (tmp_path / name).unlink()
    assert [context.current() for _ in range(3)] == [good] * 3
    assert [type(error) for error in errors] == [FileNotFoundError]
    write_pair(tmp_path, pair)
    assert context.current() is not good


def test_before_the_first_certificate_the_error_names_the_files(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    """A server may start before its Secret is mounted, and serves as soon as it is."""
    errors: list[Exception] = []
    context = reloading(tmp_path, errors)
    with pytest.raises(NoCertificateError):
        context.current()
    with pytest.raises(NoCertificateError) as caught:
        context.current()
    assert str(tmp_path / "tls.crt") in str(caught.value)
    assert repr(caught.value.__cause__) == repr(errors[0])
    assert len(errors) == 1
    write_pair(tmp_path, issue(authority, now))
    assert context.current() is not None


def test_an_untouched_pair_is_built_once(tmp_path: Path, authority: Authority, now: datetime) -> None:
    """The whole point: a handshake costs two looks at the files."""
    write_pair(tmp_path, issue(authority, now))
    context = reloading(tmp_path)
    assert len({id(context.current()) for _ in range(10)}) == 1


def test_a_swapped_link_is_seen(tmp_path: Path, authority: Authority, now: datetime) -> None:
    """Kubelet leaves the files' own links alone and swaps the folder that they lead through."""
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        write_pair(tmp_path / version, issue(authority, now))
    (tmp_path / "..data").symlink_to("one")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    context = reloading(tmp_path)
    first = context.current()
    (tmp_path / "..fresh").symlink_to("two")
    (tmp_path / "..fresh").rename(tmp_path / "..data")
    assert context.current() is not first


def test_a_rewrite_in_place_is_seen_even_with_the_old_times(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    """Copying tools may keep size and modification time, and the inode too."""
    pair = issue(authority, now)
    write_pair(tmp_path, pair)
    context = reloading(tmp_path)
    first = context.current()
    cert = tmp_path / "tls.crt"
    times = cert.stat()
    cert.write_bytes(pair.cert_pem)
    os.utime(cert, ns=(times.st_atime_ns, times.st_mtime_ns - 1))
    assert context.current() is not first


def test_a_passing_trouble_is_tried_again_though_no_file_changed(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    """Files may not change again before the old certificate expires, so the error must not stick to them."""
    errors: list[Exception] = []
    trouble: list[OSError] = []

    def build(*, cert_path: Path, key_path: Path) -> ssl.SSLContext:
        if trouble:
            raise trouble[0]
        return build_context(cert_path=cert_path, key_path=key_path)

    context = ReloadingContext(
        cert_path=tmp_path / "tls.crt", key_path=tmp_path / "tls.key", on_error=errors.append, build=build
    )
    write_pair(tmp_path, issue(authority, now))
    good = context.current()
    trouble.append(OSError(errno.EMFILE, "Too many open files"))
    write_pair(tmp_path, issue(authority, now))
    assert [context.current() for _ in range(3)] == [good] * 3
    assert errors == trouble
    trouble.clear()
    assert context.current() is not good


def test_a_bad_pair_is_not_read_again_until_it_changes(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    """Handshakes stay cheap while a person looks for the right key."""
    attempts: list[Path] = []

    def build(*, cert_path: Path, key_path: Path) -> ssl.SSLContext:
        attempts.append(cert_path)
        return build_context(cert_path=cert_path, key_path=key_path)

    context = ReloadingContext(cert_path=tmp_path / "tls.crt", key_path=tmp_path / "tls.key", build=build)
    write_pair(tmp_path, issue(authority, now))
    context.current()
    (tmp_path / "tls.key").write_bytes(b"nonsense")
    for _ in range(3):
        context.current()
    assert len(attempts) == 2


def test_a_key_with_a_password_is_an_error_and_never_a_question(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    """OpenSSL would ask at the terminal, and the server would wait there for ever."""
    pair = issue(authority, now)
    key = serialization.load_pem_private_key(pair.key_pem, password=None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    write_pair(tmp_path, ServingPair(pair.cert_pem, locked))
    with pytest.raises(NoCertificateError, match="the private key needs a password"):
        reloading(tmp_path).current()


def test_the_callback_may_get_the_context_itself(tmp_path: Path, authority: Authority, now: datetime) -> None:
    """A metric that is computed at the error must not wait for the very call that reports it."""
    seen: list[ssl.SSLContext] = []
    context = ReloadingContext(
        cert_path=tmp_path / "tls.crt",
        key_path=tmp_path / "tls.key",
        on_error=lambda _error: seen.append(context.current()),
    )
    write_pair(tmp_path, issue(authority, now))
    good = context.current()
    (tmp_path / "tls.key").write_bytes(b"nonsense")
    assert context.current() is good
    assert seen == [good]


def test_threads_that_meet_a_change_together_build_one_context(
    tmp_path: Path, authority: Authority, now: datetime
) -> None:
    """The threads of gunicorn all shake hands at once after a renewal."""
    write_pair(tmp_path, issue(authority, now))
    context = reloading(tmp_path)
    first = context.current()
    write_pair(tmp_path, issue(authority, now + timedelta(minutes=1)))
    start = threading.Barrier(8)

    def ask(_: int) -> ssl.SSLContext:
        start.wait(PATIENCE)
        return context.current()

    with ThreadPoolExecutor(8) as pool:
        contexts = set(pool.map(ask, range(8)))
    assert len(contexts) == 1
    assert first not in contexts
