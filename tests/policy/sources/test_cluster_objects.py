"""Policies from the cluster, over the in-memory one."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Condition, Thread

import pytest

from policy.cluster.errors import ClusterError
from policy.cluster.memory import MemoryCluster
from policy.cluster.protocol import CONFIG_MAPS, NAMESPACES, WORKFLOW_QUOTAS, WORKFLOWS, MergePatch
from policy.core.kinds import ConfigMap, WorkflowQuota
from policy.core.patches import JsonObject
from policy.sources.cluster_objects import ClusterSource, Verdict
from policy.sources.documents import Document

RESOURCES = (WORKFLOW_QUOTAS, CONFIG_MAPS, NAMESPACES)


class Following:
    """A source that runs, and what it said so far."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self._said = Condition()
        self.documents: tuple[Document, ...] | None = None
        self.verdicts: dict[str, Verdict] = {}
        self.troubles: list[str] = []
        self.source = ClusterSource(
            cluster=cluster,
            changed=self._change,
            judged=self._judge,
            trouble=self._note,
            resources=RESOURCES,
        )
        self.thread = Thread(target=self.source.run, daemon=True)
        self.thread.start()

    def until(self, holds: Callable[[tuple[Document, ...]], bool]) -> bool:
        """Wait until the documents in force satisfy a condition."""
        with self._said:
            return self._said.wait_for(lambda: self.documents is not None and holds(self.documents), 5)

    def until_judged(self, name: str, *, wrong: bool) -> bool:
        """Wait until a policy was judged."""
        with self._said:
            return self._said.wait_for(
                lambda: name in self.verdicts and bool(self.verdicts[name].problems) == wrong, 5
            )

    def _change(self, documents: tuple[Document, ...]) -> None:
        with self._said:
            self.documents = documents
            self._said.notify_all()

    def _judge(self, verdict: Verdict) -> None:
        with self._said:
            self.verdicts[verdict.name] = verdict
            self._said.notify_all()

    def _note(self, doing: str, error: ClusterError) -> None:
        with self._said:
            self.troubles.append(f"{doing}: {error.message}")
            self._said.notify_all()


def limits(documents: tuple[Document, ...]) -> list[object]:
    """Return the limits on Workflows of all quotas."""
    return [each.spec.limits.workflows for each in documents if isinstance(each, WorkflowQuota)]


def quota(name: str, workflows: object) -> JsonObject:
    """Return a quota as the API serves it."""
    spec: JsonObject = {"limits": {"workflows": workflows}}  # type: ignore[dict-item]
    metadata: JsonObject = {"name": name, "namespace": "team-a"}
    return {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "WorkflowQuota",
        "metadata": metadata,
        "spec": spec,
    }


@pytest.fixture
def cluster() -> Iterator[MemoryCluster]:
    """Give a cluster with a short memory for watches."""
    made = MemoryCluster(clock=lambda: datetime(2026, 11, 23, tzinfo=UTC), rng=random.Random(3), log_size=20)
    yield made
    made.close()


@pytest.fixture
def following(cluster: MemoryCluster) -> Iterator[Following]:
    """Give a source that follows the cluster."""
    cluster.create(WORKFLOW_QUOTAS, quota("etl", 3), namespace="team-a")
    made = Following(cluster)
    assert made.until(lambda documents: limits(documents) == [3])
    yield made
    made.source.stop()
    made.thread.join(5)
    assert not made.thread.is_alive()


def test_an_edit_of_a_policy_is_in_force_without_being_asked_for(
    cluster: MemoryCluster, following: Following
) -> None:
    """The watch brings every change: an edit, a new policy, and a deletion."""
    cluster.patch(
        WORKFLOW_QUOTAS, "etl", MergePatch({"spec": {"limits": {"workflows": 5}}}), namespace="team-a"
    )
    assert following.until(lambda documents: limits(documents) == [5])
    cluster.create(WORKFLOW_QUOTAS, quota("ml", 1), namespace="team-a")
    assert following.until(lambda documents: sorted(map(str, limits(documents))) == ["1", "5"])
    cluster.delete(WORKFLOW_QUOTAS, "etl", namespace="team-a")
    assert following.until(lambda documents: limits(documents) == [1])


def test_a_wrong_edit_keeps_the_last_good_form_in_force_and_is_judged(
    cluster: MemoryCluster, following: Following
) -> None:
    """Other policies go on changing meanwhile, and a good edit makes it right again."""
    wrong = MergePatch({"spec": {"limits": {"workflows": "many"}}})
    cluster.patch(WORKFLOW_QUOTAS, "etl", wrong, namespace="team-a")
    assert following.until_judged("etl", wrong=True)
    assert following.verdicts["etl"].problems[0].path == "spec.limits.workflows"
    cluster.create(WORKFLOW_QUOTAS, quota("ml", 1), namespace="team-a")
    assert following.until(lambda documents: sorted(map(str, limits(documents))) == ["1", "3"])
    good = MergePatch({"spec": {"limits": {"workflows": 4}}})
    cluster.patch(WORKFLOW_QUOTAS, "etl", good, namespace="team-a")
    assert following.until(lambda documents: sorted(map(str, limits(documents))) == ["1", "4"])
    assert following.until_judged("etl", wrong=False)


def test_a_policy_that_was_never_good_is_judged_and_left_out(
    cluster: MemoryCluster, following: Following
) -> None:
    """A wrong policy governs nobody, and its verdict names the generation that was read."""
    cluster.create(WORKFLOW_QUOTAS, quota("bad", -1), namespace="team-a")
    assert following.until_judged("bad", wrong=True)
    assert following.verdicts["bad"].generation == 1
    assert following.documents is not None
    assert limits(following.documents) == [3]


def test_long_values_of_config_maps_are_not_kept(cluster: MemoryCluster, following: Following) -> None:
    """Only what can be a limit stays in memory."""
    config_map: JsonObject = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "limits", "namespace": "team-a"},
        "data": {"db-load": "2", "notes": "x" * 100_000},
    }
    cluster.create(CONFIG_MAPS, config_map, namespace="team-a")
    assert following.until(
        lambda documents: (
            [each.data for each in documents if isinstance(each, ConfigMap)] == [{"db-load": "2"}]
        )
    )


def test_a_watch_that_is_too_old_is_begun_anew(cluster: MemoryCluster, following: Following) -> None:
    """More changes of other objects than the cluster remembers do not lose an edit."""
    for index in range(60):
        workflow: JsonObject = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": f"w{index}"},
        }
        cluster.create(WORKFLOWS, workflow, namespace="team-a")
    cluster.patch(
        WORKFLOW_QUOTAS, "etl", MergePatch({"spec": {"limits": {"workflows": 9}}}), namespace="team-a"
    )
    assert following.until(lambda documents: limits(documents) == [9])
    following.source.stop()
    following.thread.join(5)
    again = Following(cluster)
    assert again.until(lambda documents: limits(documents) == [9])
    again.source.stop()
    again.thread.join(5)
    assert not again.thread.is_alive()
