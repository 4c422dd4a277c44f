"""Locks of policies at work on the control plane: Argo, or its double, never runs more than a limit lets it.

The policies are objects, the Workflows come through the webhook, the limits through the ConfigMaps that the
leader writes, and somebody plays the kubelet.
"""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest

from policy.cluster.errors import TooManyRequests
from policy.cluster.kube.kube_cluster import KubeCluster
from policy.cluster.protocol import (
    CONFIG_MAPS,
    EVENTS,
    NAMESPACES,
    SYNCHRONIZATION_POLICIES,
    WORKFLOW_TEMPLATES,
    WORKFLOWS,
    MergePatch,
)
from policy.core.lock_queues.live_workflow import LiveWorkflow
from policy.core.objects import well_known
from policy.core.objects.json_patch import JsonObject, JsonValue
from tests.e2e.argo.installing import workflow_controller
from tests.e2e.argo.playing import container
from tests.e2e.control_plane import ControlPlane
from tests.e2e.observing import Observed, observed
from tests.e2e.podrunner.launch import podrunner
from tests.e2e.podrunner.run_settings import Image
from tests.e2e.product import Product, product, until
from tests.lockkeeper.commands import Lockkeeper
from tests.policy.cluster.conftest import field, text

pytestmark = pytest.mark.e2e

TASK: Final = 0.7
"""Seconds that a task runs: long enough for others to be seen beside it."""
SEMAPHORES: Final = "workflow-semaphores"
TARGET: Final[JsonObject] = {"configMap": SEMAPHORES, "key": "db"}
LOADS: Final = 6


class Place:
    """A namespace with a policy of locks, and Workflows that load a database."""

    def __init__(self, cluster: KubeCluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    @property
    def lock(self) -> str:
        """Argo's name of the semaphore."""
        return f"{self.namespace}/ConfigMap/{SEMAPHORES}/db"

    def govern(self, limit: int, *rules: JsonObject, **spec: JsonValue) -> None:
        """Create the policy, and wait until its limit stands in the ConfigMap and the webhook knows it."""
        whole: JsonObject = {"semaphores": [{**TARGET, "limit": limit}], "inject": [*rules], **spec}
        self.cluster.create(SYNCHRONIZATION_POLICIES, self.policy(whole))
        until(lambda: self.limit() == str(limit), "the limit is not written")

    def edit(self, limit: int) -> None:
        """Change the limit in the policy."""
        patch = MergePatch({"spec": {"semaphores": [{**TARGET, "limit": limit}]}})
        self.cluster.patch(SYNCHRONIZATION_POLICIES, "locks", patch, namespace=self.namespace)

    def limit(self) -> JsonValue:
        """Return the limit that Argo reads, None where there is none."""
        listing = self.cluster.list(CONFIG_MAPS, namespace=self.namespace, name=SEMAPHORES)
        return field(listing.items[0], "data", "db") if listing.items else None

    def library(self, *templates: JsonObject) -> None:
        """Create a WorkflowTemplate named library."""
        obj: JsonObject = {
            "apiVersion": WORKFLOW_TEMPLATES.api_version,
            "kind": WORKFLOW_TEMPLATES.kind,
            "metadata": {"name": "library"},
            "spec": {"templates": [*templates]},
        }
        self.cluster.create(WORKFLOW_TEMPLATES, obj, namespace=self.namespace)

    def submit(self, name: str, *templates: JsonObject, **spec: JsonValue) -> None:
        """Create a Workflow whose first template is its entry."""
        self.cluster.create(WORKFLOWS, _workflow(name, *templates, **spec), namespace=self.namespace)

    def tried(self, *templates: JsonObject) -> str:
        """Return what would become of a Workflow, as text; nothing while the webhook hears of a template."""
        obj = _workflow("tried", *templates)
        with suppress(TooManyRequests):
            return str(self.cluster.create(WORKFLOWS, obj, namespace=self.namespace, dry_run=True))
        return ""

    def workflow(self, name: str) -> LiveWorkflow:
        """Return a Workflow as locks see it."""
        return msgspec.convert(self.cluster.get(WORKFLOWS, name, namespace=self.namespace), LiveWorkflow)

    def waits(self, name: str) -> bool:
        """Tell whether a task of a Workflow waits for the semaphore."""
        return any(node.waits_for == self.lock for node in (self.workflow(name).status.nodes or {}).values())

    def observed(self, *names: str) -> AbstractContextManager[Observed]:
        """Follow the Workflows of the namespace until all that are named are over."""
        return observed(self.cluster, self.namespace, *names)

    def end(self, name: str) -> None:
        """Terminate a Workflow; Argo ends none that is suspended."""
        patch = MergePatch({"spec": {"shutdown": "Terminate", "suspend": None}})
        self.cluster.patch(WORKFLOWS, name, patch, namespace=self.namespace)

    def policy(self, spec: JsonObject) -> JsonObject:
        """Return the policy of the namespace."""
        return {
            "apiVersion": SYNCHRONIZATION_POLICIES.api_version,
            "kind": SYNCHRONIZATION_POLICIES.kind,
            "metadata": {"name": "locks", "namespace": self.namespace},
            "spec": spec,
        }


def _workflow(name: str, *templates: JsonObject, **spec: JsonValue) -> JsonObject:
    whole: JsonObject = {"entrypoint": templates[0]["name"], "templates": [*templates], **spec}
    return {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "metadata": {"name": name},
        "spec": whole,
    }


@pytest.fixture(scope="module")
def running(
    control_plane: ControlPlane, kube_cluster: KubeCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """Run the product, Argo, and somebody who plays the kubelet."""
    folder = tmp_path_factory.mktemp("locks")
    nobody = Image((sys.executable,))
    with (
        product(control_plane, kube_cluster, folder) as started,
        podrunner(control_plane, folder / "podrunner", nobody, others_last=TASK),
        workflow_controller(control_plane, kube_cluster, folder),
    ):
        yield started


@pytest.fixture
def place(kube_cluster: KubeCluster, running: Product) -> Iterator[Place]:
    """Give a namespace of its own."""
    assert running.port
    made = kube_cluster.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "locks-"}}
    )
    name = text(made, "metadata", "name")
    yield Place(kube_cluster, name)
    kube_cluster.delete(NAMESPACES, name)


