"""`lockkeeper export`: objects for kubectl, what they do not say, and the exit codes."""

import json
from pathlib import Path

import yaml

from tests.lockkeeper.commands import EXAMPLES, Lockkeeper

POLICIES = EXAMPLES / "policies"


def test_each_policy_with_a_rule_becomes_a_policy_and_its_binding(lockkeeper: Lockkeeper) -> None:
    """The rest is told in comments, so that kubectl takes the output."""
    finished = lockkeeper("export", POLICIES)
    assert (finished.code, finished.err) == (0, "")
    objects = [each for each in yaml.safe_load_all(finished.out) if each is not None]
    assert [
        (each["kind"].removeprefix("ValidatingAdmissionPolicy"), each["metadata"]["name"]) for each in objects
    ] == [
        ("", "lockkeeper-pool.data"),
        ("Binding", "lockkeeper-pool.data"),
        ("", "lockkeeper-cluster-locks.data-locks"),
        ("Binding", "lockkeeper-cluster-locks.data-locks"),
    ]
    assert objects[0]["spec"]["matchConstraints"]["namespaceSelector"] == {
        "matchLabels": {"lockkeeper.dev/pool": "data"}
    }
    assert objects[1]["spec"]["validationActions"] == ["Deny"]
    assert "#   WorkflowQuota ci/builds spec.limits: what runs already is not in the object" in finished.out


def test_json_and_another_action(lockkeeper: Lockkeeper) -> None:
    """For programs, and for a start that refuses nobody."""
    found = json.loads(lockkeeper("export", POLICIES, "-o", "json", "--action", "Warn").out)
    assert found["objects"][1]["spec"]["validationActions"] == ["Warn"]
    assert {"policy", "field", "message"} == set(found["unsaid"][0])


def test_policies_of_which_nothing_can_be_said(lockkeeper: Lockkeeper) -> None:
    """Exit code 1, with the reasons."""
    finished = lockkeeper("export", POLICIES / "quota-ci.yaml")
    assert (finished.code, "spec.limits: what runs already" in finished.out) == (1, True)


def test_what_cannot_be_read_is_told(lockkeeper: Lockkeeper, tmp_path: Path) -> None:
    """Exit code 2, with the place."""
    missing = lockkeeper("export", tmp_path / "nothing-here")
    assert (missing.code, "nothing-here cannot be read" in missing.err) == (2, True)
    empty = lockkeeper("export", tmp_path)
    assert (empty.code, "there is no policy in" in empty.err) == (2, True)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((POLICIES / "quota-ci.yaml").read_text("utf-8").replace("limits", "limit"), "utf-8")
    finished = lockkeeper("export", wrong)
    assert (finished.code, 'unknown field; did you mean "limits"?' in finished.err) == (2, True)
