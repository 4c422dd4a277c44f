"""The Nodes that the podrunner plays: made known, kept ready, and gone with it."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final

from policy.cluster.errors import ClusterError
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.podrunner.api import NODES, Api, Tell, insist
from tests.e2e.podrunner.pod_status import stamp

LEASES_OF_NODES: Final = "kube-node-lease"
HEARTBEAT: Final = 10.0
"""Seconds between two signs of life; after 50 without any the control plane takes a node for dead."""
_LEASE_SECONDS: Final = 40
_CAPACITY: Final[JsonObject] = {
    "cpu": "32",
    "memory": "64Gi",
    "ephemeral-storage": "100Gi",
    "pods": "1000",
}
_KUBELET_PORT: Final = 10250
_BLOCKS: Final = range(1, 255)
_LAST: Final = 254


class Addresses:
    """A block of loopback addresses, 127.1.x.y, that belongs to one podrunner of this machine.

    The node's own, 127.1.x.1, is held by a socket, so that podrunners side by side have different blocks.
    """

    def __init__(self, *, holder: socket.socket, block: int) -> None:
        self._holder = holder
        self._block = block
        self._taken: set[int] = set()
        self._latest = 1

    @property
    def node(self) -> str:
        """The address of the nodes."""
        return f"127.1.{self._block}.1"

    def take(self) -> str:
        """Return an address that no Pod has; one that was given back rests as long as possible."""
        for step in range(_LAST - 1):
            number = (self._latest - 1 + step) % (_LAST - 1) + 2
            if number not in self._taken:
                self._taken.add(number)
                self._latest = number
                return f"127.1.{self._block}.{number}"
        raise LookupError("all addresses of this podrunner are taken")

    def give_back(self, address: str) -> None:
        """Let others have the address."""
        self._taken.discard(int(address.rpartition(".")[2]))


def take_block() -> Addresses:
    """Return a block of addresses that no other podrunner of this machine has. Raises LookupError."""
    for block in _BLOCKS:
        holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            holder.bind((f"127.1.{block}.1", _KUBELET_PORT))
        except OSError:
            holder.close()
            continue
        return Addresses(holder=holder, block=block)
    raise LookupError("there are too many podrunners on this machine")


class Nodes:
    """Keeps the Nodes ready."""

    def __init__(
        self, *, api: Api, names: Sequence[str], address: str, clock: Callable[[], datetime], tell: Tell
    ) -> None:
        self._api = api
        self._names = names
        self._address = address
        self._clock = clock
        self._tell = tell
        self._since = stamp(clock())

    async def beat(self) -> None:
        """Say once that every node lives."""
        for name in self._names:
            alive = partial(self._alive, name)
            await insist(alive, what=f"node {name}", tell=self._tell)

    async def run(self) -> None:
        """Say so again and again, until cancelled."""
        while True:
            await asyncio.sleep(HEARTBEAT)
            await self.beat()

    def remove(self) -> None:
        """Take the nodes away, so that nothing is bound to them any more."""
        for name in self._names:
            with suppress(ClusterError):
                self._api.cluster.delete(NODES, name)

    def _alive(self, name: str) -> None:
        self._api.node(_node(name), name, self._status())
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: JsonObject = {
            "holderIdentity": name,
            "leaseDurationSeconds": _LEASE_SECONDS,
            "renewTime": now,
        }
        self._api.lease(LEASES_OF_NODES, name, spec)

    def _status(self) -> JsonObject:
        pressures = ("MemoryPressure", "DiskPressure", "PIDPressure")
        conditions = [("Ready", "True"), *((name, "False") for name in pressures)]
        said: list[JsonValue] = [
            {
                "type": name,
                "status": status,
                "reason": "PodrunnerIsHere",
                "lastHeartbeatTime": stamp(self._clock()),
                "lastTransitionTime": self._since,
            }
            for name, status in conditions
        ]
        return {
            "capacity": _CAPACITY,
            "allocatable": _CAPACITY,
            "addresses": [{"type": "InternalIP", "address": self._address}],
            "conditions": said,
        }


def _node(name: str) -> JsonObject:
    labels: JsonObject = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/region": "loopback",
        "topology.kubernetes.io/zone": name,
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": {}}
