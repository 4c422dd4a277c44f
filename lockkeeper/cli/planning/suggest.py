"""`lockkeeper suggest`: the smallest limits, shares or windows that meet stated waits."""

import argparse
import os
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from lockkeeper.cli.planning.simulate import HISTORY_HELP, policies_at, simulated, write_report
from lockkeeper.histories.history import RunHistory
from lockkeeper.histories.live_queue import cluster_history
from lockkeeper.histories.opening import described_load, open_history
from lockkeeper.options.command_options import (
    add_kubeconfig,
    add_output,
    add_policies,
    option_type,
    print_values,
    reach,
)
from lockkeeper.process.console import UsageError, for_whoever_reads, print_message
from lockkeeper.process.progress_bar import ProgressBar
from lockkeeper.simulation.report_page import report_page
from lockkeeper.suggesting.searching import Asked
from lockkeeper.suggesting.strategies.settings import limit_settings, share_settings
from lockkeeper.suggesting.strategies.wanted_waits import wanted_wait
from lockkeeper.suggesting.strategies.ways import WayKind
from lockkeeper.suggesting.suggested_policies import suggested_policies
from lockkeeper.suggesting.suggestion_chart import trade_off_section
from lockkeeper.suggesting.suggestion_search import Suggested, suggest
from lockkeeper.suggesting.suggestion_tables import suggestion_lines, suggestion_words
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE
from policy.sources.schema_check import did_you_mean

