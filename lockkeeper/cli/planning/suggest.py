"""`lockkeeper suggest`: the smallest limits that meet stated waits."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence

from lockkeeper.cli.planning.simulate import HISTORY_HELP, policies_at
from lockkeeper.histories.opening import open_history
from lockkeeper.options.command_options import add_output, add_policies, option_type, print_values
from lockkeeper.options.file_options import add_namespace
from lockkeeper.process.console import UsageError, aligned, for_whoever_reads
from lockkeeper.simulation.limit_search import LimitSearch, WantedWait, search, wanted_wait
from lockkeeper.simulation.words import length
from policy.core.policies.snapshot import Snapshot

EXAMPLES = """examples:
  lockkeeper suggest examples/history.json --policies examples/policies --wait "team-etl p95 30m"
  lockkeeper suggest history.json --policies policies/ --wait "team-ml median 0s" --wait "team-etl longest 2h"

The history is played again and again. Limits of Workflows and tasks may change in the quotas of the
namespaces that are named, also those of each user, and in their pools: they are doubled until the waits are
met, and then each is lowered as far as they still are. What was tried is listed: how a wait grows as a limit
is lowered. Windows and shares stay as they are; docs/planning.md says what is not certain.
Exit codes: 0 found, 1 no such limits meet the waits, 2 the history or a policy cannot be read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("history", metavar="HISTORY", help=HISTORY_HELP)
    add_policies(parser)
    parser.add_argument(
        "--wait",
        action="append",
        required=True,
        type=option_type(wanted_wait),
        metavar="WAIT",
        help='a namespace, median, p95 or longest, and the most that it may be: "team-ml p95 10m"',
    )
    add_output(parser, "json")
    add_namespace(parser)


def run(arguments: argparse.Namespace) -> int:
    """Search, and print."""
    snapshot = policies_at(arguments.policies, arguments)
    history = open_history(
        arguments.history, with_nodes=bool(snapshot.lock_policies), namespace=arguments.namespace
    )
    wanted: list[WantedWait] = arguments.wait
    try:
        _check(wanted, history.namespaces, snapshot)
        found = search(history, snapshot, wanted, progress=_progress())
    finally:
        history.close()
    with for_whoever_reads():
        if arguments.output == "json":
            print_values(found, "json")
        else:
            print("\n".join([*_lines(found, wanted), *_others(wanted, history.namespaces, snapshot)]))
    return 0 if found.met else 1


def _check(wanted: Sequence[WantedWait], namespaces: set[str], snapshot: Snapshot) -> None:
    for each in wanted:
        if each.namespace not in namespaces:
            raise UsageError(f"--wait: no Workflow of the history is in the namespace {each.namespace}")
        if not snapshot.policies(each.namespace).quotas:
            raise UsageError(f"--wait: no quota of --policies bounds the namespace {each.namespace}")


def _progress() -> Callable[[int], None]:
    if not sys.stderr.isatty():
        return lambda _: None
    return lambda played: print(f"\rlockkeeper: {played} played", end="", file=sys.stderr, flush=True)


def _lines(found: LimitSearch, wanted: Sequence[WantedWait]) -> Iterator[str]:
    """Yield the outcome: words, limits, and what was tried."""
    for number, each in enumerate(wanted):
        before, after = _wait(found.waits_before[number]), _wait(found.waits[number])
        yield (
            f"{each.namespace}: {each.measure} of the waits is {before} at present and {after} as suggested; "
            f"wanted is {length(each.seconds)} at most."
        )
    if not found.met:
        yield "No limits of these quotas meet that: something else holds the Workflows up, such as locks,"
        yield "groups, windows or shares, or they are denied."
        return
    rows = [("LIMIT", "PRESENT", "SUGGESTED")]
    rows += [(key, str(value), str(found.suggested[key])) for key, value in found.present.items()]
    yield ""
    yield aligned(rows)
    if found.tried:
        names = [f"{each.namespace} {each.measure}".upper() for each in wanted]
        tried = [("TRIED", "VALUE", *names, "MET")]
        for trial in found.tried:
            waits = map(_wait, trial.waits)
            tried.append((str(trial.limit), str(trial.value), *waits, "yes" if trial.met else "no"))
        yield ""
        yield aligned(tried)


def _others(wanted: Sequence[WantedWait], namespaces: set[str], snapshot: Snapshot) -> Iterator[str]:
    """Yield who shares a pool and was not asked for: its waits may be longer under what is suggested."""
    named = {each.namespace for each in wanted}
    pools = {snapshot.policies(each).pool for each in named} - {""}
    others = sorted(each for each in namespaces - named if snapshot.policies(each).pool in pools)
    if others:
        yield ""
        yield (
            f"Not looked at, though of the same pool: {', '.join(others)}. Where these are to wait no longer "
            "than now, say so with one --wait for each."
        )


def _wait(seconds: float | None) -> str:
    return "endless for some" if seconds is None else length(seconds)
