"""The product's processes of a run: started, crashed and started again, and told of new policies."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from policy.service.tracking.tracked import Tracked
from tests.simulation.choices import Choices
from tests.simulation.network import Network
from tests.simulation.policies import Book, Quota, Version
from tests.simulation.processes import Candidate, Machine, Parts, Replica
from tests.simulation.scheduler import MILLISECOND, SECOND, Process
from tests.simulation.weather import Fault

SHORTEST_RESTART: Final = 300 * MILLISECOND
LONGEST_RESTART: Final = 4 * SECOND
LONGEST_POLICY_LAG: Final = 3 * SECOND
ELECTION: Final = "election"


class Fleet:
    """All webhook replicas and controllers."""

    def __init__(self, *, network: Network, choices: Choices, book: Book, parts: Parts) -> None:
        self._network = network
        self._scheduler = network.scheduler
        self._choices = choices
        self._book = book
        self._parts = parts
        self._lifetimes: Counter[str] = Counter()
        self._replicas: dict[str, Replica] = {}
        self._candidates: dict[str, Candidate] = {}

    def replicas(self) -> list[Replica]:
        """Return the webhook replicas that are up."""
        return [each for each in self._replicas.values() if each.process.alive]

    def boot(self, name: str) -> None:
        """Start a process: `webhook-N` or `controller-N`."""
        self._lifetimes[name] += 1
        process = Process(f"{name}.{self._lifetimes[name]}")
        if name.startswith("webhook"):
            self._replicas[name] = Replica(
                process=process, network=self._network, book=self._book, parts=self._parts
            )
            return
        candidate = self._candidates[name] = Candidate(
            process=process, network=self._network, book=self._book, parts=self._parts
        )
        self._scheduler.spawn(f"{process.name}/{ELECTION}", candidate.elector.run, process=process)

    def crashed(self, process: Process) -> None:
        """Have a process started again after a while, with nothing in memory."""
        name = process.name.partition(".")[0]
        pause = self._choices.between(f"{process.name} restarts", SHORTEST_RESTART, LONGEST_RESTART)
        self._scheduler.spawn(f"kubelet {process.name}", lambda: self.boot(name), process=None, after=pause)

    def edit(self, quotas: Iterable[Quota]) -> None:
        """Put new quotas in force; every process sees them in its own time, and in order."""
        version = self._book.add(quotas)
        self._scheduler.note(f"{version.name}: {' '.join(map(str, version.quotas))}")
        for machine in self._machines():
            lag = 10 * MILLISECOND
            question = f"{machine.process.name} {version.name}"
            if self._network.sky.strikes(Fault.POLICY_LAG, self._choices.roll(question)[0], question):
                lag = self._network.sky.lateness(question, LONGEST_POLICY_LAG)
            self._tell(machine, version, lag)

    def seen_by(self, process: Process) -> tuple[Tracked, ...] | None:
        """Return what a controller has seen, None for other processes."""
        candidate = self._candidates.get(process.name.partition(".")[0])
        return candidate.seen() if candidate is not None and candidate.process is process else None

    def rest(self) -> None:
        """Let elections rest while exactly one controller is at work: nothing else would come of them."""
        leading = [each for each in self._candidates.values() if each.elector.leading]
        for each in self._candidates.values():
            for name, actor in each.process.actors.items():
                if name.endswith(ELECTION):
                    actor.frozen = len(leading) == 1

    def _machines(self) -> list[Machine]:
        return [*self._replicas.values(), *self._candidates.values()]

    def _tell(self, machine: Machine, version: Version, lag: int) -> None:
        def see() -> None:
            if int(machine.policies.name[1:]) < int(version.name[1:]):
                machine.see(version)

        name = f"policies {version.name} to {machine.process.name}"
        self._scheduler.spawn(name, see, process=None, after=lag)
