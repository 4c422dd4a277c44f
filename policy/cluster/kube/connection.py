"""The connection to a Kubernetes API server: the only module that imports the `kubernetes` package.

Of the official client it uses what has to be right for every kind of cluster: kubeconfig and in-cluster
configuration, authentication with its renewals, proxies, TLS and the pool of connections. It sends and
receives bytes; the client's models are slow, and know nothing of our kinds.
"""

import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPMethod
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final, TypeAlias

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import SERVICE_CERT_FILENAME, load_incluster_config
from kubernetes.config.kube_config import load_kube_config_from_dict

from policy.cluster.errors import Unavailable
from policy.cluster.kube.answers import SUCCESSES, failure
from policy.cluster.kube.failures import why_unanswered
from policy.cluster.kube.kubeconfig import ClusterSettings, ClusterSettingsError, cluster_settings
from policy.cluster.kube.requests import KubeRequest
from policy.cluster.kube.server_pool import ServerPool
from policy.core.objects import well_known

_USER_AGENT: Final = well_known.FIELD_MANAGER
"""The API server takes the part before any slash as the field manager of our writes."""
_CONNECT_TIMEOUT: Final = 5.0
_READ_TIMEOUT: Final = 10.0
"""Seconds for a connection, and for an answer; a write that takes longer has an unknown outcome."""
_CONNECTIONS: Final = 16
"""Connections that are kept: a leader sends by eight threads, and the client's own number is that of CPUs."""
_CREDENTIALS_SECONDS: Final = 1.0
"""So long a token is sent without asking for it again; whoever renews one does it earlier than that."""
_PIECE: Final = 1 << 16
_Opener: TypeAlias = urllib3.PoolManager | urllib3.HTTPConnectionPool
_READ_RETRY: Final = urllib3.Retry(
    connect=1,
    read=1,
    redirect=0,
    status=0,
    other=0,
    raise_on_redirect=False,
    respect_retry_after_header=False,
)
_WRITE_RETRY: Final = _READ_RETRY.new(read=0)
"""A write is sent again only where no connection was made; otherwise it may have happened already."""


def _use_closing_sockets(manager: urllib3.PoolManager) -> None:
    """Let a pool connect over `ClosingSocket`; one through a SOCKS proxy keeps its own connections."""
    if manager.pool_classes_by_scheme["https"] is urllib3.HTTPSConnectionPool:
        manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": ServerPool}


def _server(manager: urllib3.PoolManager, address: str) -> tuple[_Opener, str]:
    """Return what opens requests to the one server that there is, and what goes before their paths.

    That is its own pool: a manager looks for that at every request, which takes as long as to send one. Of
    plain HTTP over a proxy the manager alone knows how it is written.
    """
    url = urllib3.util.parse_url(address)
    if manager.proxy is not None and url.scheme != "https":
        return manager, address
    return manager.connection_from_host(url.host, url.port, url.scheme), url.path or ""


