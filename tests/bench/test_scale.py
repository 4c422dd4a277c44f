"""The day of a large cluster: what docs/scale.md says is what the simulation gives."""

import pytest

from bench import scale
from bench.recording import RESULTS

WALLS = ("leader", "API servers")


def block() -> str:
    """Return what the page shows of the simulation."""
    return scale.PAGE.read_text().partition("```text\n")[2].partition("\n```")[0]


def test_the_page_shows_what_the_simulation_gives() -> None:
    """From the measured costs that are kept; nobody has edited a figure."""
    assert scale.report(scale.costs()) in scale.PAGE.read_text()


def test_what_the_page_shows_is_kept_with_date_and_commit() -> None:
    """So that it can be compared with later ones."""
    kept = [each.read_text() for each in sorted(RESULTS.glob("*-scale.txt"))]
    assert any(block() in each and each.startswith("Measured on ") for each in kept)


def test_the_leader_is_behind_first_and_the_api_servers_fail_next() -> None:
    """As the page says: at six times the day, and at twice that."""
    found = scale.walls(scale.costs())
    assert [found[each] for each in WALLS] == [6, 12]
    assert all(times > found["leader"] for name, times in found.items() if name != "leader")


def test_all_that_is_created_is_released_or_waits() -> None:
    """No Workflow is lost on the way, and no more run than limits allow."""
    day = scale.play(scale.WORKFLOWS, scale.costs())
    assert sum(scale.arrivals(scale.WORKFLOWS)) == pytest.approx(scale.WORKFLOWS)
    assert day.most_running <= scale.SLOTS * scale.WORKFLOWS * scale.RUNS / scale.DAY + 1
    assert day.left <= day.most_waiting


def test_more_work_than_capacity_waits_and_is_done_later() -> None:
    """A station does in a second what it can."""
    station = scale.Station("any", 2.0)
    for now, seconds in enumerate((6.0, 0.0, 0.0)):
        station.work(seconds, now)
    assert (station.longest, station.waiting) == (2.0, 0.0)
