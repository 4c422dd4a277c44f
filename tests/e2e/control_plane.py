"""A real Kubernetes control plane on loopback: etcd, API server, controller manager and scheduler.

Everything it writes lies in one folder, every port is a free one, and all four processes end with the test
process. There is no kubelet: Pods stay Pending unless a test plays one.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from secrets import randbelow, token_hex
from socket import create_server
from typing import Final

import msgspec

from certs.authority import create_authority, issue_serving_pair
from tests.e2e.processes import Process

LOOPBACK: Final = "127.0.0.1"
ADMIN_GROUP: Final = "system:masters"
_ISSUER: Final = "https://kubernetes.default.svc"
_LOOK: Final = 5.0
"""Seconds that one look at a readiness path may take."""
_OK: Final = 200


class ControlPlane(msgspec.Struct, frozen=True):
    """Where the API server is, and how an administrator gets in."""

    url: str
    ca: Path
    token: str
    kubeconfig: Path


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
    *, binary: Path, folder: Path, prepare: Callable[[ControlPlane], None] = lambda _: None
) -> Iterator[ControlPlane]:
    """Run a control plane while the context lasts.

    `prepare` runs when the API server answers and before the controllers start. Kinds that are defined there
    are known to the garbage collector at once; of later ones it learns within half a minute.

    Raises:
        NotReadyError: a component did not come up.
    """
    files = Files(folder)
    plane = _write(files, _free_port())
    trust = ssl.create_default_context(cafile=str(files.ca))
    with ExitStack() as processes:

        def start(role: str, port: int, ready_path: str, *flags: str, trust: ssl.SSLContext | None) -> None:
            command = [str(binary), role, *flags]
            process = processes.enter_context(Process(command, name=role, log=folder / f"{role}.log"))
            process.await_ready(lambda: _answers(port, ready_path, trust=trust))

        etcd_port = _free_port()
        etcd_url = f"http://{LOOPBACK}:{etcd_port}"
        start("etcd", etcd_port, "/health", *_etcd_flags(files, etcd_url), trust=None)
        port = int(plane.url.rpartition(":")[2])
        start("kube-apiserver", port, "/readyz", *_apiserver_flags(files, port, etcd_url), trust=trust)
        prepare(plane)
        port = _free_port()
        start("kube-controller-manager", port, "/healthz", *_manager_flags(files, port), trust=trust)
        port = _free_port()
        start("kube-scheduler", port, "/healthz", *_component_flags(files, port), trust=trust)
        yield plane


def _write(files: Files, port: int) -> ControlPlane:
    """Write certificates, keys, token and kubeconfig, all made anew."""
    now = datetime.now(UTC)
    authority = create_authority(now=now, name="control-plane-of-a-test")
    pair = issue_serving_pair(authority, names=(LOOPBACK, "localhost", "kubernetes.default.svc"), now=now)
    files.ca.write_bytes(authority.cert_pem)
    files.cert.write_bytes(pair.cert_pem)
    files.key.write_bytes(pair.key_pem)
    accounts = create_authority(now=now, name="service-accounts")
    files.accounts_cert.write_bytes(accounts.cert_pem)
    files.accounts_key.write_bytes(accounts.key_pem)
    token = token_hex(16)
    files.tokens.write_text(f'{token},admin,admin,"{ADMIN_GROUP}"\n', encoding="utf-8")
    plane = ControlPlane(f"https://{LOOPBACK}:{port}", files.ca, token, files.kubeconfig)
    files.kubeconfig.write_text(_kubeconfig(plane), encoding="utf-8")
    return plane


def _kubeconfig(plane: ControlPlane) -> str:
    """Return the administrator's kubeconfig; JSON, because that is YAML too."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "test", "cluster": {"server": plane.url, "certificate-authority": str(plane.ca)}}
            ],
            "users": [{"name": "admin", "user": {"token": plane.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
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
    return [
        f"--etcd-servers={etcd_url}",
        f"--secure-port={port}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
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
