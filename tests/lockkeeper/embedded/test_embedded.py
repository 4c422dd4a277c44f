"""What the embedded mode knows of limits, and its closing words."""

from datetime import UTC, datetime, timedelta

import pytest

from lockkeeper.assembly.policy_folder import load_once
from lockkeeper.embedded.argo import SimulatedArgo
from lockkeeper.embedded.embedded import closing, limit_of
from policy.core.objects import well_known
from policy.core.objects.argo_version import DEFAULT_VERSION
from policy.core.objects.json_patch import JsonValue
from policy.core.policies.snapshot import take_snapshot
from policy.core.policy_kinds.kinds import ConfigMap, PolicyMetadata
from tests.lockkeeper.commands import EXAMPLES
from tests.lockkeeper.embedded.printed import PrintedCluster

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
QUEUED = "queued by lockkeeper: position 1 of 1 in here (1/1 running)"
RELEASE: dict[str, JsonValue] = {well_known.INSTANCE_ID: None}
COMPLETE: dict[str, JsonValue] = {well_known.COMPLETED: "true"}


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
    assert (
        limit_of(
            "here/ConfigMap/sem/key", take_snapshot((config_map,), version="v", argo=DEFAULT_VERSION), NOON
        )
        == limit
    )


def test_a_lock_whose_key_is_filled_in_at_run_time_is_an_unknown_one() -> None:
    """`{{=a/b}}` passes validation, since nobody knows its value yet."""
    policies = load_once(EXAMPLES / "policies", DEFAULT_VERSION)
    assert limit_of("team-etl/ConfigMap/sem/{{=a/b}}", policies, NOON) == 0


def test_the_closing_words_name_who_never_ran_and_what_failed(printed: PrintedCluster) -> None:
    """A reader need not count lines to find them."""
    printed.printer.created(printed.store("a", held=True), [])
    argo = SimulatedArgo(
        cluster=printed.cluster,
        clock=lambda: datetime.now(UTC),
        stopwatch=lambda: printed.now,
        limit_of=lambda _: 1,
        task_time=timedelta(0),
    )
    text = closing(
        ["f.yaml: failed"], printed.printer, argo, take_snapshot((), version="v", argo=DEFAULT_VERSION)
    )
    assert text.splitlines()[-2:] == ["here/a still waits: no slot became free for it", "f.yaml: failed"]
    assert "LOCK" not in text
