"""`lockkeeper check`: whether an installation on a cluster is healthy."""

import argparse
from contextlib import closing
from threading import Event
from typing import Final

from lockkeeper.checking.checks import check_installation, nothing_seen, table
from lockkeeper.checking.gatherer import Gatherer
from lockkeeper.checking.results import State
from lockkeeper.checking.tls_probe import probe
from lockkeeper.options.command_options import add_kubeconfig, add_output, reach
from lockkeeper.process.console import UsageError, as_json, for_whoever_reads, utc_now
from policy.cluster.errors import TooManyRequests, Unauthorized, Unavailable

EXAMPLES = """examples:
  lockkeeper check                                         the cluster of kubectl; in a Pod that of the Pod
  lockkeeper check --context blue --namespace traffic --name lockkeeper-blue -o json

It changes nothing. What it has no right to see, or cannot reach from where it runs, is skipped and told.
Exit codes: 0 fine, 1 a check failed or warns, 2 the cluster does not answer or shows nothing."""

_FINDINGS: Final = (State.FAILED, State.WARNING)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_kubeconfig(parser)
    parser.add_argument(
        "-n", "--namespace", default="lockkeeper", help="namespace of the release (default %(default)s)"
    )
    parser.add_argument("--name", default="lockkeeper", help="full name of the release (default %(default)s)")
    add_output(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Gather, check and print."""
    with closing(reach(arguments)) as cluster:
        gatherer = Gatherer(
            cluster=cluster,
            namespace=arguments.namespace,
            name=arguments.name,
            inside=cluster.inside,
            probe=probe,
            clock=utc_now,
            pause=Event().wait,
        )
        try:
            facts = gatherer.gather()
        except (Unavailable, TooManyRequests, Unauthorized) as error:
            raise UsageError(error.message) from error
    judgements = check_installation(facts)
    if nothing_seen(facts):
        raise UsageError(f"nothing of the cluster may be seen: {judgements[0].message}; and so on")
    with for_whoever_reads():
        print(as_json(judgements) if arguments.output == "json" else table(judgements))
    return 1 if any(each.state in _FINDINGS for each in judgements) else 0
