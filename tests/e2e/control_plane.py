"""A real Kubernetes control plane on loopback: etcd, API server, controller manager and scheduler.

Everything it writes lies in one folder, every port is a free one, and all four processes end with the test
process. There is no kubelet: Pods stay Pending unless a test plays one. A test that has a control plane of
its own may stop components and start them again.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from secrets import randbelow, token_hex
from signal import SIGTERM, Signals
from socket import create_server
from typing import Final

import msgspec

from certs.authority import create_authority, issue_serving_pair
from policy.cluster.kube.server_pool import ClosingSocket
from tests.e2e.processes import Process, Ready

LOOPBACK: Final = "127.0.0.1"
ADMIN_GROUP: Final = "system:masters"
_ACCOUNTS: Final = "system:serviceaccounts"
"""The group of all ServiceAccounts; those of a namespace have another one with its name."""
_ISSUER: Final = "https://kubernetes.default.svc"
_LOOK: Final = 5.0
"""Seconds that one look at a readiness path may take."""
_GRACE: Final = 3.0
"""Seconds that a component may take to end when it is told to."""
_OK: Final = 200


class Role(StrEnum):
    """The components, as the binary calls them."""

    ETCD = "etcd"
    API_SERVER = "kube-apiserver"
    CONTROLLERS = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"


class Component:
    """One component, which may be stopped and started again: the command, ports and data stay the same.

    `ready` tells whether it works. Each life has a log of its own, ROLE.log, ROLE-2.log and so on.
    """

    def __init__(self, *, role: Role, command: list[str], folder: Path, ready: Ready) -> None:
        self._role = role
        self._command = command
        self._folder = folder
        self._ready = ready
        self._lives = 0
        self._process: Process | None = None

    def start(self) -> None:
        """Start it and wait until it works. Raises NotReadyError when it does not."""
        self._lives += 1
        name = self._role if self._lives == 1 else f"{self._role}-{self._lives}"
        self._process = Process(self._command, name=self._role, log=self._folder / f"{name}.log")
        self._process.await_ready(self._ready)

    def stop(self, number: Signals = SIGTERM) -> None:
        """Send it a signal and wait until it is gone; as kubelet does, kill it when it does not go in time.

        An API server listens no more after SIGTERM, but goes on for a minute where it has watches.
        """
        if self._process is not None:
            self._process.stop(number, grace=_GRACE)

    @property
    def pid(self) -> int:
        """The id of its process, 0 before its first life."""
        return 0 if self._process is None else self._process.pid

    def end(self) -> None:
        """End it in any way."""
        if self._process is not None:
            self._process.end()


class ControlPlane(msgspec.Struct, frozen=True):
    """Where the API server is, and how an administrator gets in; `components` are those that were started.

    `accounts` are the kubeconfigs of those ServiceAccounts, as NAMESPACE:NAME, that were given a token.
    """

    url: str
    ca: Path
    token: str
    kubeconfig: Path
    components: dict[Role, Component] = {}
    accounts: dict[str, Path] = {}


class Files(msgspec.Struct, frozen=True):
    """The folder of one control plane, and what lies in it."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The CA of every serving certificate."""
        return self.folder / "ca.crt"

    @property
    def cert(self) -> Path:
        """The certificate that all components serve with."""
        return self.folder / "serving.crt"

    @property
    def key(self) -> Path:
        """The key of that certificate."""
        return self.folder / "serving.key"

    @property
    def accounts_key(self) -> Path:
        """The key that signs the tokens of service accounts."""
        return self.folder / "accounts.key"

    @property
    def accounts_cert(self) -> Path:
        """The public side of that key, by which the API server knows its own tokens."""
        return self.folder / "accounts.crt"

    @property
    def tokens(self) -> Path:
        """The administrator's token, as the API server reads it."""
        return self.folder / "tokens.csv"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's way in, for kubectl and for the components."""
        return self.folder / "kubeconfig"


@contextmanager
def running(
    *,
    binary: Path,
    folder: Path,
    prepare: Callable[[ControlPlane], None] = lambda _: None,
    apiserver_flags: tuple[str, ...] = (),
    accounts: tuple[str, ...] = (),
) -> Iterator[ControlPlane]:
    """Run a control plane while the context lasts.

    `prepare` runs when the API server answers and before the controllers start. Kinds that are defined there
    are known to the garbage collector at once; of later ones it learns within half a minute.
    `apiserver_flags` come to the API server's usual ones. Each of `accounts`, as NAMESPACE:NAME, gets a token
    that lasts and a kubeconfig: processes that are no Pods may be that ServiceAccount, rights and name.

    Raises:
        NotReadyError: a component did not come up.
    """
    files = Files(folder)
    plane = _write(files, _free_port(), accounts)
    trust = ssl.create_default_context(cafile=str(files.ca))
    trust.sslsocket_class = ClosingSocket  # Looks may be caught by the end of a component.
    with ExitStack() as processes:

        def start(role: Role, port: int, ready_path: str, *flags: str, trust: ssl.SSLContext | None) -> None:
            component = Component(
                role=role,
                command=[str(binary), role, *flags],
                folder=folder,
                ready=lambda: _answers(port, ready_path, trust=trust),
            )
            processes.callback(component.end)
            component.start()
            plane.components[role] = component

        etcd_port = _free_port()
        etcd_url = f"http://{LOOPBACK}:{etcd_port}"
        start(Role.ETCD, etcd_port, "/health", *_etcd_flags(files, etcd_url), trust=None)
        port = int(plane.url.rpartition(":")[2])
        flags = [*_apiserver_flags(files, port, etcd_url), *apiserver_flags]
        start(Role.API_SERVER, port, "/readyz", *flags, trust=trust)
        prepare(plane)
        port = _free_port()
        start(Role.CONTROLLERS, port, "/healthz", *_manager_flags(files, port), trust=trust)
        port = _free_port()
        start(Role.SCHEDULER, port, "/healthz", *_component_flags(files, port), trust=trust)
        yield plane


