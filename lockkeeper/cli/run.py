"""`lockkeeper run`: the embedded mode."""

import argparse
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.embedded.embedded import Embedded, EmbeddedSettings
from lockkeeper.manifests.reading import read_manifests
from lockkeeper.options.command_options import add_policies, wrong_files_are_usage_errors
from lockkeeper.options.file_options import add_allow_empty, add_namespace, existing_policies, nothing_in
from lockkeeper.options.serving_options import add_address, listen, listen_for_page
from lockkeeper.process.console import UsageError, print_message, reason_of

_MAX_TASK_SECONDS = 3600
EXAMPLES = """examples:
  lockkeeper run --policies examples/policies --workflows examples/workflows --once
  lockkeeper run --policies my-policies --port 0          only serve, on a free port

The webhook, the controller, an in-memory cluster and a small simulated Argo run in one process tree. The
Workflows of --workflows are created one after another through the HTTPS webhook, as the API server would.
Without --once it is a cluster to try: kubectl and lockkeeper reach it by the kubeconfig that it writes, and
files that are put into the folders later are taken as well.
Exit codes: 0 fine, 1 a webhook call of the play failed or the output could not be written, 2 something to
mend before it can run."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_policies(parser)
    add_address(parser)
    parser.add_argument("--workflows", type=Path, metavar="PATH", help="file or folder of Workflows to play")
    add_namespace(parser)
    add_allow_empty(parser)
    parser.add_argument("--once", action="store_true", help="end after the play")
    parser.add_argument(
        "--task-time",
        type=_seconds,
        default=timedelta(seconds=0.5),
        metavar="SECONDS",
        help="how long each task of the simulated Argo takes (default 0.5)",
    )
    parser.add_argument(
        "--kubeconfig-out",
        type=Path,
        default=Path(".lockkeeper/kubeconfig"),
        metavar="FILE",
        help="where the kubeconfig for kubectl is written (default %(default)s)",
    )
    parser.add_argument(
        "--log",
        type=Path,
        metavar="FILE",
        help="file for the JSON log lines (default: only errors are shown)",
    )


@wrong_files_are_usage_errors()
def run(arguments: argparse.Namespace) -> int:
    """Check everything that can be wrong before anything starts, then run."""
    if arguments.once and arguments.workflows is None:
        raise UsageError("--once ends after a play: give --workflows DIR as well")
    load_once(
        existing_policies(arguments.policies),
        arguments.argo_version,
        namespace=arguments.namespace,
        allow_empty=arguments.allow_empty,
        note=print_message,
    )
    if arguments.workflows is not None:
        _check_workflows(arguments)
    log = _open_log(arguments.log) if arguments.log else None
    listener = listen(arguments.host, arguments.port)
    temporary = None if arguments.certs else Path(tempfile.mkdtemp(prefix="lockkeeper-"))
    settings = EmbeddedSettings(
        policies=arguments.policies,
        workflows=arguments.workflows,
        certificates=temporary or arguments.certs,
        host=arguments.host,
        port=listener.getsockname()[1],
        once=arguments.once,
        task_time=arguments.task_time,
        argo=arguments.argo_version,
        namespace=arguments.namespace,
        log=log,
        kubeconfig=None if arguments.once else _prepared(arguments.kubeconfig_out),
        page=None if arguments.once else listen_for_page(),
    )
    try:
        return Embedded(settings=settings, listener=listener).run()
    finally:
        if settings.kubeconfig is not None:
            settings.kubeconfig.unlink(missing_ok=True)  # It would lead to nothing.
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _prepared(kubeconfig: Path) -> Path:
    """Return the absolute path of the kubeconfig that the worker writes.

    Raises:
        UsageError: it cannot be written there.
    """
    path = kubeconfig.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise UsageError(f"the kubeconfig {kubeconfig} cannot be written: {reason_of(error)}") from error
    return path


def _check_workflows(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be played.

    Raises:
        PolicyErrors: something cannot be read.
        UsageError: there is no Workflow, and nothing that creates one.
    """
    manifests = read_manifests(arguments.workflows)
    kinds = ("Workflow",) if arguments.once else ("Workflow", "CronWorkflow")
    if not (arguments.allow_empty or any(each.kind in kinds for each in manifests)):
        raise UsageError(nothing_in("no Workflow to play", [arguments.workflows]))


def _seconds(text: str) -> timedelta:
    """Return a time above 0, up to an hour, or an error that argparse shows."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= _MAX_TASK_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time; give seconds above 0, up to {_MAX_TASK_SECONDS}"
        )
    return timedelta(seconds=value)


def _open_log(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        raise UsageError(f"the log {path} cannot be written: {reason_of(error)}") from error
