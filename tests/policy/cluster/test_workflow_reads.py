"""What is read about owners: the Workflow above a child, and the schedule of a run with its other runs."""

import pytest

from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS, MergePatch
from policy.cluster.workflow_reads import ClusterRelatives
from policy.core.admission.child_exemption import MAX_DEPTH
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject
from policy.core.objects.owners import STORED_SPEC, STORED_TEMPLATES, UNRELATED, Related, accounts_of
from policy.core.objects.workflow import OwnerReference
from tests.policy.service.release.descendants import COMPRESSED, OFFLOADED, STATUS
from tests.policy.service.world import Spy, draft, memory, part

NAMESPACE = "etl"
API = "argoproj.io/v1alpha1"


def _uid(obj: JsonObject) -> str:
    return str(part(obj, "metadata", "uid"))


def _add(
    cluster: MemoryCluster,
    name: str,
    labels: dict[str, str] | None = None,
    *,
    owner: JsonObject | None = None,
) -> JsonObject:
    obj = draft(name)
    metadata = obj["metadata"]
    assert isinstance(metadata, dict)
    metadata["labels"] = {**(labels or {})}
    if owner is not None:
        reference: JsonObject = {
            "apiVersion": API,
            "kind": "CronWorkflow",
            "name": str(part(owner, "metadata", "name")),
            "uid": _uid(owner),
            "controller": True,
        }
        metadata["ownerReferences"] = [reference]
        metadata["labels"] = {
            **(labels or {}),
            well_known.CRON_WORKFLOW: str(part(owner, "metadata", "name")),
        }
    return cluster.create(WORKFLOWS, obj, namespace=NAMESPACE)


def _schedule(cluster: MemoryCluster, name: str, **spec: str) -> JsonObject:
    obj: JsonObject = {
        "apiVersion": API,
        "kind": "CronWorkflow",
        "metadata": {"name": name},
        "spec": {**spec},
    }
    return cluster.create(CRON_WORKFLOWS, obj, namespace=NAMESPACE)


def _owner(obj: JsonObject) -> OwnerReference:
    return OwnerReference(API, "Workflow", str(part(obj, "metadata", "name")), _uid(obj), controller=True)


def _below(
    cluster: MemoryCluster, name: str, above: JsonObject, *, root: JsonObject | None = None
) -> JsonObject:
    """Add a Workflow that was admitted as a child; it is charged to `root`, without one to its owner."""
    charged = above if root is None else root
    _add(cluster, name, {well_known.CHILD_OF: _uid(charged)})
    name_mark: JsonObject = {} if root is None else {well_known.ROOT: str(part(root, "metadata", "name"))}
    reference: JsonObject = {
        "apiVersion": API,
        "kind": "Workflow",
        "name": str(part(above, "metadata", "name")),
        "uid": _uid(above),
        "controller": True,
    }
    patch: JsonObject = {"metadata": {"annotations": name_mark, "ownerReferences": [reference]}}
    return cluster.patch(WORKFLOWS, name, MergePatch(patch), namespace=NAMESPACE)


def test_a_child_is_shown_with_its_parent_and_its_siblings() -> None:
    """Those that are over do not count."""
    cluster = memory()
    parent = _add(cluster, "parent")
    _add(cluster, "sibling", {well_known.CHILD_OF: _uid(parent)})
    _add(cluster, "over", {well_known.CHILD_OF: _uid(parent), well_known.COMPLETED: "true"})
    _add(cluster, "stranger", {well_known.CHILD_OF: "other"})
    found = ClusterRelatives(cluster=cluster).of_child(NAMESPACE, _owner(parent))
    assert found.parent is not None
    assert found.parent.spec is not None
    assert found.parent.spec.entrypoint == "main"
    assert found.root is not None
    assert found.root.name == "parent"
    assert [each.name for each in found.descendants] == ["sibling"]


@pytest.mark.parametrize("status", [{}, STATUS, COMPRESSED, OFFLOADED, {"nodes": None}])
def test_whatever_argo_wrote_of_a_parent_it_can_be_read(status: JsonObject) -> None:
    """Of a status only the stored templates are read: they have the service account of the Pods."""
    cluster = memory()
    _add(cluster, "parent")
    obj = cluster.patch(WORKFLOWS, "parent", MergePatch({"status": status}), namespace=NAMESPACE)
    found = ClusterRelatives(cluster=cluster).of_child(NAMESPACE, _owner(obj))
    assert found.parent is not None
    stored = {STORED_SPEC, STORED_TEMPLATES} if status is STATUS else set()
    assert set(found.parent.status or {}) == stored
    assert accounts_of(found.parent) == {"default"}


def test_the_accounts_of_what_is_stored_are_those_of_the_parent() -> None:
    """A Workflow that only names a template has no templates itself."""
    cluster = memory()
    _add(cluster, "parent")
    stored: JsonObject = {"serviceAccountName": "runner", "templates": [{"serviceAccountName": "other"}]}
    templates: JsonObject = {"namespaced/library/a": {"executor": {"serviceAccountName": "agent"}}}
    patch = MergePatch({"status": {**STATUS, STORED_SPEC: stored, STORED_TEMPLATES: templates}})
    obj = cluster.patch(WORKFLOWS, "parent", patch, namespace=NAMESPACE)
    found = ClusterRelatives(cluster=cluster).of_child(NAMESPACE, _owner(obj))
    assert found.parent is not None
    assert accounts_of(found.parent) == {"runner", "other", "agent"}


