"""Pods as the chart writes them, and the restricted Pod Security Standard as a list of what they break.

https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from tests.charts.rendering import Manifest, Rendered

VOLUME_TYPES: Final = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
SECCOMP: Final = {"RuntimeDefault", "Localhost"}


class Capabilities(msgspec.Struct, frozen=True):
    """What a container may do beyond its user's rights."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class Seccomp(msgspec.Struct, frozen=True):
    """The filter of system calls."""

    type: str = ""


class ContainerSecurity(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A container's securityContext; a field that is not listed here is one that the standard may forbid."""

    allow_privilege_escalation: bool = True
    read_only_root_filesystem: bool = False
    capabilities: Capabilities = Capabilities()


class PodSecurity(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A Pod's securityContext; likewise."""

    run_as_non_root: bool = False
    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None
    seccomp_profile: Seccomp = Seccomp()


class HttpGet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a probe looks. There is no host: the standard forbids one."""

    path: str
    port: str
    scheme: str


class Probe(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A probe over HTTP; `exec` would be another field, and is refused with it."""

    http_get: HttpGet
    period_seconds: int
    timeout_seconds: int
    failure_threshold: int


class Sleep(msgspec.Struct, frozen=True):
    """The kubelet's own sleep."""

    seconds: int


class PreStop(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What happens before a container is told to stop."""

    sleep: Sleep


class Lifecycle(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """The hooks of a container."""

    pre_stop: PreStop


class Port(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A port of a container. There is no hostPort."""

    name: str
    container_port: int
    protocol: str


class Field(msgspec.Struct, frozen=True, rename="camel"):
    """A field of the Pod."""

    field_path: str


class From(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Where a variable comes from: the Pod itself, and nothing else."""

    field_ref: Field


class Variable(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A variable."""

    name: str
    value_from: From


class Mount(msgspec.Struct, frozen=True, rename="camel"):
    """Where a volume is seen."""

    name: str
    mount_path: str
    read_only: bool = False


class Resources(msgspec.Struct, frozen=True):
    """What a container asks for, and may take."""

    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class Container(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A container; `command` is no field of it, because the image's entry point is what is run."""

    name: str
    image: str
    image_pull_policy: str
    args: tuple[str, ...]
    security_context: ContainerSecurity
    resources: Resources = Resources()
    env: tuple[Variable, ...] = ()
    ports: tuple[Port, ...] = ()
    volume_mounts: tuple[Mount, ...] = ()
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """A Pod's spec, as far as anything is said about it."""

    service_account_name: str
    containers: tuple[Container, ...]
    security_context: PodSecurity
    enable_service_links: bool = True
    automount_service_account_token: bool = True
    volumes: tuple[dict[str, str | dict[str, str]], ...] = ()
    init_containers: tuple[Container, ...] = ()
    host_network: bool = False
    host_pid: bool = msgspec.field(default=False, name="hostPID")
    host_ipc: bool = msgspec.field(default=False, name="hostIPC")
    termination_grace_period_seconds: int = 30
    topology_spread_constraints: tuple[dict[str, int | str | dict[str, dict[str, str]]], ...] = ()
    image_pull_secrets: tuple[dict[str, str], ...] = ()
    priority_class_name: str = ""
    node_selector: dict[str, str] = {}
    affinity: dict[str, dict[str, object]] = {}
    tolerations: tuple[dict[str, str], ...] = ()

    @property
    def only(self) -> Container:
        """The one container."""
        (container,) = self.containers
        return container


def pod_of(manifest: Manifest) -> PodSpec:
    """Return the spec of a Pod, or of a Deployment's Pods."""
    path = ("spec",) if manifest.kind == "Pod" else ("spec", "template", "spec")
    return manifest.read(PodSpec, *path)


def pods(rendered: Rendered) -> dict[str, PodSpec]:
    """Return all Pods of a rendering, by whose they are."""
    return {each.id: pod_of(each) for each in rendered.all("Pod", "Deployment")}


def breaches(pod: PodSpec) -> Iterator[str]:
    """Yield each control of the standard that a Pod breaks; types above refuse fields that would be more."""
    if pod.host_network or pod.host_pid or pod.host_ipc:
        yield "Host Namespaces"
    for volume in pod.volumes:
        if not volume.keys() - {"name"} <= VOLUME_TYPES:
            yield f"Volume Types: {volume}"
    if not pod.security_context.run_as_non_root:
        yield "Running as Non-root"
    if pod.security_context.run_as_user == 0:
        yield "Running as Non-root user"
    if pod.security_context.seccomp_profile.type not in SECCOMP:
        yield "Seccomp"
    for container in (*pod.containers, *pod.init_containers):
        if container.security_context.allow_privilege_escalation:
            yield f"Privilege Escalation: {container.name}"
        capabilities = container.security_context.capabilities
        if "ALL" not in capabilities.drop or set(capabilities.add) - {"NET_BIND_SERVICE"}:
            yield f"Capabilities: {container.name}"
