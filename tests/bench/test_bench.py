"""The benchmark works: no figure is judged here, only that each is there and can be one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
CASES = {"2 kB", "20 kB", "200 kB"}
SERVERS = {"lockkeeper", "null app", "kopf", "kopf, no patch"}
POSITIVE = {"throughput", "p50", "p99", "load_cpu", "throughput_vs_kopf", "throughput_vs_null"}
COUNTED_IN_TICKS = {"cpu", "busy", "cpu_vs_kopf", "cpu_above_null"}
"""The system counts CPU time in steps that a short run may not reach, so these may be anything."""
PARTS = {
    "decode",
    "decide",
    "decide, new templates",
    "types",
    "types, new templates",
    "encode",
    "metrics and log line",
    "whole review",
}


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Run the benchmark once, in a process of its own as `make bench` does."""
    command = [sys.executable, "-m", "bench.run", "--quick", "-o", "json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=10 * PATIENCE, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr.decode()
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_every_server_is_measured_at_every_size(rows: list[dict[str, Any]]) -> None:
    """A server that fell out of the table would go unnoticed, and its ratio with it."""
    found = {(row["case"], row["variant"], row["metric"]) for row in rows}
    servers = {(case, server) for case in CASES for server in SERVERS}
    wanted = {(*which, metric) for which in servers for metric in POSITIVE | COUNTED_IN_TICKS | {"load_busy"}}
    parts = {(case, "in process", part) for case in CASES for part in PARTS}
    assert found == wanted | parts


def test_figures_are_plausible(rows: list[dict[str, Any]]) -> None:
    """Zero or less would mean that nothing was measured."""
    assert [row for row in rows if row["metric"] in POSITIVE | PARTS and row["value"] <= 0] == []
    waits = {(row["case"], row["variant"], row["metric"]): row["value"] for row in rows}
    assert all(waits[c, s, "p50"] <= waits[c, s, "p99"] for c in CASES for s in SERVERS)


def test_a_server_is_as_fast_as_itself(rows: list[dict[str, Any]]) -> None:
    """The ratios are taken against the servers that they are named after."""
    ratios = {(row["variant"], row["metric"]): row["value"] for row in rows if row["case"] == "20 kB"}
    assert ratios["kopf", "throughput_vs_kopf"] == 1
    assert ratios["null app", "throughput_vs_null"] == 1
    assert ratios["null app", "cpu_above_null"] == 0
