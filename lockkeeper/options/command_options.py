"""Options that several commands have: the output, policies and other files, the cluster and its accounts."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from lockkeeper.process.console import UsageError, as_json
from lockkeeper.process.kubernetes_objects import NamespacedName
from policy.core.objects.argo_version import DEFAULT_VERSION, ArgoVersion
from policy.core.objects.identities import UPSTREAM, Identities, user_of

if TYPE_CHECKING:
    from policy.cluster.kube.kube_cluster import KubeCluster
    from policy.cluster.kube.request_counts import Observer

Value = TypeVar("Value")


def option_type(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return the `type` of an option that is read so; argparse shows the text of its ValueErrors."""

    def read_value(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read_value


def add_output(parser: argparse.ArgumentParser, *formats: str, text: str = "format") -> None:
    """Add `--output`: a table, or one of the other formats."""
    parser.add_argument(
        "-o", "--output", choices=("table", *formats), default="table", help=f"{text} (default %(default)s)"
    )


def print_values(values: object, output: str) -> None:
    """Print what a program reads, as `json` or `yaml`."""
    if output == "json":
        print(as_json(values))
        return
    # YAML takes a while to import; a command that does not write it does without.
    import msgspec  # noqa: PLC0415 - see above

    from lockkeeper.process.yaml_output import as_yaml  # noqa: PLC0415 - see above

    print(as_yaml(msgspec.to_builtins(values)), end="")


class Once(argparse.Action):
    """An option that may be given once: of two the first would be forgotten."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        """Keep the value, or end with a usage error."""
        if getattr(namespace, self.dest) is not None:
            parser.error(f"{option_string} is given twice: put the files into one folder")
        setattr(namespace, self.dest, values)


def add_policies(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add `--policies` and `--argo-version`."""
    parser.add_argument(
        "--policies",
        type=Path,
        action=Once,
        required=required,
        metavar="PATH",
        help="file or folder of YAML with the policies, and ConfigMaps, Namespaces and templates beside them",
    )
    add_argo_version(parser)


def add_argo_version(parser: argparse.ArgumentParser) -> None:
    """Add `--argo-version`."""
    parser.add_argument(
        "--argo-version",
        type=option_type(ArgoVersion.parse_known),
        default=DEFAULT_VERSION,
        metavar="VERSION",
        help="version of the Argo controller, such as 4, 4.1 or v4.1.2: it decides how locks are written "
        f"(default {DEFAULT_VERSION})",
    )


@contextmanager
def wrong_files_are_usage_errors() -> Iterator[None]:
    """Report everything that is wrong in files as a usage error, a line each."""
    from policy.sources.directory import PolicyErrors  # noqa: PLC0415 - YAML is for commands that read files

    try:
        yield
    except PolicyErrors as errors:
        raise UsageError(*map(str, errors.errors)) from errors


deployment_name: Final = option_type(partial(NamespacedName.parse, kind="Deployment"))
"""Reads the name of a Deployment."""


def add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    """Add `--kubeconfig` and `--context`."""
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="how to reach the cluster (default: as kubectl does, by KUBECONFIG or ~/.kube/config; without "
        "these the cluster that this process runs in)",
    )
    parser.add_argument(
        "--context",
        default="",
        metavar="NAME",
        help="context of the kubeconfig (default: its current one)",
    )


def reach(arguments: argparse.Namespace, *, observer: "Observer | None" = None) -> "KubeCluster":
    """Return the cluster of the options of `add_kubeconfig`; `observer` sees every request to it.

    Raises:
        UsageError: there are no settings that lead to one.
    """
    # The official client takes a second to import; commands that do not reach a cluster do without it.
    from policy.cluster.kube.kube_cluster import connect  # noqa: PLC0415 - see above
    from policy.cluster.kube.kubeconfig import ClusterSettingsError  # noqa: PLC0415 - see above

    try:
        return connect(arguments.kubeconfig, context=arguments.context, observer=observer)
    except ClusterSettingsError as error:
        raise UsageError(str(error)) from error


def add_identities(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the accounts which write Workflows, for themselves or for others."""
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
    """Return the accounts that write Workflows, from the options of `add_identities`."""

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
