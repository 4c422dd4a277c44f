"""The probes and hooks of a container as the podrunner reads them: those that it makes."""

from enum import StrEnum

from tests.e2e.podrunner.object_parts import Part


class Scheme(StrEnum):
    """How a probe asks."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"


class Header(Part, frozen=True):
    """A header that a probe sends."""

    name: str
    value: str = ""


class HttpGet(Part, frozen=True):
    """A request; the port is a number, or the name of a port of the container."""

    port: int | str
    path: str = "/"
    scheme: Scheme = Scheme.HTTP
    host: str = ""
    http_headers: tuple[Header, ...] = ()


class TcpSocket(Part, frozen=True):
    """A connection that has to be accepted."""

    port: int | str
    host: str = ""


class Sleep(Part, frozen=True):
    """A pause, in seconds."""

    seconds: int


class Handler(Part, frozen=True):
    """What is done: one of these, or something that the podrunner refuses."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    sleep: Sleep | None = None


class Probe(Handler, frozen=True):
    """A question that is asked again and again; all times in seconds."""

    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3
    success_threshold: int = 1
    termination_grace_period_seconds: int | None = None
