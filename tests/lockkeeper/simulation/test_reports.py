"""What is told of two sets of policies: words, tables, the report; for whom it is better or worse."""

from pathlib import Path

import msgspec

from lockkeeper.cli.planning.simulate import simulated
from lockkeeper.histories.opening import open_history
from lockkeeper.simulation.outcome import SimulationOutcome
from lockkeeper.simulation.report_page import report_page
from lockkeeper.simulation.tables import simulation_tables
from policy.core.policies.snapshot import Snapshot
from policy.core.policy_kinds.kinds import WorkflowQuota
from tests.lockkeeper.histories.archives import recorded_workflow
from tests.lockkeeper.histories.past_runs import of_kind, policies

HOSTILE = "<img src=//elsewhere.example/x onerror=alert(1)>"


def limits(**spec: object) -> Snapshot:
    """Return a quota of each namespace."""
    return policies(
        *(of_kind(WorkflowQuota, "main", each, **spec) for each in ("team-etl", "team-ml")),
        namespaces=("team-etl", "team-ml"),
    )


def outcome(tmp_path: Path, before: Snapshot, after: Snapshot | None, name: str = "w") -> SimulationOutcome:
    """Return what comes of six runs of ten minutes, three of each namespace, created at once."""
    items = [recorded_workflow(f"{name}{number}") for number in range(3)]
    items += [recorded_workflow(f"m{number}", "team-ml") for number in range(3)]
    items[0]["metadata"]["annotations"] = {"lockkeeper.dev/user": HOSTILE}
    file = tmp_path / "history.json"
    file.write_bytes(msgspec.json.encode(items))
    history = open_history(str(file), with_nodes=False, namespace="default")
    return simulated(history, before, "now", after, "proposal")


def test_one_set_says_who_waits_and_for_how_long(tmp_path: Path) -> None:
    """One after another: the last waits for twenty minutes."""
    found = outcome(tmp_path, limits(limits={"workflows": 1}), None)
    assert found.sentences[1:3] == (
        "Under now: half of the Workflows wait up to 10m, 95 of 100 up to 20m, the longest wait is 20m.",
        "team-etl: half of the Workflows wait up to 10m, 95 of 100 up to 20m, the longest wait is 20m.",
    )
    assert found.comparison is None


def test_what_is_better_and_worse_is_said_for_each_namespace(tmp_path: Path) -> None:
    """Those who are newly denied, and those who start earlier."""
    better = limits(limits={"workflows": 3})
    found = outcome(tmp_path, limits(limits={"workflows": 1}), better)
    assert found.sentences[1] == "With proposal instead of now: 4 start earlier by a minute or more."
    assert "team-ml: 95 of 100 wait not at all instead of 20m, shorter by 20m." in found.sentences
    worse = outcome(tmp_path, better, limits(limits={"workflows": 1}, onExceed="Deny"))
    assert "4 are denied that were not" in worse.sentences[1]
    assert "team-etl: 2 are denied instead of 0." in worse.sentences
    assert worse.result.denied[0].code == "ExceededQuota"
    assert "DENIED IN" in simulation_tables(worse)


def test_the_same_policies_make_no_difference(tmp_path: Path) -> None:
    """And that is said, too."""
    same = limits(limits={"workflows": 1})
    found = outcome(tmp_path, same, same)
    assert "all Workflows start within a minute of when they did" in found.sentences[1]
    assert any(each.startswith("For no namespace, pool, user") for each in found.sentences)


def test_those_that_never_start_are_said_to_starve(tmp_path: Path) -> None:
    """A limit of 0 lets nothing start."""
    found = outcome(tmp_path, limits(limits={"workflows": 3}), limits(limits={"workflows": 0}))
    assert "6 never start or give up that started" in found.sentences[1]
    assert any("6 Workflows starve" in each for each in found.sentences)


def test_a_name_is_a_text_in_the_report(tmp_path: Path) -> None:
    """Users choose their names; a report is opened by others, and has no script at all."""
    limited = limits(limits={"workflows": 1})
    page = report_page(outcome(tmp_path, limited, limits(limits={"workflows": 3}), HOSTILE))
    assert HOSTILE not in page
    assert "&lt;img src=//elsewhere.example/x onerror=alert(1)&gt;" in page
    assert "<script" not in page
    assert "default-src 'none'" in page


def test_the_numbers_of_the_report_are_those_of_the_json(tmp_path: Path) -> None:
    """One outcome, three ways to show it."""
    found = outcome(tmp_path, limits(limits={"workflows": 1}), None)
    page = report_page(found)
    for sentence in found.sentences:
        assert sentence.replace("'", "&#x27;") in page
    (group,) = [each for each in found.result.namespaces if each.name == "team-ml"]
    assert (group.workflows, group.waits.p95) == (3, 1200)
