"""`lockkeeper suggest`: the smallest limits, shares or windows that meet stated waits."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lockkeeper.commands import EXAMPLES, Lockkeeper, Running

HISTORY = EXAMPLES / "history.json"
POLICIES = EXAMPLES / "policies"


def quota(folder: Path, text: str, name: str = "q") -> Path:
    """Write a quota of team-etl, and return the folder."""
    folder.joinpath(f"{name}.yaml").write_text(
        "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\n"
        f"metadata: {{name: {name}, namespace: team-etl}}\nspec: {{{text}}}\n"
    )
    return folder


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the first two days of the history, of the data teams alone: it is played many times."""
    items = json.loads(HISTORY.read_text())["items"]
    kept = [
        each
        for each in items
        if each["metadata"]["creationTimestamp"] < "2026-11-03T20" and each["metadata"]["namespace"] != "ci"
    ]
    path = tmp_path_factory.mktemp("history") / "short.json"
    path.write_text(json.dumps({"items": kept}))
    return path


def waits_of(lockkeeper: Lockkeeper, history: Path, *policies: str | Path) -> dict[str, dict[str, float]]:
    """Return the waits that `simulate` tells by namespace."""
    played = lockkeeper("simulate", history, *policies, "-o", "json")
    assert (played.code, played.err) == (0, "")
    return {each["name"]: each["waits"] for each in json.loads(played.out)["result"]["namespaces"]}


def test_a_limit_is_raised_as_far_as_the_wait_needs_it(lockkeeper: Lockkeeper) -> None:
    """Limits of users, too; then the trade-off, the other ways, and what is not certain."""
    finished = lockkeeper(
        "suggest", HISTORY, "--policies", POLICIES, "--wait", "team-etl p95 1h", "--what-ifs", "60"
    )
    assert (finished.code, finished.err) == (0, "")
    first, *_ = finished.out.splitlines()
    assert first == (
        "team-etl: p95 of the waits is 3h18m at present and 50m41s as suggested; wanted is 1h at most."
    )
    assert "WorkflowQuota team-etl/nightly perUser.workflows      1        2\n" in finished.out
    assert "not even the highest are enough; a window has no limits of users (perUser)" in finished.out
    assert "team-ml              21m             21m" in finished.out
    assert "waits x 0.5" in finished.out
    assert "histories that are drawn anew" in finished.out


@pytest.mark.parametrize(
    "case",
    [
        ("policies", ["team-etl p95 1h", "team-ml p95 30m"], ["limits"]),
        ("proposal", ["team-etl p95 30m"], ["limits", "shares"]),
        ("one", ["team-etl p95 15m"], ["windows"]),
    ],
)
def test_the_policies_that_are_printed_are_taken_by_simulate_and_meet_the_waits(
    lockkeeper: Lockkeeper, short: Path, tmp_path: Path, case: tuple[str, list[str], list[str]]
) -> None:
    """As YAML with all that is beside them, for `--against` and for kubectl."""
    source, waits, by = case
    present = EXAMPLES / source
    if source == "one":
        present = tmp_path / "present"
        present.mkdir()
        quota(present, "limits: {workflows: 1}")
    wanted = [word for each in waits for word in ("--wait", each)]
    ways = [word for each in by for word in ("--by", each)]
    found = lockkeeper(
        "suggest", short, "--policies", present, *wanted, *ways, "--what-ifs", "60", "-o", "yaml"
    )
    assert (found.code, found.err) == (0, "")
    proposal = tmp_path / "proposal" / "all.yaml"
    proposal.parent.mkdir()
    proposal.write_text(found.out)
    played = waits_of(lockkeeper, short, "--policies", present, "--against", proposal)
    before = waits_of(lockkeeper, short, "--policies", present)
    most = {"30m": 1800, "1h": 3600, "15m": 900}
    for each in waits:
        namespace, measure, length = each.split()
        assert played[namespace][measure] <= most[length]
    assert before["team-etl"]["p95"] > most[waits[0].split()[2]]


