"""A double of Argo's workflow-controller, as a process of its own, for tests on a real control plane.

    python -m tests.e2e.argo.double --kubeconfig FILE [--finish-after SECONDS]

What it does: it sees only Workflows with its own controller instance id, by default those with none; sets
phase, startedAt, nodes and labels by PUTs of the whole object, of which the first writes the spec anew as
Argo does; takes the locks of the Workflow before it starts and those of templates before each task, with
Argo's queues, messages and `status.synchronization`; makes a Pod for each task and completes when all have
succeeded, or, with --finish-after, makes no Pods and lets every task take that time. It honours `suspend`,
`shutdown`, workflowTemplateRef and templateRef, takes a retried Workflow up again, and after a restart goes
on from what the API holds.

The Pod of a resource template is told what to make, with the Workflow as its owner where that is asked for;
`executing.py` plays the executor in it.

It runs tasks of a DAG and steps of a group side by side, by `dependencies` and `depends`; fills in parameters
of the Workflow and of inputs, also in the keys of locks, with the few expressions of `expressions.py`; takes
`when`, and goes through a literal `withItems`.

What it does not do: artifacts, results of tasks, `parallelism` of any kind, loops over what is worked out; a
task that fails ends the Workflow, whatever depends on its failure; retries, deadlines, exit handlers
and hooks, suspend templates (done at once, as http and plugin are); TTL, Pod GC, archive, CronWorkflows,
leader election; checks of the spec, but that its templates exist; database locks. A Workflow that it cannot
decode it leaves alone, where Argo crashes. When it writes a spec it drops no zero values and shortens no
quantities. In the status of locks `waiting` is true, where Argo's lingers; a node is Running as soon as it
has its Pod, which has one container and none of Argo's own. A WorkflowTemplate is merged field over field.

It ends when its standard input is closed, so it does not outlive a test that was killed.
"""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Final, TextIO

from policy.cluster.kube.kube_cluster import connect
from tests.e2e.argo.controller import WorkflowController

WATCHING: Final = "argo double: watching"
"""What it says on standard output when it has seen everything that is there."""


def main() -> None:
    """Run the double until standard input is closed."""
    parser = argparse.ArgumentParser(
        prog="tests.e2e.argo.double", description="A double of Argo's controller."
    )
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--finish-after", type=float, help="make no Pods: every task takes this many seconds")
    parser.add_argument("--instance-id", default="", help="controller instance id (default none)")
    parser.add_argument("--namespace", default="", help="see one namespace alone")
    arguments = parser.parse_args()
    Thread(target=_end_with_parent, daemon=True).start()
    controller = WorkflowController(
        cluster=connect(arguments.kubeconfig),
        clock=lambda: datetime.now(UTC).replace(microsecond=0),
        stopwatch=time.monotonic,
        finish_after=arguments.finish_after,
        instance_id=arguments.instance_id,
        namespace=arguments.namespace,
        say=lambda text: _say(sys.stderr, text),
    )
    controller.run(ready=lambda: _say(sys.stdout, WATCHING))


def _say(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


def _end_with_parent() -> None:
    """End this process once nobody holds the other end of its standard input."""
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os._exit(0)


if __name__ == "__main__":
    main()
