"""The narrator and the play: what a person reads, and when they stop waiting."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.embedded.api_server import USER, AdmissionFailed, Admitted, ApiServer
from lockkeeper.embedded.argo import SimulatedArgo
from lockkeeper.embedded.embedded import closing, limit_of
from lockkeeper.embedded.narrator import Narrator, Tally, closing_table, lock_table
from lockkeeper.embedded.play import create_child, injected_locks, lock_names, play
from lockkeeper.process.output import aligned
from policy.cluster.memory import MemoryCluster
from policy.cluster.protocol import WORKFLOWS, MergePatch
from policy.core import marks
from policy.core.fields import QuotaLimits
from policy.core.kinds import ConfigMap, PolicyMetadata, WorkflowQuota, WorkflowQuotaSpec
from policy.core.locks.forms import DEFAULT_VERSION
from policy.core.patches import JsonObject, JsonValue
from policy.core.snapshot import Snapshot, take_snapshot
from policy.service.tracker import track
from tests.lockkeeper.commands import EXAMPLES
from tests.patience import PATIENCE


class Scene:
    """A narrator over a cluster, whose events it sees when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.out = io.StringIO()
        self.cluster = MemoryCluster(clock=lambda: datetime.now(UTC), rng=Random(1))
        self.narrator = Narrator(cluster=self.cluster, stopwatch=lambda: self.now, out=self.out)
        self._since = self.cluster.list(WORKFLOWS).resource_version

    def store(self, name: str, *, held: bool) -> JsonObject:
        """Store a Workflow."""
        labels: JsonObject = {marks.INSTANCE_ID: marks.HOLD_VALUE} if held else {}
        obj: JsonObject = {
            "apiVersion": WORKFLOWS.api_version,
            "kind": WORKFLOWS.kind,
            "metadata": {"name": name, "labels": labels},
            "spec": {},
        }
        return self.cluster.create(WORKFLOWS, obj, namespace="here")

    def label(self, name: str, **labels: JsonValue) -> None:
        """Change labels of a Workflow."""
        value: JsonObject = {"metadata": {"labels": labels}}
        self.cluster.patch(WORKFLOWS, name, MergePatch(value), namespace="here")

    def see(self) -> None:
        """Let the narrator see all that happened."""
        for event in self.cluster.watch(WORKFLOWS, since=self._since, timeout=0):
            self._since = event.resource_version
            self.narrator._see(event)

    def told(self) -> list[str]:
        """Return the texts of the lines so far."""
        return [line.split(maxsplit=2)[2] for line in self.out.getvalue().splitlines()]


@pytest.fixture
def scene() -> Scene:
    """Return a narrator and its cluster."""
    return Scene()


NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
QUEUED = "queued by lockkeeper: position 1 of 1 in here (1/1 running)"
RELEASE: dict[str, JsonValue] = {marks.INSTANCE_ID: None}
COMPLETE: dict[str, JsonValue] = {marks.COMPLETED: "true"}


def test_a_workflow_that_waits_runs_and_ends_is_told_in_three_lines(scene: Scene) -> None:
    """With its place in the queue, its wait, its locks, and how many still run."""
    obj = scene.store("a", held=True)
    scene.narrator.created(obj, ["lock x on y"])
    scene.narrator.waits(track(obj), QUEUED)
    scene.narrator.waits(track(obj), QUEUED)
    scene.now = 2.5
    scene.label("a", **RELEASE)
    scene.see()
    scene.label("a", **COMPLETE)
    scene.see()
    assert scene.told() == [
        "queued, position 1 of 1 in here (1/1 running)",
        "running after 2.5 s in the queue [lock x on y]",
        "finished, 0 still running here",
    ]
    assert scene.narrator.tallies["here"] == Tally(1, 0, 1, 0, 1, 1, 2.5)


def test_a_workflow_that_is_not_held_runs_at_once(scene: Scene) -> None:
    """No wait is told where there was none."""
    uid = scene.narrator.created(scene.store("a", held=False), [])
    scene.see()
    assert scene.told() == ["running"]
    assert scene.narrator.settled(uid, 0)


