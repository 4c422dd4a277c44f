"""Options of commands that review files: what is taken for granted, since no cluster is asked."""

import argparse

from lockkeeper.options.command_options import option_type
from lockkeeper.options.file_options import add_namespace
from lockkeeper.process.console import utc_now
from lockkeeper.reviewing.assumptions import Assumptions, RunningWorkflows, time_with_zone


def add_assumptions(parser: argparse.ArgumentParser) -> None:
    """Add `--namespace`, `--user`, `--running` and `--at`."""
    add_namespace(parser)
    parser.add_argument("--user", default="", help="user who creates the Workflows, for limits per user")
    parser.add_argument(
        "--running",
        type=option_type(RunningWorkflows.parse),
        action="append",
        default=[],
        metavar="[NAMESPACE=]N[/TASKS]",
        help="assume that N Workflows run: in the namespace of each object, or in the one named. Each uses "
        "what the one under review uses, unless the tasks of all N are given; repeatable (default: none)",
    )
    parser.add_argument(
        "--at",
        type=option_type(time_with_zone),
        metavar="TIME",
        help="assume this time, for windows; with a zone, as 2026-12-01T03:00:00+01:00 (default: now)",
    )


def assumptions_of(arguments: argparse.Namespace) -> Assumptions:
    """Return what the options of `add_assumptions` say."""
    return Assumptions(arguments.at or utc_now(), tuple(arguments.running))
