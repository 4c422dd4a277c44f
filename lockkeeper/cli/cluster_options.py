"""Options of commands on a cluster: how to reach it, which accounts are whose, and which objects to use."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lockkeeper.cli.options import option_type
from lockkeeper.process.kubernetes_objects import NamespacedName
from lockkeeper.process.output import UsageError
from policy.core.objects.identities import UPSTREAM, Identities, user_of

if TYPE_CHECKING:
    from policy.cluster.kube.kube_cluster import KubeCluster
    from policy.cluster.kube.observed import Observer

deployment_name: Final = option_type(partial(NamespacedName.parse, kind="Deployment"))
"""Reads the name of a Deployment."""


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
    from policy.cluster.kube.connection import ClusterSettingsError  # noqa: PLC0415 - see above
    from policy.cluster.kube.kube_cluster import connect  # noqa: PLC0415 - see above

    try:
        return connect(kubeconfig, observer=observer)
    except ClusterSettingsError as error:
        raise UsageError(str(error)) from error


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
            type=option_type(user_of),
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
        type=deployment_name,
        metavar="NAMESPACE/NAME",
        help="Deployment of the Argo controller, whose image tells the version in place of --argo-version",
    )
