"""Kueue's scenario played without a cluster: what comes of it, and what the page says of that."""

import re

import pytest

from bench.processes import ROOT
from bench.queue_scenario import CLASSES, arrivals
from bench.queue_simulated import PlayedScenario, lower_bound, played, table, write_scenario

PART = 0.1


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> PlayedScenario:
    """Play a tenth of the scenario."""
    return played(*write_scenario(tmp_path_factory.mktemp("scenario"), arrivals(PART)))


def test_all_of_it_starts_and_nearly_as_early_as_any_order_can_end(part: PlayedScenario) -> None:
    """No capacity is left idle while somebody waits for it."""
    found = arrivals(PART)
    last = max(each.due for each in found) + max(each.seconds for each in CLASSES)
    assert {name: len(waits) for name, waits in part.waits.items()} == {
        each.name: sum(one.of == each.name for one in found) for each in CLASSES
    }
    assert max(last, lower_bound(found)) <= part.wall <= last + lower_bound(found) / 5


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> PlayedScenario:
    """Play all of it: some seconds."""
    return played(*write_scenario(tmp_path_factory.mktemp("whole"), arrivals(1.0)))


def test_the_page_has_what_the_whole_comes_to(whole: PlayedScenario) -> None:
    """The play is the same each time, so the page is held to each of its figures."""
    page = (ROOT / "docs" / "planning.md").read_text()
    block = re.search(r"<!-- queue-simulated: .*?```text\n(.*?)\n```", page, re.DOTALL)
    assert block is not None
    assert block[1] == table(arrivals(1.0), whole)


def test_the_highest_priorities_wait_least_when_there_is_no_room(whole: PlayedScenario) -> None:
    """Large ones have the highest priority, and small ones the lowest."""
    assert whole.mean("large") < whole.mean("medium") < whole.mean("small")
    assert whole.p99("large") <= max(whole.waits["large"])
