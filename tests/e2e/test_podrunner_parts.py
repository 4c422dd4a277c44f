"""The parts of the podrunner that need no cluster: its proxy, and what it makes of a Pod."""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from policy.cluster.kube.requests import KubeRequest
from tests.e2e.podrunner.api import Api
from tests.e2e.podrunner.atomic_folder import AtomicFolder, File
from tests.e2e.podrunner.configuration import Configuration
from tests.e2e.podrunner.environment import command_line, environment, expanded
from tests.e2e.podrunner.pod_fields import Place, field
from tests.e2e.podrunner.pod_objects import Capabilities, Pod
from tests.e2e.podrunner.probe_objects import Probe
from tests.e2e.podrunner.probing import verdicts
from tests.e2e.podrunner.proxy import Address, listen
from tests.e2e.podrunner.refusals import Missing, Refused
from tests.e2e.podrunner.running_as import capabilities, identity
from tests.e2e.podrunner.tokens import PodTokens
from tests.e2e.podrunner.volume_objects import TokenFile

PLACE = Place("127.1.0.9", "127.1.0.1")
NOW = datetime(2026, 11, 24, tzinfo=UTC)
BIG = 8 << 20
ENDLESS = 64 << 20
"""More than the buffers of all sockets on the way can hold, in bytes."""


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("--host=$(A)", "--host=1"),
        ("$(A)$(A)", "11"),
        ("$(B)", "$(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("costs $5 $", "costs $5 $"),
    ],
)
def test_variables_are_replaced_as_the_kubelet_does_it(text: str, wanted: str) -> None:
    """An argument that reads wrongly in a cluster reads wrongly here."""
    assert expanded(text, {"A": "1"}) == wanted


def test_a_variable_may_use_those_before_it_only() -> None:
    """The order of a Pod's variables counts."""
    pod = _pod(
        env=[{"name": "B", "value": "$(A)"}, {"name": "A", "value": "1"}, {"name": "C", "value": "$(A)"}]
    )
    container = pod.spec.containers[0]
    values = environment(pod, container, given={}, place=PLACE, configuration=Configuration())
    assert values == {"B": "$(A)", "A": "1", "C": "1"}
    assert command_line(container, ("entry",), values) == ("entry", "--a=1")


def test_what_a_variable_is_from_has_to_be_there() -> None:
    """The Pod waits for it, as it does in a cluster, unless it is optional."""
    source = {"name": "nowhere", "key": "k"}
    pod = _pod(env=[{"name": "A", "valueFrom": {"secretKeyRef": source}}])
    container = pod.spec.containers[0]
    with pytest.raises(Missing, match="Secret sample/nowhere is missing"):
        environment(pod, container, given={}, place=PLACE, configuration=Configuration())
    pod = _pod(env=[{"name": "A", "valueFrom": {"secretKeyRef": {**source, "optional": True}}}])
    container = pod.spec.containers[0]
    assert environment(pod, container, given={}, place=PLACE, configuration=Configuration()) == {}


def test_a_field_that_is_none_is_refused() -> None:
    """Rather than to give an empty text."""
    assert field(_pod(), "metadata.labels['app']", PLACE) == "x"
    assert field(_pod(), "status.podIP", PLACE) == "127.1.0.9"
    with pytest.raises(Refused, match=r"spec\.nothing"):
        field(_pod(), "spec.nothing", PLACE)


def test_a_container_that_may_not_be_root_is_refused_as_root() -> None:
    """The image's own user counts where the Pod names none."""
    pod = _pod(securityContext={"runAsNonRoot": True})
    container = pod.spec.containers[0]
    assert identity(pod, container, image_user=65532, switch=True).user == 65532
    with pytest.raises(Refused, match="the image runs as root"):
        identity(pod, container, image_user=0, switch=True)


def test_capabilities_are_dropped_and_added() -> None:
    """What is added wins, as in the runtimes."""
    assert capabilities(Capabilities(drop=("ALL",))) == ()
    assert capabilities(Capabilities(drop=("ALL",), add=("NET_BIND_SERVICE",))) == ("NET_BIND_SERVICE",)
    assert "CHOWN" in capabilities(Capabilities())
    assert "SYS_ADMIN" not in capabilities(Capabilities())


def test_the_files_of_a_volume_change_all_at_once(tmp_path: Path) -> None:
    """A reader that opened the folder of one version finds all files of that version."""
    folder = AtomicFolder(tmp_path / "volume")
    assert folder.write({"a": File(b"1", 0o600), "b/c": File(b"1", 0o644)}, switch=False)
    before = (tmp_path / "volume" / "..data").readlink()
    assert (tmp_path / "volume" / "a").readlink() == Path("..data/a")
    assert stat.S_IMODE((tmp_path / "volume" / "a").stat().st_mode) == 0o600
    assert not folder.write({"a": File(b"1", 0o600), "b/c": File(b"1", 0o644)}, switch=False)
    assert folder.write({"b/c": File(b"2", 0o644), "d": File(b"2", 0o644)}, switch=False)
    shown = {name for name in os.listdir(tmp_path / "volume") if not name.startswith("..")}  # noqa: PTH208 - names
    assert shown == {"b", "d"}
    assert (tmp_path / "volume" / "b" / "c").read_text() == "2"
    assert not (tmp_path / "volume" / before).exists()


