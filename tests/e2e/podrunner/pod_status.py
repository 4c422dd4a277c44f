"""The status of a Pod, as a kubelet would write it for what its containers are."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from policy.core.objects.json_patch import JsonObject
from tests.e2e.podrunner.container_life import ContainerLife, Ended, Running, State, Waiting
from tests.e2e.podrunner.pod_fields import Place
from tests.e2e.podrunner.pod_objects import Pod

FAILED: Final = "Failed"
SUCCEEDED: Final = "Succeeded"
RUNNING: Final = "Running"
PENDING: Final = "Pending"


def stamp(moment: datetime) -> str:
    """Return a time as the API writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class PodStatusWriter:
    """Writes the status of one Pod; it remembers since when each condition holds."""

    def __init__(self, *, pod: Pod, place: Place, begun: datetime) -> None:
        self._pod = pod
        self._place = place
        self._begun = begun
        self._since: dict[str, tuple[bool, str]] = {}

    def status(
        self,
        first: Sequence[ContainerLife],
        main: Sequence[ContainerLife],
        *,
        stopping: bool,
        now: datetime,
    ) -> JsonObject:
        """Return the status; `first` are the init containers, and a Pod that is stopping is not ready."""
        initialized = all(_succeeded(life) for life in first)
        ready = initialized and not stopping and bool(main) and all(life.ready for life in main)
        conditions = {
            "PodReadyToStartContainers": True,
            "Initialized": initialized,
            "ContainersReady": ready,
            "Ready": ready,
        }
        return {
            "phase": phase(first, main),
            "podIP": self._place.pod_ip,
            "podIPs": [{"ip": self._place.pod_ip}],
            "hostIP": self._place.node_ip,
            "hostIPs": [{"ip": self._place.node_ip}],
            "startTime": stamp(self._begun),
            "conditions": [self._condition(name, holds, now) for name, holds in conditions.items()],
            "initContainerStatuses": [_container(life, stopping=stopping) for life in first],
            "containerStatuses": [_container(life, stopping=stopping) for life in main],
        }

    def _condition(self, name: str, holds: bool, now: datetime) -> JsonObject:  # noqa: FBT001 - what it says
        before = self._since.get(name)
        if before is None or before[0] != holds:
            self._since[name] = before = (holds, stamp(now))
        said: JsonObject = {
            "type": name,
            "status": "True" if holds else "False",
            "lastTransitionTime": before[1],
        }
        # A merge keeps what is not said, so the reason is taken away where there is none.
        said["reason"] = None if holds else "ContainersNotReady"
        return said


def phase(first: Sequence[ContainerLife], main: Sequence[ContainerLife]) -> str:
    """Return the phase of a Pod."""
    if any(life.for_good and not _succeeded(life) for life in first):
        return FAILED
    if main and all(life.for_good and life.last is not None for life in main):
        return SUCCEEDED if all(_succeeded(life) for life in main) else FAILED
    begun = all(isinstance(life.state, Running) or life.last is not None for life in main)
    return RUNNING if begun else PENDING


def _succeeded(life: ContainerLife) -> bool:
    return life.for_good and life.last is not None and life.last.code == 0


def _container(life: ContainerLife, *, stopping: bool) -> JsonObject:
    said: JsonObject = {
        "name": life.container.name,
        "image": life.container.image,
        "imageID": life.container.image,
        "ready": life.ready and not stopping,
        "started": life.started,
        "restartCount": life.restarts,
        "state": _state(life.state),
    }
    if life.last is not None and life.last is not life.state:
        said["lastState"] = _state(life.last)
    return said


def _state(state: State) -> JsonObject:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason, "message": message}}
        case Running(since):
            return {"running": {"startedAt": stamp(since)}}
        case Ended(code, begun, ended, message):
            terminated: JsonObject = {
                "exitCode": code,
                "reason": "Completed" if code == 0 else "Error",
                "startedAt": stamp(begun),
                "finishedAt": stamp(ended),
            }
            if message:
                terminated["message"] = message
            return {"terminated": terminated}