def test_what_the_watch_showed_before_the_create_returned_is_told_after_it(scene: Scene) -> None:
    """Controller and Argo may be faster than the answer of the create."""
    obj = scene.store("a", held=True)
    scene.narrator.waits(track(obj), QUEUED)
    scene.label("a", **RELEASE)
    scene.label("a", **COMPLETE)
    scene.see()
    assert scene.told() == []
    scene.narrator.created(obj, [])
    assert [line.split(",")[0] for line in scene.told()] == [
        "queued",
        "running after 0.0 s in the queue",
        "finished",
    ]


def test_a_workflow_that_was_given_up_never_ran(scene: Scene) -> None:
    """Its wait was too long: it is neither told of as running nor counted as one that ran."""
    obj = scene.store("a", held=True)
    uid = scene.narrator.created(obj, [])
    scene.narrator.waits(track(obj), QUEUED)
    scene.now = 3.0
    status: JsonObject = {"phase": "Failed", "message": "lockkeeper: it waited 3s in here and did not start"}
    ended: JsonObject = {"metadata": {"labels": {**RELEASE, **COMPLETE}}, "status": status}
    scene.cluster.patch(WORKFLOWS, "a", MergePatch(ended), namespace="here")
    scene.label("a", note="x")
    scene.see()
    assert scene.told()[1:] == ["given up: it waited 3s in here and did not start"]
    assert scene.narrator.tallies["here"] == Tally(1, 0, 0, 0, 0, 1, 3.0)
    assert scene.narrator.finished(0)
    assert scene.narrator.settled(uid, 0)
    assert scene.narrator.waiting() == []


def test_who_prints_hears_that_nobody_reads_any_more(scene: Scene) -> None:
    """And goes on: what is told of is told to others, too."""

    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    heard: list[str] = []
    narrator = Narrator(
        cluster=scene.cluster, stopwatch=lambda: 0.0, out=Closed(), unread=lambda: heard.append("unread")
    )
    narrator.text("a line")
    assert heard == ["unread"]
    with pytest.raises(BrokenPipeError):
        Narrator(cluster=scene.cluster, stopwatch=lambda: 0.0, out=Closed()).text("a line")


def test_a_change_of_a_held_workflow_is_not_told(scene: Scene) -> None:
    """A moved position is no news by itself."""
    uid = scene.narrator.created(scene.store("a", held=True), [])
    scene.label("a", note="x")
    scene.see()
    assert scene.told() == []
    assert not scene.narrator.settled(uid, 0)
    assert [each.name for each in scene.narrator.waiting()] == ["a"]


def test_whoever_waits_for_news_is_woken_by_it(scene: Scene) -> None:
    """The play goes on with the controller's word, and ends with the last Workflow."""
    obj = scene.store("a", held=True)
    uid = scene.narrator.created(obj, [])
    with ThreadPoolExecutor(2) as threads:
        settled = threads.submit(scene.narrator.settled, uid, PATIENCE)
        finished = threads.submit(scene.narrator.finished, PATIENCE)
        scene.narrator.waits(track(obj), QUEUED)
        assert settled.result(PATIENCE)
        scene.label("a", **RELEASE)
        scene.label("a", **COMPLETE)
        scene.see()
        assert finished.result(PATIENCE)


def test_waiting_for_the_end_gives_up_when_nothing_happens(scene: Scene) -> None:
    """A Workflow that can never run does not keep a play from ending."""
    assert scene.narrator.finished(0)
    scene.narrator.created(scene.store("a", held=True), [])
    assert not scene.narrator.finished(0.01)


def test_most_running_and_most_queued_are_peaks(scene: Scene) -> None:
    """They are what the limits are compared with."""
    made = [scene.store(name, held=True) for name in "abc"]
    for obj in made:
        scene.narrator.created(obj, [])
        scene.narrator.waits(track(obj), QUEUED)
    for name in "abc":
        scene.label(name, **RELEASE)
        scene.see()
        if name == "b":
            scene.label("a", **COMPLETE)
            scene.see()
    tally = scene.narrator.tallies["here"]
    assert (tally.most_queued, tally.most_running, tally.running) == (3, 2, 2)


def test_a_slot_that_was_given_on_does_not_count_twice(scene: Scene) -> None:
    """The closing table must not show a limit exceeded that never was."""
    scene.narrator.created(scene.store("a", held=False), [])
    scene.label("a", **COMPLETE)
    scene.narrator.created(scene.store("b", held=False), [])
    scene.see()
    assert scene.narrator.tallies["here"].most_running == 1


