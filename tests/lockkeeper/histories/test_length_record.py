"""What the controller has recorded of run times, as the lengths of a load that is described."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from lockkeeper.histories.history import RunHistory
from lockkeeper.histories.opening import open_history
from lockkeeper.process.console import UsageError
from policy.core.cluster_view.run_lengths import RunLengths, series_of

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def record_file(folder: Path, *, listed: bool = False) -> Path:
    """Write a record as kubectl prints it: 20 runs of a template of some 20m, 5 of a CronWorkflow of 3h."""
    record = RunLengths()
    for number in range(20):
        series = series_of("etl", f"load-{number}", "WorkflowTemplate/load")
        record.add(series, timedelta(seconds=1_150 + 10 * number), NOON)
    for _ in range(5):
        record.add(series_of("etl", "nightly-1790000000"), timedelta(hours=3), NOON)
    obj: dict[str, Any] = {"apiVersion": "lockkeeper.dev/v1alpha1", "kind": "RunLengths"}
    obj |= {"metadata": {"name": "lockkeeper"}, "series": msgspec.to_builtins(record.stored(NOON))}
    path = folder / "runlengths.json"
    path.write_bytes(msgspec.json.encode({"kind": "List", "items": [obj]} if listed else obj))
    return path


def load(
    folder: Path, recorded: str, *, namespace: str = "etl", record: str = "runlengths.json"
) -> RunHistory:
    """Return the history of a load with recorded run times."""
    arrival = {"namespace": namespace, "perHour": 6, "runTime": {"recorded": recorded}}
    described = {"begin": "2026-11-02T00:00:00Z", "days": 3, "runLengths": record, "arrivals": [arrival]}
    path = folder / "load.yaml"
    path.write_text(yaml.safe_dump(described), encoding="utf-8")
    return open_history(str(path), with_nodes=False, namespace="default")


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("recorded", "shortest", "longest"),
    [("WorkflowTemplate/load", 1_024, 1_408), ("nightly", 10_240, 12_288), ("nightly-", 10_240, 12_288)],
)
def test_a_load_runs_as_long_as_was_recorded(
    tmp_path: Path, recorded: str, shortest: int, longest: int, *, listed: bool
) -> None:
    """By template, by CronWorkflow or by generateName; right to the bucket of the sketch."""
    record_file(tmp_path, listed=listed)
    history = load(tmp_path, recorded)
    lengths = [each.seconds for each in history.runs()]
    assert len(lengths) > 300
    assert min(lengths) >= shortest
    assert max(lengths) <= longest
    (note,) = (each for each in history.facts().remarks if "runlengths.json" in each)
    assert "a record has none of it" in note


def test_a_record_is_read_as_yaml_too(tmp_path: Path) -> None:
    """As `kubectl get -o yaml` prints it."""
    found = msgspec.json.decode(record_file(tmp_path).read_bytes())
    (tmp_path / "kept.yaml").write_text(yaml.safe_dump(found), encoding="utf-8")
    assert load(tmp_path, "nightly", record="kept.yaml").count


def test_of_what_is_not_known_all_of_the_namespace_stand_in_and_that_is_told(tmp_path: Path) -> None:
    """With what can be written instead."""
    record_file(tmp_path)
    remarks = load(tmp_path, "other").facts().remarks
    assert any("too little of 'other' in etl: all runs of the namespace stand in" in each for each in remarks)


@pytest.mark.parametrize(
    ("text", "namespace", "message"),
    [
        (None, "nowhere", r"arrivals\[0\]: the record knows too little of 'nightly' and .* it knows of etl"),
        ("{}", "etl", "has no RunLengths with a series in it; kubectl get runlengths"),
        (
            '{"kind": "RunLengths", "series": [{"namespace": 1}]}',
            "etl",
            "is no record of Lockkeeper: Expected",
        ),
        (
            '{"kind": "RunLengths", "series": [{"namespace":"a","digest":"b","period":1,"lengths":"x"}]}',
            "etl",
            "is no record of Lockkeeper",
        ),
        ('{"kind": ', "etl", "is no record of Lockkeeper"),
        ("a: 1\n---\nb: 2\n", "etl", "it has 2 documents"),
    ],
)
def test_a_record_that_does_not_do_is_told(
    tmp_path: Path, text: str | None, namespace: str, message: str
) -> None:
    """With its path or with what it knows, and never as an error of ours."""
    path = record_file(tmp_path)
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        load(tmp_path, "nightly", namespace=namespace)


def test_a_record_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With the path that was tried, beside the load."""
    with pytest.raises(UsageError, match=r"runLengths: .*/no.json cannot be read: No such file"):
        load(tmp_path, "nightly", record="no.json")


def test_recorded_run_times_need_a_record(tmp_path: Path) -> None:
    """The field to write is named."""
    arrival = {"namespace": "a", "perHour": 6, "runTime": {"recorded": "x"}}
    path = tmp_path / "load.yaml"
    path.write_text(yaml.safe_dump({"begin": "2026-11-02T00:00:00Z", "days": 3, "arrivals": [arrival]}))
    with pytest.raises(UsageError, match="no runLengths: FILE with the record"):
        open_history(str(path), with_nodes=False, namespace="default")


def test_a_record_alone_is_no_history_and_it_is_said_what_it_is_for(tmp_path: Path) -> None:
    """It tells no arrivals."""
    path = record_file(tmp_path)
    with pytest.raises(UsageError, match="describe these in a load, with runLengths: FILE"):
        open_history(str(path), with_nodes=False, namespace="default")
