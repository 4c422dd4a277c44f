"""What is read of templates and ConfigMaps: of governed namespaces alone, up to a bound, and only numbers."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event

import pytest

from policy.cluster.errors import NotFound, Unavailable
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import (
    CLUSTER_WORKFLOW_QUOTAS,
    CONFIG_MAPS,
    NAMESPACES,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_QUOTAS,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    Listing,
    MergePatch,
    Resource,
    Selection,
    Shape,
    Unread,
)
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.workflow import DEFAULTS_KEY, TemplateObject
from policy.core.policy_kinds.kinds import ConfigMap, WorkflowQuota
from policy.sources.documents import Document
from policy.sources.namespace_bounds import PortionBound, PortionBounds
from tests.patience import PATIENCE
from tests.policy.sources.following import Following, config_map, limits, lock_policy, quota

FEW = PortionBounds(PortionBound(2, 1 << 20, "objects"), PortionBound(3, 1 << 20, "keys"), again=0.0)


class Gated(MemoryCluster):
    """A cluster whose lists of one namespace are answered, but arrive only when they may.

    It need not have Argo's templates, and one namespace may be broken.
    """

    slow = ""
    broken = ""
    has_argo = True

    def __init__(self) -> None:
        seconds = count()
        start = datetime(2026, 11, 23, tzinfo=UTC)
        super().__init__(
            clock=lambda: start + timedelta(seconds=next(seconds)), rng=random.Random(3), log_size=20
        )
        self.asked, self.may_go = Event(), Event()

    def list(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        name: str = "",
        labels: str = "",
        metadata_only: bool = False,
    ) -> Listing[JsonObject]:
        """Return what there is."""
        if resource == WORKFLOW_TEMPLATES and not self.has_argo:
            raise NotFound("there is no such resource")
        return super().list(
            resource, namespace=namespace, name=name, labels=labels, metadata_only=metadata_only
        )

    def pages_as(self, selection: Selection, shape: type[Shape]) -> Iterator[Listing[Shape | Unread]]:
        """Yield the pages once they may go."""
        if selection.namespace and selection.namespace == self.broken:
            raise Unavailable("not now")
        pages = list(super().pages_as(selection, shape))
        if selection.resource == WORKFLOW_TEMPLATES and selection.namespace == self.slow:
            self.asked.set()
            assert self.may_go.wait(PATIENCE)
        yield from pages


def template(namespace: str, name: str, entrypoint: str = "main") -> JsonObject:
    """Return a WorkflowTemplate."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"entrypoint": entrypoint},
    }


def pool(label: str) -> JsonObject:
    """Return a pool of the namespaces with a label."""
    return {
        "apiVersion": "lockkeeper.dev/v1alpha1",
        "kind": "ClusterWorkflowQuota",
        "metadata": {"name": "pool"},
        "spec": {"namespaceSelector": {"matchLabels": {label: "yes"}}, "limits": {"workflows": 5}},
    }