def test_a_parent_that_argo_could_not_read_either_is_none() -> None:
    """It bypassed the webhook, and does not run."""
    cluster = memory()
    obj = cluster.create(WORKFLOWS, {**draft("odd"), "spec": {"parallelism": "many"}}, namespace=NAMESPACE)
    assert ClusterRelatives(cluster=cluster).of_child(NAMESPACE, _owner(obj)) == UNRELATED


def test_the_root_is_found_from_any_level() -> None:
    """By its name and uid, which every one of its line carries; all of the line is shown."""
    cluster = memory()
    root = _add(cluster, "root")
    first = _below(cluster, "first", root, root=root)
    second = _below(cluster, "second", first, root=root)
    third = _below(cluster, "third", second, root=root)
    for parent in (root, first, second, third):
        found = ClusterRelatives(cluster=cluster).of_child(NAMESPACE, _owner(parent))
        assert found.root is not None
        assert found.root.name == "root"
        assert [each.name for each in found.descendants] == ["first", "second", "third"]


def test_unmarked_ancestors_are_read_level_by_level() -> None:
    """Each of them is charged to its owner."""
    cluster = memory()
    root = _add(cluster, "root")
    first = _below(cluster, "first", root)
    second = _below(cluster, "second", first)
    found = ClusterRelatives(cluster=cluster).of_child(NAMESPACE, _owner(second))
    assert found.root is not None
    assert found.root.name == "root"


def test_a_root_that_is_over_or_waits_leaves_the_parent_its_own_root() -> None:
    """It counts for itself then."""
    cluster = memory()
    root = _add(cluster, "root")
    parent = _below(cluster, "parent", root, root=root)
    for labels in ({well_known.COMPLETED: "true"}, {well_known.INSTANCE_ID: well_known.HOLD_VALUE}):
        patch: JsonObject = {"metadata": {"labels": {well_known.COMPLETED: None, **labels}}}
        cluster.patch(WORKFLOWS, "root", MergePatch(patch), namespace=NAMESPACE)
        found = ClusterRelatives(cluster=cluster).of_child(NAMESPACE, _owner(parent))
        assert found.root is not None
        assert found.root.name == "parent"


def test_there_is_no_root_where_marks_form_a_circle_or_end_nowhere() -> None:
    """They were written by a bypass of the webhook."""
    cluster = memory()
    first = _add(cluster, "first")
    second = _below(cluster, "second", first, root=first)
    label: JsonObject = {
        "labels": {well_known.CHILD_OF: _uid(second)},
        "annotations": {well_known.ROOT: "second"},
    }
    cluster.patch(WORKFLOWS, "first", MergePatch({"metadata": label}), namespace=NAMESPACE)
    lost = _add(cluster, "lost", {well_known.CHILD_OF: "uid-9"})
    for parent in (first, second, lost):
        assert ClusterRelatives(cluster=cluster).of_child(NAMESPACE, _owner(parent)).root is None


def test_no_more_is_read_than_a_line_may_be_deep() -> None:
    """A create waits for it: the owner, a Workflow for each level, and the descendants."""
    cluster = memory()
    above = _add(cluster, "level-0")
    for depth in range(MAX_DEPTH + 5):
        above = _below(cluster, f"level-{depth + 1}", above)
    spy = Spy(cluster)
    assert ClusterRelatives(cluster=spy).of_child(NAMESPACE, _owner(above)).root is None
    assert len(spy.calls) <= MAX_DEPTH + 2


def test_a_run_is_shown_with_the_policy_of_its_schedule_and_the_other_runs() -> None:
    """One of the same name that was deleted and made again has runs of its own."""
    cluster = memory()
    deleted = _schedule(cluster, "nightly")
    _add(cluster, "of-the-one-before", owner=deleted)
    cluster.delete(CRON_WORKFLOWS, "nightly", namespace=NAMESPACE)
    schedule = _schedule(cluster, "nightly", concurrencyPolicy="Forbid")
    _add(cluster, "earlier", owner=schedule)
    owner = OwnerReference(API, "CronWorkflow", "nightly", _uid(schedule), controller=True)
    found = ClusterRelatives(cluster=cluster).of_run(NAMESPACE, owner)
    assert found.policy == "Forbid"
    assert [run.name for run in found.runs] == ["earlier"]


def test_a_schedule_without_a_word_allows_overlaps() -> None:
    """As Argo reads it."""
    cluster = memory()
    schedule = _schedule(cluster, "nightly")
    owner = OwnerReference(API, "CronWorkflow", "nightly", _uid(schedule), controller=True)
    assert ClusterRelatives(cluster=cluster).of_run(NAMESPACE, owner) == Related(policy="Allow")


def test_of_an_owner_that_does_not_exist_nothing_is_known() -> None:
    """The garbage collector will see to the object."""
    relatives = ClusterRelatives(cluster=memory())
    owner = OwnerReference(API, "Workflow", "nobody", "uid-9", controller=True)
    assert relatives.of_child(NAMESPACE, owner) == UNRELATED
    assert relatives.of_run(NAMESPACE, owner) == UNRELATED
