"""Plays kubelet and kube-proxy on the control plane of a test: `python -m tests.e2e.podrunner SETTINGS`.

SETTINGS is a file with the `RunSettings` as JSON. It ends when its standard input is closed, and all that it
started ends with it, however it ends.

Two Nodes are made known and kept ready. Each Pod that is bound to them and has the label
app.kubernetes.io/name=lockkeeper gets an address in loopback and, for each container, a process in a mount, a
process, a host name and an IPC namespace of its own, with its volumes, environment, user, probes and hooks.
Services lead to such Pods as soon as they are ready, and until their deletion begins or their process ends.
Other Pods seem to run for a while.

Of the settings of security these are honoured: runAsUser, runAsGroup, runAsNonRoot, supplementalGroups,
fsGroup, readOnlyRootFilesystem, allowPrivilegeEscalation, capabilities. Without root of the machine there is
one user only, so the first two, the groups and the ports below 1024 cannot be had.
These are not: seccompProfile, appArmorProfile, seLinuxOptions, sysctls, procMount, hostUsers,
fsGroupChangePolicy, hostNetwork, hostPID, hostIPC, shareProcessNamespace; `privileged` gives capabilities and
no devices. NetworkPolicies do nothing: all Pods share the machine's network and may listen anywhere. Resource
limits do nothing but for the sizeLimit of an emptyDir in memory.

What else differs from a node: the file system of a container is this machine's (or an image's layer over it),
so it sees more than an image holds. Names of Services are in its hosts file. There is one try to start a
container after the other whatever the image is, as nothing is pulled. Probes by `exec` and `grpc`, postStart,
sidecars (restartPolicy of an init container), ephemeral containers, readinessGates, resourceFieldRef, other
kinds of volumes, and logs and exec through the API server do not exist; a Pod that needs one of the first two
does not start and its status says why. A grace period that is shortened later has no effect.
"""

import asyncio
import os
import shutil
import sys
from pathlib import Path
from typing import Final

import msgspec

from tests.e2e.podrunner import kernel
from tests.e2e.podrunner.run_settings import RunSettings
from tests.e2e.podrunner.runner import run
from tests.e2e.podrunner.running_as import can_switch

_STATE: Final = "/dev/shm"  # noqa: S108 - one that nobody else sees
"""Where a memory file system of our own lies. Containers have their own there, so it is in nobody's way."""
_INSIDE: Final = "--inside"


def main() -> None:
    """Go into a mount namespace of our own, and run there."""
    settings, *inside = sys.argv[1:]
    if inside != [_INSIDE]:
        _enter_namespace(settings)
    kernel.mount("podrunner", _STATE, kind="tmpfs", options="mode=711")
    decoded = msgspec.json.decode(Path(settings).read_bytes(), type=RunSettings)
    asyncio.run(run(decoded, state=Path(_STATE)))


def _enter_namespace(settings: str) -> None:
    """Become this program in a namespace of its own; its mounts, and the volumes in them, go with it."""
    unshare = shutil.which("unshare")
    if unshare is None:
        sys.exit("the podrunner needs the command unshare (util-linux)")
    rights = [] if can_switch() else ["--map-root-user"]
    again = [sys.executable, "-m", "tests.e2e.podrunner", settings, _INSIDE]
    os.execv(unshare, [unshare, *rights, "--mount", "--propagation", "private", *again])  # noqa: S606 - ourselves


if __name__ == "__main__":
    main()
