"""One run: everything is built from a seed, lives through the weather, and is judged at the end."""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from random import Random
from typing import Final

import msgspec

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.core.quota.ledger import RESERVATION_TTL
from policy.core.values.amounts import ZERO
from policy.service.leading.fences import Deposed
from policy.service.release.controller import IDLE_PASS
from tests.simulation.apiserver import ApiServer
from tests.simulation.choices import Choices
from tests.simulation.fleet import Fleet
from tests.simulation.lives import Life
from tests.simulation.network import Network
from tests.simulation.people import Argo, Author
from tests.simulation.policies import Book, version
from tests.simulation.processes import Parts
from tests.simulation.referee import Referee, Rule
from tests.simulation.scenario import LONGEST_RUN, Feature, Row, certain, draw
from tests.simulation.scheduler import SECOND, Actor, Scheduler
from tests.simulation.threads import virtual_threads
from tests.simulation.weather import MAX_SKEW, Sky, Weather

CALM: Final = 900 * SECOND
"""How long, without faults, everything may take that can still run: leaders change, late requests arrive."""
RETURN: Final = round((RESERVATION_TTL + IDLE_PASS).total_seconds()) * SECOND + 2 * MAX_SKEW + 10 * SECOND
"""The time stated for a slot held by nothing: the reservation's, one idle pass, and clocks that disagree."""
LOOK: Final = SECOND
MOST_STEPS: Final = 40_000


class Outcome(msgspec.Struct, frozen=True):
    """What a run came to; `taken` are the decisions that made it other than the plainest run."""

    seed: int
    rule: str
    finding: str
    steps: int
    faults: dict[str, int]
    crashes: dict[str, int]
    releases: int
    admissions: int
    virtual_seconds: int
    taken: tuple[str, ...] = ()
    trace: tuple[tuple[int, str, str], ...] = ()

    @property
    def digest(self) -> str:
        """A fingerprint of the whole trace."""
        return blake2b(repr(self.trace).encode(), digest_size=16).hexdigest()