def test_every_reason_of_a_denial_has_a_line(scene: Scene) -> None:
    """The first beside the name, the others below it."""
    scene.narrator.denied("here", "a", "one\ntwo")
    scene.narrator.denied("here", "b", "")
    lines = scene.out.getvalue().splitlines()
    assert [line.split()[-1] for line in lines] == ["one", "two", "denied:"]
    assert scene.narrator.tallies["here"].denied == 2


def quota(namespace: str, name: str, workflows: int | None) -> WorkflowQuota:
    """Return a quota."""
    return WorkflowQuota(
        PolicyMetadata(name, namespace), WorkflowQuotaSpec(limits=QuotaLimits(workflows=workflows))
    )


def snapshot(*quotas: WorkflowQuota | ConfigMap) -> Snapshot:
    """Return a snapshot."""
    return take_snapshot(quotas, version="v", argo=DEFAULT_VERSION)


def test_the_closing_table_shows_the_tightest_limit() -> None:
    """Namespaces in order of names, `unlimited` where no quota speaks."""
    text = closing_table(
        {"b": Tally(created=3, most_running=2, longest_wait=1.25), "a": Tally()},
        snapshot(quota("b", "x", 5), quota("b", "y", 2), quota("b", "z", None)),
        datetime(2026, 3, 1, tzinfo=UTC),
    )
    assert text.splitlines() == [
        "NAMESPACE  CREATED  DENIED  FINISHED  MOST RUNNING  LIMIT      MOST QUEUED  LONGEST WAIT",
        "a          0        0       0         0             unlimited  0            0.0 s",
        "b          3        0       0         2             2          0            1.2 s",
    ]


def test_the_table_of_locks_shows_limit_and_peak() -> None:
    """In order of names."""
    assert lock_table({"y": 2, "x": 1}, {"y": 1, "x": 1}).splitlines() == [
        "LOCK  LIMIT  MOST HELD",
        "x     1      1",
        "y     2      1",
    ]


def test_columns_are_aligned_without_blanks_at_the_end() -> None:
    """A terminal of any width shows them as they are."""
    assert aligned([("a", "b"), ("longer", "")]) == "a       b\nlonger"


@pytest.mark.parametrize(
    ("lock", "limit"),
    [
        ("team-etl/Mutex/copying", 1),
        ("team-etl/Database/key", 1),
        ("team-etl/ConfigMap/workflow-semaphores/warehouse-connections", 2),
        ("team-etl/ConfigMap/workflow-semaphores/unknown", 0),
        ("sandbox/ConfigMap/none/none", 0),
    ],
)
def test_the_simulated_argo_knows_limits_as_policies_define_them(lock: str, limit: int) -> None:
    """A mutex has one holder, a semaphore as many as its policy says, an unknown one none."""
    assert limit_of(lock, load_once(EXAMPLES / "policies", DEFAULT_VERSION), NOON) == limit


@pytest.mark.parametrize(("value", "limit"), [("3", 3), ("x", 0), ("", 0)])
def test_the_simulated_argo_reads_limits_of_config_maps(value: str, limit: int) -> None:
    """As Argo does: what is no integer lets nobody in."""
    config_map = ConfigMap(PolicyMetadata("sem", "here"), {"key": value})
    assert limit_of("here/ConfigMap/sem/key", snapshot(config_map), NOON) == limit


def test_a_lock_whose_key_is_filled_in_at_run_time_is_an_unknown_one() -> None:
    """`{{=a/b}}` passes validation, since nobody knows its value yet."""
    policies = load_once(EXAMPLES / "policies", DEFAULT_VERSION)
    assert limit_of("team-etl/ConfigMap/sem/{{=a/b}}", policies, NOON) == 0


def test_injected_locks_are_read_from_the_patch() -> None:
    """Each with the template that it was put on."""
    original: JsonObject = {"spec": {"templates": [{"name": "one"}, {"name": "two"}]}}
    semaphore: JsonObject = {"configMapKeyRef": {"name": "sem", "key": "db"}}
    patch: tuple[JsonObject, ...] = (
        {"op": "add", "path": "/spec/templates/0/synchronization", "value": {"semaphores": [semaphore]}},
        {"op": "add", "path": "/spec/templates/1/synchronization/mutexes/-", "value": {"name": "m"}},
        {"op": "add", "path": "/spec/templates/5/synchronization", "value": {"mutex": {"name": "n"}}},
        {"op": "add", "path": "/metadata/labels", "value": {"name": "no lock"}},
    )
    assert injected_locks(original, Admitted({}, patch, ())) == [
        "lock sem/db on one",
        "lock mutex m on two",
        "lock mutex n on templates[5]",
    ]


