"""Who joins a queue later: as many and such as came lately, where that matters."""

from datetime import UTC, datetime, timedelta
from itertools import islice

from policy.core.cluster_view.live_root import Arrival
from policy.core.cluster_view.newcomers import Newcomers
from policy.core.cluster_view.run_lengths import RunLengths, series_of
from policy.core.queue.ordering import Requirements, Waiter
from policy.core.values.amounts import Amount, Usage

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def came(number: int, *, minutes: int, priority: int = 0) -> Arrival:
    """Return one that came so many minutes ago."""
    waiter = Waiter(
        uid=f"w{number}",
        namespace="a",
        name=f"load-{number}",
        user="ann",
        priority=priority,
        created=NOW - minutes * MINUTE,
        arrival=number,
        needs=Requirements("a", Usage.of(Amount(1)), ()),
    )
    return Arrival(waiter, series_of("a", "load-bcdfg"))


def lengths(minutes: int = 10) -> RunLengths:
    """Return what is known of runs that took so long."""
    made = RunLengths()
    for _ in range(9):
        made.add(series_of("a", "load-bcdfg"), minutes * MINUTE, NOW)
    return made


def test_nobody_comes_where_none_may_pass_another() -> None:
    """They all are alike: one that comes is the last."""
    assert not Newcomers([came(each, minutes=each) for each in range(9)], lengths(), NOW)


def test_nobody_comes_where_few_came_lately() -> None:
    """Those of last week say nothing of today."""
    live = [came(each, minutes=9999, priority=each) for each in range(9)]
    assert not Newcomers(live, lengths(), NOW)
    assert not list(islice(Newcomers(live, lengths(), NOW).drawn(0), 1))


def test_as_many_come_as_came_lately() -> None:
    """Ten came within two runs; so in the next two runs about ten come, in the mean of all plays."""
    found = Newcomers([came(each, minutes=2 * each, priority=each % 2) for each in range(10)], lengths(), NOW)
    assert found
    counts = []
    for play in range(12):
        until = NOW + 20 * MINUTE
        coming = list(islice(found.drawn(play), 200))
        assert [each.waiter.created for each in coming] == sorted(each.waiter.created for each in coming)
        assert len({each.waiter.uid for each in coming}) == 200
        counts.append(sum(each.waiter.created < until for each in coming))
    assert 6 <= sum(counts) / len(counts) <= 14
    assert len(set(counts)) > 3, "how many is uncertain"


def test_each_play_is_the_same_each_time() -> None:
    """The numbers are derived from that of the play."""
    live = [came(each, minutes=each, priority=each % 2) for each in range(10)]
    one, other = (list(islice(Newcomers(live, lengths(), NOW).drawn(3), 20)) for _ in range(2))
    assert one == other
    assert one != list(islice(Newcomers(live, lengths(), NOW).drawn(4), 20))
