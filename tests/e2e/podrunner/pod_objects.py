"""Pods as the podrunner reads them: the fields that it acts on, and no others.

Names are those of the Pod API (core/v1). Whatever is not here is not honoured; `__main__.py` says what that
means for the settings of security.
"""

from enum import StrEnum

from policy.core.values.prepared import prepare
from tests.e2e.podrunner.object_parts import FieldPath, Metadata, Part
from tests.e2e.podrunner.probe_objects import Handler, Probe
from tests.e2e.podrunner.volume_objects import Volume


class RestartPolicy(StrEnum):
    """When a container that ended is started again."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class Key(Part, frozen=True):
    """One key of a ConfigMap or Secret, for the environment."""

    key: str
    name: str = ""
    optional: bool = False


class ValueFrom(Part, frozen=True):
    """Where the value of a variable is from: one of these."""

    field_ref: FieldPath | None = None
    config_map_key_ref: Key | None = None
    secret_key_ref: Key | None = None


class Variable(Part, frozen=True):
    """One variable of the environment."""

    name: str
    value: str = ""
    value_from: ValueFrom | None = None


class Source(Part, frozen=True):
    """A whole ConfigMap or Secret, for the environment."""

    name: str = ""
    optional: bool = False


class VariablesFrom(Part, frozen=True):
    """Variables from every key of an object."""

    prefix: str = ""
    config_map_ref: Source | None = None
    secret_ref: Source | None = None


class Lifecycle(Part, frozen=True):
    """What is done around the life of a container."""

    pre_stop: Handler | None = None
    post_start: Handler | None = None


class Capabilities(Part, frozen=True):
    """Capabilities to add to the runtime's usual ones, and to take from them."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SecurityContext(Part, frozen=True):
    """The security settings of one container."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool = False
    allow_privilege_escalation: bool = True
    privileged: bool = False
    capabilities: Capabilities = Capabilities()


class PodSecurityContext(Part, frozen=True):
    """The security settings of all containers of a Pod, where they do not have their own."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    fs_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()


class Port(Part, frozen=True):
    """A port that a container listens on."""

    container_port: int
    name: str = ""


class VolumeMount(Part, frozen=True):
    """Where a volume, or the part of it at `sub_path`, is seen."""

    name: str
    mount_path: str
    sub_path: str = ""
    read_only: bool = False


class Container(Part, frozen=True):
    """One container."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[Variable, ...] = ()
    env_from: tuple[VariablesFrom, ...] = ()
    ports: tuple[Port, ...] = ()
    volume_mounts: tuple[VolumeMount, ...] = ()
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle = Lifecycle()
    security_context: SecurityContext = SecurityContext()

    def port(self, wanted: int | str) -> int:
        """Return the number of a port. Raises LookupError for a name that no port has."""
        if isinstance(wanted, int):
            return wanted
        if wanted.isdecimal():
            return int(wanted)
        for port in self.ports:
            if port.name == wanted:
                return port.container_port
        raise LookupError(f"container {self.name} has no port {wanted}")


class PodSpec(Part, frozen=True):
    """What a Pod is to be."""

    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    node_name: str = ""
    hostname: str = ""
    service_account_name: str = "default"
    restart_policy: RestartPolicy = RestartPolicy.ALWAYS
    termination_grace_period_seconds: int = 30
    security_context: PodSecurityContext = PodSecurityContext()


class PodStatus(Part, frozen=True):
    """What a Pod was said to be."""

    phase: str = ""


class Pod(Part, frozen=True):
    """A Pod."""

    metadata: Metadata
    spec: PodSpec
    status: PodStatus = PodStatus()

    @property
    def key(self) -> str:
        """How the Pod is called in what people read."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def finished(self) -> bool:
        """Whether all its containers ended for good."""
        return self.status.phase in ("Succeeded", "Failed")


prepare(Pod)
