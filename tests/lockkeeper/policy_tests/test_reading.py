"""What is wrong with a test file is told all at once, with lines and the nearest names."""

from pathlib import Path

import pytest

from policy.sources.directory import PolicyErrors
from tests.lockkeeper.policy_tests.suites import run, write


def errors_of(folder: Path, cases: str) -> list[str]:
    """Return what is wrong with a file of these cases, without its name."""
    file = write(folder, cases)
    with pytest.raises(PolicyErrors) as caught:
        run(file)
    return [str(each).removeprefix(f"{file}:") for each in caught.value.errors]


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        (
            "cases: [{name: a, workflows: [{file: a.yaml}], exepct: {decision: allowed}}]",
            'cases[0].exepct: unknown field; did you mean "expect"?',
        ),
        (
            "cases: [{name: a, workflows: [{file: a.yaml}], expect: {reason: [Deadlock]}}]",
            'cases[0].expect.reason: unknown field; did you mean "reasons"?',
        ),
        (
            "cases: [{name: a, workflows: [{file: a.yaml}], expect: {decision: allow}}]",
            'did you mean "allowed"?',
        ),
        ("cases: [{name: a, workflows: [{file: a.yaml}]}]", "expects nothing"),
        ("cases: [{name: a, workflows: [{file: a.yaml}], expect: {}}]", "is empty: write what is expected"),
        ("cases: []", "cases: is empty"),
        ("cases: [{name: a, workflows: [], expect: {decision: allowed}}]", "nothing would be decided"),
        (
            "cases: [{name: a, workflows: [{file: b.yaml}], expect: {decision: allowed}}]",
            "cases[0].workflows[0].file: b.yaml: there is no such file or folder",
        ),
        (
            "cases: [{name: a, workflows: [{file: a.yaml, only: b}], expect: {decision: allowed}}]",
            'there is no "b" in a.yaml; there are a',
        ),
        (
            "cases: [{name: a, workflows: [{file: a.yaml, object: {}}], expect: {decision: allowed}}]",
            "must have one of file and object",
        ),
        (
            "cases: [{name: a, workflows: [{object: {kind: Workflow}}], expect: {decision: allowed}}]",
            "must be a Kubernetes object",
        ),
        (
            "cases: [{name: a, at: noon, workflows: [{file: a.yaml}], expect: {decision: allowed}}]",
            "'noon' is no time",
        ),
        (
            "cases: [{name: a, workflows: [{file: a.yaml, after: soon}], expect: {decision: allowed}}]",
            "'soon' is no duration",
        ),
        (
            'cases: [{name: a, workflows: [{file: a.yaml}], expect: {fields: {"spec[x]": 1}}}]',
            "is no path of a field",
        ),
        (
            "cases: [{name: a, workflows: [{file: a.yaml}], released: [zzz]}]",
            'cases[0].released[0]: "zzz" is no Workflow of the case; its Workflows are a',
        ),
        (
            "cases: [{name: a, workflows: [{file: a.yaml}, {file: a.yaml}], released: [a]}]",
            '"a" stands twice',
        ),
        (
            "cases: [{name: a, running: {team: -1}, workflows: [{file: a.yaml}], released: [a]}]",
            "must be 0 or more",
        ),
        (
            "cases: [{name: a, running: {team: 100000}, workflows: [{file: a.yaml}], released: [a]}]",
            "must be at most 1000",
        ),
        ("cases: [{name: a, name: b, workflows: []}]", "name"),
        ("argoVersion: '9'\ncases: [{name: a, workflows: [{file: a.yaml}], released: [a]}]", "no Argo 9"),
    ],
)
def test_a_wrong_file_is_told_with_its_place(tmp_path: Path, cases: str, expected: str) -> None:
    """A test that silently checks nothing is worse than none."""
    assert any(expected in each for each in errors_of(tmp_path, cases))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Whoever mends a file does it once."""
    cases = """cases:
- {name: a, workflow: [], expect: {decison: allowed}}
- {workflows: [{fil: a.yaml}]}"""
    assert len(errors_of(tmp_path, cases)) == 5


def test_wrong_policies_are_told(tmp_path: Path) -> None:
    """The cases of other policies would say nothing."""
    head = """
objects:
- {apiVersion: lockkeeper.dev/v1alpha1, kind: WorkflowQuota, metadata: {name: q}, spec: {limit: {}}}
"""
    file = write(tmp_path, "cases: [{name: a, workflows: [{file: a.yaml}], released: [a]}]", head)
    with pytest.raises(PolicyErrors, match='unknown field; did you mean "limits"'):
        run(file)


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("nowhere", "nowhere cannot be read: no such file or directory"),
        ("empty", "there is no policy in"),
    ],
)
def test_policies_that_are_named_and_not_there_are_told(tmp_path: Path, folder: str, expected: str) -> None:
    """Without policies every Workflow would be left alone, and a case that expects that would pass."""
    (tmp_path / "empty").mkdir()
    case = "cases: [{name: a, workflows: [{file: a.yaml}], expect: {decision: ungoverned}}]"
    file = write(tmp_path, case, f"policies: {folder}")
    with pytest.raises(PolicyErrors, match=expected) as caught:
        run(file)
    assert str(caught.value.errors[0]).startswith(f"{file}:1: policies: ")


def test_rules_that_need_no_policy_are_tested_without_one(tmp_path: Path) -> None:
    """Nothing names a folder that could be empty by mistake."""
    case = "cases: [{name: a, workflows: [{file: a.yaml}], expect: {decision: ungoverned}}]"
    (result,) = run(write(tmp_path, case, "namespace: team"))
    assert result.passed