class World:
    """The machines, the people and the referee of one run."""

    def __init__(self, choices: Choices, *, features: frozenset[Feature], parts: Parts) -> None:
        self.scheduler = Scheduler(died=self._died)
        self._features = features
        self.sky = Sky(scheduler=self.scheduler, choices=choices, weather=Weather.of(choices))
        self._scenario = draw(choices, features, long=self.sky.long)
        book = Book(version(1, self._scenario.quotas))
        self.referee = Referee(scheduler=self.scheduler, book=book, on_start=self._start, on_stop=self._stop)
        cluster = MemoryCluster(clock=partial(self.sky.clock, None), rng=Random(choices.seed))
        self._network = Network(
            cluster=cluster,
            scheduler=self.scheduler,
            sky=self.sky,
            choices=choices,
            witness=self.referee,
        )
        self._fleet = Fleet(network=self._network, choices=choices, book=book, parts=parts)
        self.sky.on_crash = self._fleet.crashed
        self._network.seen_by = self._fleet.seen_by
        self._rows = {row.name: row for row in _all(self._scenario.rows)}
        self._families: set[str] = set()
        self._argo = Argo(network=self._network)
        self._people: list[Actor] = []

    def run(self, most_steps: int) -> None:
        """Live through the storm and the calm; the first violation ends it."""
        self._populate()
        if not self._until(self.sky.storm, most_steps, lambda: False):
            self.sky.clear = True
            self.scheduler.note("the storm is over")
            if not self._until(CALM, most_steps, self._drained):
                self.referee.fail(Rule.DRAINED, self._undrained())
            elif not self._until(RETURN, most_steps, self._returned):
                self.referee.fail(Rule.RETURNED, str(self._kept()))

    def _populate(self) -> None:
        for quota in self._scenario.quotas:
            self.scheduler.note(str(quota))
        for number in range(self._scenario.webhooks):
            self._fleet.boot(f"webhook-{number + 1}")
        for number in range(self._scenario.controllers):
            self._fleet.boot(f"controller-{number + 1}")
        self._api = ApiServer(
            network=self._network,
            referee=self.referee,
            replicas=self._fleet.replicas,
            copied_marks=Feature.COPIED_MARKS in self._features,
        )
        for row in self._scenario.rows:
            author = Author(row=row, api=self._api, network=self._network)
            self._people.append(self.scheduler.spawn(f"author {row.name}", author.live, process=None))
            for number, twin in enumerate(row.twins):
                other = Author(row=row, api=self._api, network=self._network, twin=twin, number=number)
                name = f"twin {number} of {row.name}"
                self._people.append(self.scheduler.spawn(name, other.live, process=None))
        for edit in self._scenario.edits:
            act = partial(self._fleet.edit, edit.quotas)
            self._people.append(self.scheduler.spawn("admin", act, process=None, after=edit.at))

    def _start(self, life: Life) -> None:
        row = self._rows.get(life.name.partition("-")[0])
        self._argo.start(life, LONGEST_RUN if row is None else row.runs)
        if row is None or row.name in self._families:
            return
        self._families.add(row.name)
        for child in row.children:
            pod = Author(row=child, api=self._api, network=self._network, above=life)
            self._people.append(self.scheduler.spawn(f"pod {child.name}", pod.live, process=None))

    def _stop(self, life: Life) -> None:
        self._argo.stop(life)

    def _until(self, duration: int, most_steps: int, condition: Callable[[], bool]) -> bool:
        """Let time pass until the condition holds or a rule is broken; False when the time is over."""
        end = self.scheduler.now + duration
        while self.scheduler.now < end:
            self.scheduler.block(LOOK)
            if self.scheduler.failure is not None or condition():
                return True
            if self.sky.steps > most_steps:
                return False
        return False

    def _drained(self) -> bool:
        """Tell whether nobody is about to do anything, and nothing runs or waits."""
        self._fleet.rest()
        busy = any(not actor.done for actor in self._people) or self._network.in_flight
        return not busy and not any(life.live for life in self.referee.lives.values())

    def _undrained(self) -> str:
        live = [life for life in self.referee.lives.values() if life.live]
        waiting = ", ".join(f"{life} {'waits' if life.held else 'runs'}" for life in live)
        people = ", ".join(actor.name for actor in self._people if not actor.done)
        return f"{waiting or 'nothing is live'}; busy: {people or 'nobody'}; ledgers: {self._kept()}"

    def _kept(self) -> list[str]:
        """Return what ledgers still count or reserve."""
        found = []
        for root, status in self.referee.ledgers().items():
            found += [f"{root}: {line}" for line in status.accounts if line.usage != ZERO]
            found += [f"{root}: {each}" for each in status.reservations]
        return found

    def _returned(self) -> bool:
        """Tell whether every slot is back; nothing but time is needed for it, so elections rest."""
        self._fleet.rest()
        return not self._kept()

    def _died(self, actor: Actor, error: Exception) -> None:
        """Judge a thread that ended by an error: only a leader that was fenced off may."""
        self.scheduler.note(f"ends by {type(error).__name__}: {error}")
        if not isinstance(error, Deposed):
            self.referee.fail(Rule.ALIVE, f"{actor.name} ended by {error!r}")


def _all(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows, and what they create."""
    for row in rows:
        yield row
        yield from _all(row.children)


def simulate(
    seed: int,
    *,
    features: frozenset[Feature],
    parts: Parts,
    left_out: Collection[str] = (),
    most_steps: int = MOST_STEPS,
) -> Outcome:
    """Run one seed, without the decisions that are left out."""
    choices = Choices(seed, left_out=left_out, certain=certain(seed))
    world = World(choices, features=features, parts=parts)
    scheduler, sky, referee = world.scheduler, world.sky, world.referee
    with virtual_threads(scheduler):
        try:
            world.run(most_steps)
        finally:
            scheduler.close()
    found = scheduler.failure
    return Outcome(
        seed=seed,
        rule=found.rule if found is not None else "",
        finding=found.text if found is not None else "",
        steps=sky.steps,
        faults={fault.value: count for fault, count in sorted(sky.counts.items())},
        crashes=dict(sorted(sky.crashes.items())),
        releases=referee.releases,
        admissions=referee.admissions,
        virtual_seconds=scheduler.now // SECOND,
        taken=tuple(choices.taken),
        trace=tuple(scheduler.trace),
    )