def rule(strategy: str, **more: JsonValue) -> JsonObject:
    """Return a rule that puts the semaphore on every load."""
    return {
        "name": "database",
        "templates": {"names": ["load*"]},
        "lock": {"semaphore": dict(TARGET)},
        "strategy": strategy,
        **more,
    }


def dag_of_loads(number: int = LOADS, **call: JsonValue) -> JsonObject:
    """Return a DAG of loads that stand side by side."""
    tasks: list[JsonValue] = [
        {"name": f"t{index}", **(call or {"template": "load"})} for index in range(number)
    ]
    return {"name": "main", "dag": {"tasks": tasks}}


IN_PROD: Final[JsonObject] = {"when": "workflow.parameters.env == 'prod'"}
ENVIRONMENTS: Final[dict[str, JsonObject]] = {
    name: {"parameters": [{"name": "env", "value": name}]} for name in ("prod", "dev")
}
VARIANTS: Final[list[tuple[str, JsonObject]]] = [
    ("Auto", {}),
    ("Direct", {}),
    ("Clone", {}),
    ("Wrapper", {}),
    ("Auto", IN_PROD),
    ("Clone", IN_PROD),
    ("Wrapper", IN_PROD),
]


@pytest.mark.parametrize(
    ("strategy", "more"), VARIANTS, ids=[" ".join([strategy, *more]) for strategy, more in VARIANTS]
)
def test_a_dag_of_loads_never_runs_more_than_the_semaphore_lets_it(
    place: Place, strategy: str, more: JsonObject
) -> None:
    """And as many as it does: two Workflows of six loads each share a semaphore of two."""
    place.govern(2, rule(strategy, **more))
    with place.observed("first", "second") as seen:
        for name in ("first", "second"):
            place.submit(name, dag_of_loads(), container("load"), arguments=ENVIRONMENTS["prod"])
    assert set(seen.done.values()) == {"Succeeded"}
    assert seen.most == 2


