"""What is read about owners: the Workflow above a child, and the schedule of a run with its other runs."""

from policy.cluster.memory import MemoryCluster
from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS
from policy.cluster.relatives import Relatives
from policy.core import marks
from policy.core.patches import JsonObject
from policy.core.relations import UNRELATED, Related
from policy.core.workflow import OwnerReference
from tests.policy.service.world import draft, memory, part

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
        metadata["labels"] = {**(labels or {}), marks.CRON_WORKFLOW: str(part(owner, "metadata", "name"))}
    return cluster.create(WORKFLOWS, obj, namespace=NAMESPACE)


def _schedule(cluster: MemoryCluster, name: str, **spec: str) -> JsonObject:
    obj: JsonObject = {
        "apiVersion": API,
        "kind": "CronWorkflow",
        "metadata": {"name": name},
        "spec": {**spec},
    }
    return cluster.create(CRON_WORKFLOWS, obj, namespace=NAMESPACE)


def test_a_child_is_shown_with_its_parent_and_its_siblings() -> None:
    """Those that are over do not count."""
    cluster = memory()
    parent = _add(cluster, "parent")
    _add(cluster, "sibling", {marks.CHILD_OF: _uid(parent)})
    _add(cluster, "over", {marks.CHILD_OF: _uid(parent), marks.COMPLETED: "true"})
    _add(cluster, "stranger", {marks.CHILD_OF: "other"})
    owner = OwnerReference(API, "Workflow", "parent", _uid(parent), controller=True)
    found = Relatives(cluster=cluster).of_child(NAMESPACE, owner)
    assert found.parent is not None
    assert found.parent.spec is not None
    assert found.parent.spec.entrypoint == "main"
    assert [each.name for each in found.children] == ["sibling"]


def test_a_run_is_shown_with_the_policy_of_its_schedule_and_the_other_runs() -> None:
    """One of the same name that was deleted and made again has runs of its own."""
    cluster = memory()
    gone = _schedule(cluster, "nightly")
    _add(cluster, "of-the-one-before", owner=gone)
    cluster.delete(CRON_WORKFLOWS, "nightly", namespace=NAMESPACE)
    schedule = _schedule(cluster, "nightly", concurrencyPolicy="Forbid")
    _add(cluster, "earlier", owner=schedule)
    owner = OwnerReference(API, "CronWorkflow", "nightly", _uid(schedule), controller=True)
    found = Relatives(cluster=cluster).of_run(NAMESPACE, owner)
    assert found.policy == "Forbid"
    assert [run.name for run in found.runs] == ["earlier"]


def test_a_schedule_without_a_word_allows_overlaps() -> None:
    """As Argo reads it."""
    cluster = memory()
    schedule = _schedule(cluster, "nightly")
    owner = OwnerReference(API, "CronWorkflow", "nightly", _uid(schedule), controller=True)
    assert Relatives(cluster=cluster).of_run(NAMESPACE, owner) == Related(policy="Allow")


def test_an_owner_that_is_not_there_tells_nothing() -> None:
    """The garbage collector will see to the object."""
    relatives = Relatives(cluster=memory())
    owner = OwnerReference(API, "Workflow", "nobody", "uid-9", controller=True)
    assert relatives.of_child(NAMESPACE, owner) == UNRELATED
    assert relatives.of_run(NAMESPACE, owner) == UNRELATED