class KubeTransport:
    """Sends requests through the official client's pool; safe for any number of threads."""

    def __init__(self, *, client: ApiClient, source: str, inside: bool, namespace: str = "") -> None:
        self.inside = inside
        self.namespace = namespace
        self._source = source
        self._client = client
        self._pool = client.rest_client.pool_manager
        _use_closing_sockets(self._pool)
        self._server = _server(self._pool, client.configuration.host.rstrip("/"))
        self._credentials: tuple[float, Mapping[str, str]] = (-math.inf, {})
        self._streams: set[urllib3.BaseHTTPResponse] = set()
        self._streams_lock = Lock()
        self._closed = False

    def send(self, request: KubeRequest) -> bytes:
        """Return the body of the answer. Raises the errors of `policy.cluster.errors`."""
        with self._as_unavailable():
            status, body = self._answered(request)
        if status not in SUCCESSES:
            raise failure(status, body)
        return body

    @contextmanager
    def stream(self, request: KubeRequest, *, silence: float) -> Iterator[Iterator[bytes]]:
        """Yield the body of the answer in pieces as they arrive.

        Raises Unavailable when it breaks or nothing arrives for `silence` seconds; otherwise as `send`.
        """
        with self._as_unavailable():
            response = self._send(request, self._headers(request), silence=silence, whole=False)
        try:
            if response.status not in SUCCESSES:
                with self._as_unavailable():
                    body = response.data
                raise failure(response.status, body)
            with self._streams_lock:
                if self._closed:  # During the request; nothing would break this stream off later.
                    raise Unavailable("the connection to the API server was closed")
                self._streams.add(response)
            yield self._pieces(response)
        finally:
            with self._streams_lock:
                self._streams.discard(response)
            # What was not read stays unread, so the connection cannot be used again.
            response.close()

    def close(self) -> None:
        """Break off every stream, also those that other threads are waiting on, and close all connections."""
        with self._streams_lock:
            self._closed = True
            waiting = tuple(self._streams)
        for response in waiting:
            with suppress(OSError, ValueError, RuntimeError):  # It ended by itself just now.
                response.shutdown()
        opener, _ = self._server
        if isinstance(opener, urllib3.HTTPConnectionPool):
            opener.close()
        self._pool.clear()

    def _answered(self, request: KubeRequest) -> tuple[int, bytes]:
        """Send a request over a connection that is open, or else over a new one; return status and body.

        A read whose connection broke is sent once more, by a connection that is known to work.
        """
        headers = self._headers(request)
        retries = _READ_RETRY if request.method is HTTPMethod.GET else _WRITE_RETRY
        opener, prefix = self._server
        if isinstance(opener, ServerPool):
            try:
                answer = opener.exchange(
                    request.method.value,
                    prefix + request.target,
                    headers,
                    request.body,
                    silence=_READ_TIMEOUT,
                )
            except urllib3.exceptions.HTTPError:
                if request.method is not HTTPMethod.GET:
                    raise
                retries = _WRITE_RETRY  # That was the first of two attempts.
            else:
                if answer is not None:
                    return answer.status, answer.body
        response = self._send(request, headers, silence=_READ_TIMEOUT, whole=True, retries=retries)
        return response.status, response.data

    def _headers(self, request: KubeRequest) -> dict[str, str]:
        """Return the headers of a request, with our credentials."""
        headers = {"Accept": request.accept, "User-Agent": _USER_AGENT, **self._current_credentials()}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        return headers

    def _send(
        self,
        request: KubeRequest,
        headers: Mapping[str, str],
        *,
        silence: float,
        whole: bool,
        retries: urllib3.Retry = _READ_RETRY,
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; return the answer, with its body where `whole`."""
        opener, prefix = self._server
        answer: urllib3.BaseHTTPResponse = opener.urlopen(
            request.method.value,
            prefix + request.target,
            headers=headers,
            body=request.body,
            timeout=urllib3.Timeout(connect=_CONNECT_TIMEOUT, read=silence),
            retries=retries,
            redirect=False,
            assert_same_host=False,
            preload_content=whole,
        )
        return answer

    def _current_credentials(self) -> Mapping[str, str]:
        """Return the header with our token, asked for at most once a second: the client builds much for it.

        It reads the configuration, which reads a token again when that is about to expire.
        """
        asked_at, headers = self._credentials
        now = monotonic()
        if now - asked_at >= _CREDENTIALS_SECONDS:
            fresh: dict[str, str] = {}
            self._client.update_params_for_auth(fresh, [], ["BearerToken"], "", "", None)
            self._credentials = (now, fresh)
            return fresh
        return headers

    def _pieces(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """Yield the pieces of a body as they arrive. Raises Unavailable when it breaks off."""
        with self._as_unavailable():
            yield from response.stream(_PIECE)

    @contextmanager
    def _as_unavailable(self) -> Iterator[None]:
        """Convert every failure of a request into Unavailable."""
        try:
            yield
        except (urllib3.exceptions.HTTPError, OSError) as error:
            server = f"the API server {self._client.configuration.host} (from {self._source})"
            raise Unavailable(f"{server} cannot be reached: {why_unanswered(error)}") from error


class _ClientErrors(logging.Handler):
    """What the client only logs, and goes on: a program for credentials is not there, or fails."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def __enter__(self) -> None:
        logging.getLogger().addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the text in one line."""
        text = " ".join(record.getMessage().split())
        self.texts.append(text.partition("] ")[2] if text.startswith("[Errno") else text)


def connection(kubeconfig: Path | None, context: str = "") -> KubeTransport:
    """Return a connection as a kubeconfig has it; with None as kubectl finds it, or a Pod in its cluster.

    Raises:
        ClusterSettingsError: there are no such settings, or they cannot be used.
    """
    settings = cluster_settings(kubeconfig, context, environment=os.environ, home=Path.home())
    configuration = _configuration(settings)
    return KubeTransport(
        client=ApiClient(configuration),
        source=settings.source,
        inside=settings.config is None,
        namespace=settings.namespace,
    )


def connections_by_token(kubeconfig: Path | None, context: str = "") -> Callable[[str], KubeTransport]:
    """Return what connects to the same cluster with the token of somebody else, and with nothing of ours.

    Of a kubeconfig the user is left out; a Pod needs the CA of its cluster, and no token.

    Raises:
        ClusterSettingsError: as `connection` does.
    """
    settings = cluster_settings(kubeconfig, context, environment=os.environ, home=Path.home()).without_user()
    _anonymous(settings)  # What is wrong with the settings is said now, and not to the first who asks.

    def connected(token: str) -> KubeTransport:
        configuration = _anonymous(settings)
        configuration.api_key = {"BearerToken": f"Bearer {token}"}
        return KubeTransport(
            client=ApiClient(configuration), source="the token", inside=settings.config is None
        )

    return connected


def _anonymous(settings: ClusterSettings) -> Configuration:
    """Return a configuration without credentials."""
    if settings.config is not None:
        return _configuration(settings)
    if not Path(SERVICE_CERT_FILENAME).is_file():
        why = f"the CA of the cluster is not in {SERVICE_CERT_FILENAME}"
        raise ClusterSettingsError(settings.source, why)
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    configuration = Configuration()
    configuration.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    configuration.ssl_ca_cert = SERVICE_CERT_FILENAME
    return configuration


def _configuration(settings: ClusterSettings) -> Configuration:
    configuration = Configuration()
    logged = _ClientErrors()
    try:
        if settings.config is None:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # is untyped
        else:
            with logged:
                load_kube_config_from_dict(  # type: ignore[no-untyped-call] # is untyped, too
                    settings.config, client_configuration=configuration, persist_config=False
                )
    # The client takes the fields of a kubeconfig as they are; those of wrong types fail somewhere in it.
    except (ConfigException, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ClusterSettingsError(settings.source, " ".join(str(error).split())) from error
    if logged.texts:
        raise ClusterSettingsError(settings.source, f"there are no credentials: {logged.texts[0]}")
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.keep_alive = True  # The kernel detects when the other side of an idle watch is lost.
    return configuration
