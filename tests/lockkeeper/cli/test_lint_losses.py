"""What is lost between a file and Argo: locks in wrong places, misspelt fields, keys that come twice."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lockkeeper.__main__ import main

HEADER: Final = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\n"
LOST: Final = (
    HEADER
    + """spec:
  entrypoint: main
  paralelism: 3
  synchronization:
  mutexes: [{name: whole}]
  templates:
  - name: main
    dag:
      tasks:
      - {name: t, template: load, synchronization: {mutexes: [{name: task}]}}
  - name: load
    container:
      image: busybox
      synchronization: {mutexes: [{name: inside}]}
"""
)
WRONG: Final = "  - name: wait\n    suspend: {duration: 5}\n"
TWICE: Final = (
    HEADER
    + """spec:
  templates:
  - name: main
    synchronization: {mutexes: [{name: first}]}
    suspend: {}
    synchronization: {mutexes: [{name: last}]}
"""
)
POLICY: Final = """apiVersion: lockkeeper.dev/v1alpha1
kind: SynchronizationPolicy
metadata: {name: locks, namespace: default}
spec:
  semaphores:
  - {configMap: limits, key: db, limit: 1, limit: 2}
"""
WORDS: Final = (
    HEADER
    + """spec:
  suspend: no
  hostNetwork: off
  activeDeadlineSeconds: 0x10
  parallelism: 1_0
  templates:
  - name: main
    container: {image: a, args: [y, "n", 08, 2001-01-01]}
"""
)


def _lint(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[dict[str, Any]]:
    main(["lint", *map(str, arguments), "-o", "json"])
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def _review(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict[str, Any]:
    main(["review", *map(str, arguments), "-o", "json"])
    (reviewed,) = json.loads(capsys.readouterr().out)
    found: dict[str, Any] = reviewed
    return found


def _written(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


@pytest.mark.parametrize("beside", ["", WRONG])
def test_lost_locks_and_fields_are_told_beside_wrong_types_too(
    beside: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each in its line: fields that Argo drops are warnings, locks are errors, as those on a task."""
    found = _lint(capsys, _written(tmp_path, a=LOST + beside))
    told = [(each["line"], each["level"], each["code"]) for each in found if each["code"] != "WrongType"]
    assert told == [
        (6, "warning", "Dropped"),
        (8, "error", "LockPlace"),
        (13, "error", "LockPlace"),
        (17, "error", "LockPlace"),
    ]
    assert len(found) == len(told) + bool(beside)


def test_the_review_tells_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy that speaks about the object refuses it for its locks; without one they are warned of."""
    file = _written(tmp_path, a=LOST + WRONG) / "a.yaml"
    policies = tmp_path / "policies"
    policies.mkdir()
    _written(policies, p=POLICY.replace("limit: 1, ", ""))
    fields = {each["field"] for each in _lint(capsys, file)}
    refused = _review(capsys, file, "--policies", policies)
    reasons = {each["field"] for each in refused["reasons"]}
    assert {warning.split(": ")[1] for warning in refused["warnings"]} == {"spec.paralelism"}
    assert reasons | {"spec.paralelism"} == fields
    elsewhere = _review(capsys, file, "--policies", policies, "--namespace", "other")
    assert [each["code"] for each in elsewhere["reasons"]] == ["WrongType"]
    assert {warning.split(": ")[1] for warning in elsewhere["warnings"]} == fields - {
        "spec.templates[2].suspend.duration"
    }


def test_a_key_that_comes_twice_is_warned_of_with_both_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a Workflow, in an item of a list, and in a policy."""
    listed = "apiVersion: v1\nkind: List\nitems:\n" + "".join(
        f"{'  ' if number else '- '}{line}\n" for number, line in enumerate(TWICE.splitlines())
    )
    found = _lint(capsys, _written(tmp_path, a=TWICE, b=listed, c=POLICY))
    assert [(each["line"], each["level"], each["code"], each["field"]) for each in found] == [
        (9, "warning", "RepeatedKey", "spec.templates[0].synchronization"),
        (12, "warning", "RepeatedKey", "spec.templates[0].synchronization"),
        (6, "warning", "RepeatedKey", "spec.semaphores[0].limit"),
    ]
    assert found[0]["message"] == "is given twice, in lines 7 and 9, and the last counts: remove one"
    assert main(["lint", str(tmp_path), "--strict"]) == 1


def test_the_review_warns_of_a_key_that_comes_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last entry is what is reviewed, and created."""
    file = _written(tmp_path, a=TWICE) / "a.yaml"
    policies = tmp_path / "policies"
    policies.mkdir()
    _written(policies, p=POLICY.replace("limit: 1, ", ""))
    (told,) = _review(capsys, file, "--policies", policies)["warnings"]
    assert told == (
        "lockkeeper: spec.templates[0].synchronization: is given twice, in lines 7 and 9, and the last "
        "counts: remove one"
    )


def test_words_and_numbers_are_those_of_kubectl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Booleans without quotes are right where Argo reads one, and wrong where it reads text."""
    found = sorted(_lint(capsys, _written(tmp_path, a=WORDS)), key=lambda each: str(each["field"]))
    assert [each["field"] for each in found] == [
        "spec.templates[0].container.args[0]",
        "spec.templates[0].container.args[2]",
    ]
    assert [each["message"] for each in found] == [
        'is y, which YAML reads as the boolean true without quotes, and Argo reads a string: write "y"',
        'is 08, which YAML reads as the number 8 without quotes, and Argo reads a string: write "08"',
    ]


def test_the_review_shows_the_words_of_the_file_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is written as it reads is shown as it is."""
    file = _written(tmp_path, a=WORDS.replace("[y,", "[true,")) / "a.yaml"
    policies = tmp_path / "policies"
    policies.mkdir()
    _written(policies, p=POLICY.replace("limit: 1, ", ""))
    first, second = (each["message"] for each in _review(capsys, file, "--policies", policies)["reasons"])
    assert first.startswith('is the boolean true, Argo reads a string: write "true". Argo cannot decode')
    assert second.endswith('and Argo reads a string: write "08"')


def test_a_manifest_of_a_resource_template_is_told_in_its_own_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text has no lines in the file that could be shown; JSON may have all in one line."""
    inner = "".join(
        f"        {line}\n" for line in [*TWICE.splitlines(), "  suspend: on", "  priority: 08.5"]
    )
    outer = f"{HEADER}spec:\n  templates:\n  - name: r\n    resource:\n      action: create\n"
    found = _lint(capsys, _written(tmp_path, a=f"{outer}      manifest: |\n{inner}"))
    assert [(each["line"], each["code"], each["field"], each["message"]) for each in found] == [
        (9, "WrongType", "spec.priority", found[0]["message"]),
        (
            9,
            "RepeatedKey",
            "spec.templates[0].synchronization",
            "is given twice, in lines 7 and 9 of the text, and the last counts: remove one",
        ),
    ]
    (tmp_path / "a.yaml").write_text(f'{HEADER}spec: {{"entrypoint": a, "entrypoint": b}}\n')
    told = [each["message"] for each in _lint(capsys, tmp_path) if each["code"] == "RepeatedKey"]
    assert told == ["is given twice, in line 4, and the last counts: remove one"]
