"""What the page shows of a view: bars, samples over time, and conditions of policies."""

from datetime import timedelta

import msgspec
import pytest

from lockkeeper.page.overview import overview, totals
from lockkeeper.page.queue_rows import Filters, choices, queue_page
from lockkeeper.page_state.history import History
from lockkeeper.page_state.policy_rows import read_policies
from policy.cluster.errors import Forbidden
from policy.cluster.protocol import STATUS, WORKFLOW_QUOTAS, JsonPatch
from policy.core.cluster_view.view import ClusterView
from policy.core.objects.json_patch import JsonObject, JsonValue, Op, PatchOp, pointer
from policy.service.reading.cluster_views import cluster_view
from tests.policy.service.reading.read_cluster import RightsIn, Scene
from tests.policy.service.world import NOON, complete, member, pool, quota


def view_of(scene: Scene) -> ClusterView:
    """Return the view of all of it."""
    return cluster_view(scene.roots())


def test_a_bar_tells_own_borrowed_and_reserved_apart() -> None:
    """A member that went beyond its own quota uses what is others' while they do not need it."""
    scene = Scene(
        pool("data", workflows=4, borrows=2),
        member("a", "data"),
        member("b", "data"),
        quota("a", "main", workflows=1),
    )
    for name in ("a1", "a2", "a3"):
        scene.submit(name)
    scene.leader.work()
    rows = {each.row.label: each for each in overview(view_of(scene))}
    bar = rows["pool data"].workflows
    assert (bar.used, bar.limit, bar.own, bar.borrowed, bar.full) == (3, 4, 25.0, 50.0, False)
    assert rows["pool data"].borrowed == 2


def test_what_is_released_and_not_started_is_reserved() -> None:
    """A reader sees it before the leader has let it go."""
    scene = Scene(quota("a", "main", workflows=1))
    for name in ("r", "w"):
        scene.submit(name)
    scene.leader.work()
    complete(scene.cluster, "r", namespace="a")
    view = view_of(scene)
    [row] = overview(view)
    assert (row.reserved, row.workflows.own, row.workflows.reserved) == (1, 0.0, 100.0)
    assert (totals(view).running, totals(view).starting) == (0, 1)


def test_no_limit_has_no_bar() -> None:
    """Only a number."""
    scene = Scene(quota("a", "main", workflows=2))
    scene.submit("r", tasks=None)
    [row] = overview(view_of(scene))
    assert row.tasks.limit is None


def test_samples_are_some_seconds_apart_and_charts_have_steps() -> None:
    """A figure holds until the next sample."""
    scene = Scene(quota("a", "main", workflows=1))
    scene.submit("r")
    scene.leader.work()
    history = History()
    assert history.charts() == []
    first = view_of(scene)
    history.record(first, NOON)
    mark = history.mark
    history.record(first, NOON + timedelta(seconds=4))
    assert history.mark == mark
    scene.submit("w")
    scene.leader.work()
    history.record(view_of(scene), NOON + timedelta(seconds=10))
    assert history.mark != mark
    [chart] = history.charts()
    assert (chart.label, chart.most_running, chart.most_queued, chart.top) == ("a/main", 1, 1, 1)
    assert chart.queued == "M0.0 100.0H600.0V0.0H600"
    assert chart.running == "M0.0 0.0H600"


def test_a_quota_that_is_new_has_a_shorter_line() -> None:
    """And one that is gone has none."""
    scene = Scene(quota("a", "main", workflows=1))
    history = History()
    history.record(view_of(scene), NOON)
    other = Scene(quota("b", "new"))
    history.record(view_of(other), NOON + timedelta(seconds=10))
    [chart] = history.charts()
    assert (chart.label, chart.limit, chart.begin) == ("b/new", "", NOON + timedelta(seconds=10))


def with_conditions(scene: Scene, conditions: list[JsonValue], observed: int) -> None:
    """Write conditions into the status of the quota of a scene."""
    status: JsonObject = {"conditions": conditions, "observedGeneration": observed}
    patch = JsonPatch((PatchOp(Op.ADD, pointer("status"), status),))
    scene.cluster.patch(WORKFLOW_QUOTAS, "main", patch, namespace="a", subresource=STATUS)


@pytest.mark.parametrize(
    ("type_", "status", "good"),
    [
        ("Ready", "True", True),
        ("Ready", "False", False),
        ("Conflicting", "False", True),
        ("Invalid", "True", False),
    ],
)
def test_a_condition_is_good_or_not_by_its_type(type_: str, status: str, good: bool) -> None:  # noqa: FBT001 - a parameter
    """Ready is good where it is true, the others where they are not."""
    scene = Scene(quota("a", "main", workflows=1))
    with_conditions(scene, [{"type": type_, "status": status, "reason": "R", "message": "m"}], 99)
    [row], unread = read_policies(scene.cluster, "")
    assert (row.good, row.conditions[0].good, row.seen, unread) == (good, good, True, ())


def test_a_policy_that_was_written_since_is_not_fine() -> None:
    """What the controller said is about the one before."""
    scene = Scene(quota("a", "main", workflows=1))
    with_conditions(scene, [{"type": "Ready", "status": "True"}], 0)
    [row], _ = read_policies(scene.cluster, "")
    assert (row.seen, row.good) == (False, False)


def test_kinds_without_the_right_are_told() -> None:
    """The others are shown."""
    scene = Scene(quota("a", "main", workflows=1))
    rows, unread = read_policies(RightsIn(scene.cluster, {"a"}), "a")
    assert [each.name for each in rows] == ["main"]
    assert len(unread) == 2
    with pytest.raises(Forbidden):
        RightsIn(scene.cluster, {"a"}).list(WORKFLOW_QUOTAS)


def test_pages_end_with_the_rest() -> None:
    """And a page beyond the last is the last."""
    scene = Scene(quota("a", "main", workflows=1))
    scene.submit("r")
    for number in range(101):
        scene.submit(f"w{number}")
    scene.leader.work()
    view = view_of(scene)
    shown = queue_page(view, Filters(page=9))
    assert (len(shown.rows), shown.total, shown.first, shown.page, shown.pages) == (1, 101, 101, 2, 2)


def test_a_chosen_value_stays_a_choice() -> None:
    """Though nothing is left of it."""
    scene = Scene(quota("a", "main", workflows=1))
    found = choices(view_of(scene), Filters(namespace="gone"))
    assert found.namespaces == ("gone",)


def test_a_query_gives_the_same_filters_again() -> None:
    """Links to other pages keep what was chosen."""
    filters = Filters.of(
        {"namespace": "a", "user": "ann & bob", "sort": "age", "show": "running", "page": "3"}
    )
    query = filters.query(page=4)
    assert query == "show=running&namespace=a&user=ann+%26+bob&sort=age&page=4"
    assert msgspec.structs.replace(filters, page=1).query() == query.removesuffix("&page=4")
