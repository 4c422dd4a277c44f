"""What `status`, `queue` and `why` cost on large clusters, and how they read these."""

import argparse
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from bench.looking import figures, large_cluster, last_that_waits
from lockkeeper.cli import queue, status, why
from lockkeeper.views.terminal import Terminal
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, Listing, Selection, Shape, Unread
from tests.policy.service.world import NOON


class Pages(MemoryCluster):
    """A cluster that notes how Workflows are listed."""

    def __init__(self, inner: MemoryCluster) -> None:
        self.__dict__.update(inner.__dict__)
        self.selections: list[Selection] = []

    def pages_as(self, selection: Selection, shape: type[Shape]) -> Iterator[Listing[Shape | Unread]]:
        """Note it, and pass on."""
        if selection.resource == WORKFLOWS:
            self.selections.append(selection)
        return super().pages_as(selection, shape)


def test_four_times_as_many_cost_about_four_times_as_much() -> None:
    """No command compares each with each; 20,000 are measured by `python -m bench.looking`."""
    small, large = (_least_of_two(size) for size in (300, 1200))
    for command, least in small.items():
        assert large[command] < 10 * max(least, 0.03), command


def _least_of_two(size: int) -> dict[str, float]:
    """Return the own CPU of each command on a cluster of a size: the smaller one, as others disturb one."""
    cluster, last = large_cluster(size, 3 * size), last_that_waits(size, 3 * size)
    first, second = (figures(cluster, last) for _ in range(2))
    return {each.command: min(each.own, other.own) for each, other in zip(first, second, strict=True)}


@pytest.mark.parametrize(("command", "words"), [(status, ()), (queue, ()), (why, None)])
def test_live_workflows_are_read_as_metadata_in_pages(
    command: ModuleType, words: tuple[str, ...] | None
) -> None:
    """Whole objects of 20,000 Workflows would be gigabytes."""
    cluster = Pages(large_cluster(20, 20))
    namespace, name = last_that_waits(20, 20)
    parser = argparse.ArgumentParser()
    command.configure(parser)
    arguments = parser.parse_args((name, "-n", namespace) if words is None else words)
    act: Callable[..., int] = command.act
    assert act(cluster, arguments, Terminal(), lambda: NOON) == 0
    assert cluster.selections
    assert all(each.metadata_only and each.labels for each in cluster.selections)