def test_a_lower_limit_would_not_do_and_the_suggested_one_does(
    lockkeeper: Lockkeeper, short: Path, tmp_path: Path
) -> None:
    """The wait is met by twenty: fewer would do, and each value that was tried is listed with its wait."""
    folder = quota(tmp_path, "limits: {workflows: 20}")
    told = lockkeeper(
        "suggest", short, "--policies", folder, "--wait", "team-etl longest 10m", "-o", "json",
        "--what-ifs", "60",
    )  # fmt: skip
    found = json.loads(told.out)
    assert found["metAtPresent"]
    (setting,) = found["way"]["settings"]
    value = setting["suggested"]
    assert 1 < value < 20
    name = f"{setting['policy']} {setting['field']}"
    tried = {each["changes"].get(name, 20): each["met"] for each in found["tried"]}
    assert tried[value] is True
    assert tried[value - 1] is False
    folder = quota(tmp_path, f"limits: {{workflows: {value}}}")
    assert (
        waits_of(lockkeeper, short, "--policies", folder)["team-etl"]["longest"] == found["waits"][0] <= 600
    )


def test_what_no_limit_can_meet_is_said_with_why(lockkeeper: Lockkeeper, short: Path, tmp_path: Path) -> None:
    """A quota that refuses what waits for nothing: exit code 1, and nothing to be applied."""
    folder = quota(tmp_path, "limits: {workflows: 5}, perWorkflow: {maxPriority: 0}")
    arguments = ("suggest", short, "--policies", folder, "--wait", "team-etl longest 10m")
    finished = lockkeeper(*arguments)
    assert finished.code == 1
    assert "endless for some" in finished.out
    assert "That cannot be met by limits" in finished.out
    assert "Workflows of team-etl are denied whatever the limits are, such as " in finished.out
    as_yaml = lockkeeper(*arguments, "-o", "yaml")
    assert (as_yaml.code, as_yaml.out) == (1, "")
    assert "are denied whatever the limits are" in as_yaml.err


def test_the_report_has_the_trade_off(lockkeeper: Lockkeeper, short: Path, tmp_path: Path) -> None:
    """The report of simulate, of the present policies and of those suggested, with a chart of its own."""
    report = tmp_path / "report.html"
    finished = lockkeeper(
        "suggest", short, "--policies", POLICIES, "--wait", "team-etl p95 1h", "--html", report,
        "--what-ifs", "60",
    )  # fmt: skip
    assert finished.out.endswith(f"The report with charts is in {report}\n")
    page = report.read_text()
    assert "<h2>Trade-off</h2>" in page
    assert "team-etl: p95 of the waits</title>" in page
    assert "what is suggested (after)" in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--wait", "team-etl 10m"], "write a namespace, median, p95 or longest, and a length"),
        (["--wait", "team-etl p95 10x"], "'10x' is no duration"),
        (["--wait", "team-etl p99 10m"], "'team-etl p99 10m' is no wait"),
        (["--wait", "team-etll p95 10m"], 'in the namespace team-etll; did you mean "team-etl"?'),
        (["--wait", "nobody p95 10m"], "no Workflow of the history is in the namespace nobody"),
        (["--wait", "team-etl p95 1h", "--what-ifs", "3"], "'3' is no number from 10 to 100000"),
        (["--wait", "team-etl p95 1h", "--processes", "0"], "'0' is no number from 1 to 256"),
        (["--wait", "team-etl p95 1h", "--by", "shares"], "no pool of team-etl lends"),
        (["--wait", "team-etl p95 1h", "--cluster"], "give a HISTORY, or --cluster"),
    ],
)
def test_what_means_nothing_is_a_usage_error(lockkeeper: Lockkeeper, words: list[str], message: str) -> None:
    """With what to write."""
    finished = lockkeeper("suggest", HISTORY, "--policies", POLICIES, *words)
    assert (finished.code, finished.out) == (2, "")
    assert message in finished.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("limits: {workflows: 2}", "no quota of --policies bounds the namespace ci: it never waits"),
        ("onExceed: Warn, limits: {workflows: 2}", "no quota of --policies bounds the namespace ci"),
    ],
)
def test_a_namespace_that_nothing_bounds_is_a_usage_error(
    lockkeeper: Lockkeeper, tmp_path: Path, text: str, message: str
) -> None:
    """It waits for nothing, whatever is suggested."""
    finished = lockkeeper("suggest", HISTORY, "--policies", quota(tmp_path, text), "--wait", "ci p95 10m")
    assert finished.code == 2
    assert message in finished.err


