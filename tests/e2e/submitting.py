"""What a user types at an installation, and what he reads: on the screen and in the stored object."""

import os
import subprocess
from typing import Final

import msgspec

from policy.cluster.errors import NotFound
from policy.cluster.protocol import QUOTA_LEDGERS, WORKFLOWS
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import Metadata
from tests.e2e.installed import Installed
from tests.e2e.manifests import QUOTA
from tests.e2e.replicas import await_governed
from tests.patience import PATIENCE

DENIED: Final = 'admission webhook "mutate.lockkeeper.dev" denied the request'

IN_QUEUE: Final = "Warning: lockkeeper: queued, about position "
AS_ARGO: Final = ("--as=system:serviceaccount:argo:argo", "--as-group=system:masters")
"""Who Argo's controller is, with all rights."""


class Seen(msgspec.Struct, frozen=True):
    """The parts of a stored Workflow that we may write."""

    metadata: Metadata
    spec: dict[str, object]
    status: dict[str, object] = {}

    @property
    def held(self) -> bool:
        """Whether it waits."""
        return (self.metadata.labels or {}).get(well_known.INSTANCE_ID) == well_known.HOLD_VALUE


def complaints(said: str) -> str:
    """Return what kubectl said on stderr, without what tells of a place in a queue: known or not yet."""
    return "".join(line for line in said.splitlines(keepends=True) if not line.startswith(IN_QUEUE))


def create(
    installed: Installed, namespace: str, text: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run `kubectl create -f -`."""
    return installed.site.kubectl.run("create", "-n", namespace, *options, "-f", "-", text=text)


def govern(installed: Installed, namespace: str, policy: str) -> None:
    """Create a policy and wait until it is in force everywhere."""
    installed.site.kubectl.said("create", "-n", namespace, "-f", "-", text=policy)
    await_governed(installed, namespace)


def stored(installed: Installed, namespace: str, name: str) -> Seen:
    """Return a Workflow as it is stored."""
    return msgspec.convert(installed.cluster.get(WORKFLOWS, name, namespace=namespace), Seen)


def names(installed: Installed, namespace: str) -> list[str]:
    """Return the names of the Workflows of a namespace."""
    found = installed.cluster.list(WORKFLOWS, namespace=namespace).items
    return sorted(msgspec.convert(each, Seen).metadata.name or "" for each in found)


def ledger(installed: Installed, namespace: str) -> JsonObject | None:
    """Return the ledger of a namespace, with the version of its last write."""
    try:
        return installed.cluster.get(QUOTA_LEDGERS, f"namespace.{namespace}")
    except NotFound:
        return None


def exceeded(namespace: str, *, used: int, limit: int) -> str:
    """Return what kubectl writes when a limit is full."""
    return (
        f'Error from server (Forbidden): error when creating "STDIN": {DENIED}: '
        f"[WorkflowQuota {namespace}/{QUOTA}] exceeded quota: {namespace}/{QUOTA}, requested: workflows=1, "
        f"used: workflows={used}, limited: workflows={limit}. "
        "Try again when a running Workflow has ended, or ask for a higher limit\n"
    )


def in_shell(installed: Installed, commands: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run commands as they are typed, where kubectl is on the PATH and finds its cluster."""
    site = installed.site
    around = {
        "PATH": f"{site.kubectl_program.parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(site.plane.kubeconfig),
        "HOME": str(site.folder),
        **environment,
    }
    return subprocess.run(  # noqa: S603 - what the chart prints
        ["/bin/sh", "-uc", commands],
        env=around,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
    )


def held(installed: Installed, namespace: str, name: str) -> bool:
    """Tell whether a Workflow waits."""
    return stored(installed, namespace, name).held


def complete(installed: Installed, namespace: str, name: str) -> None:
    """Let a Workflow be over as Argo writes it, and as Argo: of others it is not believed."""
    over = {
        "metadata": {"labels": {well_known.COMPLETED: "true", well_known.PHASE: "Succeeded"}},
        "status": {"phase": "Succeeded"},
    }
    text = msgspec.json.encode(over).decode()
    installed.site.kubectl.said("patch", f"wf/{name}", "-n", namespace, "--type=merge", "-p", text, *AS_ARGO)