def namespace_object(name: str, **labels: str) -> JsonObject:
    """Return a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**labels}}}


def templates(documents: tuple[Document, ...]) -> list[str]:
    """Return the templates that are known, by namespace and name."""
    found = (each for each in documents if isinstance(each, TemplateObject))
    return sorted(f"{each.metadata.namespace}/{each.metadata.name}" for each in found)


def maps(documents: tuple[Document, ...]) -> dict[str, dict[str, str]]:
    """Return the ConfigMaps that are known."""
    return {each.metadata.name: each.data for each in documents if isinstance(each, ConfigMap)}


@pytest.fixture
def cluster() -> Iterator[Gated]:
    """Give a cluster in which team-a is governed and team-b is not."""
    made = Gated()
    made.create(WORKFLOW_QUOTAS, quota("etl", 3), namespace="team-a")
    for name in ("team-a", "team-b"):
        made.create(NAMESPACES, namespace_object(name))
        made.create(WORKFLOW_TEMPLATES, template(name, "old"), namespace=name)
    yield made
    made.close()


@pytest.fixture
def following(cluster: Gated) -> Iterator[Following]:
    """Give a source with small bounds that follows the cluster."""
    made = Following(cluster, FEW)
    assert made.until(lambda documents: templates(documents) == ["team-a/old"])
    yield made
    cluster.may_go.set()
    made.stop()


def test_templates_of_a_namespace_without_policies_are_not_stored(
    cluster: Gated, following: Following
) -> None:
    """However many a user creates there, they use no memory here."""
    for index in range(50):
        cluster.create(WORKFLOW_TEMPLATES, template("team-b", f"t{index}"), namespace="team-b")
    cluster.create(WORKFLOW_TEMPLATES, template("team-a", "new"), namespace="team-a")
    assert following.until(lambda documents: templates(documents) == ["team-a/new", "team-a/old"])
    assert following.extent.left_out == {}


def test_a_namespace_that_becomes_governed_is_read_before_its_policy_is_in_force(
    cluster: Gated, following: Following
) -> None:
    """No decision is made on half of its templates; what changes while it is read is not lost."""
    cluster.slow = "team-b"
    cluster.create(WORKFLOW_QUOTAS, {**quota("b", 1), "metadata": {"name": "b"}}, namespace="team-b")
    assert cluster.asked.wait(PATIENCE)
    cluster.patch(
        WORKFLOW_TEMPLATES, "old", MergePatch({"spec": {"entrypoint": "edited"}}), namespace="team-b"
    )
    cluster.create(WORKFLOW_TEMPLATES, template("team-b", "late"), namespace="team-b")
    before = following.documents or ()
    assert templates(before) == ["team-a/old"]
    assert len([each for each in before if isinstance(each, WorkflowQuota)]) == 1
    cluster.may_go.set()
    wanted = ["team-a/old", "team-b/late", "team-b/old"]
    assert following.until(
        lambda documents: (
            templates(documents) == wanted
            and any(isinstance(each, TemplateObject) and "edited" in each.text for each in documents)
        )
    )


def test_what_is_read_follows_the_labels_of_namespaces_and_the_policies(
    cluster: Gated, following: Following
) -> None:
    """It grows with a label, and what is not governed any more is dropped."""
    cluster.create(CLUSTER_WORKFLOW_QUOTAS, pool("pooled"))
    cluster.patch(NAMESPACES, "team-b", MergePatch({"metadata": {"labels": {"pooled": "yes"}}}))
    assert following.until(lambda documents: templates(documents) == ["team-a/old", "team-b/old"])
    cluster.patch(NAMESPACES, "team-b", MergePatch({"metadata": {"labels": {"pooled": None}}}))
    assert following.until(lambda documents: templates(documents) == ["team-a/old"])
    cluster.delete(WORKFLOW_QUOTAS, "etl", namespace="team-a")
    assert following.until(lambda documents: templates(documents) == [])


def test_of_more_templates_than_the_bound_the_oldest_are_stored(cluster: Gated, following: Following) -> None:
    """No user loses one by newer ones; when some are deleted, those left out are read."""
    cluster.create(WORKFLOW_QUOTAS, {**quota("b", 1), "metadata": {"name": "b"}}, namespace="team-b")
    for name in ("c", "b", "a"):
        cluster.create(WORKFLOW_TEMPLATES, template("team-a", name), namespace="team-a")
    assert following.until_left_out("WorkflowTemplate", "team-a", 2)
    read = ["team-a/c", "team-a/old", "team-b/old"]
    assert following.until(lambda documents: templates(documents) == read)
    cluster.delete(WORKFLOW_TEMPLATES, "old", namespace="team-a")
    assert following.until_left_out("WorkflowTemplate", "team-a", 1)
    read = ["team-a/b", "team-a/c", "team-b/old"]
    assert following.until(lambda documents: templates(documents) == read)
    cluster.delete(WORKFLOW_TEMPLATES, "c", namespace="team-a")
    assert following.until(lambda documents: templates(documents) == ["team-a/a", "team-a/b", "team-b/old"])
    assert following.until_left_out("WorkflowTemplate", "team-a", 0)


def test_of_a_config_map_only_numbers_are_stored(cluster: Gated, following: Following) -> None:
    """Names of other keys only where a policy asks whether a lock is defined, and never their values."""
    cluster.create(SYNCHRONIZATION_POLICIES, lock_policy(), namespace="team-a")
    data: JsonObject = {"db": "+5", "password": "hunter2"}
    for namespace in ("team-a", "team-b"):
        cluster.create(CONFIG_MAPS, config_map(namespace, "limits", data), namespace=namespace)
        cluster.create(CONFIG_MAPS, config_map(namespace, "secret", {"token": "x"}), namespace=namespace)
    assert following.until(lambda documents: maps(documents) == {"limits": {"db": "5"}})
    strict = MergePatch({"spec": {"validate": {"requireDefined": True}}})
    cluster.patch(SYNCHRONIZATION_POLICIES, "locks", strict, namespace="team-a")
    named = {"limits": {"db": "5", "password": ""}, "secret": {"token": ""}}
    assert following.until(lambda documents: maps(documents) == named)


def test_defaults_are_read_of_argos_config_maps_only(cluster: Gated, following: Following) -> None:
    """Its namespace need not be governed; a ConfigMap of that name elsewhere is not even parsed."""
    text: JsonObject = {"workflowDefaults": "spec: {parallelism: 7}", "rest": "a: b"}
    name = "workflow-controller-configmap"
    cluster.create(SYNCHRONIZATION_POLICIES, lock_policy(), namespace="team-a")
    cluster.create(CONFIG_MAPS, config_map("team-a", name, {**text, "n": "1"}), namespace="team-a")
    assert following.until(lambda documents: maps(documents) == {name: {"n": "1"}})
    cluster.delete(CONFIG_MAPS, name, namespace="team-a")
    cluster.create(CONFIG_MAPS, config_map("argo", name, text), namespace="argo")
    assert following.until(lambda documents: maps(documents) == {name: {DEFAULTS_KEY: '{"parallelism":7}'}})


def test_config_maps_beyond_the_bound_are_left_out_and_reported(cluster: Gated, following: Following) -> None:
    """The bound counts keys, so that one large ConfigMap is no way round it."""
    cluster.create(SYNCHRONIZATION_POLICIES, lock_policy(), namespace="team-a")
    cluster.create(CONFIG_MAPS, config_map("team-a", "first", {"a": "1"}), namespace="team-a")
    many: JsonObject = {f"k{index}": "1" for index in range(4)}
    cluster.create(CONFIG_MAPS, config_map("team-a", "many", many), namespace="team-a")
    assert following.until_left_out("ConfigMap", "team-a", 1)
    assert following.until(lambda documents: maps(documents) == {"first": {"a": "1"}})
    assert following.extent.reads("team-a", "any")
    assert not following.extent.reads("team-b", "any")


def test_a_watch_that_is_too_old_reads_the_namespaces_again(cluster: Gated, following: Following) -> None:
    """More happens elsewhere than the cluster remembers; what changed meanwhile is found."""
    for index in range(60):
        workflow: JsonObject = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": f"w{index}"},
        }
        cluster.create(WORKFLOWS, workflow, namespace="team-a")
    cluster.create(WORKFLOW_TEMPLATES, template("team-a", "new"), namespace="team-a")
    assert following.until(lambda documents: templates(documents) == ["team-a/new", "team-a/old"])
    cluster.delete(WORKFLOW_TEMPLATES, "old", namespace="team-a")
    assert following.until(lambda documents: templates(documents) == ["team-a/new"])


def test_a_cluster_without_argos_templates_has_its_policies_in_force(cluster: Gated) -> None:
    """They may be installed later; nothing waits for them."""
    cluster.has_argo = False
    made = Following(cluster, FEW)
    assert made.until(lambda documents: limits(documents) == [3])
    assert made.troubles == []
    made.stop()


def test_a_template_that_becomes_wrong_stays_in_its_last_good_form(
    cluster: Gated, following: Following
) -> None:
    """Argo cannot read it any more, and what runs was made of the form before."""
    wrong = MergePatch({"spec": {"entrypoint": 5}})
    cluster.patch(WORKFLOW_TEMPLATES, "old", wrong, namespace="team-a")
    cluster.create(WORKFLOW_TEMPLATES, template("team-a", "new"), namespace="team-a")
    assert following.until(lambda documents: templates(documents) == ["team-a/new", "team-a/old"])


def test_a_namespace_that_cannot_be_listed_is_tried_again_after_the_others(cluster: Gated) -> None:
    """Nothing is in force before all were read; then everything is."""
    cluster.broken = "team-a"
    cluster.create(WORKFLOW_QUOTAS, {**quota("b", 1), "metadata": {"name": "b"}}, namespace="team-b")
    made = Following(cluster, FEW)
    assert made.until_troubled("listing workflowtemplates of team-a: not now")
    assert made.documents is None
    cluster.broken = ""
    assert made.until(lambda documents: templates(documents) == ["team-a/old", "team-b/old"])
    made.stop()
