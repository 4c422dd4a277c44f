"""Probes and hooks as the kubelet makes them: over HTTP, HTTPS without looking at the certificate, or TCP."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from tests.e2e.podrunner.pod_objects import Container
from tests.e2e.podrunner.probe_objects import Handler, HttpGet, Probe, Scheme
from tests.e2e.podrunner.refusals import Refused

_WELL: Final = range(200, 400)
_EXCERPT: Final = 200
_STATUS_LINE: Final = 4096

Check = Callable[[], Awaitable[str]]
"""Asks once; returns what is wrong, "" when all is well."""


async def verdicts(probe: Probe, check: Check) -> AsyncIterator[tuple[bool, str]]:
    """Yield whether a container is well, with the reason, each time enough results in a row say so."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(probe.initial_delay_seconds)
    due = loop.time()
    well, in_a_row = False, 0
    while True:
        trouble = await _within(check, probe.timeout_seconds)
        in_a_row = in_a_row + 1 if well == (not trouble) else 1
        well = not trouble
        if in_a_row >= (probe.success_threshold if well else probe.failure_threshold):
            yield well, trouble
        due = max(due + probe.period_seconds, loop.time())
        await asyncio.sleep(max(0.0, due - loop.time()))


def check_of(handler: Handler, container: Container, ip: str) -> Check:
    """Return how to ask a container. Raises Refused for what the podrunner does not do."""
    if handler.http_get is not None:
        asked = handler.http_get
        port = _port(container, asked.port)
        return lambda: _http(asked, asked.host or ip, port)
    if handler.tcp_socket is not None:
        host, port = handler.tcp_socket.host or ip, _port(container, handler.tcp_socket.port)
        return lambda: _tcp(host, port)
    raise Refused(f"container {container.name}: the podrunner asks by httpGet and tcpSocket only")


async def perform(handler: Handler, container: Container, ip: str) -> str:
    """Do what a hook says and return what went wrong. Raises Refused for what the podrunner does not do."""
    if handler.sleep is not None:
        await asyncio.sleep(handler.sleep.seconds)
        return ""
    return await check_of(handler, container, ip)()


async def _within(check: Check, seconds: float) -> str:
    """Ask once, within a time.

    Not by `asyncio.wait_for`: in Python 3.11 that is not cancelled in the moment of an answer. A
    process that is killed while it is asked makes such a moment, and its container would be probed on
    and never start again.
    """
    try:
        async with asyncio.timeout(seconds):
            return await check()
    except TimeoutError:
        return f"no answer within {seconds:g} s"


async def _http(asked: HttpGet, host: str, port: int) -> str:
    """Make a request and judge by the status; redirects count as well."""
    context = _careless() if asked.scheme is Scheme.HTTPS else None
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=_STATUS_LINE)
    except OSError as error:
        return f"no connection: {error}"
    try:
        headers = {"Host": f"{host}:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*"}
        headers |= {header.name: header.value for header in asked.http_headers}
        lines = [f"GET {asked.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        answer = await reader.readline()
        _, _, said = answer.decode(errors="replace").partition(" ")
        status = said[:3]
        if status.isdecimal() and int(status) in _WELL:
            return ""
        return f"answered {said.strip()[:_EXCERPT] or 'nothing'}"
    except (OSError, ValueError) as error:
        return f"the connection broke: {error}"
    finally:
        writer.transport.abort()


async def _tcp(host: str, port: int) -> str:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return f"no connection: {error}"
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return ""


def _careless() -> ssl.SSLContext:
    """Return a context that takes every certificate, because the kubelet does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _port(container: Container, wanted: int | str) -> int:
    try:
        return container.port(wanted)
    except LookupError as error:
        raise Refused(str(error)) from error
