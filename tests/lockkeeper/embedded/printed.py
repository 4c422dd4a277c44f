"""A printer over a cluster in memory, for the tests of who tells a person what happens."""

import io
from datetime import UTC, datetime
from random import Random

from lockkeeper.embedded.event_printer import EventPrinter
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue


class PrintedCluster:
    """A printer over a cluster, whose events it sees when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.out = io.StringIO()
        self.cluster = MemoryCluster(clock=lambda: datetime.now(UTC), rng=Random(1))
        self.printer = EventPrinter(cluster=self.cluster, stopwatch=lambda: self.now, out=self.out)
        self._since = self.cluster.list(WORKFLOWS).resource_version

    def store(self, name: str, *, held: bool) -> JsonObject:
        """Store a Workflow."""
        labels: JsonObject = {well_known.INSTANCE_ID: well_known.HOLD_VALUE} if held else {}
        obj: JsonObject = {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "metadata": {"name": name, "labels": labels},
            "spec": {},
        }
        return self.cluster.create(WORKFLOWS, obj, namespace="here")

    def label(self, name: str, **labels: JsonValue) -> None:
        """Change labels of a Workflow."""
        value: JsonObject = {"metadata": {"labels": labels}}
        self.cluster.patch(WORKFLOWS, name, MergePatch(value), namespace="here")

    def see(self) -> None:
        """Let the printer see all that happened."""
        for event in self.cluster.watch(WORKFLOWS, since=self._since, timeout=0):
            self._since = event.resource_version
            self.printer._see(event)

    def told(self) -> list[str]:
        """Return the texts of the lines so far."""
        return [line.split(maxsplit=2)[2] for line in self.out.getvalue().splitlines()]
