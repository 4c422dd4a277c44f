"""`lockkeeper check`: whether an installation on a cluster is healthy."""

import argparse
from collections import Counter
from collections.abc import Sequence
from threading import Event
from typing import Final

import msgspec

from lockkeeper.checking.facts import Facts, Gap, Unread
from lockkeeper.checking.gathering import Gatherer
from lockkeeper.checking.judgement import Judgement, State
from lockkeeper.checking.judging import judge
from lockkeeper.checking.serving import ask
from lockkeeper.cli.failing import UsageError
from lockkeeper.cli.options import add_kubeconfig, reach
from lockkeeper.narrator import aligned
from lockkeeper.wiring import utc_now
from policy.cluster.errors import TooManyRequests, Unavailable

NAME = "check"
SUMMARY = "Check whether an installation on a cluster is healthy, and tell what to do where it is not."
EXAMPLES = """examples:
  lockkeeper check --kubeconfig ~/.kube/config
  lockkeeper check --kubeconfig ~/.kube/config --namespace traffic --name lockkeeper-blue -o json
  lockkeeper check                                         inside a cluster, as helm test does

It changes nothing. What it has no right to see, or cannot reach from where it runs, is skipped and told.
Exit codes: 0 fine, 1 a check failed or warns, 2 the cluster does not answer or shows nothing."""

FINDINGS: Final = (State.FAILED, State.WARNING)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_kubeconfig(parser)
    parser.add_argument(
        "-n", "--namespace", default="lockkeeper", help="namespace of the release (default %(default)s)"
    )
    parser.add_argument("--name", default="lockkeeper", help="full name of the release (default %(default)s)")
    parser.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="format (default %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Gather, judge and print."""
    cluster = reach(arguments.kubeconfig)
    gatherer = Gatherer(
        cluster=cluster,
        namespace=arguments.namespace,
        name=arguments.name,
        inside=arguments.kubeconfig is None,
        probe=ask,
        clock=utc_now,
        pause=Event().wait,
    )
    try:
        facts = gatherer.gather()
    except (Unavailable, TooManyRequests) as error:
        raise UsageError(f"the cluster does not answer: {error.message}") from error
    finally:
        cluster.close()
    judgements = judge(facts)
    if nothing_seen(facts):
        raise UsageError(f"nothing of the cluster may be seen: {judgements[0].message}; and so on")
    if arguments.output == "json":
        print(msgspec.json.format(msgspec.json.encode(judgements), indent=2).decode())
    else:
        print(table(judgements))
    return 1 if any(each.state in FINDINGS for each in judgements) else 0


def nothing_seen(facts: Facts) -> bool:
    """Tell whether every read was refused: the credentials are wrong rather than the installation."""
    reads = (
        *facts.policies.values(),
        facts.ledgers,
        facts.workflows,
        facts.mutating,
        facts.validating,
        facts.lease,
    )
    return all(isinstance(each, Unread) and each.gap is Gap.NO_RIGHT for each in reads)


def table(judgements: Sequence[Judgement]) -> str:
    """Return the judgements in columns, what to do below, and how many there are of each state."""
    lines = [aligned([(each.state, each.check, each.message) for each in judgements])]
    advised = [each for each in judgements if each.advice]
    if advised:
        lines.append("")
    lines += [f"{each.check}: {each.message}\n  next: {each.advice}" for each in advised]
    counts = Counter(each.state for each in judgements)
    lines += ["", ", ".join(f"{counts[state]} {state}" for state in State if counts[state])]
    return "\n".join(lines)
