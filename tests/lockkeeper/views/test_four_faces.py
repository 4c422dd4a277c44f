"""One state through all four faces: commands, page, metrics, and the status of quotas say the same numbers.

Beside them stand the messages on the Workflows themselves: who waits reads his position there first.
"""

import argparse
import re
from collections.abc import Mapping
from contextlib import redirect_stdout
from datetime import datetime
from html import unescape
from io import StringIO
from types import ModuleType
from typing import Final, TypeAlias

import msgspec
from hypothesis import given, settings
from prometheus_client.parser import text_string_to_metric_families

from lockkeeper.cli import queue, status
from lockkeeper.views.terminal import Terminal
from policy.cluster.protocol import CLUSTER_WORKFLOW_QUOTAS, WORKFLOW_QUOTAS, WORKFLOWS
from policy.core.cluster_view.view import QuotaRow, WaitingRow
from policy.core.policies.quota_gauges import POOL, QUOTA
from policy.core.policies.snapshot import Document
from policy.core.policies.status_figures import QuotaFigures
from policy.core.values.amounts import UNLIMITED_WORD
from policy.service.release.position_messages import REFRESHED_POSITIONS
from policy.service.status.usage_metrics import UsageMetrics
from tests.lockkeeper.page.opened_page import OpenedPage
from tests.lockkeeper.views.drawn_states import NODES, Step, documents, played, steps
from tests.policy.service.reading.read_cluster import Scene
from tests.policy.service.world import is_held, name_of, part

_Quota: TypeAlias = tuple[str, str]
"""A quota by namespace ("" for a pool) and name."""
_RESOURCES: Final = ("workflows", "tasks")


def printed(scene: Scene, command: ModuleType, *words: str) -> str:
    """Return what a command prints."""
    parser = argparse.ArgumentParser()
    command.configure(parser)
    with redirect_stdout(StringIO()) as out:
        assert command.act(scene.cluster, parser.parse_args(words), Terminal(), scene.clock) == 0
    return out.getvalue()


class Page:
    """What a browser shows of a scene: the cells of tables by their headings."""

    def __init__(self, scene: Scene) -> None:
        self._page = OpenedPage(scene)

    def rows(self, path: str) -> dict[str, dict[str, str]]:
        """Return the rows of a view by what stands in front, with each cell's text and its `time`."""
        text = self._page.get(path).text
        found = {}
        for row in re.findall(r'<tr role="row"[^>]*>\s*<th role="rowheader".*?</tr>', text, re.DOTALL):
            heading = _words(re.findall(r'<th role="rowheader"[^>]*>(.*?)</th>', row, re.DOTALL)[0])
            cells = re.findall(r'data-label="(\w+)">(.*?)</td>', row, re.DOTALL)
            found[heading] = {label: _words(cell) for label, cell in cells}
            for label, cell in cells:
                for time in re.findall(r'<time datetime="([^"]+)"', cell):
                    found[heading][f"{label} time"] = time
        return found


