"""`lockkeeper import`: policies from what a cluster limits already."""

import argparse
from collections.abc import Sequence

from lockkeeper.findings.finding import Level
from lockkeeper.findings.table import line_of
from lockkeeper.importing.checked_drafts import MOST_TASKS, checked_drafts
from lockkeeper.importing.cluster_objects import read_cluster
from lockkeeper.importing.printed_policies import printed, running_lines
from lockkeeper.manifests.manifest import Manifest
from lockkeeper.manifests.reading import read_inputs
from lockkeeper.options.command_options import (
    add_argo_version,
    add_kubeconfig,
    add_output,
    option_type,
    print_values,
    reach,
)
from lockkeeper.options.file_options import add_file_options, add_namespace, nothing_in
from lockkeeper.process.console import UsageError, for_whoever_reads, print_message, utc_now
from policy.cluster.errors import ClusterError
from policy.core.quota.node_capacity import millicores

EXAMPLES = """examples:
  lockkeeper import > policies.yaml
  lockkeeper import limits/ --task-cpu 2 --task-memory 8Gi --default-tasks 5
  kubectl get configmaps,resourcequotas,workflows -A -o yaml | lockkeeper import -

It reads Argo's parallelism and namespaceParallelism, the label workflows.argoproj.io/parallelism-limit of
Namespaces, ConfigMaps that Workflows and templates use as semaphores, ResourceQuotas, and ClusterQueues,
LocalQueues and Cohorts of Kueue: from files, or without PATH from the cluster, with your rights. Each line of
the policies says where it comes from, and what changes in meaning; what no policy can say is listed. The
policies are checked against the Workflows that run. What policies of Lockkeeper limit already is not printed
again, and what counts where both limit a namespace is told. Nothing is changed. Exit codes: 0 policies that
let all run on that run now, 1 somebody who runs is over a limit by them, 2 something cannot be read, or there
is no limit."""


@option_type
def _size(text: str) -> str:
    """Return a quantity that is not 0. Raises ValueError."""
    try:
        found = millicores(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no quantity such as 500m or 2Gi") from error
    if not found:
        raise ValueError(f"{text!r} is nothing: say what one task requests")
    return text


@option_type
def _tasks(text: str) -> int:
    """Return a number of tasks from 1. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError(f"{text!r} is no number of tasks: give 1 or more")
    return int(text)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="YAML or JSON file, a folder of them, or - for standard input (default: the cluster)",
    )
    add_kubeconfig(parser)
    add_argo_version(parser)
    add_file_options(parser)
    add_namespace(parser, "objects of files")
    parser.add_argument("--task-cpu", type=_size, metavar="CPU", help="what one task requests, such as 500m")
    parser.add_argument("--task-memory", type=_size, metavar="MEMORY", help="the same, such as 2Gi")
    parser.add_argument(
        "--default-tasks",
        type=_tasks,
        metavar="N",
        help="tasks of a Workflow without spec.parallelism, where tasks are limited (default "
        f"{MOST_TASKS}, or the most below it with which none that runs is over a limit)",
    )
    add_output(parser, "json", text="format: a table is the policies as YAML")


def run(arguments: argparse.Namespace) -> int:
    """Print policies for what is limited already."""
    manifests, whole = _objects(arguments)
    sizes = {"cpu": arguments.task_cpu, "memory": arguments.task_memory}
    made = checked_drafts(
        manifests,
        {key: each for key, each in sizes.items() if each},
        arguments.default_tasks,
        namespace=arguments.namespace,
        argo=arguments.argo_version,
        now=utc_now(),
    )
    found, checked = made.found, made.checked
    if not (found.drafts or found.left_out or arguments.allow_empty):
        raise UsageError(nothing_in("no limit", arguments.paths or ["the cluster"]))
    with for_whoever_reads():
        if arguments.output == "table":
            print(printed(made), end="")
        else:
            values = {"policies": found.drafts, "leftOut": found.left_out, "check": checked}
            print_values({**values, "beside": made.beside}, "json")
    if checked.over:
        print_message(f"{running_lines(checked)[0]} They are listed at the end of the output.")
    return 2 if not whole or checked.uncounted else 1 if checked.over else 0


def _objects(arguments: argparse.Namespace) -> tuple[Sequence[Manifest], bool]:
    """Return what was read, and whether that is all of it. Raises UsageError."""
    if arguments.paths:
        inputs = read_inputs(arguments.paths, exclude=arguments.exclude)
        for each in inputs.findings:
            print_message(line_of(each))
        whole = not any(each.level is Level.ERROR for each in inputs.findings)
        return [each for each in inputs.manifests if each.carrier is None], whole
    cluster = reach(arguments)
    try:
        objects = read_cluster(cluster)
    except ClusterError as error:
        raise UsageError(f"the cluster cannot be read: {error.message}") from error
    finally:
        cluster.close()
    for text in objects.unread:
        print_message(text)
    return objects.manifests, not objects.unread