def test_a_token_is_renewed_after_four_fifths_of_its_life() -> None:
    """As a kubelet does it, so that no Pod ever shows an old one."""
    now = [NOW]
    server = TokenServer(now)
    pod = _pod(
        volumes=[
            {
                "name": "t",
                "projected": {
                    "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 1000}}]
                },
            }
        ]
    )
    tokens = PodTokens(api=Api(transport=server), pod=pod, clock=lambda: now[0], tell=lambda _: None)
    wanted = TokenFile("token", expiration_seconds=1000)
    asyncio.run(tokens.renew())
    assert tokens.token(wanted) == b"token 1"
    assert tokens.seconds_left() == 800
    now[0] += timedelta(seconds=799)
    asyncio.run(tokens.renew())
    assert tokens.token(wanted) == b"token 1"
    now[0] += timedelta(seconds=1)
    asyncio.run(tokens.renew())
    assert tokens.token(wanted) == b"token 2"


def test_the_proxy_passes_half_a_connection_on() -> None:
    """A client that has said all still gets its answer, however long both are."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await reader.read()
        writer.write(body)
        await writer.drain()

    async def ask(address: Address) -> None:
        reader, writer = await asyncio.open_connection(*address)
        body = os.urandom(BIG)
        writer.write(body)
        writer.write_eof()
        assert await reader.read() == body
        writer.close()
        await writer.wait_closed()

    asyncio.run(_proxied(echo, ask))


def test_a_slow_reader_stops_the_sender() -> None:
    """Nothing is kept in the proxy but a little: whole bodies would hide what a real connection does."""
    sent = [0]

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _piece in range(ENDLESS >> 16):
            writer.write(bytes(1 << 16))
            await writer.drain()
            sent[0] += 1 << 16

    async def wait(address: Address) -> None:
        reader, writer = await asyncio.open_connection(*address, limit=1 << 10)
        before = -1
        while before != sent[0]:
            before = sent[0]
            await asyncio.sleep(0.2)  # There is no event for nothing more being sent.
        assert sent[0] < ENDLESS
        assert len(await reader.read()) == ENDLESS
        writer.close()
        await writer.wait_closed()

    asyncio.run(_proxied(pour, wait))


def test_a_connection_that_leads_nowhere_is_reset() -> None:
    """Where no Pod is ready, and where one has just died."""

    async def ask(nowhere: Address | None) -> None:
        server = await listen("127.0.0.1", 0, lambda: nowhere)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        server.close()
        await _settled()

    asyncio.run(ask(None))
    asyncio.run(ask(("127.0.0.1", 1)))


def test_many_connections_pass_at_once() -> None:
    """A thousand clients of one Service are served together."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(2))
        await writer.drain()
        await reader.read()

    async def ask(address: Address) -> None:
        async def one() -> asyncio.StreamWriter:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"hi")
            assert await reader.readexactly(2) == b"hi"
            return writer

        for writer in await asyncio.gather(*(one() for _ in range(1000))):
            writer.close()
            await writer.wait_closed()

    asyncio.run(_proxied(greet, ask))


class TokenServer:
    """Answers requests for tokens: each is a new one, for as long as was asked."""

    def __init__(self, now: list[datetime]) -> None:
        self._now = now
        self._given = 0

    def send(self, request: KubeRequest) -> bytes:
        assert request.path == "/api/v1/namespaces/sample/serviceaccounts/default/token"
        wanted = msgspec.json.decode(request.body or b"")
        self._given += 1
        end = self._now[0] + timedelta(seconds=wanted["spec"]["expirationSeconds"])
        status = {"token": f"token {self._given}", "expirationTimestamp": end}
        return msgspec.json.encode({"status": status})

    def stream(self, request: KubeRequest, *, silence: float) -> AbstractContextManager[Iterator[bytes]]:
        raise NotImplementedError((request, silence))

    def close(self) -> None:
        pass


def _pod(*, env: object = (), volumes: object = (), securityContext: object = None) -> Pod:  # noqa: N803 - the API's
    container = {"name": "main", "args": ["--a=$(A)"], "env": env}
    spec = {"containers": [container], "volumes": volumes, "securityContext": securityContext or {}}
    metadata = {"name": "x", "namespace": "sample", "uid": "u", "labels": {"app": "x"}}
    return msgspec.convert({"metadata": metadata, "spec": spec}, Pod)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _proxied(serve: Serve, ask: Callable[[Address], Awaitable[None]]) -> None:
    """Run a server behind a proxy, and let a client ask it; return when all connections are closed."""
    served = []

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        over = asyncio.Event()
        served.append(over)
        await serve(reader, writer)
        writer.close()
        await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(serve_and_close, "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    proxy = await listen("127.0.0.1", 0, lambda: (host, port))
    await ask(proxy.sockets[0].getsockname())
    for over in served:
        await over.wait()
    proxy.close()
    server.close()
    await _settled()


@pytest.mark.parametrize("turns", range(5))
def test_probing_ends_when_the_answer_comes_in_the_same_moment(turns: int) -> None:
    """A process that is killed while it is asked ends the question as well; it has to be started again."""

    async def probe() -> bool:
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def ask() -> str:
            return await answered

        async def probing() -> None:
            async for _ in verdicts(Probe(), ask):
                continue

        task = asyncio.create_task(probing())
        await _settled()
        answered.set_result("the connection broke")
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=0.5)
        return task.cancelled()

    assert asyncio.run(probe())


async def _settled() -> None:
    """Let the loop close what is to be closed."""
    for _ in range(5):
        await asyncio.sleep(0)