@pytest.mark.parametrize("strategy", ["Auto", "Clone", "Wrapper"])
def test_where_the_condition_of_a_rule_does_not_hold_nobody_waits(place: Place, strategy: str) -> None:
    """It is told at run time, by a parameter; the rest of the Workflow is the same."""
    place.govern(1, rule(strategy, **IN_PROD))
    with place.observed("free") as seen:
        place.submit("free", dag_of_loads(), container("load"), arguments=ENVIRONMENTS["dev"])
    assert seen.done == {"free": "Succeeded"}
    assert seen.most > 2


@pytest.mark.parametrize(("env", "most"), [("prod", 1), ("dev", LOADS)])
def test_a_mutex_on_a_condition_is_taken_or_not_by_choice(place: Place, env: str, most: int) -> None:
    """A key cannot say it, so one of two templates is chosen."""
    place.govern(1, {**rule("Auto", **IN_PROD), "lock": {"mutex": "database"}})
    with place.observed("one") as seen:
        place.submit("one", dag_of_loads(), container("load"), arguments=ENVIRONMENTS[env])
    assert seen.done == {"one": "Succeeded"}
    assert 1 <= seen.most <= most
    assert (seen.most == 1) == (most == 1)


def test_loads_of_another_template_are_locked_where_they_are_called(place: Place) -> None:
    """A template of somebody else is left as it is; the Workflow that calls it gets the lock."""
    place.govern(2, rule("Auto"))
    place.library(container("load"))
    call: JsonObject = {"templateRef": {"name": "library", "template": "load"}}
    dag = dag_of_loads(LOADS, **call)
    until(lambda: "synchronization" in place.tried(dag), "the template is not known")
    with place.observed("caller") as seen:
        place.submit("caller", dag)
    assert seen.done == {"caller": "Succeeded"}
    assert seen.most == 2


def test_without_a_lock_more_would_run_at_once(place: Place) -> None:
    """Or the test above would show nothing."""
    place.govern(2)
    with place.observed("free") as seen:
        place.submit("free", dag_of_loads(), container("load"))
    assert seen.most > 2


