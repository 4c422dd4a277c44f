"""Test files of policies, written by tests and run in the process."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lockkeeper.policy_tests.reading import read_suite, test_file_entries
from lockkeeper.policy_tests.results import CaseResult, Mismatch
from lockkeeper.policy_tests.running import run_suite

NOON: Final = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
HEAD: Final = """
objects:
- apiVersion: lockkeeper.dev/v1alpha1
  kind: WorkflowQuota
  metadata: {name: q, namespace: team}
  spec: {limits: {workflows: 1}, onExceed: Queue}
- apiVersion: lockkeeper.dev/v1alpha1
  kind: WorkflowQuota
  metadata: {name: strict, namespace: fast}
  spec: {limits: {workflows: 1}, onExceed: Deny}
namespace: team
"""
WORKFLOW: Final = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: a, namespace: team}
spec: {entrypoint: m, templates: [{name: m, container: {image: i}}]}
"""


def write(folder: Path, cases: str, head: str = HEAD) -> Path:
    """Write a test file with the Workflow beside it, and return its path."""
    (folder / "a.yaml").write_text(WORKFLOW, "utf-8")
    file = folder / "my-lockkeeper-test.yaml"
    file.write_text(f"{head}\n{cases}\n", "utf-8")
    return file


def run(file: Path) -> list[CaseResult]:
    """Run the cases of a test file. Raises PolicyErrors."""
    (entry,) = test_file_entries(file)
    return list(run_suite(read_suite(file, entry), NOON))


def only_mismatch(file: Path) -> Mismatch:
    """Return the one thing that is not as expected."""
    (result,) = run(file)
    (found,) = result.mismatches
    return found
