"""CronWorkflows run as Argo runs them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Event, Thread
from typing import Any

import pytest

from lockkeeper.simulated_argo.cron import ARGO_USER, SimulatedCron, Submitted
from policy.cluster.errors import AlreadyExists
from policy.cluster.memory.memory_cluster import MemoryCluster
from policy.cluster.protocol import CRON_WORKFLOWS, WORKFLOWS, MergePatch
from policy.core.objects import well_known
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject
from tests.patience import PATIENCE

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Clockwork:
    """A cluster with CronWorkflows, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOON + timedelta(seconds=1)
        self.store = MemoryCluster(clock=lambda: self.now, rng=Random(1))
        self.told: list[str] = []
        self.users: set[str] = set()
        self.refusal = ""
        self.created = Event()
        self.cron = SimulatedCron(
            cluster=self.store,
            clock=lambda: self.now,
            argo=DEFAULT_VERSION,
            submit=self.submit,
            tell=lambda namespace, name, text: self.told.append(f"{namespace}/{name}: {text}"),
        )

    def submit(self, obj: JsonObject, namespace: str, user: str) -> Submitted:
        """Store what is created, unless it is to be refused."""
        self.users.add(user)
        if self.refusal:
            return Submitted(refusal=self.refusal)
        try:
            stored: dict[str, Any] = self.store.create(WORKFLOWS, obj, namespace=namespace)
        except AlreadyExists:
            return Submitted()
        self.created.set()
        return Submitted(uid=stored["metadata"]["uid"])

    def add(self, *, labels: dict[str, str] | None = None, **spec: Any) -> None:
        """Create a CronWorkflow that is due each minute, and let it be seen."""
        obj: JsonObject = {
            "apiVersion": CRON_WORKFLOWS.api_version,
            "kind": CRON_WORKFLOWS.kind,
            "metadata": {"name": "c", "labels": {**(labels or {})}},
            "spec": {"schedules": ["* * * * *"], "workflowSpec": {"entrypoint": "main"}, **spec},
        }
        self.store.create(CRON_WORKFLOWS, obj, namespace="here")
        self.cron.look()

    def pass_time(self, length: timedelta = MINUTE) -> None:
        """Move the clock, and look."""
        self.now += length
        self.cron.look()

    def edit(self, **spec: Any) -> None:
        """Change the spec, and look."""
        self.store.patch(CRON_WORKFLOWS, "c", MergePatch({"spec": spec}), namespace="here")
        self.cron.look()

    def end(self, name: str, phase: str = "Succeeded") -> None:
        """Let a run end."""
        status: JsonObject = {"phase": phase, "finishedAt": self.now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        self.store.patch(WORKFLOWS, name, MergePatch({"status": status}), namespace="here")

    def runs(self) -> list[str]:
        """Return how many minutes after noon each run was due, and whether it is to end."""
        found = []
        for item in self.store.list(WORKFLOWS).items:
            any_item: dict[str, Any] = item
            due = int(any_item["metadata"]["name"].removeprefix("c-")) - int(NOON.timestamp())
            found.append(f"{due // 60}{' ends' if any_item['spec'].get('shutdown') else ''}")
        return found

    def name(self, minutes: int) -> str:
        """Return the name of a run."""
        return f"c-{int((NOON + minutes * MINUTE).timestamp())}"

    def status(self) -> dict[str, Any]:
        """Return the status of the CronWorkflow."""
        stored: dict[str, Any] = self.store.get(CRON_WORKFLOWS, "c", namespace="here")
        return {**stored.get("status", {})}


@pytest.fixture
def clockwork() -> Iterator[Clockwork]:
    """Return an empty cluster, closed afterwards."""
    made = Clockwork()
    yield made
    made.store.close()


def test_a_run_is_created_at_each_time_as_argo_creates_it(clockwork: Clockwork) -> None:
    """By its controller's account, with its name, labels, annotation and owner."""
    clockwork.add(
        labels={well_known.CREATOR: "ann", "team": "x"},
        workflowMetadata={"labels": {"a": "b"}, "annotations": {"n": "o"}, "finalizers": ["e.com/f"]},
    )
    assert clockwork.runs() == []
    clockwork.pass_time()
    (run,) = clockwork.store.list(WORKFLOWS).items
    metadata: Any = run["metadata"]
    assert metadata["name"] == clockwork.name(1)
    assert metadata["labels"] == {well_known.CREATOR: "ann", well_known.CRON_WORKFLOW: "c", "a": "b"}
    assert metadata["annotations"] == {well_known.SCHEDULED_TIME: "2026-11-23T12:01:00Z", "n": "o"}
    assert metadata["finalizers"] == ["e.com/f"]
    assert metadata["ownerReferences"][0]["kind"] == "CronWorkflow"
    assert run["spec"] == {"entrypoint": "main"}
    assert clockwork.users == {ARGO_USER}
    status = clockwork.status()
    assert status["lastScheduledTime"] == "2026-11-23T12:01:00Z"
    assert [each["name"] for each in status["active"]] == [clockwork.name(1)]


def test_runs_that_are_over_are_counted_and_few_are_kept(clockwork: Clockwork) -> None:
    """Three that succeeded and one that failed, unless its limits say otherwise."""
    clockwork.add()
    for minute in range(1, 9):
        clockwork.pass_time()
        clockwork.end(clockwork.name(minute), "Failed" if minute % 4 == 0 else "Succeeded")
    clockwork.cron.look()
    clockwork.cron.look()
    assert clockwork.runs() == ["5", "6", "7", "8"]
    status = clockwork.status()
    assert (status["succeeded"], status["failed"], status["active"]) == (6, 2, [])
    clockwork.edit(successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0)
    assert clockwork.runs() == ["7"]


def test_forbid_creates_none_while_one_runs_and_says_so(clockwork: Clockwork) -> None:
    """The next time after its end is the next run."""
    clockwork.add(concurrencyPolicy="Forbid")
    for _ in range(3):
        clockwork.pass_time()
    assert clockwork.runs() == ["1"]
    assert clockwork.told == [f"here/c: {clockwork.name(1)} still runs, so no other is created (Forbid)"]
    clockwork.end(clockwork.name(1))
    clockwork.pass_time()
    assert clockwork.runs() == ["1", "4"]


def test_replace_ends_the_run_before(clockwork: Clockwork) -> None:
    """By its spec, as Argo terminates one."""
    clockwork.add(concurrencyPolicy="Replace")
    clockwork.pass_time()
    clockwork.pass_time()
    assert clockwork.runs() == ["1 ends", "2"]


def test_allow_lets_runs_overlap(clockwork: Clockwork) -> None:
    """That is what happens without a policy, too."""
    clockwork.add(concurrencyPolicy="Allow")
    clockwork.pass_time()
    clockwork.pass_time()
    assert clockwork.runs() == ["1", "2"]
    assert len(clockwork.status()["active"]) == 2


def test_a_suspended_one_creates_nothing_until_it_is_resumed(clockwork: Clockwork) -> None:
    """What was missed meanwhile is not made up for without a deadline."""
    clockwork.add()
    clockwork.pass_time()
    clockwork.edit(suspend=True)
    clockwork.pass_time()
    clockwork.pass_time()
    clockwork.edit(suspend=False)
    assert clockwork.runs() == ["1"]
    clockwork.pass_time()
    assert clockwork.runs() == ["1", "4"]


@pytest.mark.parametrize(("deadline", "runs"), [(30, ["1", "3"]), (10, ["1"])])
def test_a_missed_run_starts_within_its_deadline(
    clockwork: Clockwork, deadline: int, runs: list[str]
) -> None:
    """The latest of those that were missed."""
    clockwork.add(startingDeadlineSeconds=deadline)
    clockwork.pass_time()
    clockwork.edit(suspend=True)
    clockwork.pass_time()
    clockwork.pass_time()
    clockwork.now += timedelta(seconds=20)
    clockwork.edit(suspend=False)
    assert clockwork.runs() == runs


def test_a_new_schedule_has_missed_nothing(clockwork: Clockwork) -> None:
    """Its times count from the change on."""
    clockwork.add(startingDeadlineSeconds=3600)
    clockwork.pass_time()
    clockwork.now += timedelta(seconds=20)
    clockwork.edit(schedules=["*/5 * * * *", "*/7 * * * *"], timezone="Europe/Berlin")
    assert clockwork.runs() == ["1"]
    clockwork.pass_time(6 * MINUTE)
    assert clockwork.runs() == ["1", "5", "7"]


def test_a_refused_run_is_told_in_its_condition(clockwork: Clockwork) -> None:
    """Until one can be created."""
    clockwork.add()
    clockwork.refusal = "exceeded quota"
    clockwork.pass_time()
    status = clockwork.status()
    assert status["failed"] == 1
    assert [each["message"] for each in status["conditions"]] == ["Failed to submit Workflow: exceeded quota"]
    assert "lastScheduledTime" not in status
    clockwork.refusal = ""
    clockwork.pass_time()
    assert clockwork.status().get("conditions", []) == []


@pytest.mark.parametrize(
    "spec",
    [{"schedules": ["7 8 9"]}, {"schedules": []}, {"timezone": "Mars/Olympus"}, {"concurrencyPolicy": "No"}],
)
def test_one_that_can_never_run_is_told_once_with_the_reason(clockwork: Clockwork, spec: Any) -> None:
    """In a line, and in its condition."""
    clockwork.add(**spec)
    clockwork.pass_time()
    clockwork.pass_time()
    assert clockwork.runs() == []
    assert len(clockwork.told) == 1
    assert clockwork.told[0].startswith("here/c: never runs: spec.")
    assert [each["type"] for each in clockwork.status()["conditions"]] == ["SpecError"]
    clockwork.edit(schedules=["* * * * *"], timezone=None, concurrencyPolicy=None)
    clockwork.pass_time()
    assert len(clockwork.runs()) == 1


def test_one_that_is_deleted_creates_nothing_more(clockwork: Clockwork) -> None:
    """Its runs go with it, as the garbage collector has it."""
    clockwork.add()
    clockwork.pass_time()
    clockwork.store.delete(CRON_WORKFLOWS, "c", namespace="here")
    clockwork.pass_time()
    assert clockwork.runs() == []


def test_expressions_are_not_evaluated_and_that_is_said(clockwork: Clockwork) -> None:
    """Nobody waits for a condition that this double does not know."""
    clockwork.add(when="{{= false }}", stopStrategy={"expression": "cronworkflow.failed >= 1"})
    clockwork.pass_time()
    assert clockwork.runs() == ["1"]
    assert clockwork.told == ["here/c: spec.when and spec.stopStrategy are not evaluated by lockkeeper run"]


def test_what_cannot_be_read_stops_no_other(clockwork: Clockwork) -> None:
    """Argo cannot read it either."""
    clockwork.store.create(
        CRON_WORKFLOWS,
        {
            "apiVersion": CRON_WORKFLOWS.api_version,
            "kind": CRON_WORKFLOWS.kind,
            "metadata": {"name": "a"},
            "spec": {"schedules": 7},
        },
        namespace="here",
    )
    clockwork.add()
    clockwork.pass_time()
    assert clockwork.runs() == ["1"]


def test_the_loop_creates_what_is_due_by_itself() -> None:
    """On the clock of this machine."""
    clockwork = Clockwork()
    clockwork.now = NOON + timedelta(seconds=59.9)
    clockwork.add()
    clockwork.now += timedelta(seconds=1)
    stopped = Event()
    loop = Thread(target=clockwork.cron.run, args=(stopped,))
    loop.start()
    assert clockwork.created.wait(PATIENCE)
    stopped.set()
    loop.join(PATIENCE)
    clockwork.store.close()
