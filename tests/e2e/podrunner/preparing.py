"""From a Pod's container to a confinement: what it runs, as whom, and what it sees."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from tests.e2e.building import ROOT
from tests.e2e.podrunner.configuration import Configuration
from tests.e2e.podrunner.confinement import Confinement, Mount
from tests.e2e.podrunner.environment import command_line, environment
from tests.e2e.podrunner.pod_fields import Place
from tests.e2e.podrunner.pod_objects import Container, Pod
from tests.e2e.podrunner.pod_volumes import PodVolumes
from tests.e2e.podrunner.probing import check_of
from tests.e2e.podrunner.refusals import Refused
from tests.e2e.podrunner.run_settings import USUAL_PATH, Image
from tests.e2e.podrunner.running_as import identity

_HOSTS: Final = "/etc/hosts"
_HERE: Final = (str(ROOT / "lockkeeper"), sys.base_prefix, sys.executable, os.path.realpath(sys.executable))
"""The project and the interpreter of these tests: what entry points of a virtual environment need."""


class Preparing(msgspec.Struct, frozen=True):
    """What the confinements of all containers have in common.

    `server` is host and port of the API server, `scratch` an empty folder, `switch` whether processes can run
    as any user here.
    """

    image: Image
    server: tuple[str, str]
    scratch: Path
    hosts: Path
    configuration: Configuration
    switch: bool

    def confinement(self, pod: Pod, container: Container, place: Place, volumes: PodVolumes) -> Confinement:
        """Return how to start a container. Raises Refused while, or because, it cannot be started."""
        _check_hooks(container, place.pod_ip)
        hostname = pod.spec.hostname or pod.metadata.name
        host, port = self.server
        given = {"PATH": USUAL_PATH, "HOME": "/", **self.image.environment, "HOSTNAME": hostname}
        given |= {
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
            "KUBERNETES_SERVICE_PORT_HTTPS": port,
        }
        values = environment(pod, container, given=given, place=place, configuration=self.configuration)
        command = command_line(container, self.image.entry_point, values)
        mounts = (*volumes.mounts(container), Mount(str(self.hosts), _HOSTS))
        return Confinement(
            command=command,
            environment=values,
            folder=container.working_dir or self.image.workdir,
            hostname=hostname,
            scratch=str(self.scratch),
            identity=identity(pod, container, image_user=self.image.user, switch=self.switch),
            mounts=(*mounts, *_shown_again(mounts)),
            read_only_root=container.security_context.read_only_root_filesystem,
            layer=self.image.layer,
            reachable=tuple(path for path in (*_HERE, command[0]) if Path(path).is_absolute()),
        )


def _shown_again(mounts: tuple[Mount, ...]) -> Iterator[Mount]:
    """Yield what a volume would hide of the project and its interpreter: one at /tmp hides a checkout there.

    An image has its program where no volume comes; here it lies wherever somebody has cloned the project.
    """
    for needed in (str(ROOT), sys.base_prefix):
        if any(Path(needed).is_relative_to(each.target) for each in mounts):
            yield Mount(needed, needed, read_only=True)


def _check_hooks(container: Container, ip: str) -> None:
    """Raise Refused for a probe or a hook that cannot be made, before anything runs."""
    probes = (container.startup_probe, container.readiness_probe, container.liveness_probe)
    for probe in probes:
        if probe is not None:
            check_of(probe, container, ip)
    before = container.lifecycle.pre_stop
    if before is not None and before.sleep is None:
        check_of(before, container, ip)
    if container.lifecycle.post_start is not None:
        raise Refused(f"container {container.name}: the podrunner has no postStart")
