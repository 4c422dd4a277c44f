"""`lockkeeper locks`: who holds and who waits for every lock of a cluster, and what other limits would do."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from difflib import get_close_matches

from lockkeeper.locks.limit_suggestions import replays, report, used
from lockkeeper.locks.live_locks import SemaphoreLimits, live_traces, queued, queued_text, shown, table
from lockkeeper.options.command_options import add_kubeconfig, add_output, option_type, reach
from lockkeeper.process.console import UsageError, as_json, for_whoever_reads, utc_now
from policy.cluster.errors import ClusterError, Forbidden
from policy.core.lock_queues.lock_queues import live_deadlocks, lock_queues
from policy.core.values.durations import duration
from policy.service.locks.lock_traces import WatchedCluster
from policy.service.reading.needed_roles import with_role

EXAMPLES = """examples:
  lockkeeper locks
  lockkeeper locks --context blue -n team-etl -o json
  lockkeeper locks --lock team-etl/Mutex/load
  lockkeeper locks suggest -n team-etl --max-wait 5m
  lockkeeper locks suggest --lock team-etl/ConfigMap/workflow-semaphores/db

It reads Workflows and the ConfigMaps that they name, and changes nothing. Workflows that wait for quotas are
at no lock yet: lockkeeper queue shows them. A limit that it has no right to
see is shown as ?. `suggest` replays what the Workflows that are still there did with other limits; of what
was seen too seldom it says so, and nothing else.
Exit codes: 0 fine, 1 a Workflow is in a deadlock or waits for a poisoned lock, 2 the cluster does not answer
or refuses."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=("show", "suggest"),
        default="show",
        help="show the queues (the default), or suggest limits",
    )
    add_kubeconfig(parser)
    parser.add_argument("-n", "--namespace", default="", help="one namespace (default: all of them)")
    add_output(parser, "json")
    parser.add_argument("--lock", default="", metavar="NAME", help="this lock alone, by Argo's name of it")
    parser.add_argument(
        "--max-wait",
        type=option_type(duration),
        default=timedelta(minutes=1),
        metavar="TIME",
        help="suggest: what 95 of 100 should wait at most, such as 30s or 1h30m (default 1m)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Read, and print."""
    with closing(reach(arguments)) as cluster, _errors_in_one_line():
        return act(cluster, arguments)


def act(cluster: WatchedCluster, arguments: argparse.Namespace) -> int:
    """Run the action, and return the exit code."""
    return _suggest(cluster, arguments) if arguments.action == "suggest" else _show(cluster, arguments)


def _suggest(cluster: WatchedCluster, arguments: argparse.Namespace) -> int:
    """Show what other limits would have done."""
    seen = used(cluster, arguments.namespace)
    found = replays(seen, SemaphoreLimits(cluster), lock=arguments.lock, most_wait=arguments.max_wait)
    if arguments.output == "json":
        print(as_json(found))
    else:
        print(report(found, seen, arguments.max_wait))
    return 0


def _show(cluster: WatchedCluster, arguments: argparse.Namespace) -> int:
    """Show the queues of all locks, or of one: a deadlock may be of several, so all are read."""
    every = lock_queues(live_traces(cluster, arguments.namespace, utc_now), SemaphoreLimits(cluster))
    stuck = [each for each in live_deadlocks(every) if arguments.lock in ("", *each.locks)]
    found = [each for each in every if arguments.lock in ("", each.lock)]
    if arguments.lock and not found:
        raise UsageError(_unknown_lock(arguments.lock, [each.lock for each in every]))
    now = utc_now()
    held = queued(cluster, arguments.namespace)
    with for_whoever_reads():
        if arguments.output == "json":
            print(as_json(shown(found, stuck, now, queued=held)))
        else:
            print(table(found, stuck, now))
            if held:
                print(f"\n{queued_text(held)}")
    return 1 if stuck or any(each.poisoned for each in found) else 0


def _unknown_lock(name: str, known: Sequence[str]) -> str:
    """Return that a lock has no holder and no waiter, and which name may have been meant."""
    near = get_close_matches(name, known, n=3)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"nobody holds or waits for a lock {name}{meant}"


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """Report a cluster that cannot be read in one line."""
    try:
        yield
    except ClusterError as error:
        told = with_role(error) if isinstance(error, Forbidden) else error.message
        raise UsageError(f"the locks of the cluster cannot be read: {told}") from error