def _write(files: Files, port: int, accounts: tuple[str, ...]) -> ControlPlane:
    """Write certificates, keys, token and kubeconfig, all made anew."""
    now = datetime.now(UTC)
    authority = create_authority(now=now, name="control-plane-of-a-test")
    pair = issue_serving_pair(authority, names=(LOOPBACK, "localhost", "kubernetes.default.svc"), now=now)
    files.ca.write_bytes(authority.cert_pem)
    files.cert.write_bytes(pair.cert_pem)
    files.key.write_bytes(pair.key_pem)
    signer = create_authority(now=now, name="service-accounts")
    files.accounts_cert.write_bytes(signer.cert_pem)
    files.accounts_key.write_bytes(signer.key_pem)
    token = token_hex(16)
    lines = [f'{token},admin,admin,"{ADMIN_GROUP}"']
    plane = ControlPlane(f"https://{LOOPBACK}:{port}", files.ca, token, files.kubeconfig)
    files.kubeconfig.write_text(_kubeconfig(plane, token), encoding="utf-8")
    for account in accounts:
        own, namespace = token_hex(16), account.partition(":")[0]
        groups = f"{_ACCOUNTS},{_ACCOUNTS}:{namespace}"
        lines.append(f'{own},system:serviceaccount:{account},{account},"{groups}"')
        plane.accounts[account] = files.folder / f"{account.replace(':', '-')}.kubeconfig"
        plane.accounts[account].write_text(_kubeconfig(plane, own), encoding="utf-8")
    files.tokens.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return plane


def _kubeconfig(plane: ControlPlane, token: str) -> str:
    """Return the kubeconfig of whoever has a token; JSON, because that is YAML too."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "test", "cluster": {"server": plane.url, "certificate-authority": str(plane.ca)}}
            ],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
            "current-context": "test",
        }
    )


def _etcd_flags(files: Files, url: str) -> list[str]:
    return [
        f"--data-dir={files.folder / 'etcd'}",
        f"--client-url={url}",
        f"--peer-url=http://{LOOPBACK}:{_free_port()}",
    ]


def _apiserver_flags(files: Files, port: int, etcd_url: str) -> list[str]:
    """Return its flags; it publishes no endpoint of its own, for those may not be loopback addresses."""
    return [
        f"--etcd-servers={etcd_url}",
        f"--secure-port={port}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        "--endpoint-reconciler-type=none",
        f"--cert-dir={files.folder}",
        f"--tls-cert-file={files.cert}",
        f"--tls-private-key-file={files.key}",
        f"--token-auth-file={files.tokens}",
        "--authorization-mode=RBAC",
        f"--service-account-issuer={_ISSUER}",
        f"--service-account-key-file={files.accounts_cert}",
        f"--service-account-signing-key-file={files.accounts_key}",
        f"--service-cluster-ip-range={_service_range()}",
        "--allow-privileged",
    ]


def _manager_flags(files: Files, port: int) -> list[str]:
    return [
        *_component_flags(files, port),
        f"--service-account-private-key-file={files.accounts_key}",
        f"--root-ca-file={files.ca}",
        "--use-service-account-credentials",
    ]


def _component_flags(files: Files, port: int) -> list[str]:
    """Return what controller manager and scheduler have in common."""
    return [
        f"--kubeconfig={files.kubeconfig}",
        f"--authentication-kubeconfig={files.kubeconfig}",
        f"--authorization-kubeconfig={files.kubeconfig}",
        f"--secure-port={port}",
        f"--bind-address={LOOPBACK}",
        f"--tls-cert-file={files.cert}",
        f"--tls-private-key-file={files.key}",
        "--leader-elect=false",
    ]


def _answers(port: int, path: str, *, trust: ssl.SSLContext | None) -> bool:
    """Tell whether a component says over HTTP, or over TLS where trust is given, that it is well."""
    connection = (
        HTTPConnection(LOOPBACK, port, timeout=_LOOK)
        if trust is None
        else HTTPSConnection(LOOPBACK, port, timeout=_LOOK, context=trust)
    )
    try:
        connection.request("GET", path)
        return connection.getresponse().status == _OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _service_range() -> str:
    """Return a range of addresses for Services that lies in loopback.

    The API server calls a webhook's Service at its cluster IP. Whoever plays kube-proxy listens there, so a
    chart works as it is, with the certificate checked for the Service's own name. The range is drawn by
    chance, so that control planes side by side do not meet.
    """
    return f"127.{128 + randbelow(126)}.{randbelow(256)}.0/24"


def _free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with create_server((LOOPBACK, 0)) as server:
        port: int = server.getsockname()[1]
        return port
