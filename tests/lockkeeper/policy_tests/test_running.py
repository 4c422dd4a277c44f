"""What cases expect is compared with the decision of a review, and nothing passes that differs."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from lockkeeper.policy_tests.case_format import DESCRIPTIONS
from lockkeeper.policy_tests.schema import schema_of_test_files
from tests.lockkeeper.commands import EXAMPLES
from tests.lockkeeper.policy_tests.suites import only_mismatch, run, write

ONE = "cases: [{name: c, running: {'': 1}, workflows: [{file: a.yaml}], expect: %s}]"


@pytest.mark.parametrize(
    "expect",
    [
        "{decision: queued}",
        "{policies: [WorkflowQuota team/q]}",
        "{reasons: [], warnings: [position 1]}",
        "{locks: []}",
        "{fields: {spec.entrypoint: m, 'spec.templates[0].container': {image: i}}}",
        "{absent: [spec.parallelism, 'spec.templates[7].name', spec.entrypoint.x]}",
    ],
)
def test_what_is_as_expected_passes(tmp_path: Path, expect: str) -> None:
    """Each part of an expectation can hold."""
    (result,) = run(write(tmp_path, ONE % expect))
    assert result.passed, result.mismatches


@pytest.mark.parametrize(
    ("expect", "what", "actual"),
    [
        ("{decision: allowed}", "decision", "queued"),
        ("{policies: []}", "policies", ["WorkflowQuota team/q"]),
        ("{reasons: [Deadlock]}", "reasons", []),
        ("{locks: [x on y]}", "locks", []),
        ("{fields: {spec.entrypoint: n}}", "spec.entrypoint", "m"),
        ("{fields: {spec.entrypont: m}}", "spec.entrypont", "(absent)"),
        ("{absent: [spec.entrypoint]}", "spec.entrypoint", "m"),
    ],
)
def test_what_differs_fails_with_both_sides(tmp_path: Path, expect: str, what: str, actual: object) -> None:
    """An expected value that nobody compares has hidden faults in other tools."""
    found = only_mismatch(write(tmp_path, ONE % expect))
    assert (found.what, found.actual, found.object) == (what, actual, "Workflow team/a")


@pytest.mark.parametrize("expect", ["{warnings: []}", "{warnings: [position, position]}", "{patch: []}"])
def test_lists_are_whole(tmp_path: Path, expect: str) -> None:
    """One warning more than expected is another outcome."""
    assert only_mismatch(write(tmp_path, ONE % expect)).what in expect


def test_an_unexpected_denial_says_why(tmp_path: Path) -> None:
    """Nobody has to run another command to see the reason."""
    cases = "cases: [{name: c, running: {fast: 1}, workflows: [{file: a.yaml, namespace: fast}], \
expect: {decision: allowed}}]"
    (result,) = run(write(tmp_path, cases))
    assert [each.what for each in result.mismatches] == ["decision", "reasons"]
    assert "ExceededQuota: [WorkflowQuota fast/strict]" in json.dumps(result.mismatches[1].actual)


def test_a_reason_is_matched_by_all_that_is_given(tmp_path: Path) -> None:
    """Two expected reasons need two reasons."""
    cases = """cases:
- name: c
  running: {fast: 1}
  workflows: [{file: a.yaml, namespace: fast}]
  expect: {reasons: [{code: ExceededQuota, policy: WorkflowQuota fast/strict, message: "workflows=1"}]}
- name: d
  running: {fast: 1}
  workflows: [{file: a.yaml, namespace: fast}]
  expect: {reasons: [{code: ExceededQuota, message: "workflows=7"}]}
"""
    first, second = run(write(tmp_path, cases))
    assert first.passed
    assert [each.what for each in second.mismatches] == ["reasons"]


def test_the_line_is_that_of_the_expectation(tmp_path: Path) -> None:
    """An annotation stands where the file is to be read."""
    cases = "cases:\n- name: c\n  workflows:\n  - file: a.yaml\n  expect:\n    decision: denied"
    file = write(tmp_path, cases)
    assert file.read_text("utf-8").splitlines()[only_mismatch(file).line - 1] == "    decision: denied"


def test_workflows_get_their_slot_in_the_order_of_the_planner(tmp_path: Path) -> None:
    """Order of creation, a higher priority first, and who is refused never comes."""
    cases = """cases:
- name: c
  running: {team: 1}
  workflows:
  - {file: a.yaml, name: one}
  - {file: a.yaml, name: two}
  - object:
      apiVersion: argoproj.io/v1alpha1
      kind: Workflow
      metadata: {generateName: three-}
      spec: {entrypoint: m, priority: 5, templates: [{name: m, container: {image: i}}]}
  - {file: a.yaml, name: fast-1, namespace: fast}
  - {file: a.yaml, name: fast-2, namespace: fast}
  released: [fast-1, three-, one, two]
"""
    (result,) = run(write(tmp_path, cases))
    assert result.passed, result.mismatches


def test_another_order_is_told_with_why_one_never_came(tmp_path: Path) -> None:
    """Both orders are shown, and the denial of the one that is missing."""
    cases = """cases:
- name: c
  workflows:
  - {file: a.yaml, name: fast-1, namespace: fast}
  - {file: a.yaml, name: fast-2, namespace: fast}
  released: [fast-2, fast-1]
"""
    (result,) = run(write(tmp_path, cases))
    order, denial = result.mismatches
    assert (order.expected, order.actual) == (["fast-2", "fast-1"], ["fast-1"])
    assert denial.object == "fast-2"
    assert "exceeded quota: fast/strict" in str(denial.actual)


def test_a_later_create_passes_by_no_age(tmp_path: Path) -> None:
    """`after` moves the clock of the play: who has aged passes the next higher priority."""
    cases = """cases:
- name: c
  at: 2026-12-01T08:00:00Z
  running: {team: 1}
  workflows:
  - {file: a.yaml, name: old}
  - after: %s
    object:
      apiVersion: argoproj.io/v1alpha1
      kind: Workflow
      metadata: {name: high}
      spec: {entrypoint: m, priority: 1, templates: [{name: m, container: {image: i}}]}
  released: %s
"""
    (soon,) = run(write(tmp_path, cases % ("1m", "[high, old]")))
    (late,) = run(write(tmp_path, cases % ("5h", "[old, high]")))
    assert (soon.mismatches, late.mismatches) == ((), ())


def test_the_schema_takes_the_examples_and_no_unknown_field() -> None:
    """Editors check a file by it as the command does."""
    validator = jsonschema_rs.validator_for(schema_of_test_files())
    for file in (EXAMPLES / "tests").glob("*.yaml"):
        value = yaml.safe_load(file.read_text("utf-8"))
        value = json.loads(json.dumps(value, default=str))
        validator.validate(value)
        assert not validator.is_valid({**value, "casses": []})


def test_every_field_is_described() -> None:
    """What an editor shows is no guess."""
    for struct, texts in DESCRIPTIONS.items():
        assert set(struct.__struct_fields__) == set(texts)
