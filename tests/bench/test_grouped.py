"""The bench of planning with groups: that each end lets the next of the same key go."""

from bench.grouped import KEYS, Branches, measure


def test_the_next_of_the_key_that_ends_goes_and_no_other() -> None:
    """What is measured is what groups do."""
    branches = Branches()
    for key in ("main", "dev"):
        branches.add(key, runs=True)
        branches.add(key)
    branches.settle(0)
    assert [branches.live[each].label_pairs[0][1] for each in branches.running] == ["main", "dev"]
    assert branches.end(0, 1) == "main"
    branches.settle(1)
    assert [branches.live[each].label_pairs[0][1] for each in branches.running] == ["dev", "main"]


def test_the_queue_keeps_its_length() -> None:
    """Otherwise the figures of two lengths would be of shorter queues."""
    found = measure(KEYS, rounds=2, at_once=3)
    assert found.queued == KEYS
    assert found.releases_per_second > 0
