"""Histories and policies that are drawn at random, and a search over them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random

from lockkeeper.histories.history import RunHistory
from lockkeeper.histories.remarks import Remarks
from lockkeeper.suggesting.searching import Asked
from lockkeeper.suggesting.strategies.wanted_waits import wanted_wait
from lockkeeper.suggesting.strategies.ways import WayKind
from lockkeeper.suggesting.suggestion_search import Suggested, suggest
from policy.core.policies.snapshot import Snapshot
from policy.service.simulation.past_run import PastRun
from tests.lockkeeper.histories.past_runs import past_run

EVERY_WAY = frozenset({WayKind.LIMITS, WayKind.SHARES, WayKind.WINDOWS})


@contextmanager
def history(*runs: PastRun) -> Iterator[RunHistory]:
    """Return a history of some runs."""
    found = RunHistory("drawn", remarks=Remarks())
    for run in runs:
        found.add(run)
    try:
        yield found
    finally:
        found.close()


def drawn_runs(
    seed: int, *, count: int = 60, namespaces: Iterable[str] = ("team-a", "team-b")
) -> list[PastRun]:
    """Return runs that come together in some hours, of namespaces, users, sizes and templates."""
    random, names = Random(seed), list(namespaces)
    found = []
    for number in range(count):
        hour = random.choice((2, 2, 3, 9, 14))
        found.append(
            past_run(
                f"r-{number}",
                random.randrange(3) * 86_400 + hour * 3600 + random.randrange(2400),
                float(random.choice((60, 300, 900, 2400))),
                namespace=random.choice(names),
                user=random.choice(("ann", "bob")),
                tasks=random.choice((1, 2, 4)),
                template=random.choice(("daily", "load")),
            )
        )
    return found


def searched(
    runs: Iterable[PastRun],
    snapshot: Snapshot,
    *waits: str,
    kinds: frozenset[WayKind] = EVERY_WAY,
    keep_others: bool = True,
    processes: int = 1,
    most: int = 400,
    most_drawn: int = 2,
) -> Suggested:
    """Return what is suggested for some waits."""
    asked = Asked(tuple(map(wanted_wait, waits)), kinds, keep_others=keep_others)
    with history(*runs) as read:
        return suggest(
            read, snapshot, asked, load=None, processes=processes, most=most, most_drawn=most_drawn
        )
