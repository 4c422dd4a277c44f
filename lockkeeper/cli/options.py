"""Options that several commands share."""

import argparse
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING

from lockkeeper.argo_installed import DeploymentName
from lockkeeper.certificates.starting import certificate_names, secret_name
from lockkeeper.cli.failing import UsageError
from policy.core.identities import UPSTREAM, Identities, user_of
from policy.core.locks.forms import DEFAULT_VERSION, ArgoVersion
from webhook.server import bind
from webhook.settings import DEFAULT_PORT

if TYPE_CHECKING:
    from policy.cluster.kube import KubeCluster
    from policy.cluster.kube_observed import Observer

MAX_PORT = 65_535


def add_policies(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add `--policies` and `--argo-version`."""
    parser.add_argument(
        "--policies",
        type=Path,
        required=required,
        metavar="DIR",
        help="folder of YAML with the policies, and ConfigMaps, Namespaces and Argo templates beside them",
    )
    add_argo_version(parser)


def add_argo_version(parser: argparse.ArgumentParser) -> None:
    """Add `--argo-version`."""
    parser.add_argument(
        "--argo-version",
        type=argo_version,
        default=DEFAULT_VERSION,
        metavar="VERSION",
        help=f"version of the Argo controller: it decides how locks are written (default {DEFAULT_VERSION})",
    )


def add_identities(parser: argparse.ArgumentParser) -> None:
    """Add the options that say who writes Workflows on behalf of whom."""
    for option, default, text in (
        (
            "--argo-controller-account",
            UPSTREAM.argo_controllers,
            "Argo's controller, the only one who writes a status",
        ),
        ("--argo-server-account", UPSTREAM.argo_servers, "argo-server, believed about whom it creates for"),
        ("--own-account", UPSTREAM.ours, "Lockkeeper's controller, the only one who lets go"),
    ):
        parser.add_argument(
            option,
            type=account,
            action="append",
            metavar="NAMESPACE:NAME",
            help=f"ServiceAccount of {text}; repeatable (default {', '.join(sorted(default)) or 'none'})",
        )


def identities_of(arguments: argparse.Namespace) -> Identities:
    """Return who writes Workflows, as the options of `add_identities` say."""

    def given(accounts: list[str] | None, default: frozenset[str]) -> frozenset[str]:
        return default if accounts is None else frozenset(accounts)

    return Identities(
        ours=given(arguments.own_account, UPSTREAM.ours),
        argo_controllers=given(arguments.argo_controller_account, UPSTREAM.argo_controllers),
        argo_servers=given(arguments.argo_server_account, UPSTREAM.argo_servers),
    )


def add_argo_deployment(parser: argparse.ArgumentParser) -> None:
    """Add `--argo-deployment`."""
    parser.add_argument(
        "--argo-deployment",
        type=argo_deployment,
        metavar="NAMESPACE/NAME",
        help="Deployment of the Argo controller, whose image tells the version in place of --argo-version",
    )


def add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    """Add `--kubeconfig`."""
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="how to reach the cluster (default: the one that this process runs in)",
    )


def reach(kubeconfig: Path | None, *, observer: "Observer | None" = None) -> "KubeCluster":
    """Return the cluster; `observer` is told of every request to it.

    Raises:
        UsageError: there are no settings that lead to one.
    """
    # The official client takes a second to import, which commands without a cluster should not wait for.
    from policy.cluster.kube import connect  # noqa: PLC0415 - see above
    from policy.cluster.kube_connection import ClusterSettingsError  # noqa: PLC0415 - see above

    try:
        return connect(kubeconfig, observer=observer)
    except ClusterSettingsError as error:
        raise UsageError(str(error)) from error


def add_address(parser: argparse.ArgumentParser) -> None:
    """Add `--host`, `--port` and `--certs`."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument(
        "--port",
        type=port,
        default=DEFAULT_PORT,
        help="port to listen on; 0 takes a free one (default %(default)s)",
    )
    parser.add_argument(
        "--certs",
        type=Path,
        metavar="DIR",
        help="folder to keep the certificate and its CA in (default: a new temporary one)",
    )


def add_certificate_secret(parser: argparse.ArgumentParser) -> None:
    """Add `--certs-secret` and `--certs-names`: certificates that Lockkeeper itself keeps in a Secret."""
    parser.add_argument(
        "--certs-secret",
        type=secret_name,
        metavar="NAMESPACE/NAME",
        help="Secret to keep our own CA and serving certificate in; whoever comes first makes them",
    )
    parser.add_argument(
        "--certs-names",
        type=certificate_names,
        metavar="NAME,NAME",
        help="names that the serving certificate is for: those of the webhook's Service",
    )


def check_certificate_secret(arguments: argparse.Namespace) -> None:
    """Refuse half of the two options.

    Raises:
        UsageError: one of them is missing.
    """
    if (arguments.certs_secret is None) != (arguments.certs_names is None):
        raise UsageError("--certs-secret and --certs-names go together")


def argo_version(text: str) -> ArgoVersion:
    """Return the version, or an error that argparse shows."""
    try:
        return ArgoVersion.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def account(text: str) -> str:
    """Return Kubernetes' name of an account, or an error that argparse shows."""
    try:
        return user_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def argo_deployment(text: str) -> DeploymentName:
    """Return the name of a Deployment, or an error that argparse shows."""
    try:
        return DeploymentName.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def port(text: str) -> int:
    """Return a port number, or an error that argparse shows."""
    if not text.isascii() or not text.isdigit() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number up to {MAX_PORT}")
    return int(text)


def existing_folder(path: Path, what: str) -> Path:
    """Return the path if it is a folder.

    Raises:
        UsageError: it is not.
    """
    if not path.is_dir():
        problem = "is not a folder" if path.exists() else "does not exist"
        raise UsageError(f"{what} {path} {problem}")
    return path


def listen(host: str, number: int, *, option: str = "--port") -> socket:
    """Return a listening socket; `option` is the one that gave the port.

    Raises:
        UsageError: the port is in use, or the address is not this machine's.
    """
    try:
        return bind(host, number)
    except OSError as error:
        hint = f"; end the other program or give another {option} (0 takes a free one)"
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"cannot listen on {host}:{number}: {reason}{hint}") from error
