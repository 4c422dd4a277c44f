"""`lockkeeper test`: the examples of this repository, the formats, and the exit codes."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

from policy.core.policy_kinds.kinds import POLICY_KINDS
from tests.lockkeeper.commands import EXAMPLES, Lockkeeper

TESTS = EXAMPLES / "tests"
FAILING = """
policies: {policies}
cases:
- name: a build is refused
  workflows:
  - {{file: {workflows}/09-build-1.yaml}}
  expect:
    decision: denied
    locks: [one, two, three, four, five, six, seven, eight, nine, ten, eleven]
- name: a build runs
  workflows:
  - {{file: {workflows}/09-build-1.yaml}}
  expect: {{decision: allowed}}
"""


def failing(folder: Path) -> Path:
    """Write a test file of which one case fails."""
    file = folder / "lockkeeper-test.yaml"
    text = FAILING.format(policies=EXAMPLES / "policies", workflows=EXAMPLES / "workflows")
    file.write_text(text, "utf-8")
    return file


def test_the_examples_pass_and_cover_every_kind_of_policy(lockkeeper: Lockkeeper) -> None:
    """The policies that the README shows are tested, and a new kind brings its example."""
    finished = lockkeeper("test", TESTS)
    assert (finished.code, finished.err) == (0, "")
    names = {each.name.partition("-")[0] for each in TESTS.glob("*-lockkeeper-test.yaml")}
    assert names == {kind.lower() for kind in POLICY_KINDS}
    assert finished.out.splitlines()[-1].endswith(f"cases passed in {len(POLICY_KINDS)} files")


def test_the_example_of_groups_passes(lockkeeper: Lockkeeper) -> None:
    """The tests of an own folder stand beside its policies and Workflows."""
    finished = lockkeeper("test", EXAMPLES / "groups")
    assert (finished.code, finished.err) == (0, "")
    assert finished.out.splitlines()[-1] == "4 of 4 cases passed in 1 file"


def test_a_failing_case_shows_both_sides(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """Short values stand beside each other; of long ones there is a diff."""
    file = failing(tmp_path)
    finished = lockkeeper("test", tmp_path)
    assert finished.code == 1
    assert f"{file}:4: a build is refused" in finished.out
    assert "8     Workflow ci/build-1  decision  denied" in " ".join(finished.out.split("\n"))
    assert "--- expected" in finished.out
    assert "  -- eleven" in finished.out
    assert finished.out.endswith("1 of 2 cases passed in 1 file\n")


def test_programs_get_the_same(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """JSON has both sides, JUnit a case for each, annotations the line."""
    file = failing(tmp_path)
    found = json.loads(lockkeeper("test", file, "-o", "json").out)
    assert [each["case"] for each in found] == ["a build is refused", "a build runs"]
    assert found[0]["mismatches"][0] | {"line": 0} == {
        "object": "Workflow ci/build-1",
        "what": "decision",
        "expected": "denied",
        "actual": "allowed",
        "line": 0,
    }
    suite = ET.fromstring(lockkeeper("test", file, "-o", "junit").out)  # noqa: S314 - our own
    assert [len(each) for each in suite.iter("testcase")] == [1, 0]
    annotated = lockkeeper("test", file, "-o", "github")
    assert annotated.code == 1
    assert f"::error file={file},line=8,title=TestFailed in a build is refused::decision" in annotated.out


def test_other_policies_can_be_tested(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """The same cases say whether a proposal keeps what is expected."""
    (tmp_path / "proposal.yaml").write_text(
        "apiVersion: lockkeeper.dev/v1alpha1\nkind: WorkflowQuota\nmetadata: {name: builds, namespace: ci}\n"
        "spec: {limits: {workflows: 9}, onExceed: Deny}\n",
        "utf-8",
    )
    finished = lockkeeper("test", TESTS / "workflowquota-lockkeeper-test.yaml", "--policies", tmp_path)
    assert finished.code == 1
    assert "two builds run, and the third is refused" in finished.out.partition("\n\n")[2]


def test_nothing_to_test_is_no_success(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """A wrong path looks like that."""
    assert lockkeeper("test", tmp_path).code == 2
    assert lockkeeper("test", tmp_path, "--allow-empty").code == 0
    assert lockkeeper("test", tmp_path / "no-such-folder").code == 2
    assert lockkeeper("test").err == "lockkeeper: give a test file or a folder, or --schema\n"


def test_a_file_that_cannot_be_read_hides_no_other(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """The others are run all the same, and the exit code says that not all were."""
    failing(tmp_path)
    (tmp_path / "b-lockkeeper-test.yaml").write_text("cases: [", "utf-8")
    finished = lockkeeper("test", tmp_path)
    assert finished.code == 2
    assert "1 of 2 cases passed" in finished.out
    assert "b-lockkeeper-test.yaml:2: is not YAML" in finished.err


def test_the_schema_is_printed(lockkeeper: Lockkeeper) -> None:
    """Editors and CI take it from the command that reads the files."""
    printed = json.loads(lockkeeper("test", "--schema").out)
    assert printed["$schema"] == "https://json-schema.org/draft/2020-12/schema"