EXAMPLES = """examples:
  lockkeeper suggest examples/history.json --policies examples/policies --wait "team-etl p95 30m"
  lockkeeper suggest history.json --policies policies/ --wait "team-ml median 0s" --wait "team-etl longest 2h"
  lockkeeper suggest history.json --policies policies/ --wait "team-ml p95 10m" --by windows \\
    -o yaml > proposal.yaml
  lockkeeper simulate history.json --policies policies/ --against proposal.yaml
  lockkeeper suggest --cluster --policies policies/ --wait "team-ml p95 10m" --what-ifs 1000

The history is played again and again, by several processes, with other limits (quotas, users, pools),
other shares of a pool that lends, and other limits in the hours in which Workflows wait. The smallest
numbers of each way that meet the waits are told, first of the way that costs least, with the trade-off:
what shorter and longer waits need. Others of the same pools wait no longer than at present, unless you let
them. Histories that are drawn anew show how much is chance. For semaphores there is `locks suggest`.
docs/planning.md says what is not certain, and has the form of the JSON.
Exit codes: 0 found, 1 nothing meets the waits, 2 the history or a policy cannot be read, 130 interrupted."""
_WHAT_IFS: Final = 200
_FEWEST: Final = 10
_MOST: Final = 100_000
_MOST_PROCESSES: Final = 256
_FEW_RUNS: Final = 200
"""A history of fewer runs is played by one process: to start more takes longer."""
_KINDS: Final = {each.value: each for each in (WayKind.LIMITS, WayKind.SHARES, WayKind.WINDOWS)}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("history", metavar="HISTORY", nargs="?", help=HISTORY_HELP)
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="in place of HISTORY: the Workflows that are in the cluster, also those that are over; read "
        "with your own rights",
    )
    add_kubeconfig(parser)
    add_policies(parser)
    parser.add_argument(
        "--wait",
        action="append",
        required=True,
        type=option_type(wanted_wait),
        metavar="WAIT",
        help="a namespace, median, p95 or longest, and the most that it may be, such as "
        '"team-ml p95 10m"; repeatable',
    )
    parser.add_argument(
        "--by",
        action="append",
        choices=tuple(_KINDS),
        help="what may change: limits, shares of pools that lend, or limits in some hours; repeatable "
        "(default all of them)",
    )
    parser.add_argument(
        "--others",
        choices=("keep", "ignore"),
        default="keep",
        help="whether other namespaces of the same pools are to wait no longer than at present "
        "(default %(default)s)",
    )
    parser.add_argument(
        "--what-ifs",
        type=option_type(lambda text: _number(text, _FEWEST, _MOST)),
        default=_WHAT_IFS,
        metavar="N",
        help="how often the history is played at most: what the search does not need shows how much is "
        "chance (default %(default)s)",
    )
    parser.add_argument(
        "--processes",
        type=option_type(lambda text: _number(text, 1, _MOST_PROCESSES)),
        metavar="N",
        help="how many play at one time; the outcome is the same (default: one for each processor, and 1 "
        "for a short history)",
    )
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write the report of `simulate`, with the trade-off, as HTML",
    )
    add_output(parser, "json", "yaml", text="table, JSON, or all policies as they would be as YAML")
    parser.add_argument(
        "-n",
        "--namespace",
        default="",
        help="namespace of Workflows and policies in files that name none (default default); with --cluster, "
        "the only namespace that is read (default: all)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Search, and print."""
    snapshot = policies_at(arguments.policies, arguments)
    kinds = frozenset(_KINDS[each] for each in arguments.by or _KINDS)
    asked = Asked(tuple(dict.fromkeys(arguments.wait)), kinds, keep_others=arguments.others == "keep")
    with closing(_history(arguments, snapshot)) as history:
        _check(asked, history.namespaces, snapshot)
        bar = ProgressBar("what-ifs")
        load = None if arguments.cluster else described_load(arguments.history)
        try:
            found = suggest(
                history,
                snapshot,
                asked,
                load=load,
                processes=_processes(arguments, history),
                most=arguments.what_ifs,
                progress=bar.show,
            )
        finally:
            bar.end()
        if arguments.html is not None:
            _write_report(arguments, history, snapshot, found)
    with for_whoever_reads():
        _print(arguments, found)
    return 0 if found.suggestion.met else 1


def _history(arguments: argparse.Namespace, snapshot: Snapshot) -> RunHistory:
    if arguments.cluster != (arguments.history is None):
        raise UsageError("give a HISTORY, or --cluster for the Workflows that are in the cluster")
    with_nodes = bool(snapshot.lock_policies)
    if arguments.cluster:
        with closing(reach(arguments)) as cluster:
            only: str = arguments.namespace
            source = f"namespace {only} of the cluster" if only else "the cluster"
            return cluster_history(cluster, source=source, with_nodes=with_nodes, namespace=only)
    namespace = arguments.namespace or DEFAULT_NAMESPACE
    return open_history(arguments.history, with_nodes=with_nodes, namespace=namespace)


def _check(asked: Asked, namespaces: set[str], snapshot: Snapshot) -> None:
    """Check that there is something to be searched for each wait.

    Raises:
        UsageError: there is nothing.
    """
    for name in asked.namespaces:
        if name not in namespaces:
            hint = did_you_mean(name, sorted(namespaces))
            raise UsageError(f"--wait: no Workflow of the history is in the namespace {name}{hint}")
        if not snapshot.policies(name).quotas:
            raise UsageError(f"--wait: no quota of --policies bounds the namespace {name}: it never waits")
    names = ", ".join(asked.namespaces)
    if asked.kinds == {WayKind.SHARES} and not share_settings(snapshot, asked.namespaces):
        raise UsageError(f"--by shares: no pool of {names} lends (borrowing.enabled) and has shares for it")
    limits = asked.kinds != {WayKind.SHARES} and limit_settings(snapshot, asked.namespaces)
    if not limits and not share_settings(snapshot, asked.namespaces):
        words = ", ".join(sorted(each.value for each in asked.kinds))
        raise UsageError(f"--wait: the quotas of {names} have no number that --by {words} may change")


def _processes(arguments: argparse.Namespace, history: RunHistory) -> int:
    given: int | None = arguments.processes
    if given is not None:
        return given
    return 1 if history.count < _FEW_RUNS else len(os.sched_getaffinity(0))


def _print(arguments: argparse.Namespace, found: Suggested) -> None:
    if arguments.output == "json":
        print_values(found.suggestion, "json")
    elif arguments.output == "yaml":
        _print_policies(arguments, found)
    else:
        print("\n".join(suggestion_lines(found.suggestion)))
        if arguments.html is not None:
            print(f"\nThe report with charts is in {arguments.html}")


def _print_policies(arguments: argparse.Namespace, found: Suggested) -> None:
    words = list(suggestion_words(found.suggestion))
    if not found.suggestion.met:
        for line in words:
            print_message(line.strip())
        return
    text = suggested_policies(
        arguments.policies,
        found.changes,
        found.window,
        namespace=arguments.namespace or DEFAULT_NAMESPACE,
        words=words,
    )
    print(text, end="")


def _write_report(
    arguments: argparse.Namespace, history: RunHistory, snapshot: Snapshot, found: Suggested
) -> None:
    """Write the report: the present policies and those suggested beside each other."""
    proposed = found.snapshot if found.suggestion.met else None
    outcome = simulated(history, snapshot, "the present policies", proposed, "what is suggested")
    sentences = (*suggestion_words(found.suggestion), *outcome.sentences)
    page = report_page(
        msgspec.structs.replace(outcome, sentences=sentences), trade_off_section(found.suggestion)
    )
    write_report(arguments.html, page)


def _number(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f"{text!r} is no number from {least} to {most}")
    return int(text)