@pytest.mark.parametrize("value", [None, 5, "x", {}, {"semaphores": []}])
def test_what_holds_no_lock_has_no_names(value: JsonValue) -> None:
    """A patch of another kind is no lock."""
    assert lock_names(value) == []


class Door(ApiServer):
    """An API server without a webhook: it does what the test says with each object."""

    def __init__(self, answer: Callable[[JsonObject, str], Admitted]) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.users: list[str] = []
        self.closed = False

    def create(self, obj: JsonObject, *, namespace: str, user: str = USER) -> Admitted:
        """Answer as the test says."""
        self.asked.append(namespace)
        self.users.append(user)
        return self._answer(obj, namespace)

    def close(self) -> None:
        """Note it."""
        self.closed = True


def folder_of(tmp_path: Path, *texts: str) -> Path:
    """Write manifests into a folder."""
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
    return tmp_path


def test_a_play_creates_workflows_only_in_the_order_of_files(scene: Scene, tmp_path: Path) -> None:
    """A Workflow without a namespace goes to `default`, as kubectl would send it."""

    def deny(_: JsonObject, __: str) -> Admitted:
        return Admitted(None, (), (), "no")

    door = Door(deny)
    folder = folder_of(
        tmp_path,
        "kind: Workflow\nmetadata: {name: b, namespace: here}\n",
        "kind: ConfigMap\nmetadata: {name: c}\n",
        "kind: Workflow\nmetadata: {name: a}\n",
    )
    assert play(folder, door, scene.narrator) == []
    assert door.asked == ["here", "default"]
    assert door.closed
    assert scene.told() == ["denied: no", "denied: no"]


def test_a_failed_call_is_told_and_the_play_goes_on(scene: Scene, tmp_path: Path) -> None:
    """It is a failure of the run, not a decision."""

    def fail(_: JsonObject, __: str) -> Admitted:
        raise AdmissionFailed("failed calling /mutate: 500")

    door = Door(fail)
    manifest = "kind: Workflow\nmetadata: {name: a, namespace: here}\n"
    failures = play(folder_of(tmp_path, manifest, manifest), door, scene.narrator)
    assert [each.partition(": ")[2] for each in failures] == ["failed calling /mutate: 500"] * 2
    assert len(door.asked) == 2
    assert door.closed


def test_a_child_is_created_as_the_account_of_a_pod(scene: Scene) -> None:
    """And told of like any other Workflow; one that is refused or fails is nobody's child."""
    pod = "system:serviceaccount:here:default"
    child: JsonObject = {"kind": "Workflow", "metadata": {"name": "child"}}
    stored = scene.store("child", held=False)
    doors = [Door(lambda _, __: Admitted(stored, (), ())), Door(lambda _, __: Admitted(None, (), (), "no"))]
    uids = [create_child(child, "here", pod, door, scene.narrator) for door in doors]
    metadata = stored["metadata"]
    assert isinstance(metadata, dict)
    assert uids == [metadata["uid"], ""]
    assert [door.users for door in doors] == [[pod], [pod]]

    def fail(_: JsonObject, __: str) -> Admitted:
        raise AdmissionFailed("failed calling /mutate: 500")

    assert create_child(child, "here", pod, Door(fail), scene.narrator) == ""
    assert scene.told()[-2:] == ["denied: no", "failed: failed calling /mutate: 500"]


def test_the_closing_words_name_who_never_ran_and_what_failed(scene: Scene) -> None:
    """A reader need not count lines to find them."""
    scene.narrator.created(scene.store("a", held=True), [])
    argo = SimulatedArgo(
        cluster=scene.cluster,
        clock=lambda: datetime.now(UTC),
        stopwatch=lambda: scene.now,
        limit_of=lambda _: 1,
        task_time=timedelta(0),
    )
    text = closing(["f.yaml: failed"], scene.narrator, argo, snapshot())
    assert text.splitlines()[-2:] == ["here/a still waits: no slot came free for it", "f.yaml: failed"]
    assert "LOCK" not in text
