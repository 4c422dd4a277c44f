"""The cluster as one process sees it: behind a network that loses, delays and repeats what it carries.

Every call is two await points, the way there and the way back; between them the call happens at once, and the
witness sees what it did.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from policy.cluster.errors import ClusterError, Conflict, Gone, TooManyRequests, Unavailable
from policy.cluster.protocol import JsonPatch, Listing, Patch, Preconditions, Resource, WatchEvent
from policy.cluster.shaped_reads import Shaping
from policy.core.objects.json_patch import JsonObject, Op
from policy.service.leading.leader_election import LEASES
from tests.simulation.choices import Roll
from tests.simulation.network import Network, Sender
from tests.simulation.scheduler import SECOND, Process
from tests.simulation.threads import ticks
from tests.simulation.weather import Fault

T = TypeVar("T")
LONGEST_DELAY: Final = 40 * SECOND
"""How late a request may still arrive whose sender gave up."""
LONGEST_LAG: Final = 4 * SECOND
"""How far a watch lags behind now and then."""
LONGEST_SILENCE: Final = 90 * SECOND
"""How long a watch may say nothing in a long storm: its connection is half open until somebody notices."""


class Client(Shaping):
    """A `Cluster` for one process (None for people and Argo, whose calls only take time)."""

    def __init__(self, network: Network, process: Process | None) -> None:
        self._network = network
        self._process = process

    def get(self, resource: Resource, name: str, *, namespace: str = "") -> JsonObject:
        inner = self._network.cluster
        return self._call(
            f"get {resource.plural} {name}", lambda: inner.get(resource, name, namespace=namespace)
        )

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        def run() -> Listing[JsonObject]:
            return self._network.cluster.list(
                resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
            )

        return self._call(f"list {resource.plural}", run)

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
        timeout: float = 60.0,
    ) -> Iterator[WatchEvent[JsonObject]]:
        del namespace, name
        self._call(f"watch {resource.plural} since {since}", lambda: None)
        network, scheduler = self._network, self._network.scheduler
        end = scheduler.now + (ticks(timeout) or 0)
        while scheduler.now < end:
            events = list(
                network.cluster.watch(
                    resource, since=since, labels=labels, metadata_only=metadata_only, timeout=0
                )
            )
            for event in events:
                if self._event_travels():
                    return
                since = event.resource_version
                yield event
            if not events:
                network.moved.wait(end - scheduler.now)

    def create(
        self, resource: Resource, obj: JsonObject, *, namespace: str = "", dry_run: bool = False
    ) -> JsonObject:
        del dry_run
        what = f"create {resource.plural} {_name(obj)}"
        return self._write(
            what, resource, lambda: self._network.cluster.create(resource, obj, namespace=namespace)
        )

    def replace(self, resource: Resource, obj: JsonObject) -> JsonObject:
        what = f"replace {resource.plural} {_name(obj)}"
        return self._write(what, resource, lambda: self._network.cluster.replace(resource, obj))

    def patch(
        self, resource: Resource, name: str, patch: Patch, *, namespace: str = "", subresource: str = ""
    ) -> JsonObject:
        del subresource
        what = f"patch {resource.plural} {namespace}/{name}{_shown(patch)}"
        return self._write(
            what,
            resource,
            lambda: self._network.cluster.patch(resource, name, patch, namespace=namespace),
        )

    def delete(
        self,
        resource: Resource,
        name: str,
        *,
        namespace: str = "",
        preconditions: Preconditions | None = None,
    ) -> None:
        sender = self._sender()

        def run() -> None:
            network = self._network
            network.cluster.delete(resource, name, namespace=namespace, preconditions=preconditions)
            network.wrote(resource, None, sender, gone=f"{namespace}/{name}")

        self._call(f"delete {resource.plural} {namespace}/{name}", run)

    def _sender(self) -> Sender:
        policies = self._network.scheduler.current.memory.get("policies", "")
        if self._process is None:
            return Sender("", policies)
        return Sender(self._process.name, policies, self._network.seen_by(self._process))

    def _write(self, what: str, resource: Resource, run: Callable[[], JsonObject]) -> JsonObject:
        sender = self._sender()

        def write() -> JsonObject:
            stored = run()
            self._network.wrote(resource, stored, sender)
            return stored

        return self._call(what, write, writes=True)

    def _call(self, what: str, run: Callable[[], T], *, writes: bool = False) -> T:
        """Carry a call there and back. Raises what the cluster or the network makes of it."""
        network = self._network
        question = f"{network.scheduler.current.name}.{network.scheduler.current.turns} {what[:7]}"
        roll = network.choices.roll(question)
        self._lose(what, run, question, roll, writes=writes)
        network.sky.moment()
        if writes and network.sky.strikes(Fault.CONFLICT, roll[3], question):
            network.scheduler.note(f"{what}: conflict")
            raise Conflict("the object has been modified: somebody was faster")
        answer = self._happen(what, run)
        if writes and network.sky.strikes(Fault.TWICE, roll[4], question):
            self._later(what, run, network.sky.lateness(question, LONGEST_DELAY))
        network.sky.moment()
        if writes and network.sky.strikes(Fault.ANSWER_LOST, roll[5], question):
            network.scheduler.note(f"{what}: its answer is lost")
            raise Unavailable("the connection broke after the request was sent")
        return answer

    def _lose(self, what: str, run: Callable[[], object], question: str, roll: Roll, *, writes: bool) -> None:
        """Lose the request, for good or until later. Raises Unavailable or TooManyRequests."""
        network = self._network
        if network.sky.cut_off(self._process) and LEASES.plural in what:
            network.sky.moment()
            raise Unavailable("the API server cannot be reached")
        late = writes and network.sky.strikes(Fault.LATE, roll[0], question)
        if late:
            self._later(what, run, network.sky.lateness(question, LONGEST_DELAY))
        if late or network.sky.strikes(Fault.LOST, roll[1], question):
            network.scheduler.note(f"{what}: no answer")
            network.sky.moment()
            raise Unavailable("no answer came in time")
        if network.sky.strikes(Fault.THROTTLED, roll[2], question):
            network.sky.moment()
            raise TooManyRequests("come back later")

    def _later(self, what: str, run: Callable[[], object], delay: int) -> None:
        scheduler = self._network.scheduler
        scheduler.note(f"{what}: will arrive {delay / SECOND:.3f} s from now as well")

        def arrive() -> None:
            self._network.in_flight -= 1
            try:
                self._happen(what, run)
            except ClusterError:
                return

        self._network.in_flight += 1
        scheduler.spawn(f"late {scheduler.current.name}", arrive, process=None, after=delay)

    def _happen(self, what: str, run: Callable[[], T]) -> T:
        scheduler = self._network.scheduler
        try:
            answer = run()
        except ClusterError as error:
            scheduler.note(f"{what}: {type(error).__name__}")
            raise
        scheduler.note(what)
        return answer

    def _event_travels(self) -> bool:
        """Let an event take its time; tells whether the watch ended instead. Raises Unavailable, Gone."""
        network = self._network
        actor = network.scheduler.current
        question = f"{actor.name}.{actor.turns} event"
        roll = network.choices.roll(question)
        if network.sky.strikes(Fault.WATCH_BROKEN, roll[0], question):
            network.scheduler.note("the watch breaks")
            raise Unavailable("the watch broke")
        if network.sky.strikes(Fault.WATCH_GONE, roll[1], question):
            network.scheduler.note("the watch is Gone")
            raise Gone("too old resource version")
        if network.sky.strikes(Fault.WATCH_ENDED, roll[2], question):
            return True
        if network.sky.strikes(Fault.STALE_WATCH, roll[3], question):
            longest = LONGEST_SILENCE if network.sky.long else LONGEST_LAG
            network.scheduler.pause(network.sky.lateness(question, longest))
        else:
            network.sky.moment()
        return False


def _name(obj: JsonObject) -> str:
    metadata = obj.get("metadata")
    return str(metadata.get("name") or metadata.get("generateName")) if isinstance(metadata, dict) else ""


def _shown(patch: Patch) -> str:
    """Return what a patch is for, in a word."""
    if not isinstance(patch, JsonPatch):
        return ""
    changes = [each.path.rpartition("/")[2] for each in patch.operations if each.op is not Op.TEST]
    return f" ({', '.join(changes)})"
