"""The view of usage: the position of a new Workflow in the queue of its namespace."""

import pytest

from policy.core.quota.usage_view import NamespaceQueue, UsageView

NAMESPACE = "team-a"


@pytest.mark.parametrize(
    ("priority", "place"), [(5, (1, 7)), (2, (3, 7)), (1, (3, 7)), (0, (7, 7)), (-1, (7, 7))]
)
def test_a_new_workflow_is_behind_all_of_its_priority_and_above(
    priority: int, place: tuple[int, int]
) -> None:
    """Position and depth count the new Workflow itself."""
    view = UsageView(queues={NAMESPACE: NamespaceQueue({2: 2, 0: 4})})
    assert view.position_of_new(NAMESPACE, priority) == place


def test_the_first_of_a_namespace_is_first_of_one() -> None:
    """Queues of other namespaces do not count."""
    view = UsageView(queues={"team-b": NamespaceQueue({0: 9})})
    assert view.position_of_new(NAMESPACE, 0) == (1, 1)