def test_a_quota_without_a_number_is_a_usage_error(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """There is nothing that could be another."""
    folder = quota(tmp_path, "perWorkflow: {maxPriority: 10}")
    finished = lockkeeper("suggest", HISTORY, "--policies", folder, "--wait", "team-etl p95 10m")
    assert finished.code == 2
    assert "have no number that --by limits, shares, windows may change" in finished.err


# On a terminal.


@contextmanager
def on_a_terminal(lockkeeper: Lockkeeper) -> Iterator[tuple[Running, int]]:
    """Start a search that lasts for long, with standard error on a terminal; yield where that is read."""
    terminal, inside = os.openpty()
    words = ("--wait", "team-etl p95 1h", "--what-ifs", "50000", "--processes", "2")
    try:
        with lockkeeper._start(
            "suggest", HISTORY, "--policies", POLICIES, *words, cwd=EXAMPLES.parent, stderr=inside
        ) as process:
            running = Running(process)
            try:
                yield running, terminal
            finally:
                running.end()
    finally:
        os.close(terminal)
        os.close(inside)


def read_until(terminal: int, wanted: str) -> str:
    """Read a terminal until it shows a text."""
    text = ""
    while wanted not in text:
        text += os.read(terminal, 4096).decode()
    return text


def workers_of(running: Running) -> list[int]:
    """Return the processes that play."""
    return [each for each in running.workers() if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


def test_a_bar_shows_how_far_it_is_and_ctrl_c_ends_all_of_it(lockkeeper: Lockkeeper) -> None:
    """One line and 130; no worker is left, and none tells where it was."""
    with on_a_terminal(lockkeeper) as (running, terminal):
        shown = read_until(terminal, "] 3 of 50000 what-ifs")
        assert "lockkeeper: [..............................] 2 of 50000 what-ifs" in shown
        workers = workers_of(running)
        assert len(workers) == 2
        running.send_group(signal.SIGINT)
        rest = read_until(terminal, "lockkeeper: interrupted")
        assert running.wait() == 130
        assert "Traceback" not in rest
        assert not [each for each in workers if Path(f"/proc/{each}").exists()]
    assert lockkeeper.leftovers() == []


def test_a_worker_that_is_killed_is_told_and_nothing_is_suggested(lockkeeper: Lockkeeper) -> None:
    """As the kernel kills the largest where memory is short."""
    with on_a_terminal(lockkeeper) as (running, terminal):
        read_until(terminal, "] 3 of 50000 what-ifs")
        running.kill_worker(workers_of(running)[0])
        read_until(terminal, "was killed by signal 9, for want of memory perhaps: nothing is suggested")
        assert running.wait() == 2


def test_no_bar_is_shown_where_nobody_looks(lockkeeper: Lockkeeper, short: Path) -> None:
    """Standard error is empty in a pipe, with several processes, too."""
    words = ("--wait", "team-etl p95 1h", "--what-ifs", "40", "--processes", "2")
    finished = lockkeeper("suggest", short, "--policies", POLICIES, *words)
    assert (finished.code, finished.err) == (0, "")
