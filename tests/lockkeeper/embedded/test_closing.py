"""The closing words: limits that are in force, and why something still waits."""

from datetime import UTC, datetime

import pytest

from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.embedded.closing import closing, limit_in_force, limit_of, lock_table, namespace_table
from lockkeeper.embedded.event_printer import NamespaceTotals
from policy.cluster.protocol import WORKFLOWS
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonObject
from policy.core.policies.snapshot import Snapshot, take_snapshot
from policy.core.policy_kinds.kinds import ConfigMap, PolicyMetadata
from policy.core.values.amounts import Amount, Limits
from policy.service.tracking.tracked import track
from policy.sources.documents import Document
from tests.lockkeeper.commands import EXAMPLES
from tests.lockkeeper.embedded.printed import PrintedCluster
from tests.policy.core.builders import pool, quota

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NIGHT = datetime(2026, 11, 23, 22, 0, tzinfo=UTC)


def snapshot(*documents: Document) -> Snapshot:
    """Return a snapshot."""
    return take_snapshot(documents, version="v", argo=DEFAULT_VERSION)


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


def in_force(*documents: Document, now: datetime = NOON, nodes: Limits | None = None) -> str:
    """Return the limit of the namespace `team-a`."""
    return str(limit_in_force(snapshot(*documents), "team-a", now, lambda _: nodes))


def test_the_limit_is_that_of_the_tightest_quota_of_all_its_workflows() -> None:
    """A quota of some of them does not bound the others; without any there is none."""
    assert in_force() == "unlimited"
    several = [quota(name, limits={"workflows": most}) for name, most in (("a", 5), ("b", 3))]
    some = quota("c", limits={"workflows": 1}, selector={"matchLabels": {"team": "x"}})
    assert in_force(*several, some) == "3"


def test_the_limit_is_that_of_the_window_that_is_open() -> None:
    """By night it may be another one than by day."""
    night: JsonObject = {
        "name": "night",
        "schedule": "0 20 * * *",
        "duration": "10h",
        "limits": {"workflows": 9},
    }
    elastic = quota(limits={"workflows": 2}, windows=[night])
    assert (in_force(elastic), in_force(elastic, now=NIGHT)) == ("2", "9")


def test_the_limit_of_a_member_is_what_its_pool_lets_it_have() -> None:
    """Its share with what it may borrow; and no more than nodes allow."""
    own = quota(limits={"workflows": 2})
    assert in_force(pool(limits={"workflows": 7}), own) == "2"
    lender = pool(limits={"workflows": 7}, borrowing={})
    assert in_force(lender, own) == "7"
    assert in_force(pool(limits={"workflows": 7}, borrowing={"borrowingLimit": {"workflows": 1}}), own) == "3"


def test_the_tables_have_namespaces_and_locks_in_order() -> None:
    """With limits beside what there was at most."""
    totals = {"b": NamespaceTotals(created=3, most_running=2, longest_wait=1.25), "a": NamespaceTotals()}
    assert namespace_table(totals, {"a": Amount(None), "b": Amount(2)}).splitlines() == [
        "NAMESPACE  CREATED  DENIED  FINISHED  MOST RUNNING  LIMIT      MOST QUEUED  LONGEST WAIT",
        "a          0        0       0         0             unlimited  0            0.0 s",
        "b          3        0       0         2             2          0            1.2 s",
    ]
    assert lock_table({"y": 2, "x": 1}, {"y": 1, "x": 1}).splitlines() == [
        "LOCK  LIMIT  MOST HELD",
        "x     1      1",
        "y     2      1",
    ]


def words(printed: PrintedCluster, **most_held: int) -> list[str]:
    """Return the closing words."""
    return closing(
        ["f.yaml: failed"], printed.printer, most_held, snapshot(), now=NOON, capacity=lambda _: None
    ).splitlines()


def test_the_closing_words_say_why_something_still_waits_and_what_failed(printed: PrintedCluster) -> None:
    """In the words of the controller: not every wait is for a slot."""
    for name in ("a", "b"):
        printed.printer.created(printed.store(name, held=True), [])
    printed.printer.reason(track(printed.cluster.get(WORKFLOWS, "a", namespace="here")), "here is on hold")
    assert words(printed)[-3:] == [
        "here/a still waits: here is on hold",
        "here/b still waits: the controller has not looked at it yet",
        "f.yaml: failed",
    ]
    assert not any("LOCK" in each for each in words(printed))
    assert "here/Mutex/m  1      1" in words(printed, **{"here/Mutex/m": 1})


def test_who_still_waits_has_waited_until_now(printed: PrintedCluster) -> None:
    """And where nothing was created that is said."""
    assert words(printed) == ["", "No Workflow was created.", "f.yaml: failed"]
    printed.printer.created(printed.store("a", held=True), [])
    printed.now = 12.0
    assert words(printed)[2].split()[-2:] == ["12.0", "s"]
