"""`lockkeeper simulate`: what policies would do to the Workflows of a history."""

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from lockkeeper.assembly.policy_folder import Beside, load_once
from lockkeeper.histories.history import RunHistory
from lockkeeper.histories.live_queue import live_queue
from lockkeeper.histories.opening import open_history
from lockkeeper.options.command_options import (
    add_kubeconfig,
    add_output,
    add_policies,
    print_values,
    reach,
    wrong_files_are_usage_errors,
)
from lockkeeper.options.file_options import existing_policies
from lockkeeper.process.console import UsageError, for_whoever_reads, print_message, reason_of, utc_now
from lockkeeper.simulation.comparison import compare
from lockkeeper.simulation.outcome import SimulationOutcome
from lockkeeper.simulation.playing import play
from lockkeeper.simulation.report_page import report_page
from lockkeeper.simulation.starts import waiting_starts
from lockkeeper.simulation.tables import simulation_tables
from lockkeeper.simulation.words import outcome_sentences
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import DEFAULT_NAMESPACE

EXAMPLES = """examples:
  lockkeeper simulate examples/history.json --policies examples/policies
  lockkeeper simulate examples/history.json --policies examples/policies --against examples/proposal \\
    --html report.html
  lockkeeper simulate postgresql://argo@db/argo --policies policies/
  lockkeeper simulate --now --policies policies/ --against proposal/
  kubectl get wf -A -o json | lockkeeper simulate - --policies policies/ -o json

A history is played on a virtual clock by the same decisions as in a cluster: who is denied, who waits, for
how long, who goes first. With --against two sets of policies are compared, and what is different is told for
whom. What was left out of a history, and what it cannot tell, is said below the tables. docs/planning.md has
the forms of histories, of the JSON, and what is not certain.
Exit codes: 0 played, 2 the history or a policy cannot be read."""
HISTORY_HELP: Final = (
    "Workflows with their status: JSON of kubectl or argo, files of them, - for standard input; "
    "Argo's archive as CSV, JSON lines, SQLite file or postgresql://...; or a load in YAML"
)
_TELL_EVERY: Final = 5_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "history",
        metavar="HISTORY",
        nargs="?",
        help=HISTORY_HELP,
    )
    parser.add_argument(
        "--now",
        action="store_true",
        help="in place of HISTORY: start with those that run and wait in the cluster now, and say when each "
        "of them starts",
    )
    add_kubeconfig(parser)
    add_policies(parser)
    parser.add_argument(
        "--against",
        type=Path,
        metavar="PATH",
        help="other policies, which are compared with those of --policies: the proposal",
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write a report with charts as one HTML file"
    )
    add_output(parser, "json")
    parser.add_argument(
        "-n",
        "--namespace",
        default="",
        help="namespace of Workflows and policies in files that name none (default default); with --now, the "
        "only namespace that is read (default: all)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Play the history, and print."""
    present = policies_at(arguments.policies, arguments)
    proposed = None if arguments.against is None else policies_at(arguments.against, arguments)
    history = _history(arguments, present, proposed)
    try:
        outcome = simulated(history, present, str(arguments.policies), proposed, str(arguments.against))
    finally:
        history.close()
    if arguments.html is not None:
        write_report(arguments.html, report_page(outcome))
    with for_whoever_reads():
        if arguments.output == "json":
            print_values(outcome, "json")
        else:
            print(simulation_tables(outcome))
            if arguments.html is not None:
                print(f"\nThe report with charts is in {arguments.html}")
    return 0


def _history(arguments: argparse.Namespace, *snapshots: Snapshot | None) -> RunHistory:
    """Return what is to be played."""
    if arguments.now != (arguments.history is None):
        raise UsageError("give a HISTORY, or --now for those that run and wait in the cluster now")
    if arguments.now:
        with closing(reach(arguments)) as cluster:
            only: str = arguments.namespace
            source = f"namespace {only} of the cluster" if only else "the cluster"
            return live_queue(cluster, utc_now(), source=source, namespace=only)
    return open_history(
        arguments.history,
        with_nodes=any(each is not None and each.lock_policies for each in snapshots),
        namespace=arguments.namespace or DEFAULT_NAMESPACE,
    )


def simulated(
    history: RunHistory, present: Snapshot, name: str, proposed: Snapshot | None, proposed_name: str
) -> SimulationOutcome:
    """Return what a history comes to under one set of policies, or two."""
    before, fates = play(history, present, policies=name, progress=_progress(history))
    if proposed is None:
        sentences = outcome_sentences(history.facts(), before, None, None)
        starts = waiting_starts(history, fates, None) if history.facts().live else ()
        return SimulationOutcome(history=history.facts(), sentences=sentences, result=before, starts=starts)
    after, new_fates = play(history, proposed, policies=proposed_name, progress=_progress(history))
    comparison = compare(before, after, (fates, new_fates))
    sentences = outcome_sentences(history.facts(), after, before, comparison)
    starts = waiting_starts(history, new_fates, fates) if history.facts().live else ()
    return SimulationOutcome(
        history=history.facts(),
        sentences=sentences,
        result=after,
        before=before,
        comparison=comparison,
        starts=starts,
    )


def policies_at(path: Path, arguments: argparse.Namespace) -> Snapshot:
    """Return the policies at a path."""
    with wrong_files_are_usage_errors():
        found = load_once(
            existing_policies(path),
            arguments.argo_version,
            namespace=arguments.namespace or DEFAULT_NAMESPACE,
            note=print_message,
            beside=Beside(),
        )
    if not (found.quotas or found.pools or found.lock_policies):
        raise UsageError(f"there is no policy in {path}: give a file or a folder with one")
    return found


def _progress(history: RunHistory) -> Callable[[int], None]:
    """Return what shows on a terminal how many were played."""
    if not sys.stderr.isatty() or history.count < _TELL_EVERY:
        return lambda _: None

    def tell(played: int) -> None:
        if played % _TELL_EVERY == 0 or played == history.count:
            end = "\n" if played == history.count else ""
            print(f"\rlockkeeper: {played} of {history.count} played", end=end, file=sys.stderr, flush=True)

    return tell


def write_report(path: Path, text: str) -> None:
    """Write a report, or say why it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--html {path} cannot be written: {reason_of(error)}") from error