def test_a_higher_limit_in_the_policy_wakes_those_that_wait(
    place: Place, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """The leader writes it, and Argo reads it; `locks suggest` has seen every load, and that it is few."""
    place.govern(1, rule("Auto"))
    with place.observed("wide") as seen:
        place.submit("wide", dag_of_loads(9), container("load"))
        until(lambda: place.waits("wide"), "nobody waits")
        place.edit(4)
        until(lambda: place.limit() == "4", "the limit is not written")
    assert seen.done == {"wide": "Succeeded"}
    assert 2 < seen.most <= 4
    where = ("--kubeconfig", control_plane.kubeconfig, "-n", place.namespace)
    suggested = Lockkeeper(tmp_path)("locks", "suggest", *where)
    assert suggested.code == 0, suggested.err
    assert suggested.out.startswith(f"{place.lock}: limit 4, 9 uses in ")
    assert "too little was seen: 9 finished uses, and 30 are needed" in suggested.out


LOCK: Final[JsonObject] = {"semaphores": [{"configMapKeyRef": {"name": SEMAPHORES, "key": "db"}}]}


def hold(place: Place, name: str) -> None:
    """Have a Workflow hold the semaphore until it is ended: it is suspended with the lock in its hands."""
    place.submit(name, container("main"), synchronization=LOCK, suspend=True)
    until(lambda: name in holders(place), f"{name} does not hold the lock")


def holders(place: Place) -> list[str]:
    """Return the Workflows that hold the semaphore."""
    found = []
    for item in place.cluster.list(WORKFLOWS, namespace=place.namespace).items:
        held = field(item, "status", "synchronization", "semaphore", "holding")
        if any(field(each, "holders") for each in (held if isinstance(held, list) else ())):
            found.append(text(item, "metadata", "name"))
    return found


def test_a_waiter_that_argo_overlooks_is_touched_after_a_raise(place: Place) -> None:
    """It reaches the lock by templateRef: without the leader it would wait until something else happens."""
    place.govern(1)
    place.library(container("load", synchronization=LOCK))
    hold(place, "holder")
    place.submit("waiter", dag_of_loads(1, templateRef={"name": "library", "template": "load"}))
    until(lambda: place.waits("waiter"), "it does not wait")
    place.edit(2)
    until(lambda: place.workflow("waiter").status.phase == "Succeeded", "it waits on")
    touched = place.cluster.get(WORKFLOWS, "waiter", namespace=place.namespace)
    assert field(touched, "metadata", "annotations", well_known.TOUCHED)
    place.end("holder")


def test_a_key_stays_while_somebody_holds_its_lock_when_the_policy_is_deleted(place: Place) -> None:
    """Whoever waits gets its turn; then the key goes."""
    place.govern(1)
    hold(place, "holder")
    place.submit("waiter", container("load", synchronization=LOCK))
    until(lambda: place.waits("waiter"), "it does not wait")
    place.cluster.delete(SYNCHRONIZATION_POLICIES, "locks", namespace=place.namespace)
    place.end("holder")
    until(lambda: place.workflow("waiter").status.phase == "Succeeded", "it waits on")
    until(lambda: place.limit() is None, "the key stays")


def test_a_workflow_that_waits_for_itself_is_told_within_seconds(
    place: Place, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """By an event on it, and by `lockkeeper locks`; terminating it is the way out."""
    lockkeeper = Lockkeeper(tmp_path)
    place.govern(1, validate={"deadlocks": "Ignore"})
    place.submit("knot", container("load", synchronization=LOCK), synchronization=LOCK)
    until(lambda: place.waits("knot"), "it does not wait")

    def told() -> list[JsonValue]:
        listing = place.cluster.list(EVENTS, namespace=place.namespace)
        return [item.get("note") for item in listing.items if item.get("reason") == "LockDeadlock"]

    until(lambda: bool(told()), "nobody tells")
    assert str(told()[0]).startswith(f"waits for ever for {place.lock}, which only itself holds.")
    seen = lockkeeper("locks", "--kubeconfig", control_plane.kubeconfig, "-n", place.namespace)
    assert seen.code == 1, seen.err
    assert f"DEADLOCK  {place.namespace}/knot waits for ever" in seen.out
    assert seen.out.splitlines()[1].split()[:5] == [place.lock, "1", "1", "1", "(deadlock)"]
    place.end("knot")
    until(lambda: place.workflow("knot").status.phase == "Failed", "it does not end")
    seen = lockkeeper("locks", "--kubeconfig", control_plane.kubeconfig, "-n", place.namespace, "-o", "json")
    assert (seen.code, msgspec.json.decode(seen.out)) == (0, {"locks": [], "deadlocks": [], "queued": 0})


def test_an_open_window_and_a_foreign_owner_show_in_the_config_map(place: Place) -> None:
    """The limit of the window that is open; and the value of whoever took the key over, with a condition."""
    always: JsonObject = {"name": "always", "schedule": "* * * * *", "duration": "1h", "limit": 7}
    semaphore: JsonObject = {**TARGET, "limit": 1, "windows": [always]}
    place.cluster.create(SYNCHRONIZATION_POLICIES, place.policy({"semaphores": [semaphore]}))
    until(lambda: place.limit() == "7", "the window does not open")
    edit = MergePatch({"data": {"db": "9"}})
    place.cluster.patch(CONFIG_MAPS, SEMAPHORES, edit, namespace=place.namespace)

    def conflicting() -> JsonObject:
        stored = place.cluster.get(SYNCHRONIZATION_POLICIES, "locks", namespace=place.namespace)
        listed = field(stored, "status", "conditions")
        found = [each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, dict)]
        return next((each for each in found if each.get("type") == "Conflicting"), {})

    until(lambda: conflicting().get("reason") == "OwnedElsewhere", "the conflict is not told")
    assert place.limit() == "9"
    assert 'gives it "9" in place of "7"' in str(conflicting()["message"])
    give_back = MergePatch({"data": {"db": None}})
    place.cluster.patch(CONFIG_MAPS, SEMAPHORES, give_back, namespace=place.namespace)
    until(lambda: conflicting().get("status") == "False", "the conflict is told on")
    assert place.limit() == "7"