def _words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def gauges(scene: Scene) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what the leader exports: by metric, the values of labels in the order of their names."""
    metrics = UsageMetrics(
        snapshot=lambda: scene.leader.snapshot.with_usage(scene.leader.view),
        leading=lambda: True,
        capacity=lambda _: NODES,
        clock=scene.clock,
    )
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            key = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name.removeprefix("lockkeeper_"), {})[key] = sample.value
    return found


def statuses(scene: Scene) -> dict[_Quota, QuotaFigures]:
    """Return the status of every quota as it is stored."""
    return {
        (str(part(item, "metadata", "namespace") or ""), name_of(item)): msgspec.convert(
            item["status"], QuotaFigures
        )
        for resource in (WORKFLOW_QUOTAS, CLUSTER_WORKFLOW_QUOTAS)
        for item in scene.cluster.list(resource).items
        if "status" in item
    }


@settings(max_examples=40)
@given(documents, steps)
def test_all_faces_say_the_same_of_quotas(policies: list[Document], done: list[Step]) -> None:
    """What is used, the limits in force, what waits and what is borrowed."""
    scene = played(policies, done)
    told, stored, exported = printed(scene, status, "-o", "json"), statuses(scene), gauges(scene)
    shown = {(each.namespace, each.name): each for each in msgspec.json.decode(told, type=list[QuotaRow])}
    assert {name: row.figures for name, row in shown.items()} == stored
    table = _first_words(printed(scene, status))
    page = Page(scene).rows("/")
    for (namespace, name), row in shown.items():
        _same_of_quota(row.figures, (namespace, name), exported)
        label = f"{namespace}/{name}" if namespace else f"pool {name}"
        used, limits = row.figures, row.figures.effective_limits
        cells = [_of(used.running, limits.workflows), _of(used.tasks, limits.tasks), str(used.queued)]
        borrowed = str(used.borrowed.workflows or used.borrowed.tasks or "-")
        assert table[label][:4] == [*(each.replace(" of ", "/") for each in cells[:2]), cells[2], borrowed]
        assert [page[label][each] for each in ("Workflows", "Tasks", "Queued")] == [
            *(each.removesuffix("/-") for each in cells[:2]),
            cells[2],
        ]
        assert page[label]["Borrowed"] == borrowed
    _same_of_members(shown, exported)


def _of(used: int, limit: int | str) -> str:
    return f"{used}/-" if limit == UNLIMITED_WORD else f"{used} of {limit}"


def _same_of_quota(
    figures: QuotaFigures, quota: _Quota, exported: Mapping[str, Mapping[tuple[str, ...], float]]
) -> None:
    """Compare the gauges of one quota."""
    namespace, name = quota
    kind = QUOTA if namespace else POOL
    limits = (figures.effective_limits.workflows, figures.effective_limits.tasks)
    for resource, used, limit in zip(_RESOURCES, (figures.running, figures.tasks), limits, strict=True):
        key = (kind, name, resource, namespace)
        assert exported["quota_used"][key] == used, key
        written = None if limit == UNLIMITED_WORD else limit
        assert exported.get("quota_limit", {}).get(key) == written, key
    if namespace:
        assert exported.get("queued_workflows", {}).get((namespace,), 0) == figures.queued


def _same_of_members(
    shown: Mapping[_Quota, QuotaRow], exported: Mapping[str, Mapping[tuple[str, ...], float]]
) -> None:
    """Compare what the pool lists of its members."""
    for (namespace, name), row in shown.items():
        if namespace:
            continue
        members = row.figures.namespaces
        assert sum(each.queued for each in members) == row.figures.queued
        for each in members:
            assert exported.get("running_workflows", {}).get((each.name,), 0) == each.running
            assert exported.get("queued_workflows", {}).get((each.name,), 0) == each.queued
            borrowed = exported.get("quota_borrowed", {}).get((POOL, name, "workflows", each.name), 0)
            assert borrowed == each.borrowed


@settings(max_examples=40)
@given(documents, steps)
def test_all_faces_say_the_same_of_those_that_wait(policies: list[Document], done: list[Step]) -> None:
    """Who waits, at which position, and since when the oldest does."""
    scene = played(policies, done)
    rows = msgspec.json.decode(printed(scene, queue, "-o", "json"), type=list[WaitingRow])
    exported, page = gauges(scene), Page(scene).rows("/queue")
    assert {each.name for each in rows} == set(page)
    oldest: dict[str, datetime] = {}
    reasons = dict.fromkeys(exported["queue_blocked_workflows"], 0.0)
    depths: dict[str, int] = {}
    for each in rows:
        cells = page[each.name]
        assert (cells["Position"], cells["Ahead"]) == (str(each.position), str(each.ahead))
        assert cells["Why"] == f"{each.reason} {each.message}".strip()
        assert datetime.fromisoformat(cells["Waits time"]) == each.since
        oldest[each.namespace] = min(each.since, oldest.get(each.namespace, each.since))
        reasons[each.reason.value,] += 1
        depths[each.namespace] = depths.get(each.namespace, 0) + 1
    exported_oldest = exported.get("queue_oldest_created_timestamp_seconds", {})
    assert exported_oldest == {(name,): at.timestamp() for name, at in oldest.items()}
    assert exported["queue_blocked_workflows"] == reasons
    assert {key: count for key, count in exported.get("queued_workflows", {}).items() if count} == {
        (name,): count for name, count in depths.items()
    }
    _same_in_messages(scene, rows, depths)


def _same_in_messages(scene: Scene, rows: list[WaitingRow], depths: Mapping[str, int]) -> None:
    """Compare what Workflows show of their wait; further back the position at their create stays."""
    messages = {
        name_of(item): str(part(item, "status", "message"))
        for item in scene.cluster.list(WORKFLOWS).items
        if is_held(item)
    }
    assert messages.keys() == {each.name for each in rows}
    for each in rows:
        place = f": position {each.position} of {depths[each.namespace]} in {each.namespace}"
        assert each.position > REFRESHED_POSITIONS or place in messages[each.name]


def _first_words(table: str) -> dict[str, list[str]]:
    """Return the cells of each line after its label."""
    found = {}
    for line in table.splitlines()[1:]:
        label, *cells = re.split(r"  +", line.strip())
        found[label] = cells
    return found
